"""Batch norm over two processes against torch's batch norm of the whole batch: values, statistics, two derivatives."""

import pytest
import torch
from ranked import together
from torch import Tensor
from torch.nn import BatchNorm1d, functional

from mixop.core.ranks import Ranks
from mixop.supernet.synchronised import SynchronisedNorms

SHAPES = {"images": (7, 3, 4, 5), "signals": (5, 3, 4), "features": (6, 3)}


def normalised(ranks: Ranks | None, shape: tuple[int, ...], *, affine: bool) -> list[Tensor]:
    """Loss, statistics, and derivatives of a function of normalised values; of the whole batch without ranks."""
    generator = torch.Generator().manual_seed(0)
    x, k = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    w, b = (torch.randn(3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    x.requires_grad_()
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)

    def norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return functional.batch_norm(x, mean, variance, *((w, b) if affine else (None, None)), True, 0.3)

    if ranks is None:
        y = norm(x * x, w, b).tanh()
    else:
        share, entered = ranks.share(len(x)), ranks.entered({"x": x, "w": w, "b": b})
        with SynchronisedNorms(ranks, share):
            y = norm(entered["x"][share.rows].square(), entered["w"], entered["b"]).tanh()
        y = ranks.whole(y, share)
    leaves = [x, w, b] if affine else [x]
    loss = (y * k).sum()
    first = torch.autograd.grad(loss, leaves, retain_graph=True)  # by the formula
    again = torch.autograd.grad(loss, leaves, create_graph=True)  # by torch
    second = torch.autograd.grad(torch.stack([(g * g.detach().cos()).sum() for g in again]).sum(), leaves)
    return [loss.detach(), mean, variance, *first, *(g.detach() for g in again), *second]


def everything(ranks: Ranks) -> dict[str, list[list[Tensor]]]:
    return {
        f"{name}, affine {affine}": [normalised(how, shape, affine=affine) for how in (ranks, None)]
        for name, shape in SHAPES.items()
        for affine in (True, False)
    }


def test_it_is_the_batch_norm_of_the_whole_batch(tmp_path):
    for found in together(2, tmp_path, everything):
        for ours, theirs in found.values():
            for a, b in zip(ours, theirs, strict=True):
                torch.testing.assert_close(torch.tensor(a), torch.tensor(b), rtol=1e-10, atol=1e-12)


def one_value(ranks: Ranks) -> tuple[str, Tensor, Tensor]:
    norm, said = BatchNorm1d(2, dtype=torch.float64), ""
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    with SynchronisedNorms(ranks, ranks.share(ranks.size)):
        try:
            norm(x + ranks.rank)
        except ValueError as error:
            said = str(error)
        norm.eval()
        return said, norm(x), functional.batch_norm(x, norm.running_mean, norm.running_var, eps=norm.eps)


def test_one_value_in_all_is_refused_and_evaluation_is_as_it_was(tmp_path):
    for size, refused in ((1, True), (2, False)):
        (tmp_path / str(size)).mkdir()
        said, found, expected = together(size, tmp_path / str(size), one_value)[0]
        assert said.startswith("Expected more than 1 value per channel") == refused
        assert found == expected


def bfloat16(ranks: Ranks) -> tuple[str, float]:
    x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    with SynchronisedNorms(ranks, ranks.share(8)):
        y = functional.batch_norm(x[ranks.share(8).rows].bfloat16(), None, None, torch.ones(3), torch.zeros(3), True)
    whole = functional.batch_norm(x, None, None, training=True)[ranks.share(8).rows]
    return str(y.dtype), (y.float() - whole).abs().max().item()


def test_values_keep_their_precision(tmp_path):
    dtype, distance = together(2, tmp_path, bfloat16)[0]
    assert dtype == "torch.bfloat16"
    assert distance == pytest.approx(0, abs=0.05)  # values up to 3 with 8 bits
