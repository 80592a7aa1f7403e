"""What DrNAS says about the curvature of the loss, and its objective as a variational bound.

Mixing weights theta are drawn from Dirichlet distributions with concentrations beta. Written as a softmax of h, such a
distribution is close to a normal one: `laplace_mean` and `laplace_variance`. Expanding the loss to second order around the mean
mu gives `expansion`, the loss there plus a share of the trace of its Hessian in mu. While beta stays within delta of 1, that
share is at least `curvature_share`, so a search that lowers the expected loss holds the curvature down as well.

Concentrations are ``(..., O)``, > 0: `mixop.relax.dirichlet.concentration` of the parameters. O is at least 2.

Source: Chen et al. 2021 (arXiv:2006.10355), proposition 1, appendices A.1 and A.5.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from mixop.analysis.hessian import Curvature, curvature, hessian
from mixop.core.errors import RecipeError
from mixop.core.rng import fenced
from mixop.core.schedules import check_range
from mixop.core.types import Mix, Params
from mixop.relax.dirichlet import dirichlet_kl


class Expansion(NamedTuple):
    """The expected loss over a Dirichlet distribution to second order, and its lower bound."""

    at_mean: float
    """The loss of the mean mixing weights, ``L(softmax(mu))``."""
    expected: float
    """``at_mean + tr(Sigma H) / 2``, with the diagonal Sigma of the approximation, as published. The h add up to 0, so they
    have covariances too: where concentrations are equal, these make the second term ``1 / (1 - 1/O)`` times as large."""
    bound: float
    """``at_mean + share * tr(H) / 2``; below ``expected`` if H is positive semi-definite."""
    delta: float
    """Euclidean distance of all concentrations to 1."""
    curvature: Curvature
    """Of the Hessian H in mu: its trace, its largest eigenvalue, and the smallest, which is >= 0 where the bound holds."""


def laplace_mean(beta: Tensor) -> Tensor:
    """The mean of the approximation, ``mu_o = log beta_o - mean log beta``; its softmax is the mean of the distribution.

    Args:
        beta: concentrations ``(..., O)``.

    Source: Chen et al. 2021, eq. 10.
    """
    logs = beta.log()
    return logs - logs.mean(-1, keepdim=True)


def laplace_variance(beta: Tensor) -> Tensor:
    """The variances of the approximation, ``Sigma_o = (1 - 2/O) / beta_o + sum(1 / beta) / O^2``.

    The exact ones have the trigamma function in place of ``1 / beta``, which is larger by less than ``1 / beta^2``.

    Args:
        beta: concentrations ``(..., O)``.

    Source: Chen et al. 2021, eq. 10.
    """
    options = beta.shape[-1]
    inverse = beta.reciprocal()
    return inverse * (1 - 2 / options) + inverse.sum(-1, keepdim=True) / options**2


def curvature_share(delta: float, options: int) -> float:
    """The least variance while concentrations stay near 1: ``(1 - 2/O) / (1 + delta) + 1 / (O (1 + delta))``.

    Args:
        delta: largest Euclidean distance of the concentrations to 1, >= 0.
        options: O, >= 2.

    Returns:
        A number in (0, 1), equal to ``(1 - 1/O) / (1 + delta)``.

    Raises:
        RecipeError: for numbers out of range.

    Source: Chen et al. 2021, eqs. 6 and 18.
    """
    check_range("distance of concentrations to 1", delta, at_least=0)
    check_range("number of options of a Dirichlet distribution", options, at_least=2)
    return (1 - 2 / options) / (1 + delta) + 1 / (options * (1 + delta))


def expansion(loss: Callable[[Mix], Tensor], beta: Params) -> Expansion:
    """The expected loss over Dirichlet distributions to second order, its lower bound, and the curvature that it depends on.

    Args:
        loss: scalar function of the mixing weights, twice differentiable; network weights and batch fixed.
        beta: concentrations ``(E, O)`` by group, at most `mixop.analysis.hessian.LARGEST` numbers in all. Where O differs
            between groups, each has its own share of its part of the trace.

    Raises:
        RecipeError: for concentrations that are not positive, groups of one option, too many parameters, or a loss that does
            not depend on the mixing weights.

    Source: Chen et al. 2021, eqs. 6, 16 and 21.
    """
    _check(beta)
    mu = {name: laplace_mean(value.detach()) for name, value in beta.items()}

    def of_mu(params: Params) -> Tensor:
        return loss({name: value.softmax(-1) for name, value in params.items()})

    matrix = hessian(of_mu, mu)
    with torch.no_grad():
        at_mean = float(of_mu(mu))
    delta = float(torch.stack([(value - 1).square().sum() for value in beta.values()]).sum().sqrt())
    variances = _joined([laplace_variance(value) for value in beta.values()])
    shares = _joined([torch.full_like(value, curvature_share(delta, value.shape[-1])) for value in beta.values()])
    return Expansion(
        at_mean=at_mean,
        expected=at_mean + float(variances @ matrix.diagonal()) / 2,
        bound=at_mean + float(shares @ matrix.diagonal()) / 2,
        delta=delta,
        curvature=curvature(matrix),
    )


def evidence_bound(log_likelihood: Callable[[Mix], Tensor], beta: Params, generator: Generator, *, samples: int = 1) -> Tensor:
    """A sample of the evidence lower bound ``E_theta log p(D | theta) - KL(Dirichlet(beta) || Dirichlet(1))``.

    Its negative is the objective of DrNAS, where the loss is a negative log-likelihood and the distance to the anchor is this
    divergence. A search that takes the mean loss of a batch in place of the sum over the data has the divergence at another
    weight.

    Args:
        log_likelihood: of the data under mixing weights, a scalar in nats, summed over all examples.
        beta: concentrations ``(E, O)`` by group.
        generator: source of the draws, on the CPU.
        samples: draws that the expectation is the mean of, >= 1.

    Returns:
        A scalar in nats, differentiable in beta by pathwise gradients.

    Raises:
        RecipeError: for concentrations that are not positive, and fewer than one draw.

    Source: Chen et al. 2021, eqs. 22 and 23.
    """
    _check(beta)
    check_range("number of draws of an evidence bound", samples, at_least=1)
    with fenced(generator):  # torch's sampler takes its numbers from the global generator
        draws = {name: torch.distributions.Dirichlet(value.cpu()).rsample((samples,)) for name, value in beta.items()}
    values = [log_likelihood({name: draw[n].to(beta[name].device) for name, draw in draws.items()}) for n in range(samples)]
    divergences = [dirichlet_kl(value).sum() for value in beta.values()]
    return torch.stack(values).mean() - torch.stack(divergences).sum()


def _joined(values: list[Tensor]) -> Tensor:
    return torch.cat([value.detach().reshape(-1) for value in values]).to("cpu", torch.float64)


def _check(beta: Params) -> None:
    for name, value in beta.items():
        if not bool((value > 0).all()) or value.shape[-1] < 2:
            raise RecipeError(
                f"Concentrations must be greater than 0, of 2 options at least; those of group {name!r} have "
                f"{value.shape[-1]} options and a smallest entry of {float(value.min()):g}."
            )
