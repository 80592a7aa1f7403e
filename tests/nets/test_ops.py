"""Operations of one's own, by the number of dimensions that their function knows."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from mixop.core.errors import SpaceError
from mixop.nets.ops import BatchNorm, operation


@pytest.fixture
def own(monkeypatch):
    """A module of somebody else, with an operation for images and one for both."""
    module = ModuleType("somebodys_operations")

    def images(channels, stride, norm):
        return nn.Conv2d(channels, channels, 5, stride=stride, padding=2)

    def both(channels, stride, norm, dims):
        return (nn.Conv1d if dims == 1 else nn.Conv2d)(channels, channels, 5, stride=stride, padding=2)

    module.images, module.both = images, both  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "somebodys_operations", module)


@pytest.mark.parametrize(("dims", "shape"), [(2, (2, 4, 8, 6)), (1, (2, 4, 8))])
def test_a_function_that_takes_dims_is_told_them(own, dims, shape):
    made = operation("somebodys_operations:both", 4, 2, BatchNorm(), dims)
    assert made(torch.zeros(shape)).shape == (*shape[:2], *(size // 2 for size in shape[2:]))


def test_a_function_that_does_not_is_for_images(own):
    assert operation("somebodys_operations:images", 4, 1, BatchNorm())(torch.zeros(2, 4, 8, 6)).shape == (2, 4, 8, 6)
    with pytest.raises(
        SpaceError, match=r"somebodys_operations:images' works on images only, .* give its function an argument dims"
    ):
        operation("somebodys_operations:images", 4, 1, BatchNorm(), 1)
