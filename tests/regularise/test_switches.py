"""The switches' penalty against its sum, with the omega of the memory, which begins as a draw."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.regularise.base import Point
from mixop.regularise.switches import SwitchPenalty
from mixop.relax.softmax import Softmax
from mixop.relax.switches import Switches
from mixop.spaces import nasbench201

SPACE = nasbench201()
PENALTY = SwitchPenalty(edge_strength=0.5, option_strength=0.2)


def start(seed=0, penalty=PENALTY):
    return penalty.initial(SPACE, torch.Generator().manual_seed(seed))


def at(switches, memory):
    return Point(params={"cell": switches}, relaxation=Switches(), space=SPACE, mix={}, memory=memory)


def by_hand(switches, omega):
    total = 0.0
    for e in range(6):
        total += 0.5 * omega[e, 0] * abs(switches[e, 0])
        total += sum(0.2 * omega[e, o] * abs(switches[e, o]) for o in range(2, 6))  # column 1 is that of none
    return total


def test_the_penalty_is_the_weighted_sum_of_magnitudes():
    switches = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    memory = start()
    torch.testing.assert_close(PENALTY(at(switches, memory)), by_hand(switches, memory["SwitchPenalty.omega.cell"]))
    other = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(PENALTY(at(switches, {"SwitchPenalty.omega.cell": other})), by_hand(switches, other))


def test_the_start_is_drawn_uniformly_from_the_generator():
    """``torch.rand(1)`` for the gamma and the omega of every switch: search/Algorithm.py of the authors' code, line 39."""
    memory = start(seed=3)
    assert memory["SwitchPenalty.strengths"].tolist() == [0.5, 0.2]
    gamma, omega = memory["SwitchPenalty.gamma.cell"], memory["SwitchPenalty.omega.cell"]
    drawn = torch.Generator().manual_seed(3)
    assert torch.equal(gamma, torch.rand(6, 6, generator=drawn))
    assert torch.equal(omega, torch.rand(6, 6, generator=drawn))
    assert not torch.equal(start(seed=4)["SwitchPenalty.gamma.cell"], gamma)


def test_other_relaxations_and_strengths_are_refused():
    with pytest.raises(RecipeError, match="has none: use the Switches"):
        PENALTY.check(Softmax())
    with pytest.raises(RecipeError, match="edge strength"):
        SwitchPenalty(edge_strength=0)
