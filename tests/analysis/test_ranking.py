"""Rank correlations against SciPy, with and without ties, and where they are not defined."""

import math

import numpy as np
import pytest
import scipy.stats

from mixop.analysis.ranking import kendall_tau, spearman_rho


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
