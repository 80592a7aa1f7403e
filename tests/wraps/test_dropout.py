"""Dropout behind skip connections: the authors' rates, and only where a skip is not strided."""

import math

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.core.schedules import Progress
from mixop.nets.ops import BatchNorm
from mixop.supernet.plain import MixedEdge
from mixop.wraps import SkipDropout
from mixop.wraps.base import EdgeSpec

NORM = BatchNorm(affine=False, track=False)


def edge(stride):
    spec = EdgeSpec(options=("none", "skip_connect"), skips=("skip_connect",), channels=4, stride=stride, norm=NORM)
    return SkipDropout(rate=0.7)(MixedEdge)(spec).double()


def test_the_rate_is_that_of_the_authors_in_every_epoch_of_their_stages():
    drop = SkipDropout(rate=0.7)
    for e in range(25):
        by_hand = 0.7 * (25 - e - 1) / 25 if e < 10 else 0.7 * math.exp(-0.2 * (e - 10))
        assert drop.probability(Progress(e, 25)) == pytest.approx(by_hand, rel=1e-12)


def test_single_numbers_are_dropped_and_the_others_scaled_up_in_training_only():
    wrapped = edge(1)
    torch.manual_seed(0)
    x = torch.ones(100, 4, 5, 5, dtype=torch.float64)
    skip = torch.tensor([0.0, 1.0], dtype=torch.float64)
    y = wrapped(x, skip, None, Progress(0, 25))
    rate = 0.7 * 24 / 25
    assert y.unique().tolist() == pytest.approx([0, 1 / (1 - rate)])
    assert abs((y == 0).double().mean().item() - rate) < 4 * math.sqrt(rate * (1 - rate) / x.numel())
    wrapped.eval()
    assert torch.equal(wrapped(x, skip, None, Progress(0, 25)), x)


def test_a_strided_skip_has_no_dropout():
    plain = MixedEdge(EdgeSpec(options=("none", "skip_connect"), skips=("skip_connect",), channels=4, stride=2, norm=NORM))
    assert [type(option) for option in edge(2).options] == [type(option) for option in plain.options]


@pytest.mark.parametrize("wrong", [{"rate": 1.0}, {"rate": -0.1}, {"hold": 1.5}, {"decay": -1.0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(RecipeError, match="of SkipDropout must be"):
        SkipDropout(**wrong)
