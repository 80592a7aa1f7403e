import pytest
import torch

from mixop.core.errors import DataError
from mixop.data.stream import Stream, batches


def stream(count, batch_size, seed=0):
    return Stream(torch.arange(100, 100 + count), batch_size, torch.Generator().manual_seed(seed), "training")


@pytest.mark.parametrize(("count", "batch_size"), [(12, 4), (14, 4), (7, 7), (9, 5), (2, 2)])
def test_a_pass_sees_every_example_once_and_the_next_in_another_order(count, batch_size):
    given = stream(count, batch_size)
    passes = [torch.cat([given.next() for _ in range(given.batches)]) for _ in range(4)]
    for order in passes:
        assert order.sort().values.tolist() == list(range(100, 100 + count))
    if count > 2:
        assert len({tuple(order.tolist()) for order in passes}) > 1


def test_a_last_batch_of_one_is_left_out_and_another_example_each_time():
    given = stream(9, 4)
    assert given.batches == 2
    missing = set()
    for _ in range(50):
        seen = torch.cat([given.next() for _ in range(given.batches)]).tolist()
        assert len(set(seen)) == 8
        missing |= set(range(100, 109)) - set(seen)
    assert missing == set(range(100, 109))


def test_a_short_last_batch_of_two_is_kept():
    given = stream(10, 4)
    assert [len(given.next()) for _ in range(given.batches)] == [4, 4, 2]


def test_the_seed_decides_the_order():
    one, same, other = stream(20, 5, 1), stream(20, 5, 1), stream(20, 5, 2)
    orders = [[given.next().tolist() for _ in range(12)] for given in (one, same, other)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("steps", [0, 1, 3, 4, 7])
def test_a_stream_goes_on_in_the_middle_of_a_pass(steps):
    given = stream(14, 4)
    for _ in range(steps):
        given.next()
    saved = {"stream": given.state_dict(), "generator": given.generator.get_state()}
    rest = [given.next().tolist() for _ in range(10)]
    again = stream(14, 4, seed=99)
    again.load_state_dict(saved["stream"])
    again.generator.set_state(saved["generator"])
    assert [again.next().tolist() for _ in range(10)] == rest


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(
        DataError, match="batch of 8 is larger than the training split of 7 examples: use a batch size of at most 7"
    ):
        stream(7, 8)


def test_an_empty_split_is_refused():
    with pytest.raises(DataError, match="training split is empty"):
        stream(0, 4)


def test_slices_cover_everything_in_order_and_none_is_one_example():
    for count in range(2, 40):
        for batch_size in range(2, 12):
            pieces = batches(count, batch_size)
            assert [i for piece in pieces for i in range(count)[piece]] == list(range(count))
            assert all(len(range(count)[piece]) > 1 for piece in pieces)
            assert max(len(range(count)[piece]) for piece in pieces) <= batch_size + 1
    assert batches(1, 4) == [slice(0, 1)]


def test_upcoming_batches_are_those_that_come():
    stream = Stream(torch.arange(20), 4, torch.Generator().manual_seed(0), "training")
    stream.next()
    told = stream.upcoming(3)
    assert told.tolist() == torch.cat([stream.next() for _ in range(3)]).tolist()
    assert stream.upcoming(3).tolist() == stream.next().tolist()  # the pass ends
    assert stream.upcoming(3).tolist() == []
