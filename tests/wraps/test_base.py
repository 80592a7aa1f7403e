"""Wraps compose in the order in which they are listed."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from mixop.core.errors import RecipeError
from mixop.nets.ops import BatchNorm
from mixop.wraps.base import EdgeSpec, MakeEdge, Wrap, WrappedEdge, check_wraps, wrapped

SPEC = EdgeSpec(options=("none",), channels=1, stride=1, norm=BatchNorm())


class Seven(nn.Module):
    def forward(self, x, weights, active=None, progress=0.0):
        return x


class Affine(WrappedEdge):
    def __init__(self, inner, wrap):
        super().__init__(inner)
        self.wrap = wrap

    def forward(self, x, weights, active=None, progress=0.0):
        return self.wrap.scale * self.inner(x, weights, active, progress) + self.wrap.shift


@dataclass(frozen=True)
class Doubled(Wrap):
    scale: float = 2.0
    shift: float = 0.0

    def __call__(self, make_edge: MakeEdge) -> MakeEdge:
        return lambda spec: Affine(make_edge(spec), self)


@dataclass(frozen=True)
class Shifted(Doubled):
    scale: float = 1.0
    shift: float = 3.0


@pytest.mark.parametrize(("wraps", "value"), [((), 7), ((Doubled(), Shifted()), 17), ((Shifted(), Doubled()), 20)])
def test_the_first_is_applied_first(wraps, value):
    edge = wrapped(lambda spec: Seven(), wraps)(SPEC)
    assert edge(torch.tensor(7.0), torch.ones(1)) == value


def test_a_wrap_twice_is_refused_and_a_plain_one_fits_everything():
    check_wraps((Doubled(), Shifted()))
    with pytest.raises(RecipeError, match="Doubled wraps an edge once"):
        check_wraps((Doubled(), Doubled(scale=3.0)))
