"""The kernels for GPUs in Triton's interpreter, in blocks of a few numbers, against torch's own functions in float64.

Triton must be told to interpret before it is imported: `test_triton_processes` runs this file in a process of its own.
"""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, max_pool2d

from mixop.measure.simulated import SimulatedGpu
from mixop.supernet import launched
from mixop.supernet.launched import Moments, batch_moments, depthwise, interpreting, mixture, pooled

if find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)
if not interpreting():
    pytest.skip("Triton does not interpret in this process: test_triton_processes starts one", allow_module_level=True)

EPS = 1e-5
EXACT = {"rtol": 1e-10, "atol": 1e-10}  # float64, additions in another order


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Blocks of 16 rows and 4 columns, so that tiny maps have several, and some that are not full."""
    monkeypatch.setattr(launched, "BLOCK", 64)
    monkeypatch.setattr(launched, "WIDEST", 4)


def numbers(*shape, seed=0, dtype=torch.float64, grad=True):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else x
    return x.requires_grad_(grad)


def compare(ours, theirs, given):
    """Values and all gradients, for slopes that are drawn."""
    torch.testing.assert_close(ours, theirs, **EXACT)
    slope = numbers(*ours.shape, seed=9, grad=False)
    got, want = (torch.autograd.grad(value, given, slope) for value in (ours, theirs))
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_moments_of_numbers_far_from_zero():
    """float32, where the mean is 10,000 times the deviation: of a sum of squares no digit would be right, and the means of
    blocks, which differ by tenths, are rounded to thousandths."""
    stack, shared = (numbers(3, c, 3, 5, dtype=torch.float32, grad=False) + 1e4 for c in (6, 3))
    found = batch_moments([stack], [shared], EPS, 2)
    columns = np.hstack([x.permute(0, 2, 3, 1).reshape(45, -1).double().numpy() for x in (stack, shared)])
    variance = columns.var(0, ddof=1)
    np.testing.assert_allclose(found.mean, columns.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-3)
    np.testing.assert_allclose(found.rate, 1 / np.sqrt(columns.var(0) + EPS), rtol=1e-3)


CHANNELS, EDGES, SHAPE = 5, 2, (2, 3, 4)


def maps(stacks, shared, before):
    batch, *sizes = SHAPE
    wide = [numbers(batch, EDGES * CHANNELS, *sizes, seed=k) for k in range(stacks)]
    return wide, *([numbers(batch, CHANNELS, *sizes, seed=s + k) for k in range(n)] for s, n in ((10, shared), (20, before)))


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize(
    ("stacks", "shared", "normed", "before", "affine"), [(2, 2, 1, 2, False), (1, 0, 0, 0, True), (0, 1, 0, 2, False)]
)
def test_mixtures_are_batch_norms_weighted_and_added_up(stacks, shared, normed, before, affine, batch):
    wide, each, old = maps(stacks, shared, before)
    rows = (stacks + shared) * EDGES
    weights, shift = numbers(rows, CHANNELS if affine else 1, seed=5), numbers(EDGES, CHANNELS, seed=6) if affine else None
    columns = stacks * EDGES * CHANNELS + normed * EDGES * CHANNELS
    mean, variance = numbers(columns, seed=7, grad=False), numbers(columns, seed=8, grad=False).square()
    if batch and stacks:
        found = batch_moments(wide, each[:normed], EPS, EDGES)
    else:
        found = Moments(mean, (variance + EPS).rsqrt(), apart=True)

    def norm(x, row):
        its = slice(row * CHANNELS, (row + 1) * CHANNELS)
        known = (None, None) if batch else (mean[its], variance[its])
        return batch_norm(x, *known, training=batch, eps=EPS)

    theirs = []
    for e in range(EDGES):
        total = old[e] if before else torch.zeros(())
        for k, x in enumerate(wide):
            part = x[:, e * CHANNELS : (e + 1) * CHANNELS]
            total = total + norm(part, k * EDGES + e) * weights[k * EDGES + e][:, None, None]
        for s, x in enumerate(each):
            row = (stacks + s) * EDGES + e
            total = total + (norm(x, row) if s < normed else x) * weights[row][:, None, None]
        theirs.append(total if shift is None else total + shift[e][:, None, None])
    ours = mixture(
        wide, each, old, found=found, scale=weights.expand(-1, CHANNELS), shift=shift, edges=EDGES, normed=normed, eps=EPS
    )
    given = [*wide, *each, *old, weights, *([] if shift is None else [shift])]
    compare(torch.cat(ours, 1), torch.cat(theirs, 1), given)


@pytest.mark.parametrize("affine", [True, False])
def test_the_positive_part_of_a_norm(affine):
    x = numbers(2, 6, 3, 5)
    scale, shift = (numbers(1, 6, seed=s) for s in (1, 2)) if affine else (None, None)
    ours = mixture([x], found=batch_moments([x], [], EPS, 1), scale=scale, shift=shift, edges=1, relu=True, eps=EPS)[0]
    plain = [None if each is None else each[0] for each in (scale, shift)]
    theirs = batch_norm(x, None, None, *plain, training=True, eps=EPS).relu()
    compare(ours, theirs, [x, *([scale, shift] if affine else [])])


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "edges"),
    [(3, 1, 1, 1), (3, 2, 1, 2), (3, 2, 2, 2), *(pytest.param(5, 1, d, 2, marks=pytest.mark.slow) for d in (1, 2))],
)
def test_depthwise_convolutions(kernel, stride, dilation, edges):
    x, weight = numbers(1, 3, 7, 4), numbers(edges * 3, 1, kernel, kernel, seed=1)
    padding = dilation * (kernel - 1) // 2
    theirs = torch.cat([conv2d(x, w, None, stride, padding, dilation, 3) for w in weight.split(3)], dim=1)
    compare(depthwise(x, weight, stride, dilation), theirs, [x, weight])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("maximum", [True, False])
def test_pools(maximum, stride):
    x = (numbers(2, 3, 5, 4, grad=False) * 2).round().requires_grad_()  # has equal ones: the first of them counts
    theirs = max_pool2d(x, 3, stride, 1) if maximum else avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    compare(pooled(x, stride, maximum=maximum), theirs, [x])


def test_a_pool_tells_what_is_not_a_number():
    x = torch.full((1, 1, 3, 3), -torch.inf)
    torch.testing.assert_close(pooled(x, 1, maximum=True), x)
    x[0, 0, 0, 0] = torch.nan
    torch.testing.assert_close(pooled(x, 1, maximum=True), max_pool2d(x, 3, 1, 1), equal_nan=True)


def summed(wide, each, scale, shift):
    """A mixture of the batch's own statistics."""
    found = batch_moments([wide], [each], EPS, 2)
    return mixture([wide], [each], found=found, scale=scale, shift=shift, edges=2, normed=1, eps=EPS)


FUNCTIONS = {
    "mixture": (summed, [numbers(2, 2, 2, 2), numbers(2, 1, 2, 2, seed=1), numbers(4, 1, seed=2), numbers(2, 1, seed=3)]),
    "depthwise": (lambda x, w: depthwise(x, w, 2, 1), [numbers(1, 2, 3, 3), numbers(4, 1, 3, 3, seed=1)]),
    "average": (lambda x: pooled(x, 1, maximum=False), [numbers(1, 2, 3, 2)]),
    "maximum": (lambda x: pooled(x, 2, maximum=True), [numbers(1, 2, 3, 2)]),
}


@pytest.mark.parametrize(
    "name", ["average", "maximum", *(pytest.param(n, marks=pytest.mark.slow) for n in ("mixture", "depthwise"))]
)
def test_first_and_second_derivatives(name, monkeypatch):
    """Against differences along one direction."""
    monkeypatch.setattr(launched, "BLOCK", 256)
    function, given = FUNCTIONS[name]
    assert gradcheck(function, given, fast_mode=True)
    assert gradgradcheck(function, given, fast_mode=True)


def test_equal_inputs_give_equal_bits_whatever_the_precision():
    """bfloat16 is stored only: it is within its own rounding, 2^-8, of what float32 computes."""
    wide, scale = numbers(2, 4, 3, 5, grad=False), numbers(2, 2, seed=1, dtype=torch.float32, grad=False)
    values = {}
    for dtype in (torch.float32, torch.bfloat16):
        x = wide.to(torch.bfloat16).to(dtype)
        found = batch_moments([x], [], EPS, 2)
        values[dtype], again = (torch.cat(mixture([x], found=found, scale=scale, edges=2, eps=EPS), 1) for _ in range(2))
        assert torch.equal(values[dtype], again)
        assert values[dtype].dtype == dtype
    torch.testing.assert_close(values[torch.bfloat16].float(), values[torch.float32], rtol=2**-7, atol=2**-7)


def test_a_simulated_gpu_counts_a_kernel_once():
    x, weight = numbers(2, 3, 5, 4, grad=False), numbers(3, 1, 3, 3, grad=False)
    with SimulatedGpu() as gpu:
        there = x.to("cuda"), weight.to("cuda")
        gpu.reset()
        found = depthwise(*there, 1, 1)
        assert dict(gpu.launches) == {"depthwise": 1}
        back = found.cpu()
    torch.testing.assert_close(back, conv2d(x, weight, None, 1, 1, 1, 3), **EXACT)
