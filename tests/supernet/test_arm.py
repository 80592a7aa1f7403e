"""The kernels for ARM, on an emulated processor, against those of this machine with vectors of the same width."""

import emulated
import pytest
import torch
from two_nodes import two

from mixop.core.errors import RunError
from mixop.core.rng import fenced
from mixop.core.schedules import Constant
from mixop.nets.ops import BatchNorm
from mixop.spaces import S4, nasbench201
from mixop.supernet import compiled, kernel
from mixop.supernet import fused as executor
from mixop.supernet.fused import FusedCell, fused
from mixop.wraps import AuxiliarySkip, DropPath, PartialChannels, SkipDropout

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(emulated.MISSING), reason=f"not installed: {', '.join(emulated.MISSING)}"),
]
SIZES = {"input_shape": (3, 8, 8), "outputs": 5}
SEVEN = ("none", "max_pool_3x3", "sep_conv_7x7", "dil_conv_3x3")
TRACKED, AFFINE = BatchNorm(affine=False, track=True), BatchNorm(affine=True, track=True)
CASES = {
    "every operation of the DARTS space": (two(cells=3, channels=8, **SIZES), TRACKED, (), 1),
    "on two threads": (two(cells=3, channels=12, **SIZES), AFFINE, (), 2),
    "seven by seven": (two(cells=3, channels=4, operations=SEVEN, **SIZES), TRACKED, (), 1),
    "NAS-Bench-201": (nasbench201(channels=8, cells=1, **SIZES), TRACKED, (), 1),
    "noise": (S4(cells=3, channels=4, **SIZES), TRACKED, (), 1),
    "partial channels": (two(cells=3, channels=16, **SIZES), TRACKED, (PartialChannels(k=4),), 1),
    "what drops": (
        two(cells=3, channels=8, **SIZES),
        TRACKED,
        (SkipDropout(rate=0.5), DropPath(probability=Constant(0.4)), AuxiliarySkip()),
        1,
    ),
}
TOLERANCE = 1e-5  # rounding of float32: compilers may contract other products and sums into one


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return emulated.build(tmp_path_factory.mktemp("arm"), 4)


def results(space, norm, wraps):
    """Of the first cell, and of the first that halves the image: output, gradients, and the statistics afterwards."""
    net, found = fused(space, norm=norm, wraps=wraps, generator=torch.Generator().manual_seed(0)), {}
    cells = [layer for layer in net.layers if isinstance(layer, FusedCell)]
    strides = [cell.layer.stride for cell in cells]
    for n in sorted({strides.index(stride) for stride in strides}):
        cell, draw = cells[n], torch.Generator().manual_seed(1)
        inputs = [torch.randn(3, cell.share * cell._kernel.channels, 7, 8, generator=draw) for _ in range(cell.graph.inputs)]
        mix = torch.rand(cell.group.shape, generator=draw).softmax(-1)
        given = [x.requires_grad_() for x in (*inputs, mix)]
        for train in (True, False):
            cell.train(train)
            with fenced(draw, watch=False):
                output = cell(given[:-1], given[-1], None, None, 0.5)
            slope = torch.randn(output.shape, generator=draw)
            grads = torch.autograd.grad(output, [*given, *cell.parameters()], slope, allow_unused=True)
            found |= {(n, train, "output"): output.detach()}
            found |= {(n, train, i): grad for i, grad in enumerate(grads) if grad is not None}
            found |= {(n, train, name): value.clone() for name, value in cell.state_dict().items()}
    return found


@pytest.mark.parametrize("name", CASES)
def test_arm_computes_the_same(name, program, monkeypatch):
    space, norm, wraps, threads = CASES[name]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        compiled.kernels(4)
        with monkeypatch.context() as patch:
            for module in (kernel, executor):
                patch.setattr(module, "vector_width", lambda channels: 4)
            ours = results(space, norm, wraps)
        library = emulated.Emulated(program)
        with monkeypatch.context() as patch:
            emulated.emulate(patch, library)
            arm = results(space, norm, wraps)
    except RunError as error:
        pytest.skip(str(error))
    finally:
        torch.set_num_threads(before)
    assert library.calls == 2 * sum(what == "output" for _, _, what in arm)
    assert arm.keys() == ours.keys()
    for what, value in ours.items():
        error = (arm[what].double() - value.double()).norm()
        assert error <= TOLERANCE * max(value.double().norm(), 1e-3), what
