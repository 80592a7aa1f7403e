"""Errors, R squared and losses against scikit-learn and NumPy."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.preprocessing import StandardScaler

from mixop.core.errors import DataError, RecipeError
from mixop.tasks.regression import Regression


def batch(draw, k, offset=0.0):
    targets = torch.randn(71, k, dtype=torch.float64, generator=draw) * torch.arange(1, k + 1) + offset
    noise = torch.randn(71, k, dtype=torch.float64, generator=draw)
    return targets, 0.7 * (targets - targets.mean(0)) / targets.std(0) + 0.3 * noise  # outputs in standardised units


@pytest.mark.parametrize("k", [1, 3])
def test_totals_equal_scikit_learn_however_they_are_divided(draw, divided, k):
    targets, outputs = batch(draw, k, offset=5.0)
    task = Regression().complete(targets[:50])
    given = task.predict(outputs)
    expected = {
        "rmse": root_mean_squared_error(targets, given),
        "mae": mean_absolute_error(targets, given),
        "r2": r2_score(targets, given),
        "loss": np.square(outputs.numpy() - StandardScaler().fit(targets[:50]).transform(targets)).mean(),
    }
    for totals in divided(task, outputs, targets):
        assert totals.value() == pytest.approx(expected, rel=1e-12)  # float64 sums in another order


def test_one_value_may_come_without_its_axis(draw, divided):
    targets, outputs = batch(draw, 1)
    task = Regression().complete(targets[:, 0])
    assert task == Regression().complete(targets)
    assert task.outputs == 1
    assert torch.equal(task.loss(outputs, targets[:, 0]), task.loss(outputs, targets))
    expected = next(divided(task, outputs, targets)).value()
    assert next(divided(task, outputs, targets[:, 0])).value() == expected


@pytest.mark.parametrize("offset", [1e6, -1e9])
def test_a_large_offset_costs_no_digits(draw, divided, offset):
    targets, outputs = batch(draw, 2, offset)
    task = Regression().complete(targets)
    moved = targets - offset  # exact: the offset is a float64 of the same size
    expected = r2_score(moved, outputs * torch.tensor(task.std) + (torch.tensor(task.mean, dtype=torch.float64) - offset))
    plain = Regression(mean=tuple(m - offset for m in task.mean), std=task.std).totals()
    plain.add(outputs, moved)
    for totals in divided(task, outputs, targets):
        # The targets themselves are rounded to 1e-16 of the offset, which is 1e-7 of their deviation at 1e9.
        assert totals.value()["r2"] == pytest.approx(expected, abs=1e-6)
        assert totals.value() == pytest.approx(plain.value(), rel=1e-6)


def test_r2_is_of_all_examples_not_the_mean_of_batches(draw, divided):
    """Far from the training mean, sorted, with a different mean in every batch."""
    targets = torch.linspace(100, 200, 90, dtype=torch.float64)
    outputs = (targets + torch.randn(90, dtype=torch.float64, generator=draw)).unsqueeze(1)
    task = Regression(mean=(0.0,), std=(1.0,))
    totals = task.totals()
    for piece in torch.arange(90).split(9):
        totals.add(outputs[piece], targets[piece])
    assert totals.value()["r2"] == pytest.approx(r2_score(targets, outputs), rel=1e-12)  # float64 sums in another order


@pytest.mark.parametrize(("error", "r2"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_target_that_never_changes_has_nothing_to_explain(error, r2):
    targets = torch.full((7, 1), 0.1, dtype=torch.float64)
    task = Regression().complete(targets)
    assert task.mean == (0.1,)
    assert task.std == (1.0,)
    totals = task.totals()
    for piece in torch.arange(7).split(2):
        totals.add(torch.full((7, 1), error, dtype=torch.float64)[piece], targets[piece])
    assert totals.value()["r2"] == r2
    assert r2_score(torch.full((7,), 0.25), torch.full((7,), 0.25) + error) == r2  # where rounding does not disturb it
    assert totals.value()["rmse"] == error


@pytest.mark.parametrize("kind", ["squared", "absolute", "huber"])
def test_kinds_of_loss(draw, divided, kind):
    targets, outputs = batch(draw, 3)
    outputs = outputs * 3  # both sides of the point where Huber's loss turns
    task = Regression(kind=kind).complete(targets)
    error = np.abs(outputs.numpy() - StandardScaler().fit_transform(targets))
    each = {"squared": error**2, "absolute": error, "huber": np.where(error < 1, error**2 / 2, error - 0.5)}
    assert (error < 1).any()
    assert (error > 1).any()
    assert task.loss(outputs, targets).item() == pytest.approx(each[kind].mean(), rel=1e-12)  # float64 in another order
    for totals in divided(task, outputs, targets):
        assert totals.value()["loss"] == pytest.approx(each[kind].mean(), rel=1e-12)


def test_the_error_that_the_loss_is_about_ranks():
    assert [m.name for m in Regression(unit="km").measures] == ["rmse", "mae", "r2", "loss"]
    assert Regression(kind="absolute", unit="km").first.name == "mae"
    assert Regression(unit="km").first.written(3.0) == "3.000 km"
    directions = {m.name: m.better for m in Regression().measures}
    assert directions == {"rmse": "lower", "mae": "lower", "r2": "higher", "loss": "lower"}


def test_the_scale_is_that_of_the_training_targets(draw):
    targets, _ = batch(draw, 3, offset=5.0)
    task = Regression(("a", "b", "c")).complete(targets)
    scaler = StandardScaler().fit(targets)
    np.testing.assert_allclose(task.mean, scaler.mean_, rtol=1e-12)  # float64 sums in another order
    np.testing.assert_allclose(task.std, scaler.scale_, rtol=1e-12)
    assert task.values == ("a", "b", "c")
    assert Regression().complete(targets).values == ("value 0", "value 1", "value 2")
    given = Regression(mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 2.0))
    assert given.complete(targets).mean == (1.0, 2.0, 3.0)


def test_predictions_undo_the_scale(draw):
    targets, _ = batch(draw, 2, offset=5.0)
    task = Regression().complete(targets)
    torch.testing.assert_close(task.predict(task.standardised(targets)), targets)  # float64 rounding


def test_the_loss_keeps_the_dtype_of_the_outputs(draw):
    targets, outputs = batch(draw, 1, offset=1e6)
    task = Regression().complete(targets)
    exact = task.loss(outputs, targets)
    rounded = task.loss(outputs.float(), targets)
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=1e-6)  # float32: targets are standardised before rounding


def test_targets_are_stored_as_float32_unless_that_loses_them():
    assert Regression().stored(torch.tensor([1, 2, 3])).dtype == torch.float32
    assert Regression().stored(torch.tensor([0.1, 0.1], dtype=torch.float64)).dtype == torch.float32
    assert Regression().stored(torch.tensor([1e6, 1e6 + 100], dtype=torch.float64)).dtype == torch.float32
    with pytest.raises(DataError, match="subtract the offset"):
        Regression().stored(torch.tensor([1e9, 1e9 + 1], dtype=torch.float64))


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (torch.tensor([1.0, float("nan")]), "finite, but example 1"),
        (torch.tensor([[1.0, 2.0], [float("inf"), 1.0]]), "finite, but example 1"),
        (torch.tensor([1, 2]), "floating-point numbers, got torch.int64"),
        (torch.zeros(2, 2, 2), r"shape \(N, values\) or \(N,\), got \(2, 2, 2\)"),
        (torch.zeros(0), r"got \(0,\)"),
    ],
)
def test_check_refuses(targets, says):
    with pytest.raises(DataError, match=says):
        Regression().check(targets, "houses")


def test_check_refuses_another_number_of_values():
    with pytest.raises(DataError, match=r"shape \(N, 2\), got \(3,\)"):
        Regression(("a", "b")).check(torch.zeros(3), "houses")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mean": (1.0,)}, "got 1 and 0"),
        ({"values": ("a",), "mean": (1.0, 2.0), "std": (1.0, 1.0)}, "for 1 values"),
        ({"mean": (1.0,), "std": (0.0,)}, "std finite and > 0"),
        ({"mean": (float("nan"),), "std": (1.0,)}, "mean must be finite"),
        ({"kind": "cubic"}, "squared, absolute, huber, got 'cubic'"),
    ],
)
def test_settings_are_refused(settings, says):
    with pytest.raises(RecipeError, match=says):
        Regression(**settings)


def test_an_open_task_has_no_loss():
    for use in (lambda t: t.loss(torch.zeros(2, 1), torch.zeros(2)), lambda t: t.predict(torch.zeros(2, 1))):
        with pytest.raises(RecipeError, match="mean and std yet"):
            use(Regression())
