"""The bound of an epoch: the columns are those of the expansion, and the expectation is that of a closed form."""

import pytest
import scipy.special
import torch
from torch import Generator

from mixop.analysis.dirichlet import expansion
from mixop.core.errors import RecipeError
from mixop.monitors.base import Continue
from mixop.monitors.dirichlet import DirichletBound
from mixop.relax import Dirichlet, Softmax
from mixop.relax.dirichlet import concentration
from mixop.spaces import CellSpace, nasbench201


def search_of(view, **changes):
    eta = torch.randn(6, 5, generator=Generator().manual_seed(2), dtype=torch.float64)
    return view(params={"cell": eta}, generator=Generator().manual_seed(3), **changes)


def test_columns_are_those_of_the_expansion_and_of_the_expectation(view):
    """The loss is half the sum of squared logarithms, whose moments under a Dirichlet are digamma and trigamma functions."""
    search = search_of(view)
    beta = concentration(search.params["cell"])
    monitor = DirichletBound(draws=4000)
    assert monitor(search) == Continue()
    found = monitor.columns(search)
    wanted = expansion(search.mix_loss, {"cell": beta})
    assert found["loss_at_mean"] == pytest.approx(wanted.at_mean)
    assert found["second_order_loss"] == pytest.approx(wanted.expected)
    assert found["loss_bound"] == pytest.approx(wanted.bound)
    assert found["anchor_distance"] == pytest.approx(float((beta - 1).norm()))
    assert [found[f"hessian_{name}"] for name in ("trace", "largest", "smallest")] == pytest.approx(
        [wanted.curvature.trace, wanted.curvature.largest, wanted.curvature.smallest]
    )
    mass = beta.numpy().sum(1, keepdims=True)
    means = scipy.special.digamma(beta.numpy()) - scipy.special.digamma(mass)
    squares = means**2 + scipy.special.polygamma(1, beta.numpy()) - scipy.special.polygamma(1, mass)
    assert abs(found["expected_loss"] - squares.sum() / 2) <= 5 * found["expected_loss_error"]
    assert 0 < found["expected_loss_error"] < 0.1 * found["expected_loss"]


def test_it_measures_now_and_then_and_each_batch_counts(view):
    search = search_of(view)
    monitor = DirichletBound(every=2, draws=2, batches=3)
    monitor(search)
    assert monitor.columns(search)["loss_bound"] == pytest.approx(
        expansion(lambda mix: search.mix_loss(mix, 3), {"cell": concentration(search.params["cell"])}).bound
    )
    search.epoch = 1
    before = dict(search.memory)
    monitor(search)
    assert set(monitor.columns(search).values()) == {None}
    assert search.memory == before


def test_the_global_generator_is_left_alone(view):
    state = torch.random.get_rng_state()
    DirichletBound(draws=2)(search_of(view))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_it_cannot_measure_is_refused():
    DirichletBound().check(Dirichlet(), nasbench201(), 0.0)
    with pytest.raises(RecipeError, match="Softmax has none: use a recipe such as drnas"):
        DirichletBound().check(Softmax(), nasbench201(), 0.0)
    with pytest.raises(RecipeError, match=r"at most 512 architecture parameters.* has 525"):
        DirichletBound().check(Dirichlet(), CellSpace(operations=nasbench201().operations, nodes=15, channels=4, cells=1), 0.0)
    for name in ("every", "batches"):
        with pytest.raises(RecipeError, match=f"{name} of DirichletBound"):
            DirichletBound(**{name: 0})
    with pytest.raises(RecipeError, match="draws of DirichletBound"):
        DirichletBound(draws=1)
    assert DirichletBound().second_derivatives
