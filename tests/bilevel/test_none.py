"""A frozen architecture has a gradient of zero."""

import torch

from mixop.bilevel.none import Frozen


def test_nothing_is_computed_and_the_gradient_is_zero():
    params = {"cell": torch.randn(3, 2), "other": torch.randn(1, 4)}
    gradient = Frozen()(None, params, None, None)
    assert {name: g.shape for name, g in gradient.items()} == {name: p.shape for name, p in params.items()}
    assert not any(g.any() for g in gradient.values())
    assert not Frozen.searches
