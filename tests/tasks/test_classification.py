"""Accuracy, cross-entropy and confusion against scikit-learn and NumPy."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from torch.nn.functional import cross_entropy

from mixop.core.errors import DataError, RecipeError
from mixop.tasks.classification import Classification

K = 5
NAMES = ("ant", "bee", "cat", "dog", "eel")
WEIGHTS = (0.5, 1.0, 2.0, 3.0, 0.25)


@pytest.fixture
def batch(draw):
    outputs = torch.randn(83, K, dtype=torch.float64, generator=draw) * 2
    return outputs, torch.randint(K, (83,), generator=draw)


def test_totals_equal_scikit_learn_however_they_are_divided(batch, divided):
    outputs, targets = batch
    probabilities = outputs.softmax(1).numpy()
    expected = {
        "accuracy": accuracy_score(targets, probabilities.argmax(1)),
        "loss": log_loss(targets, probabilities, labels=range(K)),
    }
    for totals in divided(Classification(NAMES), outputs, targets, details=True):
        assert totals.value() == pytest.approx(expected, rel=1e-12)  # float64 sums in another order
        assert totals.details() == {"confusion": confusion_matrix(targets, probabilities.argmax(1)).tolist()}


def test_weights_and_smoothing_against_their_definition(batch, divided):
    outputs, targets = (tensor.numpy() for tensor in batch)
    weights, smoothing = np.array(WEIGHTS), 0.1
    logs = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
    wanted = np.eye(K)[targets] * (1 - smoothing) + smoothing / K
    expected = -(wanted * logs * weights).sum() / weights[targets].sum()
    task = Classification(NAMES, smoothing, WEIGHTS)
    assert task.loss(*batch).item() == pytest.approx(expected, rel=1e-12)  # float64 sums in another order
    for totals in divided(task, *batch):
        assert totals.value()["loss"] == pytest.approx(expected, rel=1e-12)
        assert totals.value()["accuracy"] == accuracy_score(targets, outputs.argmax(1))
        assert totals.details() == {}


@pytest.mark.parametrize(("smoothing", "weights"), [(0.0, ()), (0.2, ()), (0.0, WEIGHTS), (0.1, WEIGHTS)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_loss_is_torchs_bit_for_bit(batch, smoothing, weights, dtype):
    outputs, targets = batch[0].to(dtype), batch[1]
    weight = torch.tensor(weights, dtype=dtype) if weights else None
    expected = cross_entropy(outputs, targets, weight, label_smoothing=smoothing)
    assert torch.equal(Classification(NAMES, smoothing, weights).loss(outputs, targets), expected)


def test_totals_of_float32_do_not_lose_small_batches(draw):
    outputs, targets = torch.randn(20_000, 3, generator=draw), torch.randint(3, (20_000,), generator=draw)
    task = Classification(("a", "b", "c"))
    whole, single = task.totals(), task.totals()
    whole.add(outputs, targets)
    for start in range(0, 20_000, 7):
        single.add(outputs[start : start + 7], targets[start : start + 7])
    # Losses are float32 for each example either way; only their sum, in float64, is in another order.
    assert whole.value()["loss"] == pytest.approx(single.value()["loss"], rel=1e-13)


@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_the_loss_of_a_batch_need_not_be_computed_again(batch, weights):
    outputs, targets = batch
    task = Classification(NAMES, 0.1, weights)
    spared, whole = task.totals(), task.totals()
    whole.add(outputs, targets)
    for piece in torch.arange(83).split(9):
        spared.add(outputs[piece], targets[piece], task.loss(outputs[piece], targets[piece]).requires_grad_())
    assert spared.value() == pytest.approx(whole.value(), rel=1e-12)  # float64 sums in another order
    told = task.totals()
    told.add(outputs, targets, torch.tensor(7.0))
    assert told.value()["loss"] == pytest.approx(7.0, rel=1e-15)  # it is taken at its word; one rounding of the product


def test_totals_of_bfloat16_are_measured_in_float32(batch):
    outputs, targets = batch[0].bfloat16(), batch[1]
    totals = Classification(NAMES).totals()
    totals.add(outputs, targets)
    assert totals.value()["loss"] == pytest.approx(cross_entropy(outputs.float(), targets).item(), rel=1e-6)  # float32


def test_a_state_is_not_changed_by_what_is_added_later(batch):
    totals = Classification(NAMES).totals(details=True)
    totals.add(*batch)
    state = totals.state_dict()
    copies = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
    totals.add(*batch)
    assert all(np.array_equal(state[name], copies[name]) for name in copies)
    assert state["count"] == 83


def test_totals_keep_no_gradient(batch):
    totals = Classification(NAMES).totals()
    totals.add(batch[0].requires_grad_(), batch[1])
    assert not any(value.requires_grad for value in totals.state_dict().values() if isinstance(value, torch.Tensor))


def test_details_before_the_first_example():
    assert Classification(("a", "b")).totals(details=True).details() == {"confusion": [[0, 0], [0, 0]]}
    assert Classification(("a", "b")).totals().value() == {"accuracy": None, "loss": None}


def test_classes_are_numbered_by_the_training_targets():
    targets = torch.tensor([0, 2, 1, 2])
    task = Classification(weights=(1.0, 2.0, 3.0)).complete(targets)
    assert task == Classification(("0", "1", "2"), weights=(1.0, 2.0, 3.0))
    assert task.outputs == 3
    assert task.complete(torch.tensor([0, 1])) is task
    assert torch.equal(task.strata(targets), targets)
    assert task.classes == ("0", "1", "2")


def test_smoothed_is_for_training_only():
    task = Classification(NAMES)
    assert task.smoothed(0.1) == Classification(NAMES, 0.1)
    assert task.smoothed(0.0) is task


def test_predictions_are_class_numbers():
    assert Classification(("a", "b")).predict(torch.tensor([[0.0, 1.0], [3.0, 1.0]])).tolist() == [1, 0]


def test_targets_of_any_integer_type_are_stored_as_int64():
    task = Classification(("a", "b"))
    for dtype in (torch.uint8, torch.int32, torch.bool, torch.int64):
        assert task.stored(torch.tensor([0, 1], dtype=dtype)).dtype == torch.int64
    assert task.stored(torch.tensor([0.0, 1.0])).dtype == torch.float32  # left for `check` to refuse


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (torch.tensor([0.0, 1.0]), "one int64 for every example, got torch.float32"),
        (torch.tensor([[0, 1]]), r"one int64 for every example, got torch.int64 of shape \(1, 2\)"),
        (torch.tensor([0, 5]), "from 0 to 4, got 5"),
        (torch.tensor([0, -1]), "from 0 to 4, got -1"),
        (torch.tensor([], dtype=torch.int64), "empty"),
    ],
)
def test_check_refuses(targets, says):
    with pytest.raises(DataError, match=says):
        Classification(NAMES).check(targets, "flowers")


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (torch.tensor([0, 0]), "all 0"),
        (torch.tensor([1, 1000]), "0, 1, 2 and so on, got 1000 among 2 targets"),
        (torch.tensor([-1, 1]), "from 0 up, got -1"),
        (torch.tensor([0.5, 1.0]), "int64"),
    ],
)
def test_complete_refuses(targets, says):
    with pytest.raises(DataError, match=says):
        Classification().complete(targets)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"classes": ("a",)}, "at least 2 classes"),
        ({"classes": ("a", "b", "a")}, "'a' twice"),
        ({"classes": "ab"}, "list of names"),
        ({"smoothing": 1.0}, "label smoothing"),
        ({"smoothing": -0.1}, "label smoothing"),
        ({"classes": ("a", "b"), "weights": (1.0,)}, "2 weights of the classes, got 1"),
        ({"weights": (1.0, 0.0)}, "finite and > 0"),
        ({"weights": (1.0, float("nan"))}, "finite and > 0"),
    ],
)
def test_settings_are_refused(settings, says):
    with pytest.raises(RecipeError, match=says):
        Classification(**settings)


def test_an_open_task_does_not_know_its_outputs():
    with pytest.raises(RecipeError, match="classes yet"):
        _ = Classification().outputs
    with pytest.raises(RecipeError, match="has no measure 'rmse': it has accuracy, loss"):
        Classification().measure("rmse")
