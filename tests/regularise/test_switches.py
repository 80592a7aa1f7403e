"""The switches' penalty against its sum, with the omega of the start and that of the memory."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.regularise.base import Point
from mixop.regularise.switches import SwitchPenalty, initial_relevance
from mixop.relax.softmax import Softmax
from mixop.relax.switches import Switches
from mixop.spaces import nasbench201

SPACE = nasbench201()
PENALTY = SwitchPenalty(edge_strength=0.5, option_strength=0.2)


def at(switches, memory=None):
    return Point(params={"cell": switches}, relaxation=Switches(), space=SPACE, mix={}, memory=memory or {})


def by_hand(switches, omega):
    total = 0.0
    for e in range(6):
        total += 0.5 * omega[e, 0] * abs(switches[e, 0])
        total += sum(0.2 * omega[e, o] * abs(switches[e, o]) for o in range(2, 6))  # column 1 is that of none
    return total


def test_the_penalty_is_the_weighted_sum_of_magnitudes():
    switches = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    gamma, omega = initial_relevance(SPACE)["cell"]
    assert ((gamma > 0) & (gamma < 1) & (omega > 0) & (omega < 1)).all()
    torch.testing.assert_close(PENALTY(at(switches)), by_hand(switches, omega))
    other = torch.rand(6, 6)
    torch.testing.assert_close(PENALTY(at(switches, {"SwitchPenalty.omega.cell": other})), by_hand(switches, other))


def test_the_start_is_remembered_once():
    new = PENALTY.remember(at(torch.ones(6, 6)))
    assert new["SwitchPenalty.strengths"].tolist() == [0.5, 0.2]
    gamma, omega = initial_relevance(SPACE)["cell"]
    assert torch.equal(new["SwitchPenalty.gamma.cell"], gamma)
    assert torch.equal(new["SwitchPenalty.omega.cell"], omega)
    assert PENALTY.remember(at(torch.ones(6, 6), new)) == {}


def test_other_relaxations_and_strengths_are_refused():
    with pytest.raises(RecipeError, match="has none: use the Switches"):
        PENALTY.check(Softmax())
    with pytest.raises(RecipeError, match="edge strength"):
        SwitchPenalty(edge_strength=0)
