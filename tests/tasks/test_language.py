"""Perplexity and loss of tokens against scikit-learn and closed forms."""

import math

import pytest
import torch
from sklearn.metrics import log_loss

from mixop.core.errors import DataError, RecipeError
from mixop.tasks.language import LanguageModel


@pytest.mark.parametrize("vocabulary", [6, ("a", "b", "c", "d", "e", "f")])
def test_totals_equal_scikit_learn_however_they_are_divided(draw, divided, vocabulary):
    outputs = torch.randn(23, 6, 9, dtype=torch.float64, generator=draw)
    targets = torch.randint(6, (23, 9), generator=draw)
    loss = log_loss(targets.flatten(), outputs.softmax(1).movedim(1, -1).reshape(-1, 6), labels=range(6))
    task = LanguageModel(vocabulary)
    assert task.outputs == 6
    assert task.loss(outputs, targets).item() == pytest.approx(loss, rel=1e-12)  # float64 sums in another order
    for totals in divided(task, outputs, targets):
        assert totals.value() == pytest.approx({"perplexity": math.exp(loss), "loss": loss}, rel=1e-12)


def test_perplexity_stays_finite():
    outputs = torch.zeros(1, 2, 3)
    outputs[:, 1] = 5000.0
    totals = LanguageModel(2).totals()
    totals.add(outputs, torch.zeros(1, 3, dtype=torch.int64))
    assert totals.value()["loss"] == 5000.0
    assert totals.value()["perplexity"] == math.exp(700)


def test_a_loss_that_is_no_number_stays_none():
    totals = LanguageModel(2).totals()
    totals.add(torch.full((1, 2, 3), float("nan")), torch.zeros(1, 3, dtype=torch.int64))
    assert math.isnan(totals.value()["perplexity"])


def test_lower_is_better():
    task = LanguageModel(2)
    assert task.first.name == "perplexity"
    assert task.first.beats(80.0, 90.0)
    assert task.measure("loss").written(4.5) == "4.500 nats a token"


def test_the_vocabulary_is_counted_in_the_training_targets():
    assert LanguageModel().complete(torch.tensor([3, 0, 1, 2])) == LanguageModel(4)
    assert LanguageModel(9).complete(torch.tensor([0, 1])).outputs == 9
    assert LanguageModel(9).classes == ()
    assert LanguageModel(9).dense


def test_predictions_are_tokens(draw):
    outputs = torch.randn(2, 6, 9, generator=draw)
    assert torch.equal(LanguageModel(6).predict(outputs), outputs.argmax(1))


def test_streams_and_windows_are_checked():
    for targets in (torch.tensor([0, 5]), torch.tensor([[0, 5]])):
        LanguageModel(6).check(targets, "text")
        with pytest.raises(DataError, match="from 0 to 4, got 5"):
            LanguageModel(5).check(targets, "text")
    with pytest.raises(DataError, match="one int64 for every token"):
        LanguageModel(5).check(torch.tensor([0.0]), "text")
    assert LanguageModel(5).stored(torch.tensor([1], dtype=torch.int32)).dtype == torch.int64


def test_settings_are_refused():
    for vocabulary in (1, 0, -3, True):
        with pytest.raises(RecipeError, match="at least 2 tokens"):
            LanguageModel(vocabulary)
    with pytest.raises(RecipeError, match="'a' twice"):
        LanguageModel(("a", "a"))
    with pytest.raises(RecipeError, match="vocabulary yet"):
        _ = LanguageModel().outputs
