"""Why a search on the simplex takes multiplicative steps: log k in place of k, where k options compete.

Both algorithms step on points of a simplex. Projected gradient descent is at home in the Euclidean distance, exponentiated
gradient in the Kullback-Leibler divergence. `race` runs both on the convex problem that separates them: online linear
prediction of a target that is one of k features, all of which are 1 or -1. The regret of exponentiated gradient is at most
``log k``; that of projected gradient is at most ``(k - 1) / 2``, and does grow like k.

Source: Khodak & Li 2020, "In defense of weight-sharing for neural architecture search", on Li et al. 2021 (arXiv:2004.07802).
They state the two orders; the problem is that of Kivinen & Warmuth 1997, Information and Computation 132, 1-63.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range


@dataclass(frozen=True, kw_only=True)
class Curve:
    """How one algorithm went.

    Args:
        regret: sum of the losses so far less those of the target, which are 0, ``(T,)``.
        divergence: from the point to the target before the first step and after each, ``(T + 1,)``: in the algorithm's own
            geometry, ``KL(target || theta)`` in nats or ``|target - theta|^2 / 2``.
        lr: its step size.
    """

    regret: Tensor
    divergence: Tensor
    lr: float


@dataclass(frozen=True, kw_only=True)
class Race:
    """Both algorithms on the same examples.

    Args:
        exponentiated: exponentiated gradient.
        projected: projected gradient descent.
    """

    exponentiated: Curve
    projected: Curve


def project_to_simplex(points: Tensor) -> Tensor:
    """The nearest points of the simplex, row by row.

    With the entries in decreasing order, the largest j entries stay above 0 for the largest j with
    ``entry_j > (sum of the first j - 1) / j``; that threshold is taken off all entries.

    Args:
        points: ``(..., k)``, finite.

    Returns:
        ``(..., k)``; rows are >= 0 and sum to 1.

    Source: Duchi et al. 2008, "Efficient projections onto the l1-ball for learning in high dimensions", figure 1.
    """
    falling = points.sort(dim=-1, descending=True).values
    places = torch.arange(1, points.shape[-1] + 1, dtype=points.dtype, device=points.device)
    thresholds = (falling.cumsum(-1) - 1) / places
    kept = (falling > thresholds).sum(-1, keepdim=True)
    return (points - thresholds.gather(-1, kept - 1)).clamp(min=0)


def projected_step(theta: Tensor, gradient: Tensor, lr: float) -> Tensor:
    """A step of projected gradient descent: the point of the simplex nearest to ``theta - lr * gradient``.

    Args:
        theta: rows on the simplex, ``(..., k)``.
        gradient: of the same shape.
        lr: step size, > 0.
    """
    return project_to_simplex(theta - lr * gradient)


def exponentiated_step(theta: Tensor, gradient: Tensor, lr: float) -> Tensor:
    """A step of exponentiated gradient: ``theta * exp(-lr * gradient)``, rows normalised to sum 1.

    It minimises ``lr <gradient, x> + KL(x || theta)`` over the simplex. `mixop.core.optim.exponentiated_gradient`, which
    searches use, also keeps entries above a minimum.

    Args:
        theta: rows on the simplex, ``(..., k)``; an entry of 0 stays 0.
        gradient: of the same shape.
        lr: step size, > 0.

    Source: Li et al. 2021 (arXiv:2004.07802), algorithm 1.
    """
    return (theta.log() - lr * gradient).softmax(-1)


def bregman_stationarity(theta: Tensor, gradient: Tensor, lr: float) -> Tensor:
    """How far rows are from stationary: ``(KL(x || theta) + KL(theta || x)) / lr^2`` to the point x of one exponentiated step.

    It is ``<gradient, theta - x> / lr``, the square of a gradient's length in this geometry: for small steps the variance of
    the gradient's entries under theta. It is 0 where a step changes nothing: at vertices, and where all entries that are not 0
    have one gradient.

    Args:
        theta: rows on the simplex, ``(..., k)``.
        gradient: of the loss there, of the same shape.
        lr: step size, > 0.

    Returns:
        ``(...)``, >= 0.

    Source: our choice, after Zhang & He 2018 (arXiv:1806.04781), whom Li et al. 2021 extend: they measure the way to the
    minimum of the loss itself plus the divergence, which a search cannot compute; here the loss is linearised.
    """
    return (gradient * (theta - exponentiated_step(theta, gradient, lr))).sum(-1) / lr


def race(k: int, steps: int, generator: Generator, *, exponentiated_lr: float = 1.0, projected_lr: float | None = None) -> Race:
    """Exponentiated and projected gradient on online linear prediction over a simplex of size k, from its middle.

    In step t both see an example ``a_t``, k signs drawn at random, and lose ``<a_t, theta - target>^2 / 2``, where the target
    is the first vertex. No entry of an example is larger than 1, so exponentiated gradient may take steps of 1; its length is
    ``sqrt(k)``, so the safe step of projected gradient is 1/k. With these, the regret is at most the divergence at the start
    divided by the step size: ``log k`` and ``(k - 1) / 2``.

    Args:
        k: size of the simplex, >= 2.
        steps: T, >= 1; projected gradient needs some multiples of k until its regret stands still.
        generator: source of the examples.
        exponentiated_lr: step size of exponentiated gradient, > 0; the bound holds up to 1.
        projected_lr: step size of projected gradient, > 0; None for 1/k, up to which the bound holds.

    Returns:
        Both curves, float64.

    Raises:
        RecipeError: for numbers out of range.

    Example:
        >>> found = race(100, 500, torch.Generator().manual_seed(0))
        >>> bool(found.exponentiated.regret[-1] < 5), bool(found.projected.regret[-1] > 25)
        (True, True)
    """
    if type(k) is not int or k < 2 or type(steps) is not int or steps < 1:
        raise RecipeError(f"A race is over a simplex of size 2 at least, for 1 step at least, got k={k!r} and steps={steps!r}.")
    lr = 1 / k if projected_lr is None else projected_lr
    check_range("step size of exponentiated gradient", exponentiated_lr, above=0)
    check_range("step size of projected gradient", lr, above=0)
    signs = 2.0 * torch.randint(0, 2, (steps, k), generator=generator).double() - 1
    target = torch.eye(k, dtype=torch.float64)[0]
    curves = []
    for step, rate in ((exponentiated_step, exponentiated_lr), (projected_step, lr)):
        points = [torch.full((k,), 1 / k, dtype=torch.float64)]
        residuals = []
        for example in signs:
            residuals.append(example @ (points[-1] - target))
            points.append(step(points[-1], residuals[-1] * example, rate))
        path = torch.stack(points)
        distance = -path[:, 0].log() if step is exponentiated_step else (path - target).square().sum(-1) / 2
        curves.append(Curve(regret=(torch.stack(residuals).square() / 2).cumsum(0), divergence=distance, lr=rate))
    return Race(exponentiated=curves[0], projected=curves[1])
