"""Stopping on skip connections, on cells given by letters."""

import pytest

from mixop.core.errors import RecipeError, SpaceError
from mixop.monitors.base import Continue, Stop
from mixop.monitors.skips import SkipStop
from mixop.relax import Softmax
from mixop.spaces import nasbench201


def run(monitor, search):
    """Epoch and action of the first epoch that does not simply go on."""
    for epoch in range(len(search.natives)):
        search.epoch = epoch
        action = monitor(search)
        if action != Continue():
            return epoch, action
    return None


def test_it_stops_when_the_limit_is_crossed_with_the_cell_from_before(view, cell):
    natives = [cell(letters) for letters in ("cccccc", "sccccs", "sscccc", "sssccc", "ssssss")]
    assert run(SkipStop(), view(natives=natives)) == (3, Stop(natives[2]))
    assert run(SkipStop(limit=1), view(natives=natives)) == (1, Stop(natives[0]))
    assert run(SkipStop(limit=5, group="cell"), view(natives=natives)) == (4, Stop(natives[3]))
    assert run(SkipStop(limit=6), view(natives=natives)) is None


def test_a_search_that_begins_over_the_limit_is_left_alone_until_it_is_within(view, cell):
    natives = [cell(letters) for letters in ("ssssss", "ssssss", "sscccc", "ccnnpp", "sssccc")]
    assert run(SkipStop(), view(natives=natives)) == (4, Stop(natives[3]))
    assert run(SkipStop(), view(natives=natives[:2])) is None


def test_it_writes_nothing(view, cell):
    search = view(natives=[cell("cccccc")])
    SkipStop()(search)
    assert search.memory == {}
    assert SkipStop().columns(search) == {}


def test_misfits_are_refused():
    space = nasbench201(channels=4, cells=1)
    SkipStop(group="cell").check(Softmax(), space, 0.0)
    with pytest.raises(SpaceError, match="'normal'"):
        SkipStop(group="normal").check(Softmax(), space, 0.0)
    convs = nasbench201(operations=("nor_conv_1x1", "nor_conv_3x3"), channels=4, cells=1)
    with pytest.raises(RecipeError, match="nasbench201 does not offer"):
        SkipStop().check(Softmax(), convs, 0.0)
    with pytest.raises(RecipeError, match="limit of SkipStop"):
        SkipStop(limit=-1)
