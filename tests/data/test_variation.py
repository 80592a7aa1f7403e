"""Data that nothing can be learnt from: said, and still read, without a division by zero."""

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError, DataWarning
from mixop.data import from_arrays, from_dataset, from_tokens
from mixop.data.variation import PIECE, is_constant
from mixop.tasks.multilabel import MultiLabel
from mixop.tasks.regression import Regression
from mixop.tasks.segmentation import Segmentation

RNG = np.random.default_rng(0)
X, Y = RNG.random((60, 5)).astype(np.float32), np.arange(60) % 3


@pytest.mark.parametrize("x", [np.full((60, 5), 0.3), np.full((60, 8, 8), 7, dtype=np.uint8), np.tile(X[:1], (60, 1))])
def test_inputs_that_never_change_are_said(x: np.ndarray):
    with pytest.warns(DataWarning, match="^Nothing can be learnt from arrays: the inputs of all training examples"):
        data = from_arrays(x, Y)
    assert data.record["no_variation"] == ["the inputs of all training examples are the same"]
    assert all(std > 0 for std in data.augment.std)
    assert data.batch(data.train).x.isfinite().all()


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.full(60, 2.5), Regression()),
        (np.tile([[1.5, 2.5]], (60, 1)), Regression()),
        (np.tile([[1, 0, 1]], (60, 1)), MultiLabel()),
        (np.zeros((60, 8, 8), dtype=np.int64), Segmentation(("a", "b"))),
    ],
)
def test_targets_that_never_change_are_said(y: np.ndarray, task):
    x = RNG.random((60, 1, 8, 8)) if y.ndim == 3 else X
    with pytest.warns(DataWarning, match="the targets of all training examples are the same"):
        data = from_arrays(x, y, task=task)
    outputs = torch.zeros((4, data.outputs, *y.shape[1:]) if y.ndim == 3 else (4, data.outputs))
    assert data.task.loss(outputs, data.batch(data.train[:4]).y).isfinite()


def test_a_constant_channel_alone_is_normalised_and_not_said():
    x = X.copy()
    x[:, 2] = 9.0
    data = from_arrays(x, Y)
    assert data.augment.std[2] == 1.0
    assert torch.equal(data.batch(data.train).x[:, 2], torch.zeros(len(data.train)))
    assert "no_variation" not in data.record


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float):
    x, y = X.copy(), X[:, 0].copy()
    x[7, 1], y[9] = bad, bad
    with pytest.raises(DataError, match="must be finite, but example 7 holds NaN or infinity"):
        from_arrays(x, Y)
    with pytest.raises(DataError, match="must be finite, but example 9 has NaN or infinity"):
        from_arrays(X, y)
    lazy = from_dataset(list(zip(X, Y, strict=True)), memory_bytes=0)
    assert "no_variation" not in lazy.record


def test_a_text_of_one_word_and_an_example_are_judged():
    with pytest.warns(DataWarning, match="the inputs of all training examples are the same"):
        from_tokens([1] * 200, window=5)
    assert not is_constant(torch.zeros(1, 3))
    last = torch.zeros(PIECE + 5, 2)
    assert is_constant(last)
    last[-1, 1] = 1
    assert not is_constant(last)
