"""`find` for programs that use scikit-learn: estimators with ``fit``, ``predict`` and ``score``."""

import tempfile
from contextlib import nullcontext
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d
from torch import Tensor

from mixop.core.errors import DataError
from mixop.data.arrays import from_arrays
from mixop.data.layouts import Layout, inputs
from mixop.evaluate.deployed import Deployed
from mixop.finder.find import find
from mixop.tasks import task_from_json
from mixop.tasks.base import Task
from mixop.tasks.classification import Classification
from mixop.tasks.regression import Regression

_BATCH = 256
"""Examples in a forward pass."""

_ARRANGED: dict[int, Layout] = {2: "nf", 3: "ncl", 4: "nchw"}
"""Mixop's order of axes, by their number."""

FEWEST = 4
"""Examples to learn from and to choose by."""


class _Estimator(BaseEstimator):
    """What both have in common.

    Args:
        minutes: of a fit, > 0.
        max_params: the most trained parameters.
        max_flops: the most multiply-adds for one example.
        max_latency_ms: the most milliseconds for one example on this machine.
        validation: share of the examples by which networks are chosen, in (0, 1); the last training has all of them.
        recipe: the name of the method that searches.
        out: a directory that keeps the run; None for one that is removed.
        seed: of everything random.
        device: where torch computes.
        threads: of torch on the CPU; 0 for torch's own number.
    """

    def __init__(
        self,
        minutes: float = 5.0,
        *,
        max_params: float | None = None,
        max_flops: float | None = None,
        max_latency_ms: float | None = None,
        validation: float = 0.2,
        recipe: str | None = None,
        out: str | None = None,
        seed: int = 0,
        device: str = "cpu",
        threads: int = 0,
    ) -> None:
        self.minutes = minutes
        self.max_params, self.max_flops, self.max_latency_ms = max_params, max_flops, max_latency_ms
        self.validation, self.recipe, self.out = validation, recipe, out
        self.seed, self.device, self.threads = seed, device, threads

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # how long a training is depends on the clock
        return tags

    def _inputs(self, X: Any, *, fitting: bool) -> Tensor:
        """Finite numbers of the shape that was fitted, in mixop's order of axes."""
        names = getattr(X, "columns", None)
        # scikit-learn takes None, for any dtype, and dtypes; its hints say neither.
        x: np.ndarray = check_array(X, allow_nd=True, dtype=None, ensure_min_samples=FEWEST if fitting else 1)  # type: ignore[arg-type]
        if x.dtype.kind not in "biuf":
            x = check_array(x, allow_nd=True, dtype="float64")
        if fitting:
            self.n_features_in_, self._shape = x.shape[1], x.shape[1:]
            if names is not None and all(isinstance(name, str) for name in names):
                self.feature_names_in_ = np.asarray(names, dtype=object)
            elif hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        elif x.ndim == 2 and x.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {x.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_} features as input."
            )
        elif x.shape[1:] != self._shape:
            raise ValueError(f"An example of X must have the shape {self._shape}, as in fit, got {x.shape[1:]}.")
        if x.ndim == 2:
            return inputs(x.astype(np.float64), "nf", "X").x  # a column of bytes is no image
        order: Layout = "auto" if fitting else self._order
        read = inputs(x, order, "X")
        self._order: Layout = read.layout
        return read.x

    def _fit(self, x: Tensor, y: np.ndarray, task: Task) -> Self:
        data = from_arrays(x, y, task=task, test=(x, y), valid=self.validation, seed=self.seed, layout=_ARRANGED[x.dim()])
        keeps = nullcontext(self.out) if self.out is not None else tempfile.TemporaryDirectory()
        with keeps as out:
            assert out is not None
            result = find(
                data,
                f"{out}/find" if self.out is None else out,
                minutes=self.minutes,
                max_params=self.max_params,
                max_flops=self.max_flops,
                max_latency_ms=self.max_latency_ms,
                recipe=self.recipe,
                seed=self.seed,
                device=self.device,
                threads=self.threads,
                beside=False,
                progress=False,
            )
        score, self.sentences_, self.winner_ = result.score, result.sentences, result.winner
        size = (data.shape[1], data.shape[2]) if x.dtype == torch.uint8 and x.dim() == 4 else None
        kind = score.input
        task = task_from_json(score.task)
        self.network_ = Deployed(result.model.cpu(), task, kind["mean"], kind["std"], size, len(data.shape)).eval()
        return self

    @torch.no_grad()
    def _readable(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        x = self._inputs(X, fitting=False)
        return torch.cat([self.network_(batch) for batch in x.split(_BATCH)]).numpy()


class Classifier(ClassifierMixin, _Estimator):
    """A network that `mixop.find` finds, as a classifier of scikit-learn.

    It passes scikit-learn's ``check_estimator`` but for the checks that fit twice and expect the same network: how long a
    training is depends on the clock. ``fit`` takes features ``(N, F)``, signals or images, as `mixop.data.from_arrays` reads
    them, and any labels. Afterwards ``network_`` is the trained module, and ``sentences_`` say how it was found.

    Example:
        >>> model = Classifier(minutes=2)
        >>> model.get_params()["minutes"]
        2
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Finds a network and trains it.

        Raises:
            ValueError: if the examples or the labels are none that it can learn from.
        """
        x, y = self._inputs(X, fitting=True), column_or_1d(y, warn=True)
        check_consistent_length(x, y)
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"A Classifier needs examples of at least two classes, got one class: {self.classes_[0]!r}.")
        names = [str(name) for name in self.classes_]
        return self._fit(x, numbers, Classification(tuple(names)))

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, ``(N, K)``, in the order of ``classes_``."""
        return self._readable(X)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each example, ``(N,)``."""
        shares = self._readable(X)
        return self.classes_[shares.argmax(1)]


class Regressor(RegressorMixin, _Estimator):
    """A network that `mixop.find` finds, as a regressor of scikit-learn, of one value or of several."""

    def fit(self, X: Any, y: Any) -> Self:
        """Finds a network and trains it.

        Raises:
            ValueError: if the examples or the values are none that it can learn from.
        """
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        x = self._inputs(X, fitting=True)
        y = check_array(y, ensure_2d=False, dtype="float64")
        check_consistent_length(x, y)
        self._single = y.ndim == 1 or y.shape[1] == 1
        return self._fit(x, y.reshape(len(y), -1), Regression())

    def predict(self, X: Any) -> np.ndarray:
        """The values of each example, ``(N,)``, or ``(N, K)`` for several."""
        values = self._readable(X).astype(np.float64)
        return values[:, 0] if self._single else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
