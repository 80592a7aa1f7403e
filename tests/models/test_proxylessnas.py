"""The space of ProxylessNAS at its published size, and its published networks."""

import pytest
import torch
from torch import nn

import mixop
from mixop.core.errors import MixopError
from mixop.core.flops import FlopCounter
from mixop.nets.modules.space import ModuleSpace
from mixop.spaces import Sizes
from mixop.spaces.published import ARCHITECTURES, SIZES


def sized(size: int, **arguments) -> ModuleSpace:
    """The space for images of a size, without the trial pass of `Space.fit`."""
    made = mixop.spaces.proxylessnas(**arguments)
    return type(made)(
        factory=made.factory,
        arguments=made.arguments,
        input_shape=(3, size, size),
        outputs=1000,
        dense=False,
        tokens=False,
    )


@pytest.mark.parametrize(
    ("name", "flops", "parameters", "published"),
    [
        ("PROXYLESS_MOBILE", 320_427_584, 4_080_512, (320.4, 4.08)),
        ("PROXYLESS_CPU", 439_243_864, 4_361_648, (439.2, 4.36)),
        ("PROXYLESS_GPU", 465_260_160, 7_119_848, (465.3, 7.12)),
    ],
)
def test_published_networks_have_the_published_sizes(name, flops, parameters, published):
    """In the authors' logs: logs/imagenet_mobile_log.txt and its like of mit-han-lab/proxylessnas."""
    with torch.device("meta"), torch.no_grad(), FlopCounter() as counter:
        net = mixop.build(ARCHITECTURES[name], sized(224, **SIZES[name])).eval()
        net(torch.empty(1, 3, 224, 224))
    assert (counter.total // 2, sum(p.numel() for p in net.parameters())) == (flops, parameters)
    assert (round(flops / 1e6, 1), round(parameters / 1e6, 2)) == published


def test_its_choices_are_those_of_the_published_table():
    space = sized(224)
    assert len(space.groups) == 21
    assert space.size() == 6**6 * 7**15
    assert set(space.groups[0].decisions[0].options) == {f"{k}x{k}_e{e}" for k in (3, 5, 7) for e in (3, 6)}
    left_out = [number for number, group in enumerate(space.groups) if "skip" in group.decisions[0].options]
    assert left_out == [n for n in range(21) if n % 4]
    assert space.chain == tuple(f"blocks.{n}" for n in range(21))


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        (224, [112, 56, 28, 14, 14, 7, 7]),
        (64, [64, 32, 16, 8, 8, 4, 4]),
        (32, [32, 32, 16, 8, 8, 4, 4]),
        (8, [8] * 5 + [4] * 2),
    ],
)
def test_small_images_are_halved_less_often(size, sides):
    space = sized(size, layers=(1,) * 6, kernels=(3,), expansions=(3,))
    with torch.device("meta"), torch.no_grad():
        net = mixop.build(", ".join(f"blocks.{n}=3x3_e3" for n in range(6)), space).eval()
        x = net.stem(torch.empty(1, 3, size, size))
        found = [x.shape[-1]]
        for block in net.blocks:
            x = block(x)
            found.append(x.shape[-1])
    assert found == sides


def test_batch_norm_is_the_authors():
    net = sized(32, stem=4, first=4, widths=(4,), layers=(1,), strides=(2,)).make()
    assert {module.eps for module in net.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}


@pytest.mark.parametrize("strides", [(2, 0), (2, -1), (2, 2, 2)])
def test_strides_that_make_no_network_are_refused(strides):
    with pytest.raises(MixopError, match="strides"):
        mixop.spaces.proxylessnas(widths=(4, 6), layers=(1, 1), strides=strides).fit(Sizes((3, 8, 8), 3))
