"""Windows of drawn length, by the published rules."""

import math
import pickle

import pytest
import torch

from mixop.core.errors import DataError, RecipeError
from mixop.data import Windows, digits, from_tokens
from mixop.data.tokens import Tokens, TokenStream


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stream(windows: Windows, *, columns: int = 3, length: int = 4000, window: int = 35, seed: int = 0) -> TokenStream:
    tokens = Tokens(torch.arange(columns * length + 1), columns * length + 1, window)
    return tokens.stream(torch.arange(columns * length), columns, seeded(seed), "training", windows)


def one_pass(given: TokenStream) -> list[torch.Tensor]:
    return [given.next() for _ in range(given.begin())]


@pytest.mark.parametrize("windows", [Windows(), Windows(spread=5.0), Windows(halved=1.0), Windows(halved=0.0)])
@pytest.mark.parametrize(("length", "window"), [(4000, 35), (97, 2), (20, 35), (36, 35)])
def test_every_pass_covers_the_columns_in_order(windows: Windows, length: int, window: int):
    given = stream(windows, length=length, window=window)
    for _ in range(3):
        pieces = one_pass(given)
        assert torch.equal(torch.cat(pieces, 1), torch.arange(3 * length).view(3, length))
        assert min(piece.shape[1] for piece in pieces) >= 1


def test_the_search_of_darts_has_whole_and_half_windows():
    given = stream(Windows(halved=0.25))
    lengths = [piece.shape[1] for _ in range(10) for piece in one_pass(given)[:-1]]
    assert set(lengths) == {35, 17}
    short = lengths.count(17) / len(lengths)
    assert short == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / len(lengths)))  # standard errors of a share


def test_its_evaluation_has_normal_lengths_within_limits():
    given = stream(Windows(halved=0.05, spread=5.0))
    lengths = torch.tensor([piece.shape[1] for _ in range(20) for piece in one_pass(given)[:-1]]).double()
    assert lengths.min() >= 5
    assert lengths.max() <= 55
    # Around 35 in 19 of 20 windows and around 17.5 else, half a token less for rounding down; deviation sqrt(25 + 14.5 + 1/12).
    assert lengths.mean().item() == pytest.approx(35 - 0.05 * 17.5 - 0.5, abs=5 * 6.3 / math.sqrt(len(lengths)))
    wide = stream(Windows(halved=0.5, spread=40.0))
    lengths = [piece.shape[1] for _ in range(5) for piece in one_pass(wide)[:-1]]
    assert {min(lengths), max(lengths)} == {5, 55}


def test_passes_have_numbers_of_windows_of_their_own():
    given = stream(Windows(halved=0.5))
    counts = [len(one_pass(given)) for _ in range(5)]
    assert len(set(counts)) > 1
    fresh = stream(Windows(halved=0.5))
    assert fresh.batches == pytest.approx(sum(counts) / 5, rel=0.1), "before the first pass it is a guess"
    assert fresh.begin() == fresh.begin() == fresh.batches == counts[0]


def test_the_rate_follows_the_length_where_it_should():
    given = stream(Windows(halved=0.5))
    assert given.scale == 1.0
    for _ in range(20):
        assert given.next().shape[1] / 35 == given.scale
    still = stream(Windows(halved=0.5, scale_rate=False))
    assert {(still.next(), still.scale)[1] for _ in range(20)} == {1.0}
    assert from_tokens([0, 1, 2, 1] * 50, window=5).stream(("train",), 2, seeded()).scale == 1.0


@pytest.mark.parametrize("steps", [0, 1, 57, 58, 200])
def test_a_stream_goes_on_in_the_middle_of_a_pass(steps: int):
    given = stream(Windows(halved=0.3, spread=5.0), length=2000)
    for _ in range(steps):
        given.next()
    saved, drawn = pickle.loads(pickle.dumps(given.state_dict())), given.generator.get_state()
    again = stream(Windows(halved=0.3, spread=5.0), length=2000, seed=9)
    again.load_state_dict(saved)
    again.generator.set_state(drawn)
    for _ in range(150):
        assert torch.equal(given.next(), again.next())
        assert (given.scale, given.batches) == (again.scale, again.batches)


def test_upcoming_windows_are_those_that_come():
    given = stream(Windows(spread=5.0))
    given.next()
    told = given.upcoming(2)
    assert told.tolist() == torch.cat([given.next().flatten() for _ in range(2)]).tolist()


def test_what_makes_no_windows_is_refused():
    for changes in ({"halved": 1.5}, {"spread": -1.0}, {"scale_rate": 1}):
        with pytest.raises(RecipeError, match="of Windows must be"):
            Windows(**changes)
    with pytest.raises(DataError, match="Windows cut texts, but these examples do not follow each other"):
        digits().stream(("train",), 8, seeded(), Windows())


def test_steps_count_windows_of_a_text():
    data = from_tokens([0, 1, 2, 1] * 50, window=5)
    assert data.windows_in("train") == len(data.train) // 5
    assert digits().windows_in("train") == len(digits().train)
