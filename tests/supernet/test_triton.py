"""The triton executor against the plain one, number by number, in float64, in Triton's interpreter.

Triton must be told to interpret before it is imported: `test_triton_processes` runs this file in a process of its own.
"""

import sys
from dataclasses import dataclass
from importlib.util import find_spec

import pytest
import torch
from torch.nn.functional import cross_entropy
from two_nodes import two

from mixop.analysis.hessian import hessian
from mixop.core.errors import MissingExtraError, RecipeError, RunError
from mixop.engine.settings import Settings
from mixop.measure.speed import Case, counts
from mixop.nets.ops import BatchNorm
from mixop.recipes import RECIPES
from mixop.spaces import S4, DartsRnn, nasbench201
from mixop.spaces.sizes import Sizes
from mixop.supernet.batched import NORMS
from mixop.supernet.executors import make_supernet
from mixop.supernet.launched import interpreting, kernels
from mixop.supernet.triton import check_triton
from mixop.wraps import DropPath, EdgeNormalisation, PartialChannels, Wrap

INSTALLED = find_spec("triton") is not None
interpreted = pytest.mark.skipif(
    not (INSTALLED and interpreting()),
    reason="Triton is not installed, or does not interpret in this process: test_triton_processes starts one",
)
TRACKED, UNTRACKED, AFFINE = BatchNorm(affine=False, track=True), BatchNorm(affine=False, track=False), BatchNorm()
SIZES = {"cells": 1, "channels": 3, "input_shape": (3, 4, 6), "outputs": 3}
EVEN = {**SIZES, "channels": 6, "input_shape": (3, 5, 6)}  # reductions halve channels, not images
KINDS = ("max_pool_3x3", "none", "skip_connect", "sep_conv_3x3", "dil_conv_3x3")
SPACES = {
    "nasbench201": nasbench201(**SIZES, stages=2),
    "reduction": two(operations=("avg_pool_3x3", *KINDS[1:]), **EVEN),
    "darts": two(operations=KINDS, **{**EVEN, "cells": 3}),  # normal, reduction, reduction
    "options that differ by edge": S4(**EVEN),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pair(space, norm=TRACKED, wraps=()):
    torch.set_default_dtype(torch.float64)
    try:
        return [make_supernet(name, space, norm=norm, generator=seeded(), wraps=wraps) for name in ("plain", "triton")]
    finally:
        torch.set_default_dtype(torch.float32)


def drawn(group):
    """For every edge one path, two or, on every third one, none."""
    options = group.shape[1]
    return tuple(() if e % 3 == 1 else tuple(sorted({7 * e % options, 5 * e % options})) for e in range(group.shape[0]))


def run(net, *, train=True, some=False):
    """The loss, the gradients in mixing weights, plain weights and images, and the state."""
    x = torch.randn(2, *net.space.input_shape, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    mix = {
        g.name: torch.rand(g.shape, generator=seeded(2), dtype=torch.float64).softmax(-1).requires_grad_() for g in net.groups
    }
    net.train(train).zero_grad()
    torch.manual_seed(3)  # what the network draws by itself
    logits = net(x, mix, {g.name: drawn(g) for g in net.groups} if some else None, progress=0.4)
    loss = cross_entropy(logits, torch.arange(2))
    loss.backward()
    grads = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in net.named_parameters()}
    by_mix = {f"mix {name}": torch.zeros_like(m) if m.grad is None else m.grad for name, m in mix.items()}
    state = {f"state {name}": tensor.double() for name, tensor in net.state_dict().items()}
    return {"loss": loss.detach(), "images": x.grad, **by_mix, **net.to_plain(grads), **state}


def compare(nets, **options):
    theirs, ours = (run(net, **options) for net in nets)
    assert ours.keys() == theirs.keys()
    for name, want in theirs.items():
        error = (ours[name] - want).norm()
        assert error <= 1e-10 * max(want.norm(), 1e-3), f"{name}: {error:.1e}"  # additions in another order


@interpreted
@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("nasbench201", UNTRACKED),
        pytest.param("reduction", AFFINE, marks=pytest.mark.slow),
        pytest.param("darts", TRACKED, marks=pytest.mark.slow),
        pytest.param("options that differ by edge", TRACKED, marks=pytest.mark.slow),
    ],
)
def test_loss_gradients_and_statistics(name, norm):
    nets = pair(SPACES[name], norm)
    compare(nets)
    compare(nets, train=False)


@interpreted
@pytest.mark.parametrize("name", ["nasbench201", "reduction"])
def test_draws_that_leave_options_out(name):
    compare(pair(SPACES[name]), some=True)


@interpreted
@pytest.mark.slow
def test_statistics_that_are_means_over_all_batches():
    nets = pair(SPACES["nasbench201"])
    for module in (module for net in nets for module in net.modules() if isinstance(module, NORMS)):
        module.momentum = None
    for _ in range(2):
        compare(nets)


@interpreted
@pytest.mark.slow
@pytest.mark.parametrize("wraps", [(PartialChannels(k=3), EdgeNormalisation()), (DropPath(),)])
def test_wraps(wraps):
    compare(pair(SPACES["nasbench201"], wraps=wraps))


@interpreted
@pytest.mark.slow
def test_bfloat16_by_autocast_is_near_float32():
    """Rounded to 8 bits in every map: a tenth of the norm is another, node by node as well."""
    space = SPACES["reduction"]
    found = {}
    for name, low in (("plain", False), ("nodewise", True), ("triton", True)):
        net = make_supernet(name, space, norm=UNTRACKED, generator=seeded())
        x = torch.randn(4, *space.input_shape, generator=seeded(1))
        mix = {g.name: torch.rand(g.shape, generator=seeded(2)).softmax(-1).requires_grad_() for g in net.groups}
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            logits = net(x, mix)
        cross_entropy(logits.float(), torch.arange(4) % 3).backward()
        found[name] = torch.cat([logits.detach().flatten().float(), mix["reduce"].grad.flatten()])
    errors = {name: (found[name] - found["plain"]).norm() / found["plain"].norm() for name in ("nodewise", "triton")}
    assert errors["triton"] < 1.5 * errors["nodewise"] < 0.3, errors


@interpreted
@pytest.mark.slow
def test_hessians_in_the_mixing_weights():
    matrices = []
    for net in pair(nasbench201(**{**SIZES, "channels": 2, "input_shape": (3, 3, 3)}, stages=1)):
        x = torch.randn(3, 3, 3, 3, generator=seeded(1), dtype=torch.float64)
        rest = torch.rand(5, 5, generator=seeded(2), dtype=torch.float64)

        def loss(params, net=net, x=x, rest=rest):
            return cross_entropy(net(x, {"cell": torch.cat([params["cell"], rest])}), torch.arange(3))

        matrices.append(hessian(loss, {"cell": torch.full((1, 5), 0.2, dtype=torch.float64)}))
    torch.testing.assert_close(matrices[1], matrices[0], rtol=1e-10, atol=1e-12)


@interpreted
@pytest.mark.slow
def test_a_step_launches_less_than_node_by_node():
    case = Case(recipe=RECIPES["darts"](), space=SPACES["nasbench201"], settings=Settings())
    mine, nodewise = (counts(case.by(name)) for name in ("triton", "nodewise"))
    assert mine is not None
    assert nodewise is not None
    assert mine.waited == 0
    passes = 2 * 2 * 3  # halves of a step, cells, and nodes that edges leave
    assert mine.launches["mixture"] == mine.launches["mixture_sums"] == passes
    assert mine.launched < 0.6 * nodewise.launched


@dataclass(frozen=True, kw_only=True)
class Strange(Wrap):
    """A wrap of somebody else."""


def test_what_it_does_not_know_is_refused_by_name():
    signals = nasbench201(**{**SIZES, "input_shape": (2, 8)})
    tokens = DartsRnn(hidden=5, nodes=2).fit(Sizes((7, 3), 7, dense=True, tokens=True))
    for space, what in ((signals, "cells of images, got cells of signals"), (tokens, "cells of images, which darts_rnn")):
        with pytest.raises(RecipeError, match=f"triton executor computes {what}.*: use --executor nodewise"):
            check_triton(space)
    with pytest.raises(RecipeError, match="does not support the wrap Strange: use --executor plain"):
        check_triton(SPACES["nasbench201"], wraps=(Strange(),))


def test_it_is_not_compiled_twice(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # which Settings ask for before they ask for a GPU
    with pytest.raises(RecipeError, match="triton executor is compiled already"):
        Settings(executor="triton", compile=True)


def test_it_is_refused_without_triton_or_a_gpu(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(RecipeError, match="The triton executor computes on a GPU: use --device cuda, or --executor nodewise"):
        Settings(executor="triton")
    if INSTALLED:
        with pytest.raises(RunError, match="computes on a GPU, and torch finds none here: use --executor nodewise"):
            check_triton(SPACES["nasbench201"])
    kernels.cache_clear()
    monkeypatch.setitem(sys.modules, "triton", None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=r"The triton executor needs triton.*pip install 'mixop\[triton\]'"):
        check_triton(SPACES["nasbench201"])
    kernels.cache_clear()
