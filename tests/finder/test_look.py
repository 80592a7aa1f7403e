"""What is said of data before anything is trained."""

import torch
from torch import Tensor

from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.finder.look import described


def made(x: Tensor, y: Tensor) -> Data:
    """The last two examples are the test."""
    return from_arrays(x[:-2], y[:-2], test=(x[-2:], y[-2:]), valid=0.5, name="mine")


def features(examples: int) -> Tensor:
    return torch.randn(examples, 3, generator=torch.Generator().manual_seed(0))


def test_sizes_classes_and_what_guessing_reaches():
    """Of ten examples eight are of the first class: five are validated on, four of them of that class."""
    y = torch.tensor([0] * 8 + [1] * 2 + [0, 1])
    assert described(made(features(12), y)) == [
        "mine: 5 training, 5 validation and 2 test examples of shape 3, task classification.",
        "Its 2 classes have 1 to 4 training examples; naming the largest for everything is right on 80.0 % of the validation "
        "examples.",
    ]


def test_values_have_no_classes():
    assert len(described(made(features(12), torch.arange(12.0)))) == 1


def test_equal_inputs_with_different_targets_are_counted():
    """Three rows are alike, and one of them is labelled otherwise; two others are alike with the same label."""
    x, y = features(12), torch.tensor([0, 1] * 6)
    x[1], x[2] = x[0], x[0]
    x[5] = x[3]
    (said,) = described(made(x, y))[2:]
    assert said.startswith("3 examples have the same input as another one with another target")


def test_test_examples_that_are_trained_on_are_counted():
    x, y = features(12), torch.tensor([0, 1] * 6)
    x[10] = x[4]
    (said,) = described(made(x, y))[2:]
    assert said.startswith("1 test examples are trained on as well")


def test_copies_within_the_test_are_no_leak():
    x, y = features(12), torch.tensor([0, 1] * 6)
    x[11], y[11] = x[10], y[10]
    assert len(described(made(x, y))) == 2
