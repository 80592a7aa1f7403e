"""Networks under a ceiling: by hand, and never above it."""

import pytest
import torch
from torch import nn

from mixop.core.errors import RecipeError
from mixop.derive.ceiling import UnderCeiling
from mixop.nets.costs import CostTable, measured
from mixop.nets.modules.space import in_module
from mixop.nets.modules.width import Width
from mixop.nets.ops import BatchNorm
from mixop.spaces import darts


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.w1, self.b, self.w2 = nn.Linear(4, 8), Width(8), nn.Linear(8, 4), Width(4, (0.5, 1))
        self.c = nn.Linear(4, 2)

    def forward(self, x):
        return self.c(self.w2(torch.relu(self.b(self.w1(torch.relu(self.a(x)))))))


SPACE = in_module(Two, torch.zeros(2, 4))
TABLE = CostTable(decisions={"w1": ((1.0, 2.0, 3.0, 4.0),), "w2": ((1.0, 5.0),)})
MEAN = {"w1": torch.tensor([[0.1, 0.2, 0.3, 0.4]]), "w2": torch.tensor([[0.35, 0.65]])}


@pytest.mark.parametrize(
    ("limit", "native"),
    [
        # Reached with 0.9 and 0.7 (w1), 0.65 (w2), 0.4 (w1).
        (2, "w1=0.25, w2=0.5"),
        (4.5, "w1=0.75, w2=0.5"),
        (7, "w1=1, w2=0.5"),  # w2=1 would make it 8
        (8, "w1=0.75, w2=1"),
        (9, "w1=1, w2=1"),
    ],
)
def test_options_are_taken_in_the_order_of_their_probability_while_the_cost_allows(limit, native):
    assert SPACE.to_native(UnderCeiling(limit=limit, cost=TABLE)(MEAN, SPACE)) == native


@pytest.mark.parametrize("cost", ["flops", "parameters"])
def test_networks_stay_under_a_share_of_the_full_cost(cost):
    costs = measured(SPACE, cost)
    full = costs.of(SPACE.from_native("w1=1, w2=1"), SPACE)
    assert costs.most() == full
    generator = torch.Generator().manual_seed(0)
    for share in (0.3, 0.5, 0.8, 1.0):
        mean = {g.name: torch.rand(g.shape, generator=generator) for g in SPACE.groups}
        assert costs.of(UnderCeiling(share=share, cost=cost)(mean, SPACE), SPACE) <= share * full


def test_misfits_are_refused():
    with pytest.raises(RecipeError, match="needs limit or share, one of them"):
        UnderCeiling()
    with pytest.raises(RecipeError, match="share of UnderCeiling"):
        UnderCeiling(share=1.5)
    with pytest.raises(RecipeError, match="share must be at least"):
        UnderCeiling(share=0.01).check(SPACE, BatchNorm())
    backwards = CostTable(decisions={"w1": ((4.0, 3.0, 2.0, 1.0),), "w2": ((1.0, 5.0),)})
    with pytest.raises(RecipeError, match="name the cheapest option first"):
        UnderCeiling(limit=4, cost=backwards).check(SPACE, BatchNorm())
    with pytest.raises(RecipeError, match="keeps some inputs of a node"):
        UnderCeiling(share=0.5).check(darts(cells=1, channels=4, input_shape=(3, 8, 8), outputs=2), BatchNorm())
