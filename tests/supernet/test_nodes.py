"""Cells with operations at their nodes, against the authors' code of NAS-Bench-1Shot1 and against other executors."""

import json
import math
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Generator

from mixop.core.errors import RecipeError
from mixop.derive.argmax import Argmax
from mixop.engine.score import one_path
from mixop.nets.ops import BatchNorm
from mixop.spaces import nasbench1shot1
from mixop.supernet.executors import check_executor
from mixop.supernet.nodewise import nodewise
from mixop.supernet.plain import plain
from mixop.wraps import PartialChannels
from mixop.wraps.edges import EdgeNormalisation

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "nasbench1shot1.json"
NORM = BatchNorm(affine=False, track=False)


def grid(*sizes):
    return torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in sizes), indexing="ij")


def filled(net):
    """The network with the weights that the golden numbers were made with."""
    net = net.double()
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1:
            terms = zip((1.7, 0.9, 2.3, 3.1), grid(*parameter.shape), strict=False)
            parameter.data = 0.4 * torch.cos(0.5 + sum(factor * index for factor, index in terms))
        elif name.endswith("linear.bias"):
            parameter.data = 0.05 * torch.sin(torch.arange(len(parameter), dtype=torch.float64))
    return net


def logits_of(space, p):
    """The architecture parameters of the golden numbers, by group."""
    made, choosing = {}, 0
    for group in space.groups:
        edges, options = group.shape
        if group.name == "operations":
            rows = [[math.cos(p + 0.7 * k + 1.1 * o) for o in range(options)] for k in range(edges)]
        elif group.name == "output":
            rows = [[math.cos(p + 0.4 + 0.9 * j) for j in range(options)]]
        else:
            rows = [[math.cos(p + 1.3 + 0.5 * choosing + 0.8 * j) for j in range(options)]]
            choosing += 1
        made[group.name] = torch.tensor(rows, dtype=torch.float64).requires_grad_()
    return made


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs nasbench1shot1.json beside the project, in ../shared/golden")
@pytest.mark.parametrize("make", [plain, nodewise])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_supernet_gives_the_numbers_of_the_authors_code(make, number):
    wanted = json.loads(GOLDEN.read_text())[f"shown_space{number}"]
    size, count, p = wanted["H"], wanted["N"], wanted["p"]
    space = nasbench1shot1(number, channels=wanted["C"], cells=wanted["layers"], input_shape=(3, size, size), outputs=10)
    net = filled(make(space, norm=NORM, generator=Generator().manual_seed(0)))
    n, c, h, w = grid(count, 3, size, size)
    alphas = logits_of(space, p)
    x = torch.cos(0.6 * n + 1.1 * c + 0.23 * h + 0.29 * w + 0.03 * h * w)
    outputs = net(x, {name: alpha.softmax(-1) for name, alpha in alphas.items()})
    loss = torch.nn.functional.cross_entropy(outputs, torch.arange(count) % 10)
    loss.backward()
    near = {"rtol": 0, "atol": 1e-10}  # the numbers were written with ten digits
    assert sum(parameter.numel() for parameter in net.parameters()) == wanted["params"]
    assert loss.item() == pytest.approx(wanted["loss"], abs=1e-12)
    torch.testing.assert_close(outputs[0, :4], torch.tensor(wanted["logits0"], dtype=torch.float64), **near)
    gradients = {"operations": wanted["grad_op"], "output": wanted["grad_output"]}
    inputs = [group.name for group in space.groups if group.name.startswith("inputs")]
    gradients |= dict(zip(inputs, wanted["grad_inputs"], strict=True))
    assert gradients.keys() == alphas.keys()
    for name, numbers in gradients.items():
        torch.testing.assert_close(alphas[name].grad.flatten(), torch.tensor(numbers, dtype=torch.float64), **near)


@pytest.mark.parametrize("wraps", [(), (PartialChannels(k=4), EdgeNormalisation())], ids=["bare", "partial"])
def test_one_path_of_the_supernet_is_what_the_mixture_gives(wraps):
    space = nasbench1shot1(3, channels=8, cells=3, input_shape=(3, 8, 8), outputs=10)
    net = plain(space, norm=NORM, generator=Generator().manual_seed(0), wraps=wraps).double()
    assert [group.name for group in net.groups] == [group.name for group in space.groups]  # it weighs what is read by itself
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=Generator().manual_seed(1))
    like = {g.name: torch.empty(g.shape, dtype=torch.float64) for g in space.groups}
    rng = Random(0)
    for _ in range(3):
        architecture = space.random(rng)
        mix, active = one_path(space, architecture, like)
        torch.testing.assert_close(net(x, mix, active), net(x, mix))
        assert mix["output"].sum() == 2
        assert Argmax()(mix, space) == architecture


def test_partial_channels_leave_the_others_as_they_are():
    # Of the one operation of a node a quarter of the channels is seen: pooling shows it without any weights.
    space = nasbench1shot1(1, channels=8, cells=3, input_shape=(3, 8, 8))
    net = plain(space, norm=NORM, generator=Generator().manual_seed(0), wraps=(PartialChannels(k=4),))
    edge = net.layers[1].edges[0]
    x = torch.randn(2, 8, 5, 5, generator=Generator().manual_seed(1))
    y = edge(x, torch.tensor([1.0, 0.0, 0.0]))
    pooled = torch.nn.functional.max_pool2d(x[:, :2], 3, stride=1, padding=1)
    torch.testing.assert_close(y, torch.cat([pooled, x[:, 2:]], 1).view(2, 4, 2, 5, 5).transpose(1, 2).reshape(x.shape))


def test_idle_weights_are_those_of_operations_that_do_not_run():
    space = nasbench1shot1(1, channels=4, cells=3, input_shape=(3, 8, 8))
    net = plain(space, norm=NORM, generator=Generator().manual_seed(0))
    _, active = one_path(space, space.random(Random(0)), {g.name: torch.empty(g.shape) for g in space.groups})
    idle = {id(parameter) for parameter, _ in net.idle(active)}
    names = {name for name, parameter in net.named_parameters() if id(parameter) in idle}
    assert names
    assert all(".edges." in name for name in names)


def test_the_fused_executor_refuses_it():
    with pytest.raises(RecipeError, match="operations on edges, and nasbench1shot1-1 has none"):
        check_executor("fused", nasbench1shot1(1), norm=NORM)
