"""Early stopping and restarts on the dominant eigenvalue of the validation loss in the architecture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mixop.analysis.hessian import dominant_eigenvalue
from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.monitors.base import Action, Column, Continue, Monitor, Restart, Stop, View, check_whole, latest, remember
from mixop.relax.base import Relaxation
from mixop.spaces.core import Space


def moving_means(values: Sequence[float], window: int) -> list[float]:
    """Means over the last ``window`` values, from the first time that more than half a window is there.

    Args:
        values: measurements in order.
        window: >= 1; 5 in DARTS-ES, whose first mean is of 3 values.

    Returns:
        One mean for each value from the ``window // 2 + 1``-th on.
    """
    least = window // 2 + 1
    windows = (values[max(0, k - window) : k] for k in range(least, len(values) + 1))
    return [math.fsum(part) / len(part) for part in windows]


def growth(values: Sequence[float], *, window: int = 5, delta: int = 4) -> float | None:
    """By how much the moving mean has grown over the last ``delta`` measurements.

    Args:
        values: measurements in order.
        window: of the moving mean, >= 1.
        delta: measurements to look back, >= 1.

    Returns:
        Newest mean over the older one; None while there are too few measurements, and where the older mean is not positive
        or either is not a number, because a ratio would then mean nothing. That guard is ours.
    """
    means = moving_means(values, window)
    if len(means) <= delta:
        return None
    new, old = means[-1], means[-1 - delta]
    return new / old if old > 0 and math.isfinite(new) and math.isfinite(old) else None


def es_rule(
    eigenvalues: Sequence[float], *, window: int = 5, every: int = 2, start: int = 10, delta: int = 4, factor: float = 1.3
) -> int | None:
    """The stopping rule of DARTS-ES after its newest measurement.

    A moving mean describes the centre of its window, so the epoch to return to lies ``every * (window // 2 + delta)`` back
    (12 by default), and the rule cannot fire before epoch ``start`` plus that (22).

    Args:
        eigenvalues: the measurements of epochs 0, ``every``, ``2 * every`` ... up to now.
        window: of the moving mean, in measurements.
        every: epochs between two measurements.
        start: first epoch that may be returned to.
        delta: measurements between the two means that are compared.
        factor: growth that is too much, > 0.

    Returns:
        The epoch whose architecture is the result, or None to continue.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 4, as in the authors' code; the paper's text says that the older
        mean over the newer falls below 0.75, the code that the newer over the older exceeds 1.3.
    """
    back_to = every * (len(eigenvalues) - 1 - window // 2 - delta)
    if back_to < start:
        return None
    grown = growth(eigenvalues, window=window, delta=delta)
    return back_to if grown is not None and grown > factor else None


@dataclass(frozen=True, kw_only=True)
class _EigenvalueMonitor(Monitor):
    """What `EarlyStopping` and `Adaptive` share: the measurement, and the rule."""

    window: int = 5
    every: int = 2
    start: int = 10
    delta: int = 4
    factor: float = 1.3
    weight_decay: float = 1e-3
    batches: int = 1

    @property
    def second_derivatives(self) -> bool:
        return True

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name, least in (("window", 1), ("every", 1), ("start", 0), ("delta", 1), ("batches", 1)):
            check_whole(f"{name} of {owner}", getattr(self, name), least)
        check_range(f"factor of {owner}", self.factor, above=0)
        check_range(f"weight decay of {owner}", self.weight_decay, at_least=0)

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        if not relaxation.differentiable_mean:
            raise RecipeError(
                f"{type(self).__name__} measures the curvature of the loss in the architecture parameters, but the mean of "
                f"{type(relaxation).__name__} is not differentiable in them: leave it out."
            )

    def columns(self, view: View) -> dict[str, Column]:
        return {"eigenvalue": latest(view, self._key, measured=self._measures(view))}

    @property
    def _key(self) -> str:
        return f"{type(self).__name__}.eigenvalues"

    def _measures(self, view: View) -> bool:
        # Not after the last epoch: there is nothing left to stop.
        return view.epoch % self.every == 0 and view.epoch < view.epochs - 1

    def _back_to(self, view: View) -> int | None:
        if not self._measures(view):
            return None
        value = dominant_eigenvalue(
            lambda params: view.valid_loss(params, self.batches), view.params, weight_decay=self.weight_decay
        )
        eigenvalues = remember(view, self._key, value)
        return es_rule(
            eigenvalues, window=self.window, every=self.every, start=self.start, delta=self.delta, factor=self.factor
        )


@dataclass(frozen=True, kw_only=True)
class EarlyStopping(_EigenvalueMonitor):
    """DARTS-ES: stops when the dominant eigenvalue has grown too fast, with the architecture from before it did.

    Args:
        window: measurements in the moving mean, >= 1.
        every: epochs between two measurements, >= 1.
        start: first epoch whose architecture may be the result, >= 0.
        delta: measurements between the means that are compared, >= 1.
        factor: growth of the mean that stops the search, > 0.
        weight_decay: added to the Hessian's diagonal, >= 0: that of the architecture optimiser.
        batches: validation batches that the Hessian is averaged over, >= 1; one in the authors' code.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 4, numbers of the authors' scripts; see `es_rule`.
    """

    def __call__(self, view: View) -> Action:
        epoch = self._back_to(view)
        return Continue() if epoch is None else Stop(view.history(epoch))


@dataclass(frozen=True, kw_only=True)
class Adaptive(_EigenvalueMonitor):
    """DARTS-ADA: where DARTS-ES would stop, goes back and continues with a stronger weight decay of the network weights.

    Once the weight decay has reached its maximum nothing is measured any more, and the search runs to its end.

    Args:
        window: measurements in the moving mean, >= 1.
        every: epochs between two measurements, >= 1.
        start: first epoch that may be returned to, >= 0.
        delta: measurements between the means that are compared, >= 1.
        factor: growth of the mean that sends the search back, > 0.
        weight_decay: added to the Hessian's diagonal, >= 0: that of the architecture optimiser.
        batches: validation batches that the Hessian is averaged over, >= 1; one in the authors' code.
        multiply: factor of the network's weight decay at every restart, > 1.
        most: largest weight decay of the network, > 0.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 5, and the authors' code for the numbers.
    """

    multiply: float = 10.0
    most: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("multiply of Adaptive", self.multiply, above=1)
        check_range("most of Adaptive", self.most, above=0)

    def __call__(self, view: View) -> Action:
        epoch = self._back_to(view)
        return Continue() if epoch is None else Restart(epoch, self._raised(view.weight_decay))

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        super().check(relaxation, space, weight_decay)
        if weight_decay == 0:
            raise RecipeError(
                "Adaptive multiplies the weight decay of the network's optimiser, which is 0 and would stay 0: "
                "start from a positive weight decay, for example 3e-4."
            )

    @property
    def lookback(self) -> int:
        return self.every * (self.window // 2 + self.delta)

    def _measures(self, view: View) -> bool:
        return super()._measures(view) and view.weight_decay < self.most

    def _raised(self, weight_decay: float) -> float:
        raised = weight_decay * self.multiply
        # 3e-4 * 10 * 10 is a rounding error below 0.03, which is the maximum all the same.
        return self.most if raised > self.most or math.isclose(raised, self.most) else raised
