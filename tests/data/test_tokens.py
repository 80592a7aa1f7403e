import math
import pickle

import pytest
import torch

from mixop.core.errors import DataError
from mixop.data import Data, Split, from_tokens
from mixop.data.tokens import COLUMNS, Tokens, TokenStream


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def letters(count: int, window: int = 4, **settings) -> Tokens:
    """A text whose tokens are their positions, so that what is read shows where it is from."""
    return Tokens(torch.arange(count), count, window, **settings)


def test_a_position_gives_its_token_and_the_one_behind_it():
    tokens = Tokens(torch.tensor([5, 3, 3, 0, 1]), 6, window=2)
    batch = tokens.read(torch.tensor([[0, 1], [2, 3]]))
    assert batch.x.tolist() == [[5, 3], [3, 0]]
    assert batch.y.tolist() == [[3, 3], [0, 1]]
    assert (len(tokens), tokens.shape, tokens.dtype, tokens.tokens) == (4, (6, 2), torch.int64, True)
    assert (tokens.inputs.tolist(), tokens.targets.tolist()) == ([5, 3, 3, 0], [3, 3, 0, 1])
    assert tokens.targets.tolist() == [3, 3, 0, 1]


def test_windows_are_those_of_columns_beside_each_other():
    """23 positions in 2 columns of 11, in windows of 4: the last window has 3, and the last position is not read."""
    stream = letters(24).stream(torch.arange(23), 2, seeded(), "training")
    assert (stream.batches, stream.dropped) == (3, 1)
    one_pass = [
        [[0, 1, 2, 3], [11, 12, 13, 14]],
        [[4, 5, 6, 7], [15, 16, 17, 18]],
        [[8, 9, 10], [19, 20, 21]],
    ]
    assert [stream.next().tolist() for _ in range(6)] == [*one_pass, *one_pass]


@pytest.mark.parametrize(("count", "columns", "window"), [(100, 7, 5), (64, 8, 8), (30, 30, 5), (31, 4, 100)])
def test_windows_follow_each_other_and_cover_the_columns(count: int, columns: int, window: int):
    stream = letters(count + 1, window).stream(torch.arange(count), columns, seeded(), "training")
    windows = [stream.next() for _ in range(stream.batches)]
    table = torch.cat(windows, 1)
    length = count // columns
    assert torch.equal(table, torch.arange(columns * length).view(columns, length))
    assert all(piece.shape[1] == window for piece in windows[:-1])
    assert stream.dropped == count % columns


def test_nothing_is_drawn_for_windows_of_one_length():
    generator = seeded(3)
    stream = letters(50).stream(torch.arange(49), 3, generator, "training")
    for _ in range(20):
        stream.next()
    assert torch.equal(generator.get_state(), seeded(3).get_state())


def test_the_state_ends_with_the_pass():
    stream = letters(24).stream(torch.arange(23), 2, seeded(), "training")
    seen = []
    for step in range(7):
        stream.next()
        seen.append(stream.state)
        stream.state = step  # as a search does after its step
    assert seen == [None, 0, 1, None, 3, 4, None]


@pytest.mark.parametrize("random_lengths", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 4, 9, 10, 23])
def test_a_stream_goes_on_in_the_middle_of_a_pass(random_lengths: bool, steps: int):
    def stream(seed: int) -> TokenStream:
        tokens = letters(200, 5, random_lengths=random_lengths)
        return tokens.stream(torch.arange(199), 4, seeded(seed), "training")

    given = stream(0)
    for step in range(steps):
        given.next()
        given.state = torch.full((2,), float(step))
    saved, drawn = given.state_dict(), given.generator.get_state()
    again = stream(99)
    again.load_state_dict(pickle.loads(pickle.dumps(saved)))
    again.generator.set_state(drawn)
    for _ in range(30):
        assert torch.equal(given.next(), again.next())
        assert (given.state is None) == (again.state is None)
        assert given.state is None or torch.equal(given.state, again.state)


def test_random_lengths_cover_everything_in_as_many_windows():
    window, columns, length = 35, 3, 4000
    stream = letters(columns * length + 1, window, random_lengths=True).stream(
        torch.arange(columns * length), columns, seeded(1), "training"
    )
    assert stream.batches == math.ceil(length / window)
    passes = [[stream.next() for _ in range(stream.batches)] for _ in range(20)]
    for windows in passes:
        assert torch.equal(torch.cat(windows, 1), torch.arange(columns * length).view(columns, length))
    sizes = torch.tensor([[piece.shape[1] for piece in windows] for windows in passes]).double()
    assert len({tuple(row.tolist()) for row in sizes}) == 20
    assert sizes.min() >= 4  # five, but for the scaling to the length of a column
    assert sizes.max() <= 1.2 * (window + 20)
    # 19 of 20 are normal around 35 with deviation 5, 1 of 20 around 17.5: mean 34.1, less a half for rounding down, scaled to
    # the same mean as without. About 1 of 20 is below 25, two deviations of the others away.
    assert sizes.mean() == pytest.approx(length / stream.batches)
    short = (sizes < 25).double().mean().item()
    k = 4  # standard errors of a binomial share
    assert abs(short - 0.05 - 0.95 * 0.023) < k * math.sqrt(0.07 * 0.93 / sizes.numel()) + 0.02  # 0.02 for the scaling


def test_short_windows_of_random_length_are_never_empty():
    for seed in range(30):
        stream = letters(40, 2, random_lengths=True).stream(torch.arange(39), 3, seeded(seed), "training")
        windows = [stream.next() for _ in range(stream.batches)]
        assert min(piece.shape[1] for piece in windows) >= 1
        assert torch.cat(windows, 1).numel() == 39


def test_upcoming_windows_are_those_that_come():
    stream = letters(60).stream(torch.arange(59), 2, seeded(), "training")
    peeked = stream.peek()
    assert torch.equal(stream.next(), peeked)
    told = stream.upcoming(2)
    assert told.tolist() == torch.cat([stream.next().flatten() for _ in range(2)]).tolist()
    while stream.at < stream.batches:
        stream.next()
    assert stream.upcoming(2).tolist() == []


@pytest.mark.parametrize(("count", "batch_size"), [(1000, 64), (1000, 3), (97, 10), (30, 10), (7, 4), (3, 10), (2, 1)])
def test_a_sweep_scores_every_position_once_but_for_the_last_few(count: int, batch_size: int):
    pieces = letters(count + 1).sweep(torch.arange(count), batch_size)
    columns = len(pieces[0])
    assert columns <= min(COLUMNS, batch_size)
    assert columns == min(COLUMNS, batch_size) or columns == max(1, count // 4)
    table = torch.cat(list(pieces), 1)
    length = count // columns
    assert torch.equal(table, torch.arange(columns * length).view(columns, length))
    assert count - table.numel() < columns
    assert all(piece.shape == (columns, 4) for piece in pieces[:-1])


def text(**settings) -> Data:
    """Words of a text of 60, 30 and 20 tokens; each token's number is its place in its part plus 100, 200 or 300."""
    parts = (torch.arange(start, start + count) for start, count in ((100, 60), (200, 30), (300, 20)))
    return from_tokens(*parts, 400, window=7, **settings)


def test_no_position_has_a_target_of_another_part():
    data = text()
    assert [len(data.at(part)) for part in ("train", "valid", "test")] == [59, 29, 19]
    for part, start in (("train", 100), ("valid", 200), ("test", 300)):
        batch = data.examples.read(data.at(part))
        assert torch.equal(batch.x, torch.arange(start, start + len(batch.x)))
        assert torch.equal(batch.y, batch.x + 1)
    both = data.stream(("train", "valid"), 2, seeded())
    while True:
        batch = data.batch(both.next())
        assert torch.equal(batch.y, batch.x + 1)
        if both.at == both.batches:
            break


def test_data_sweeps_windows_in_order():
    data = text()
    batches = list(data.sweep("valid", 3))
    assert [batch.x.shape for batch in batches] == [(3, 7), (3, 2)]
    assert torch.equal(torch.cat([batch.x for batch in batches], 1), torch.arange(200, 227).view(3, 9))
    assert all(torch.equal(batch.y, batch.x + 1) for batch in batches)
    assert len(list(data.sweep("valid", 3, batches=1))) == 1


def test_other_divisions_keep_the_order():
    data = text()
    other = data.with_split(Split(valid=0.25))
    assert torch.equal(torch.cat([other.train, other.valid]), torch.arange(89))  # the 90th has its target in the test
    assert len(other.valid) == 22
    assert torch.equal(other.test, data.test)
    assert data.with_indices(range(0, 40), range(40, 59)).valid.tolist() == list(range(40, 59))
    with pytest.raises(DataError, match=r"positions of the train part must follow each other, .* position 10 does not"):
        data.with_indices([0, 1, 2, 10, 11], range(40, 59))


def test_another_process_and_another_device_read_the_same():
    tokens = letters(30, 5, random_lengths=True)
    other = pickle.loads(pickle.dumps(tokens))
    at = torch.tensor([[3, 4], [20, 21]])
    assert torch.equal(other.read(at).x, tokens.read(at).x)
    assert other.digest == tokens.digest == tokens.to("cpu").digest
    digests = {
        tokens.digest,
        letters(30, 6, random_lengths=True).digest,
        letters(30, 5).digest,
        Tokens(torch.arange(30).flip(0), 30, 5, True).digest,
        Tokens(torch.arange(30), 31, 5, True).digest,
    }
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": torch.arange(4).float()}, "must be one row of int64 numbers, got torch.float32"),
        ({"text": torch.zeros(2, 2).long()}, r"one row of int64 numbers, got torch.int64 of shape \(2, 2\)"),
        ({"text": torch.arange(1)}, "must hold at least two tokens, got 1"),
        ({"text": torch.tensor([0, 5])}, "must lie between 0 and 4, got 5: give the whole vocabulary"),
        ({"text": torch.tensor([0, -1])}, "must lie between 0 and 4, got -1"),
        ({"window": 0}, "window of words must be at least one token, got 0"),
    ],
)
def test_what_is_no_text_is_refused(changes: dict, sentence: str):
    with pytest.raises(DataError, match=sentence):
        Tokens(**{"text": torch.arange(5), "vocabulary": 5, "window": 2, **changes}).check("words")


def test_fewer_positions_than_columns_are_refused():
    with pytest.raises(DataError, match="A batch of 8 is larger than the training split of 5"):
        letters(6).stream(torch.arange(5), 8, seeded(), "training")
