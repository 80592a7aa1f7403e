"""A loss and a measure of a user's own: by name, by function, from a module, a script or this file."""

import importlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_pinball_loss

from mixop.core.errors import DataError, RecipeError
from mixop.core.values import to_plain
from mixop.tasks import task_from_json
from mixop.tasks.own import Own, own


def pinball_each(outputs, targets):
    error = targets.unsqueeze(1) - outputs
    return torch.maximum(0.9 * error, -0.1 * error).mean(1)


def pinball_mean(outputs, targets):
    return pinball_each(outputs, targets).mean()


def distance_each(outputs, targets):
    return (outputs[:, 0] - targets).abs()


def distance_float(outputs, targets):
    return distance_each(outputs, targets).mean().item()


def covered(outputs, targets):
    return targets <= outputs[:, 0]


def doubled(outputs):
    return outputs * 2


def not_a_number_each(outputs, targets):
    return outputs


def without_gradient(outputs, targets):
    return (outputs.detach()[:, 0] - targets).abs().mean()


def a_list(outputs, targets):
    return [1.0] * len(outputs)


@pytest.fixture
def batch(draw):
    return torch.randn(43, 1, dtype=torch.float64, generator=draw), torch.randn(43, dtype=torch.float64, generator=draw)


@pytest.mark.parametrize("loss", [pinball_each, pinball_mean])
@pytest.mark.parametrize("measure", [distance_each, distance_float])
def test_means_are_exact_whatever_the_functions_give(batch, divided, loss, measure):
    outputs, targets = batch
    task = own(loss, measure, outputs=1, name="distance")
    expected = {
        "distance": mean_absolute_error(targets, outputs[:, 0]),
        "loss": mean_pinball_loss(targets, outputs[:, 0], alpha=0.9),
    }
    assert task.loss(outputs, targets).item() == pytest.approx(expected["loss"], rel=1e-12)  # float64 in another order
    for totals in divided(task, outputs, targets):
        assert totals.value() == pytest.approx(expected, rel=1e-12)


def test_a_measure_may_answer_yes_or_no(batch, divided):
    outputs, targets = batch
    task = own(pinball_each, covered, outputs=1, better="higher", style="percent")
    assert [m.name for m in task.measures] == ["covered", "loss"]
    assert task.first.written(0.5) == "50.0 %"
    for totals in divided(task, outputs, targets):
        assert totals.value()["covered"] == pytest.approx(np.mean((targets <= outputs[:, 0]).numpy()), rel=1e-12)


def test_without_a_measure_the_loss_ranks(batch):
    task = own(pinball_each, outputs=1, unit="km")
    assert [(m.name, m.better, m.unit) for m in task.measures] == [("loss", "lower", "km")]
    totals = task.totals()
    assert totals.value() == {"loss": None}
    totals.add(*batch)
    assert totals.value()["loss"] == pytest.approx(task.loss(*batch).item(), rel=1e-12)  # float64 in another order


def test_a_task_survives_json():
    task = own(pinball_each, covered, outputs=3, better="higher", style="percent", dense=True, predict=doubled)
    assert task_from_json(to_plain(task)) == task
    assert task.outputs == 3
    assert task.dense
    assert torch.equal(task.predict(torch.ones(1, 3, 2)), torch.full((1, 3, 2), 2.0))
    assert torch.equal(own(pinball_each, outputs=1).predict(torch.ones(1, 1)), torch.ones(1, 1))


def test_functions_of_a_module_are_found_when_they_are_needed(tmp_path, monkeypatch, batch):
    task = Own(loss_function="losses_of_mine:worst.loss", output_count=1)  # no such module yet
    with pytest.raises(RecipeError, match=r"'losses_of_mine:worst.loss', which would run code .*import it first"):
        task.loss(*batch)
    (tmp_path / "losses_of_mine.py").write_text(
        "class worst:\n    def loss(outputs, targets):\n        return (outputs[:, 0] - targets).square()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("losses_of_mine")
    try:
        assert task.loss(*batch).item() == pytest.approx((batch[0][:, 0] - batch[1]).square().mean().item())
    finally:
        sys.modules.pop("losses_of_mine", None)


def test_a_module_that_fails_is_one_sentence(tmp_path, monkeypatch, batch):
    (tmp_path / "broken_losses.py").write_text("raise RuntimeError('out of order')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("mixop.core.trust._allowed", {"broken_losses"})
    with pytest.raises(RecipeError, match=r"Cannot load 'broken_losses:loss' for the loss_function of the task.*out of order"):
        Own(loss_function="broken_losses:loss", output_count=1).loss(*batch)


SCRIPT = """
import torch, sys, json
from mixop.core.values import to_plain
from mixop.tasks import own, task_from_json

def halves(outputs, targets):
    return (outputs[:, 0] - targets).abs() / 2

plain = to_plain(own(halves, outputs=1))
print(json.dumps(plain))
print(task_from_json(plain).loss(torch.ones(2, 1), torch.zeros(2)).item())
"""


def test_functions_of_a_script_work_while_it_runs(tmp_path, batch):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    plain, loss = done.stdout.splitlines()
    assert '"loss_function": "__main__:halves"' in plain
    assert loss == "0.5"
    with pytest.raises(RecipeError, match="a script or a notebook, which this process does not run"):
        Own(loss_function="__main__:halves", output_count=1).loss(*batch)


def test_lambdas_and_nested_functions_are_refused():
    def nested(outputs, targets):
        return outputs.mean()

    with pytest.raises(RecipeError, match=r"The loss is a lambda, .* at the top of a module"):
        own(lambda outputs, targets: outputs.mean(), outputs=1)
    with pytest.raises(RecipeError, match="The measure is nested, which is defined inside a function"):
        own(pinball_each, nested, outputs=1)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (not_a_number_each, r"one number for each of the 43 examples, or their mean, got the shape \(43, 1\)"),
        (without_gradient, "a loss without a gradient"),
        (distance_float, "a loss without a gradient"),
        (a_list, "or their mean, got list"),
    ],
)
def test_what_is_no_loss_is_refused(batch, function, says):
    outputs, targets = batch
    with pytest.raises(RecipeError, match=says):
        own(function, outputs=1).loss(outputs.requires_grad_(), targets)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"loss_function": "pinball"}, "loss_function must be package.module:name of a function, got 'pinball'"),
        ({"measure_function": "losses:"}, "measure_function must be"),
        ({"output_count": 0}, "at least 1 output"),
        ({"better": "higher"}, "the loss ranks: leave out"),
        ({"measure_function": "m:f", "better": "more"}, "'higher' or 'lower', got 'more'"),
        ({"measure_function": "m:loss"}, "another name than loss"),
        ({"measure_function": "m:f", "measure_name": "my measure"}, "must be a word"),
    ],
)
def test_settings_are_refused(settings, says):
    with pytest.raises(RecipeError, match=says):
        Own(**{"loss_function": "losses:pinball", "output_count": 1, **settings})


def test_check_refuses_what_no_function_could_use():
    task = own(pinball_each, outputs=1)
    for targets in (torch.tensor([1.0, float("nan")]), torch.tensor([]), torch.tensor(1.0)):
        with pytest.raises(DataError, match="targets of houses must be"):
            task.check(targets, "houses")
    task.check(torch.tensor([True, False]), "houses")
