"""Times of options by a clock of the test's own, so that nothing depends on how fast the machine is."""

import pytest
import torch
from torch import nn

from mixop.core.errors import RecipeError
from mixop.nets import timing
from mixop.nets.costs import costs_of
from mixop.nets.modules.choice import Choice, InputChoice
from mixop.nets.modules.space import in_module

NOW = [0.0]


class Takes(nn.Module):
    """Takes some seconds of the clock."""

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds

    def forward(self, x):
        NOW[0] += self.seconds
        return x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Takes(1.0)
        inner = Choice({"a": Takes(4.0), "b": Takes(8.0)})
        self.outer = Choice({"deep": nn.Sequential(Takes(2.0), inner), "skip": nn.Identity()})
        self.twice = nn.ModuleList(Choice({"x": Takes(16.0), "y": Takes(32.0)}, share="twice") for _ in range(2))
        self.pick = InputChoice(2, keep=None)

    def forward(self, x):
        stem = self.stem(x)
        y = self.outer(stem)
        for choice in self.twice:
            y = choice(y)
        return self.pick(stem, y)


def test_an_option_takes_its_own_time_without_that_of_choices_inside(monkeypatch):
    monkeypatch.setattr(timing.time, "perf_counter", lambda: NOW[0])
    space = in_module(Net(), torch.zeros(2, 3))
    table = timing.timed(space, repeats=3)
    assert table.fixed == 1.0
    assert table.decisions == {
        "outer": ((2.0, 0.0),),
        "outer.deep.1": ((4.0, 8.0),),
        "twice": ((32.0, 64.0),),
        "pick": ((0.0, 0.0), (0.0, 0.0)),
    }
    costs = costs_of(space, table)
    seconds = {}
    for text in ("outer=deep, outer.deep.1=b, twice=y", "outer=skip, twice=x"):
        seconds[text] = costs.of(space.from_native(f"{text}, pick=0"), space)
    assert seconds == {"outer=deep, outer.deep.1=b, twice=y": 1 + 2 + 8 + 64, "outer=skip, twice=x": 1 + 32}


def test_numbers_out_of_range_are_refused():
    space = in_module(Net(), torch.zeros(2, 3))
    with pytest.raises(RecipeError, match="at least 1, got 0 and 5"):
        timing.timed(space, batch=0)
