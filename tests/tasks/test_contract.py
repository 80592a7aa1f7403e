"""One list of tasks x one list of promises, and the check itself on tasks that break them."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Generator
from torch.nn.functional import smooth_l1_loss

from mixop.core.errors import RecipeError
from mixop.core.values import to_plain
from mixop.tasks import PARTS, TASKS, Own, own, task_from_json
from mixop.tasks.base import Task
from mixop.tasks.classification import Classification, ClassificationTotals
from mixop.tasks.language import LanguageModel
from mixop.tasks.multilabel import MultiLabel
from mixop.tasks.regression import Regression
from mixop.tasks.segmentation import Segmentation
from mixop.testing import check_task


def off_by(outputs, targets):
    return (outputs - targets).abs().mean(1)


ABC = ("a", "b", "c")
CASES: dict[str, Task] = {
    "classification": Classification(ABC),
    "classification, weighted and smoothed": Classification(ABC, 0.1, (1.0, 2.0, 3.0)),
    "multilabel": MultiLabel(ABC),
    "multilabel, weighted": MultiLabel(ABC, (1.0, 2.0, 3.0)),
    "regression": Regression(ABC, (0.0, 1.0, 2.0), (1.0, 2.0, 3.0), unit="km"),
    "regression, absolute": Regression(ABC, (0.0, 1.0, 2.0), (1.0, 2.0, 3.0), kind="absolute"),
    "regression, huber": Regression(ABC, (0.0, 1.0, 2.0), (1.0, 2.0, 3.0), kind="huber"),
    "segmentation": Segmentation(ABC),
    "segmentation, weighted, smoothed, ignoring": Segmentation(ABC, 2, (1.0, 2.0, 3.0), 0.1),
    "language": LanguageModel(ABC),
    "language, counted": LanguageModel(3),
    "own": own(smooth_l1_loss, off_by, outputs=3),
    "own, dense": own(smooth_l1_loss, outputs=3, dense=True),
}


def batch(task, draw: Generator):
    """Outputs and targets of a shape that the task accepts, each target as random as it can be."""
    positions = (4, 5) if task.dense else ()
    outputs = torch.randn(11, 3, *positions, generator=draw)
    if isinstance(task, Regression | Own):
        return outputs, torch.randn(outputs.shape, generator=draw)
    if isinstance(task, MultiLabel):
        return outputs, torch.randint(2, outputs.shape, generator=draw)
    return outputs, torch.randint(3, (11, *positions), generator=draw)


def test_every_task_has_a_case():
    assert {type(task) for task in CASES.values()} == set(TASKS.values())
    assert {name: cls.name for name, cls in TASKS.items()} == {name: name for name in TASKS}
    assert set(PARTS.values()) == set(TASKS.values())


@pytest.mark.parametrize("name", CASES)
def test_tasks_keep_their_contract(name, draw):
    check_task(CASES[name], *batch(CASES[name], draw))


@pytest.mark.parametrize("name", CASES)
def test_the_slope_of_the_loss_is_that_of_its_differences(name, draw):
    task = CASES[name]
    outputs, targets = batch(task, draw)
    leaf = outputs[:2].double().requires_grad_()  # no kink of an absolute value lies within 1e-6 of a random number
    assert torch.autograd.gradcheck(lambda given: task.loss(given, task.stored(targets[:2])), leaf)


@pytest.mark.parametrize("name", CASES)
def test_predictions_can_be_exported(name, draw):
    """Numbers that a prediction needs become a part of the program, and nothing of the tracing stays behind."""
    task = CASES[name]
    outputs, targets = batch(task, draw)

    class Predict(torch.nn.Module):
        def forward(self, given):
            return task.predict(given), task.readable(given)

    program = torch.export.export(Predict(), (outputs,))
    predicted, readable = program.module()(outputs)
    assert torch.equal(predicted, task.predict(outputs))
    torch.testing.assert_close(readable, task.readable(outputs))
    assert task.loss(outputs, task.stored(targets)).isfinite()


@pytest.mark.parametrize("name", CASES)
def test_what_can_be_read_off_agrees_with_the_prediction(name, draw):
    task = CASES[name]
    outputs, _ = batch(task, draw)
    readable, predicted = task.readable(outputs), task.predict(outputs)
    assert readable.shape == outputs.shape
    if task.gives != "probabilities":
        assert task.gives == ("outputs" if isinstance(task, Own) else "values")
        assert torch.equal(readable, predicted)
        return
    assert ((readable >= 0) & (readable <= 1)).all()
    if isinstance(task, MultiLabel):
        assert torch.equal(readable > 0.5, predicted)
    else:
        torch.testing.assert_close(readable.sum(1), torch.ones_like(readable[:, 0]))
        assert torch.equal(readable.argmax(1), predicted)


def test_json_is_refused_in_a_sentence():
    with pytest.raises(RecipeError, match='an object with its "type", one of Classification'):
        task_from_json({"classes": ["a", "b"]})
    with pytest.raises(RecipeError, match="setting in task"):
        task_from_json({"type": "Classification", "labels": []})
    with pytest.raises(RecipeError, match="did you mean 'Classification'"):
        task_from_json({"type": "Clasification"})
    with pytest.raises(RecipeError, match=r"task.kind must be 'squared' or 'absolute' or 'huber'"):
        task_from_json({**to_plain(Regression()), "kind": "cubic"})


@dataclass(frozen=True)
class Forgetful(Classification):
    """Its totals are those of the last batch."""

    def totals(self, *, details=False):
        class Last(ClassificationTotals):
            def add(self, outputs, targets, loss=None):
                self.sums = {}
                super().add(outputs, targets, loss)

        return Last(self, details)


@dataclass(frozen=True)
class Batchwise(Classification):
    """Its loss is a sum."""

    def loss(self, outputs, targets):
        return super().loss(outputs, targets) * len(targets)


@dataclass(frozen=True)
class Noisy(Classification):
    def loss(self, outputs, targets):
        return super().loss(outputs + 0 * torch.rand(()), targets)


@dataclass(frozen=True)
class Unranked(Classification):
    @property
    def measures(self):
        return super().measures[:1]


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (Forgetful(ABC), "must not depend on how examples are divided"),
        (Batchwise(ABC), "the totals of one batch must give its loss"),
        (Noisy(ABC), "global generator"),
        (Unranked(ABC), "one measure must be called loss"),
        (Classification(("a", "b")), r"outputs must be \(B, 2, ...\)"),
    ],
)
def test_a_broken_task_is_told_what_it_breaks(task, says, draw):
    with pytest.raises(AssertionError, match=says):
        check_task(task, *batch(task, draw))


def test_an_outsiders_task_passes(draw):
    @dataclass(frozen=True)
    class Local(Classification):
        pass

    check_task(Outsider(ABC, floor=0.1), *batch(Outsider(ABC), draw))
    with pytest.raises(RecipeError, match="defined inside a function"):
        check_task(Local(ABC), *batch(Local(ABC), draw))


@dataclass(frozen=True)
class Outsider(Classification):
    """A class of this module, with a field of its own."""

    floor: float = 0.0

    def smoothed(self, amount):
        return replace(self, smoothing=max(amount, self.smoothing))
