"""Dropout behind skip connections: the authors' rates, and only where a skip is not strided."""

import math

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.nets.ops import BatchNorm
from mixop.recipe.stage import stage_progress
from mixop.recipes import pdarts
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
        for stage in range(3):
            time = stage_progress(pdarts().stages, 75, 25 * stage + e, pdarts().warmup)
            assert drop.probability(time) == pytest.approx(by_hand, rel=1e-12)


def test_the_second_fall_begins_when_the_architecture_does():
    rates = [SkipDropout(rate=0.5).probability(stage_progress((), 8, e, 5)) for e in range(8)]
    assert rates == pytest.approx([0.5 * (7 - e) / 8 for e in range(5)] + [0.5 * math.exp(-t) for t in range(3)])


def test_single_numbers_are_dropped_and_the_others_scaled_up_in_training_only():
    wrapped = edge(1)
    torch.manual_seed(0)
    x = torch.ones(100, 4, 5, 5, dtype=torch.float64)
    skip = torch.tensor([0.0, 1.0], dtype=torch.float64)
    time = stage_progress((), 25, 0, 10)
    y = wrapped(x, skip, None, time)
    rate = 0.7 * 24 / 25
    assert y.unique().tolist() == pytest.approx([0, 1 / (1 - rate)])
    assert abs((y == 0).double().mean().item() - rate) < 4 * math.sqrt(rate * (1 - rate) / x.numel())
    wrapped.eval()
    assert torch.equal(wrapped(x, skip, None, time), x)


def test_a_strided_skip_has_no_dropout():
    plain = MixedEdge(EdgeSpec(options=("none", "skip_connect"), skips=("skip_connect",), channels=4, stride=2, norm=NORM))
    assert [type(option) for option in edge(2).options] == [type(option) for option in plain.options]


@pytest.mark.parametrize("wrong", [{"rate": 1.0}, {"rate": -0.1}, {"decay": -1.0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(RecipeError, match="of SkipDropout must be"):
        SkipDropout(**wrong)
