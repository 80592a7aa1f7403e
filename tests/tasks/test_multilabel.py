"""F1, exact answers and binary cross-entropy against scikit-learn and NumPy."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss

from mixop.core.errors import DataError, RecipeError
from mixop.tasks.multilabel import MultiLabel

NAMES = ("sun", "sea", "snow", "sand")


@pytest.fixture
def batch(draw):
    outputs = torch.randn(61, 4, dtype=torch.float64, generator=draw) * 2
    right = outputs + torch.randn(61, 4, dtype=torch.float64, generator=draw) > 0.5
    return outputs, right.float()


def test_totals_equal_scikit_learn_however_they_are_divided(batch, divided):
    outputs, targets = batch
    given = (outputs.sigmoid() > 0.5).numpy()
    expected = {
        "f1": f1_score(targets, given, average="micro"),
        "exact": accuracy_score(targets, given),
        "loss": np.mean([log_loss(targets[:, k], outputs[:, k].sigmoid(), labels=[0, 1]) for k in range(4)]),
    }
    assert 0 < expected["exact"] < expected["f1"] < 1
    for totals in divided(MultiLabel(NAMES), outputs, targets):
        assert totals.value() == pytest.approx(expected, rel=1e-12)  # float64 sums in another order


def test_weights_are_those_of_the_examples_that_have_a_label(batch, divided):
    outputs, targets = (tensor.double().numpy() for tensor in batch)
    weights = (1.0, 4.0, 0.5, 2.0)
    chance = 1 / (1 + np.exp(-outputs))
    expected = -(np.array(weights) * targets * np.log(chance) + (1 - targets) * np.log(1 - chance)).mean()
    task = MultiLabel(NAMES, weights)
    assert task.loss(*batch).item() == pytest.approx(expected, rel=1e-12)  # float64 sums in another order
    for totals in divided(task, *batch):
        assert totals.value()["loss"] == pytest.approx(expected, rel=1e-12)


def test_targets_may_be_of_any_dtype(batch):
    outputs, targets = batch
    task = MultiLabel(NAMES)
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.float64):
        given = targets.to(dtype)
        task.check(given, "photos")
        assert task.stored(given).dtype == torch.float32
        assert torch.equal(task.loss(outputs, given), task.loss(outputs, targets))


def test_nothing_to_find_and_nothing_found_is_right():
    totals = MultiLabel(("a", "b")).totals()
    totals.add(torch.full((3, 2), -1.0), torch.zeros(3, 2))
    assert totals.value()["f1"] == totals.value()["exact"] == 1.0
    totals.add(torch.full((1, 2), 1.0), torch.zeros(1, 2))
    assert totals.value()["f1"] == 0.0


def test_a_label_is_given_above_a_probability_of_one_half():
    assert MultiLabel(("a", "b", "c")).predict(torch.tensor([[-0.1, 0.0, 0.1]])).tolist() == [[False, False, True]]


def test_labels_are_numbered_by_the_training_targets():
    targets = torch.tensor([[0.0, 1.0, 0.0]])
    assert MultiLabel().complete(targets) == MultiLabel(("0", "1", "2"))
    assert MultiLabel(("a", "b")).complete(targets).classes == ("a", "b")
    assert MultiLabel(("a", "b")).strata(targets) is None


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (torch.tensor([0, 1]), r"shape \(N, 4\), got \(2,\)"),
        (torch.zeros(2, 3), r"shape \(N, 4\), got \(2, 3\)"),
        (torch.zeros(0, 4), r"got \(0, 4\)"),
        (torch.tensor([[0, 1, 2, 0]]), "0 or 1 for every label, got 2"),
        (torch.tensor([[0, 1, float("nan"), 0]]), "got nan"),
    ],
)
def test_check_refuses(targets, says):
    with pytest.raises(DataError, match=says):
        MultiLabel(NAMES).check(targets, "photos")


def test_settings_are_refused():
    with pytest.raises(RecipeError, match="'a' twice"):
        MultiLabel(("a", "a"))
    with pytest.raises(RecipeError, match="finite and > 0"):
        MultiLabel(("a", "b"), (1.0, -1.0))
    with pytest.raises(RecipeError, match="labels yet"):
        _ = MultiLabel().outputs
    with pytest.raises(RecipeError, match="task is multilabel: set it to 0"):
        MultiLabel().smoothed(0.1)
