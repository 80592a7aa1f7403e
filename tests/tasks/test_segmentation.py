"""Intersection over union, accuracy and cross-entropy of positions against scikit-learn and torch."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, log_loss
from torch.nn.functional import cross_entropy

from mixop.core.errors import DataError, RecipeError
from mixop.tasks.segmentation import Segmentation

NAMES = ("sky", "sea", "sand", "boat")


def batch(draw, positions, ignore=None):
    outputs = torch.randn(17, 4, *positions, dtype=torch.float64, generator=draw)
    targets = torch.randint(4, (17, *positions), generator=draw)
    if ignore is not None:
        targets[torch.rand(targets.shape, generator=draw) < 0.3] = ignore
        targets[3] = ignore  # an example without a class
    return outputs, targets


@pytest.mark.parametrize("positions", [(6,), (5, 3), (2, 3, 2)])
@pytest.mark.parametrize("ignore", [None, 255, -1, 2])
def test_totals_equal_scikit_learn_however_they_are_divided(draw, divided, positions, ignore):
    outputs, targets = batch(draw, positions, ignore)
    chance = outputs.softmax(1).movedim(1, -1).reshape(-1, 4).numpy()
    known = np.ones(targets.numel(), dtype=bool) if ignore is None else targets.flatten().numpy() != ignore
    true, given = targets.flatten().numpy()[known], chance.argmax(1)[known]
    expected = {
        "miou": jaccard_score(true, given, average="macro"),
        "accuracy": accuracy_score(true, given),
        "loss": log_loss(true, chance[known], labels=range(4)),
    }
    task = Segmentation(NAMES, ignore)
    assert task.loss(outputs, targets).item() == pytest.approx(expected["loss"], rel=1e-12)  # float64 in another order
    for totals in divided(task, outputs, targets):
        assert totals.value() == pytest.approx(expected, rel=1e-12)
        assert totals.details() == {"confusion": confusion_matrix(true, given, labels=range(4)).tolist()}


@pytest.mark.parametrize("ignore", [None, 255])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_and_smoothing_are_torchs(draw, divided, ignore, smoothing):
    outputs, targets = batch(draw, (4, 5), ignore)
    weights = (1.0, 0.5, 3.0, 2.0)
    expected = cross_entropy(
        outputs,
        targets,
        torch.tensor(weights, dtype=torch.float64),
        ignore_index=-100 if ignore is None else ignore,
        label_smoothing=smoothing,
    ).item()
    task = Segmentation(NAMES, ignore, weights, smoothing)
    assert task.loss(outputs, targets).item() == pytest.approx(expected, rel=1e-12)  # float64 sums in another order
    for totals in divided(task, outputs, targets):
        assert totals.value()["loss"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 3.0, 4.0)])
def test_a_batch_that_is_ignored_has_no_loss_and_no_gradient(draw, weights):
    outputs, _ = batch(draw, (4,))
    task = Segmentation(NAMES, 255, weights, 0.1)
    targets = torch.full((17, 4), 255)
    loss = task.loss(outputs.requires_grad_(), targets)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(outputs.grad, torch.zeros_like(outputs))
    totals = task.totals()
    totals.add(outputs, targets)
    assert totals.value() == {"miou": None, "accuracy": None, "loss": None}


def test_a_class_counts_where_it_occurs_or_is_given():
    """Class 2 is in neither; class 1 is given only; scikit-learn leaves out the former and counts the latter."""
    outputs = torch.tensor([[[5.0, 0.0], [0.0, 5.0], [0.0, 0.0]]])  # answers 0, 1
    totals = Segmentation(("a", "b", "c")).totals()
    totals.add(outputs, torch.tensor([[0, 0]]))
    assert totals.value()["miou"] == jaccard_score([0, 0], [0, 1], average="macro", zero_division=0) == 0.25


def test_large_class_numbers_that_are_ignored_do_not_count_elsewhere():
    """The pair (ignored 1, given 1) of two classes would be in the table but for the mask."""
    totals = Segmentation(("a", "b"), ignore=1).totals()
    totals.add(torch.tensor([[[0.0, 5.0], [5.0, 0.0]]]), torch.tensor([[1, 0]]))
    assert totals.details() == {"confusion": [[1, 0], [0, 0]]}


def test_predictions_are_class_numbers_at_every_position(draw):
    outputs, _ = batch(draw, (5, 3))
    assert torch.equal(Segmentation(NAMES).predict(outputs), outputs.argmax(1))
    assert Segmentation(NAMES).dense


def test_the_first_of_equal_outputs_is_the_answer(draw):
    outputs = torch.randint(2, (7, 4, 5, 3), generator=draw).float()  # equal ones at nearly every position
    assert torch.equal(Segmentation(NAMES).predict(outputs), torch.from_numpy(outputs.numpy().argmax(1)))


def test_classes_are_numbered_by_the_training_targets():
    masks = torch.tensor([[[0, 1], [2, 255]]])
    assert Segmentation(ignore=255).complete(masks) == Segmentation(("0", "1", "2"), ignore=255)
    with pytest.raises(DataError, match="give ignore=255"):
        Segmentation().complete(masks.expand(90, 2, 2))
    with pytest.raises(DataError, match="all 255, which is ignored"):
        Segmentation(ignore=255).complete(torch.full((1, 2, 2), 255))
    assert Segmentation(NAMES).smoothed(0.1).smoothing == 0.1


def test_masks_of_8_bits_are_stored_as_int64():
    assert Segmentation().stored(torch.zeros(1, 2, 2, dtype=torch.uint8)).dtype == torch.int64


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (torch.tensor([0, 1]), "one int64 for every position"),
        (torch.tensor([[0.0, 1.0]]), "one int64 for every position, got torch.float32"),
        (torch.tensor([[0, 4]]), "from 0 to 3, got 4"),
        (torch.tensor([[0, -1]]), "from 0 to 3, got -1"),
    ],
)
def test_check_refuses(targets, says):
    with pytest.raises(DataError, match=says):
        Segmentation(NAMES).check(targets, "beaches")
    Segmentation(NAMES, ignore=4).check(torch.tensor([[0, 4]]), "beaches")


def test_settings_are_refused():
    with pytest.raises(RecipeError, match="at least 2 classes"):
        Segmentation(("a",))
    with pytest.raises(RecipeError, match="label smoothing"):
        Segmentation(smoothing=2.0)
