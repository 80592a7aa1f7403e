"""What every ready space keeps: shapes, refusals, searches, and networks that are what the supernet was."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from killed import kill_after
from sklearn.datasets import load_digits, load_wine
from torch import Generator

import mixop
from mixop.core.errors import MixopError
from mixop.core.values import from_plain, to_plain
from mixop.data.core import Data
from mixop.nets.modules.space import PARTS
from mixop.nets.modules.weights import sliced
from mixop.nets.ops import BatchNorm
from mixop.runs import checkpoint
from mixop.spaces import READY, ModuleSpace, Sizes, Space
from mixop.supernet.executors import make_supernet
from mixop.testing import first_difference

FEW = 48


def images() -> Data:
    x, y = load_digits(return_X_y=True)
    return mixop.data.from_arrays(x[:FEW].reshape(-1, 8, 8) / 16, y[:FEW] % 3, valid=0.5, test_share=0.25)


def masks() -> Data:
    x, _ = load_digits(return_X_y=True)
    x = x[:FEW].reshape(-1, 1, 8, 8) / 16
    return mixop.data.from_arrays(x, (x[:, 0] > 0.5).astype(int), valid=0.5, test_share=0.25)


def signals() -> Data:
    """Waves of two frequencies."""
    y, time = np.arange(FEW) % 2, np.arange(24)
    x = np.sin((0.3 + 0.4 * y[:, None]) * time + np.arange(FEW)[:, None])[:, None]
    return mixop.data.from_arrays(x.astype(np.float32), y, valid=0.5, test_share=0.25)


def features() -> Data:
    x, y = load_wine(return_X_y=True)
    return mixop.data.from_arrays(x[::3].astype(np.float32), y[::3], valid=0.5, test_share=0.25)


SPACES: dict[str, tuple[Callable[[], Data], ModuleSpace]] = {
    "resnet": (images, mixop.spaces.resnet(channels=4, blocks=(1, 2), kernels=(3, 5))),
    "separable": (images, mixop.spaces.separable(channels=4, blocks=(1, 2), kernels=(3, 5))),
    "separable of signals": (signals, mixop.spaces.separable(channels=4, blocks=(1, 2), kernels=(3, 5))),
    "mobilenet": (images, mixop.spaces.mobilenet(stem=4, first=4, widths=(4, 6), layers=(2, 1), strides=(1, 2), last=8)),
    "proxylessnas": (images, mixop.spaces.proxylessnas(stem=4, first=4, widths=(4, 6), layers=(2, 1), strides=(2, 2), last=8)),
    "shufflenet": (images, mixop.spaces.shufflenet(stem=2, widths=(4, 8), layers=(2, 1), last=8)),
    "vit": (images, mixop.spaces.vit(width=8, depth=2, heads=(2, 1), ratios=(2, 1))),
    "conv1d": (signals, mixop.spaces.conv1d(channels=4, blocks=(1, 2), kernels=(3, 5))),
    "fcn": (signals, mixop.spaces.fcn(channels=4, kernels=((5, 3), (3,)), ratios=(0.5, 1))),
    "unet": (masks, mixop.spaces.unet(channels=2, levels=1)),
    "mlp": (features, mixop.spaces.mlp(width=8, depth=2)),
}
IMAGES = [Sizes((1, 8, 8), 3), Sizes((5, 24, 8), 1), Sizes((3, 64, 16), 10)]
FITS = {
    "resnet": [IMAGES[0], Sizes((2, 9, 33), 2)],
    "separable": [IMAGES[0], Sizes((2, 9, 33), 2)],
    "separable of signals": [Sizes((2, 31), 3), Sizes((1, 1), 2)],
    "mobilenet": [*IMAGES, Sizes((2, 9, 33), 2)],
    "proxylessnas": [*IMAGES, Sizes((2, 9, 33), 2)],
    "shufflenet": [*IMAGES, Sizes((2, 9, 33), 2)],
    "vit": IMAGES,
    "conv1d": [Sizes((2, 31), 3), Sizes((1, 1), 2)],
    "fcn": [Sizes((2, 31), 3), Sizes((1, 1), 2)],
    "unet": [Sizes(sizes.shape, sizes.outputs, dense=True) for sizes in (*IMAGES, Sizes((2, 9, 33), 2))],
    "mlp": [Sizes((1,), 1), Sizes((13,), 3)],
}
KINDS = {
    "images": Sizes((3, 16, 16), 3),
    "masks": Sizes((3, 16, 16), 3, dense=True),
    "signals": Sizes((2, 16), 3),
    "dense signals": Sizes((2, 16), 3, dense=True),
    "features": Sizes((7,), 3),
    "tokens": Sizes((20, 8), 20, dense=True, tokens=True),
}
USE = {
    "images": "use resnet or separable or mobilenet or proxylessnas or shufflenet or vit",
    "masks": "use unet",
    "signals": "use conv1d or fcn or separable",
    "dense signals": "use a space of cells",
    "features": "use mlp",
    "tokens": "use a space of cells",
}
every = pytest.mark.parametrize("name", SPACES)
ready = pytest.mark.parametrize("name", READY)


def test_all_are_here():
    assert {name.split()[0] for name in SPACES} == set(READY)


@every
def test_it_fits_any_shape_of_its_kind(name):
    for sizes in FITS[name]:
        space = SPACES[name][1].fit(sizes)
        net = mixop.build(space.random(Random(1)), space, generator=Generator().manual_seed(0))
        outputs = net(torch.randn(2, *sizes.shape, generator=Generator().manual_seed(0)))
        assert outputs.shape == (2, sizes.outputs, *(sizes.shape[1:] if sizes.dense else ()))


@ready
def test_it_refuses_other_kinds_and_names_what_to_use(name):
    refused = 0
    for kind, sizes in KINDS.items():
        if f" {name}" in USE[kind]:
            continue
        refused += 1
        with pytest.raises(MixopError, match=f"^{name} reads .*: {USE[kind]}"):
            SPACES[name][1].fit(sizes)
    assert refused == len(KINDS) - sum(reads.split()[0] == name for reads in SPACES)


LARGE = {"resnet", "conv1d", "proxylessnas", "shufflenet"}
"""Their defaults are a dozen blocks and more to look through."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in READY])
def test_its_defaults_allow_thousands_of_networks_and_say_each_in_words(name):
    space = getattr(mixop.spaces, name)().fit(FITS[name][0])
    assert space.size() > 1000
    architecture = space.random(Random(0))
    assert space.from_native(space.to_native(architecture)) == architecture


@ready
def test_a_file_names_it_without_anybodys_leave(name):
    """A run's space.json says ``"factory": "resnet"`` and all arguments, so that no default changes it."""
    space = SPACES[name][1]
    plain = to_plain(space)
    assert plain["factory"] == name == space.name
    assert not space.names_used
    assert from_plain(plain, Space, PARTS, "space") == space
    defaults = to_plain(getattr(mixop.spaces, name)())["arguments"]
    assert defaults
    assert plain["arguments"].keys() == defaults.keys()


def one_hot(space: ModuleSpace, architecture: mixop.Architecture) -> tuple[dict, dict]:
    mix, active = {}, {}
    for group in space.groups:
        chosen = architecture.of(group.name)
        index = group.decisions[0].options.index(chosen[0].option) if chosen else 0
        mix[group.name] = torch.eye(group.shape[1], dtype=torch.float64)[index : index + 1]
        active[group.name] = ((index,),)
    return mix, active


@every
def test_what_is_built_computes_what_the_supernet_did(name):
    """With the supernet's weights, of which the network takes over those of its options and channels."""
    make, space = SPACES[name]
    data = make()
    space = space.fit(data)
    supernet = make_supernet(
        "plain", space, norm=BatchNorm(track=True), wraps=(), generator=Generator().manual_seed(0)
    ).double()
    x = data.batch(data.train[:6]).x.double()
    for seed in range(3):
        architecture = space.random(Random(seed))
        net = mixop.build(architecture, space).double()
        mix, active = one_hot(space, architecture)
        net.load_state_dict(sliced(space, architecture, supernet.model.state_dict()))
        torch.testing.assert_close(supernet.eval()(x, mix), net.eval()(x))
        torch.testing.assert_close(supernet(x, mix, active), net(x))


@every
def test_its_mixture_has_second_derivatives(name):
    """An unrolled search differentiates a gradient of the weights once more, by the mixing weights."""
    make, space = SPACES[name]
    data = make()
    space = space.fit(data)
    net = make_supernet("plain", space, norm=BatchNorm(track=False), generator=Generator().manual_seed(0)).double()
    x = data.batch(data.train[:6]).x.double()
    mix = {g.name: torch.full(g.shape, 1 / g.shape[1], dtype=torch.float64, requires_grad=True) for g in space.groups}
    weights = [p for p in net.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(net(x, mix).square().mean(), weights, create_graph=True, allow_unused=True)
    total = sum(g.square().sum() for g in gradients if g is not None)
    second = torch.autograd.grad(total, list(mix.values()), allow_unused=True)
    assert all(gradient is not None and gradient.isfinite().all() for gradient in second)
    assert sum(gradient.abs().sum() for gradient in second) > 0


def search(name: str, recipe: str, out: Path, observe: Callable | None = None) -> mixop.SearchResult:
    make, space = SPACES[name]
    chosen = replace(getattr(mixop.recipes, recipe)(epochs=1), warmup=0, batch_size=6)
    return mixop.search(chosen, space, make(), out, threads=1, checkpoint_seconds=0, observe=observe)


@every
@pytest.mark.parametrize("recipe", ["darts", "gdas"])
def test_it_is_searched(name, recipe, tmp_path):
    result = search(name, recipe, tmp_path / "run")
    assert result.space.from_native(result.native) == result.architecture
    assert all(np.isfinite(value) for record in result.history for value in record.valid.values() if value is not None)


@pytest.mark.slow
def test_a_killed_search_goes_on_bit_for_bit(tmp_path):
    whole = search("mobilenet", "gdas", tmp_path / "whole")
    kill_after(1, search, "mobilenet", "gdas", tmp_path / "torn")
    assert not (tmp_path / "torn" / "architecture.json").exists()
    again = mixop.resume(tmp_path / "torn", images(), threads=1)
    assert again.native == whole.native
    one, other = (checkpoint.load(tmp_path / folder / "state.pt")["search"] for folder in ("whole", "torn"))
    assert first_difference(one, other) is None


@ready
def test_it_is_a_function_with_its_own_arguments(name):
    """Sizes are the data's business; everything else is an argument of the function in `mixop.spaces`."""
    function = getattr(mixop.spaces, name)
    assert function.__name__ == name
    assert not {"input_shape", "outputs", "dense", "tokens"} & set(inspect.signature(function).parameters)
    with pytest.raises(TypeError, match="kernel_sizes"):
        function(kernel_sizes=3)
