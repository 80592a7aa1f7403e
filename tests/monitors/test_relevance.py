"""The relevance update reads the exact curvature and hands it to the published formula."""

from dataclasses import dataclass

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.monitors.relevance import RelevanceUpdate
from mixop.regularise.switches import SwitchPenalty
from mixop.relax.softmax import Softmax
from mixop.relax.switches import update_relevance
from mixop.spaces import nasbench201

SPACE = nasbench201()
CURVATURE = torch.rand(6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SWITCHES = torch.randn(6, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@dataclass
class View:
    """A view whose loss has a known Hessian with entries off its diagonal too."""

    params: dict
    memory: dict
    epoch: int = 1
    epochs: int = 2
    space = SPACE

    def draw_loss(self, params):
        s = params["cell"]
        return (CURVATURE / 2 * s.square()).sum() + (s[0] * s[1]).sum()


def test_gamma_and_omega_are_those_of_the_formula():
    start = SwitchPenalty(edge_strength=0.02, option_strength=0.01).initial(SPACE, torch.Generator().manual_seed(0))
    view = View({"cell": SWITCHES}, dict(start))
    RelevanceUpdate()(view)
    gamma, omega = update_relevance(
        SWITCHES,
        CURVATURE,
        start["SwitchPenalty.gamma.cell"].double(),
        SPACE.groups[0],
        edge_strength=0.02,
        option_strength=0.01,
    )
    torch.testing.assert_close(view.memory["SwitchPenalty.gamma.cell"], gamma)
    torch.testing.assert_close(view.memory["SwitchPenalty.omega.cell"], omega)


def test_relevance_is_renewed_after_the_last_epoch_alone():
    """The authors' code updates behind the loop over the batches of its only pass: search/lib.py, ``train_switch``."""
    start = SwitchPenalty().initial(SPACE, torch.Generator().manual_seed(0))
    view = View({"cell": SWITCHES}, dict(start), epochs=22)
    for view.epoch in range(21):
        RelevanceUpdate()(view)
        assert all(torch.equal(view.memory[key], start[key]) for key in start), view.epoch
    view.epoch = 21
    RelevanceUpdate()(view)
    assert not torch.equal(view.memory["SwitchPenalty.gamma.cell"], start["SwitchPenalty.gamma.cell"])


def test_other_relaxations_are_refused():
    with pytest.raises(RecipeError, match="has none: use the Switches"):
        RelevanceUpdate().check(Softmax(), SPACE, 0.0)
