"""What bare targets mean."""

import pytest
import torch

from mixop.core.errors import DataError
from mixop.tasks import Classification, MultiLabel, Regression, Segmentation, infer


@pytest.mark.parametrize(
    ("targets", "task"),
    [
        (torch.tensor([0, 1, 2]), Classification()),
        (torch.tensor([0, 1]), Classification()),
        (torch.tensor([True, False]), Classification()),
        (torch.tensor([1, 2], dtype=torch.uint8), Classification()),
        (torch.tensor([0.5, 1.0]), Regression()),
        (torch.tensor([[0.5], [1.0]]), Regression()),
        (torch.tensor([[0.5, float("nan")], [1.0, 0.0]]), Regression()),
        (torch.tensor([[0, 1, 1], [1, 0, 0]]), MultiLabel()),
        (torch.tensor([[False, True]]), MultiLabel()),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), Segmentation()),
        (torch.zeros(2, 4, 4, dtype=torch.bool), Segmentation()),
        (torch.zeros(2, 4, 4, 4, dtype=torch.int64), Segmentation()),
    ],
)
def test_inferred(targets, task):
    assert infer(targets) == task


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (torch.tensor([[0, 1, 2]]), r"give task=Segmentation\(\) .*LanguageModel\(\) .*Regression\(\) for 3 numbers"),
        (torch.tensor([[0], [1]]), r"shape \(2, 1\): give one number for each example, of shape \(2,\)"),
        (torch.tensor([0.0, 1.0]), r"all 0.0 or 1.0: give task=Classification\(\)"),
        (torch.tensor([[0.0, 1.0]]), r"all 0.0 or 1.0: give task=MultiLabel\(\)"),
        (torch.full((2, 4, 4), 0.5), r"shape \(2, 4, 4\) with fractions"),
        (torch.tensor([]), "one or more for each example"),
        (torch.tensor([1j]), "complex"),
    ],
)
def test_what_is_ambiguous_is_refused(targets, says):
    with pytest.raises(DataError, match=says):
        infer(targets)
