"""What options that do not run contribute: the gradients of the authors' cells, written out edge by edge in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mixop.core.types import Draw
from mixop.nets.ops import BatchNorm
from mixop.relax.gumbel import GumbelHard, GumbelSimplex
from mixop.relax.hard_concrete import HardConcrete
from mixop.spaces import darts, nasbench201
from mixop.spaces.core import Space
from mixop.supernet import plain as module
from mixop.supernet.executors import EXECUTORS

Formula = Callable[[Any, Tensor, Tensor, tuple[int, ...]], Tensor]


def search_cell(edge: Any, x: Tensor, weights: Tensor, running: tuple[int, ...]) -> Tensor:
    """``sum(w_o * o(x) if o is chosen else w_o)``: AutoDL-Projects, ``NAS201SearchCell.forward_gdas``."""
    return sum((w * edge.options[o](x) if o in running else w for o, w in enumerate(weights)), torch.zeros(()))


def nasnet_cell(edge: Any, x: Tensor, weights: Tensor, running: tuple[int, ...]) -> Tensor:
    """``sum of w_o * o(x)`` over what runs: AutoDL-Projects, ``MixedOp.forward_gdas``; PR-DARTS, ``forward_prdarts``."""
    return sum((weights[o] * edge.options[o](x) for o in running), torch.zeros(()))


SPACES: dict[str, Space] = {
    "nasbench201": nasbench201(channels=4, cells=1, stages=2, input_shape=(3, 8, 8), outputs=3),
    "darts": darts(channels=4, cells=3, input_shape=(3, 8, 8), outputs=3),
}


@pytest.mark.parametrize("executor", ["plain", "nodewise"])
@pytest.mark.parametrize(
    ("space", "relaxation", "formula"),
    [
        ("nasbench201", GumbelHard(), search_cell),
        ("nasbench201", GumbelSimplex(), search_cell),
        ("nasbench201", GumbelHard(idle=False), nasnet_cell),
        ("nasbench201", HardConcrete(), nasnet_cell),
        ("darts", GumbelHard(), nasnet_cell),
        ("darts", GumbelHard(idle=True), search_cell),
        ("darts", HardConcrete(), nasnet_cell),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value),
)
def test_gradients_are_those_of_the_authors_cells(
    space: str, relaxation: Any, formula: Formula, executor: str, monkeypatch: pytest.MonkeyPatch
):
    at = SPACES[space]
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def gradients(name: str) -> dict[str, Tensor]:
        norm = BatchNorm(affine=False, track=False)
        net = EXECUTORS[name](at, norm=norm, generator=torch.Generator().manual_seed(1)).double()
        generator = torch.Generator().manual_seed(2)
        params = {g.name: relaxation.init(g, generator).double().requires_grad_() for g in net.groups}
        draws: dict[str, Draw] = {g.name: relaxation.draw(params[g.name], g, 0.5, generator) for g in net.groups}
        active = {name: draw.active for name, draw in draws.items()}
        out = net(x, {name: draw.weights for name, draw in draws.items()}, active, progress=0.5)
        loss = (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum()
        return dict(zip(params, torch.autograd.grad(loss, list(params.values())), strict=True))

    got = gradients(executor)
    with monkeypatch.context() as authors:
        authors.setattr(
            module.MixedEdge,
            "forward",
            lambda edge, x, weights, active=None, progress=0.0: formula(edge, x, weights, active),
        )
        wanted = gradients("plain")
    assert any(gradient.abs().max() > 1e-6 for gradient in wanted.values())
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-9, atol=1e-12)  # float64, other orders of additions


def test_idle_options_matter_where_the_author_counts_them():
    at = SPACES["nasbench201"]
    (group,) = at.groups
    params = torch.zeros(group.shape, dtype=torch.float64, requires_grad=True)
    for idle, rows in ((None, True), (True, True), (False, False)):
        draw = GumbelHard(idle=idle).draw(params, group, 0.5, torch.Generator().manual_seed(3))
        resting = torch.ones(group.shape, dtype=torch.bool)
        assert draw.active is not None
        for e, running in enumerate(draw.active):
            resting[e, list(running)] = False
        (gradient,) = torch.autograd.grad(draw.weights[resting].sum(), params)
        assert bool(gradient.any()) is rows
        assert torch.equal(draw.weights[resting], torch.zeros_like(draw.weights[resting]))
