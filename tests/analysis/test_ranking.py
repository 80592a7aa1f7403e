"""Rank correlations against SciPy, with and without ties, and where they are not defined."""

import math

import numpy as np
import pytest
import scipy.stats

from mixop.analysis.ranking import kendall_tau, spearman_rho, tau_of_subsets


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("values", [2, 3, 10, 10_000])
def test_scipy_says_the_same(seed: int, values: int):
    """Few different values make many ties; 10,000 make hardly any."""
    rng = np.random.default_rng(seed)
    a = rng.integers(values, size=40) / 7
    b = np.where(rng.random(40) < 0.5, a, rng.integers(values, size=40) / 7)
    assert kendall_tau(a, b) == pytest.approx(scipy.stats.kendalltau(a, b, variant="b").statistic, abs=1e-12)
    assert spearman_rho(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-12)


def test_the_extremes():
    order = [0.1, 0.5, 0.7, 0.9]
    assert kendall_tau(order, [1, 2, 3, 4]) == spearman_rho(order, [1, 2, 3, 4]) == 1
    assert kendall_tau(order, [4, 3, 2, 1]) == spearman_rho(order, [4, 3, 2, 1]) == -1


def test_by_hand():
    # Of six pairs four agree and two do not; the differences of ranks are 1, 1, 1, 1.
    assert kendall_tau([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(2 / 6)
    assert spearman_rho([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(1 - 6 * 4 / (4 * 15))
    # One tie in the first list: C - D = 2 - 3, and five of six pairs are no ties there.
    assert kendall_tau([1, 1, 2, 3], [1, 4, 3, 2]) == pytest.approx(-1 / math.sqrt(5 * 6))


def test_an_order_does_not_change_with_the_scale_and_infinite_numbers_are_the_last():
    a, b = [0.3, 0.1, 0.2, 0.9], [5, 7, 6, 1]
    assert kendall_tau([math.exp(50 * x) for x in a], b) == kendall_tau(a, b)
    assert spearman_rho([-math.inf, 1, 2, math.inf], [1, 2, 3, 4]) == 1
    assert kendall_tau([-math.inf, -math.inf, 2], [1, 1, 3]) == 1


@pytest.mark.parametrize("correlation", [kendall_tau, spearman_rho])
def test_where_it_is_not_defined(correlation):
    assert correlation([1, 1, 1], [1, 2, 3]) is None
    assert correlation([1, 2, 3], [4, 4, 4]) is None
    assert correlation([1], [1]) is None
    assert correlation([], []) is None
    with pytest.raises(ValueError, match="two lists of one length, got 2 and 3"):
        correlation([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="NaN among them"):
        correlation([1, math.nan], [1, 2])


def test_a_subset_of_all_is_all():
    rng = np.random.default_rng(0)
    a, b = rng.integers(5, size=30), rng.integers(5, size=30)
    np.testing.assert_allclose(tau_of_subsets(a, b, 30, 3, rng), kendall_tau(a, b))
    assert np.isnan(tau_of_subsets([1, 1, 1, 1], [1, 2, 3, 4], 2, 5, rng)).all()


def test_the_mean_over_subsets_is_tau_and_the_scatter_is_that_of_unrelated_orders():
    """Without ties tau is a mean over pairs. Of 4,000 subsets the error of the mean is a 63rd of their deviation."""
    rng = np.random.default_rng(1)
    a = rng.uniform(size=200)
    b = a + rng.normal(size=200)
    taus = tau_of_subsets(a, b, 8, 4000, np.random.default_rng(2))
    assert abs(taus.mean() - kendall_tau(a, b)) < 5 * taus.std() / 4000**0.5
    unrelated = tau_of_subsets(rng.uniform(size=2000), rng.uniform(size=2000), 10, 4000, np.random.default_rng(3))
    assert unrelated.std() == pytest.approx((2 * 25 / (9 * 10 * 9)) ** 0.5, rel=0.05)  # of a deviation 1.1 % is one error


@pytest.mark.parametrize("size", [1, 5])
def test_a_subset_has_at_least_two_and_at_most_all(size):
    with pytest.raises(ValueError, match=f"has 2 to 4 of them, got {size}"):
        tau_of_subsets([1, 2, 3, 4], [1, 2, 3, 4], size, 1, np.random.default_rng(0))
