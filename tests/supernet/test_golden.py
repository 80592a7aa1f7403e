"""Forward passes, gradients and second-order gradients against numbers of the authors' own code, by every executor."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from mixop.bilevel.second_order import SecondOrder
from mixop.core.errors import MissingExtraError, RunError
from mixop.core.types import Batch
from mixop.engine.problem import SupernetProblem
from mixop.nets.ops import BatchNorm
from mixop.recipes import RECIPES
from mixop.spaces import darts, nasbench201
from mixop.supernet.executors import EXECUTORS
from mixop.supernet.plain import plain
from mixop.tasks.classification import Classification
from mixop.wraps import EdgeNormalisation, PartialChannels

SIZES = {"input_shape": (3, 16, 16), "outputs": 10}
UNTRACKED = BatchNorm(affine=False, track=False)
NAMES = {
    # the only cell is a reduction
    "one cell": (
        darts(cells=1, channels=4, **SIZES),
        (),
        18_182,
        [[0.09652390, 0.07406269, -0.01649141], [0.09249906, 0.07133452, -0.01541464]],
    ),
    "three cells": (
        darts(cells=3, channels=4, **SIZES),
        (),
        72_854,
        [[-1.45876385, -0.05284364, 1.40166076], [0.71435137, -0.16825602, -0.89616960]],
    ),
    "partial channels": (
        darts(cells=3, channels=8, **SIZES),
        (PartialChannels(k=4), EdgeNormalisation()),
        34_026,
        [[-0.01587152, -0.18787866, -0.18715103], [-0.05962877, 0.28926322, 0.37220794]],
    ),
    "nasbench201": (
        nasbench201(cells=1, channels=4, **SIZES),
        (),
        25_054,
        [[0.00606446, 0.11774736, 0.12117388], [0.17022361, 0.07685178, -0.08717722]],
    ),
}


def logits_of(group):
    """Architecture parameters of the golden passes."""
    edges, options = group.shape
    first = 2 if group.name == "reduce" else 1
    return (first + options * torch.arange(edges)[:, None] + torch.arange(options)).double().sin()


def golden_net(executor, name, golden_fill):
    space, wraps, count, _ = NAMES[name]
    reference = plain(space, norm=UNTRACKED, generator=torch.Generator(), wraps=wraps).double()
    golden_fill(reference)
    dtype = torch.float32 if executor == "fused" else torch.float64
    try:
        net = EXECUTORS[executor](space, norm=UNTRACKED, generator=torch.Generator(), wraps=wraps).to(dtype)
    except (RunError, MissingExtraError) as error:
        pytest.skip(str(error))
    net.load_state_dict(reference.state_dict())
    assert sum(p.numel() for p in net.parameters()) == count
    return net, dtype


def mix_of(net, alphas, dtype):
    mix = {name: alpha.softmax(-1) for name, alpha in alphas.items()}
    for group in net.groups:
        for inputs in group.input_groups:
            if inputs.name in {g.name for g in net.groups}:
                edges = torch.tensor(group.into(int(inputs.name.rpartition(".")[2])))
                mix[inputs.name] = edges.double().cos().softmax(0).to(dtype).view(1, -1)
    return mix


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", NAMES)
def test_forward_passes(executor, name, golden_fill, golden_images):
    net, dtype = golden_net(executor, name, golden_fill)
    alphas = {g.name: logits_of(g).to(dtype) for g in net.space.groups}
    logits = net(golden_images(16).to(dtype), mix_of(net, alphas, dtype))
    want = torch.tensor(NAMES[name][3], dtype=dtype)
    tolerance = 1e-8 if dtype == torch.float64 else 2e-4
    torch.testing.assert_close(logits[[0, 3], :3], want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(
    ("name", "loss", "norms"),
    [
        ("one cell", 2.29566984, {"reduce": 0.01775878}),
        ("three cells", 3.21674688, {"normal": 1.43669361, "reduce": 1.10361755}),
    ],
)
def test_loss_and_gradient(executor, name, loss, norms, golden_fill, golden_images):
    net, dtype = golden_net(executor, name, golden_fill)
    alphas = {g.name: logits_of(g).to(dtype).requires_grad_() for g in net.space.groups}
    found = cross_entropy(net(golden_images(16).to(dtype), mix_of(net, alphas, dtype)), torch.arange(4))
    relative = 1e-7 if dtype == torch.float64 else 2e-3
    assert found.item() == pytest.approx(loss, rel=relative)
    grads = dict(zip(alphas, torch.autograd.grad(found, list(alphas.values()), allow_unused=True), strict=True))
    for group, norm in norms.items():
        assert grads[group].norm().item() == pytest.approx(norm, rel=10 * relative)


@pytest.mark.parametrize("executor", [pytest.param("plain", marks=pytest.mark.slow), "nodewise"])
def test_the_exact_second_order_gradient(executor, golden_fill, golden_images):
    """Autograd through one step of SGD without momentum: rate 0.025, weight decay 3e-4."""
    net, dtype = golden_net(executor, "three cells", golden_fill)
    recipe = replace(RECIPES["darts2"](), norm=UNTRACKED)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.0, weight_decay=3e-4)
    task = Classification(tuple("0123456789"))
    problem = SupernetProblem(net, task, recipe, recipe.relaxation, optimiser, torch.Generator(), {})
    params = {g.name: logits_of(g) for g in net.groups}
    images = golden_images(16)
    train, valid = Batch(images, torch.arange(4)), Batch(images.flip(-1), torch.tensor([3, 2, 1, 0]))
    problem.begin_step()
    found = SecondOrder(method="exact")(problem, params, train, valid)
    assert found["normal"].norm().item() == pytest.approx(3.26127907, rel=1e-6)
    assert found["reduce"].norm().item() == pytest.approx(3.80633545, rel=1e-6)
    assert dtype == torch.float64
