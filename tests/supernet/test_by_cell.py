"""Draws by cell: every cell of a group runs the path of its own, in every executor."""

import pytest
import torch
from torch import Tensor

from mixop.core.errors import MissingExtraError, RunError
from mixop.core.types import Batch
from mixop.engine.problem import SupernetProblem
from mixop.nets.ops import BatchNorm
from mixop.recipes import rsws
from mixop.relax import Uniform
from mixop.spaces import darts, nasbench201
from mixop.spaces.core import Space
from mixop.supernet.cells import CellSupernet, options_of
from mixop.supernet.executors import EXECUTORS
from mixop.supernet.plain import plain
from mixop.tasks.classification import Classification

SPACES: dict[str, Space] = {
    "nasbench201": nasbench201(channels=4, cells=2, stages=2, input_shape=(3, 8, 8), outputs=3),
    "darts": darts(channels=4, cells=4, input_shape=(3, 8, 8), outputs=3),
}
NORM = BatchNorm(affine=False, track=False)


def problem(space: Space, executor: str, fixed: dict | None = None) -> SupernetProblem:
    try:
        net = EXECUTORS[executor](space, norm=NORM, generator=torch.Generator().manual_seed(0))
    except (RunError, MissingExtraError) as error:  # no compiler, no GPU
        pytest.skip(str(error))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(1)
    return SupernetProblem(net, Classification(tuple("abc")), rsws(), Uniform(by_cell=True), optimiser, generator, {}, fixed)


def by_hand(net: CellSupernet, x: Tensor, paths: dict[str, list]) -> Tensor:
    """The network with one operation an edge, the next path of its group in every cell, as ``forward_urs`` adds them up."""
    outputs, rest = [x], {name: iter(cells) for name, cells in paths.items()}
    for spec, layer in zip(net.specs, net.layers, strict=True):
        given = [outputs[i] for i in spec.inputs]
        if spec.kind != "cell":
            outputs.append(layer(*given))
            continue
        group, path = net.space.group(spec.group or ""), next(rest[spec.group or ""])
        graph, nodes = net.space.graph(group.name), list(given)
        for node in range(graph.inputs, graph.nodes):
            edges = [(e, o) for e in group.into(node) for o in path[e]]  # a dropped edge has none
            values = [
                options_of(layer.edges[e], "")[1][o](nodes[group.decisions[e].source])  # type: ignore[index, union-attr]
                for e, o in edges
            ]
            nodes.append(torch.stack(values).sum(0))
        outputs.append(torch.cat([nodes[k] for k in graph.output], 1))
    return outputs[-1]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", SPACES)
def test_every_cell_runs_its_own_path(name: str, executor: str):
    space = SPACES[name]
    job = problem(space, executor)
    params = {g.name: torch.zeros(g.shape) for g in space.groups}
    draws = job.draw(params)
    for group in space.groups:
        cells = [spec for spec in space.layers if spec.group == group.name]
        draw = draws[group.name]
        assert draw.weights.shape == (len(cells), *group.shape)
        assert len(draw.active) == len(cells) == job.net.cells_of(group.name)
        assert len(set(draw.active)) == len(cells)  # by chance they differ for this seed
        for weights, path in zip(draw.weights, draw.active, strict=True):
            hot = [(e, o) for e, options in enumerate(path) for o in options]
            assert [tuple(at) for at in weights.nonzero().tolist()] == hot
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    reference = plain(space, norm=NORM, generator=torch.Generator().manual_seed(0))
    wanted = by_hand(reference, x, {name: list(draw.active) for name, draw in draws.items()})
    got = job.net(x, {name: draw.weights for name, draw in draws.items()}, {name: draw.active for name, draw in draws.items()})
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)  # float32, other orders of additions
    loss = job.draw_loss(None, draws, Batch(x, torch.tensor([0, 1, 2, 0])))
    torch.testing.assert_close(
        loss, torch.nn.functional.cross_entropy(wanted, torch.tensor([0, 1, 2, 0])), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_is_idle_is_so_cell_by_cell(executor: str):
    job = problem(SPACES["nasbench201"], executor)
    params = {"cell": torch.zeros(6, 5)}
    job.draw_loss(None, job.draw(params), batch := Batch(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])))
    first = job.ran
    loss = job.draw_loss(None, draws := job.draw(params), batch)
    loss.backward()
    for cell, paths in enumerate(job.ran["cell"]):
        for e, path in enumerate(paths):
            assert set(path) == {*first["cell"][cell][e], *draws["cell"].active[cell][e]}
    job.forget()
    job.draw_loss(None, draws, batch)
    idle = job.net.idle(job.ran)
    assert 0 < sum(parameter[rows].numel() for parameter, rows in idle) < sum(p.numel() for p in job.net.parameters())
    assert all(parameter.grad is None or not parameter.grad[rows].any() for parameter, rows in idle)


def test_decisions_that_are_made_hold_in_every_cell_and_a_derivation_draws_one_architecture():
    job = problem(SPACES["nasbench201"], "plain", {"cell": {0: 3, 4: -1}})
    params = {"cell": torch.zeros(6, 5)}
    draw = job.draw(params)["cell"]
    assert [(path[0], path[4]) for path in draw.active] == [((3,), ())] * 4
    assert torch.equal(draw.weights[:, 0], torch.eye(5)[[3] * 4])
    assert not draw.weights[:, 4].any()
    assert job.draw(params, by_cell=False)["cell"].weights.shape == (6, 5)
