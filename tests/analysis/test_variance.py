"""A two-way analysis of variance: a closed form, SciPy for one factor, and what chance alone gives."""

import numpy as np
import pytest
import scipy.stats

from mixop.analysis.variance import TwoWay, two_way


def test_effects_that_add_up_have_the_sums_of_squares_of_the_effects():
    """y = a + b + c with a in {-1, 1}, b in {-3, 0, 3}, c in {-0.5, 0.5} as the runs."""
    values = np.array([-1, 1])[:, None, None] + np.array([-3, 0, 3])[None, :, None] + np.array([-0.5, 0.5])
    found = two_way(values)
    assert found == TwoWay(first=pytest.approx(12), second=pytest.approx(72), both=pytest.approx(0), within=pytest.approx(3))
    assert found.shares.first == pytest.approx(12 / 87)


def test_an_effect_of_both_together_is_of_neither():
    found = two_way([[[1.0, 1.0], [-1.0, -1.0]], [[-1.0, -1.0], [1.0, 1.0]]])
    assert found == TwoWay(0.0, 0.0, 8.0, 0.0)


def test_it_adds_up_and_agrees_with_scipy_on_one_factor():
    values = np.random.default_rng(0).normal(size=(4, 3, 5))
    found = two_way(values)
    assert found.total == pytest.approx(((values - values.mean()) ** 2).sum())
    rest = found.second + found.both + found.within
    f = (found.first / 3) / (rest / (values.size - 4))
    assert f == pytest.approx(scipy.stats.f_oneway(*values.reshape(4, -1)).statistic)


def test_chance_alone_gives_each_its_degrees_of_freedom():
    """Expected sums of unit noise are A - 1, B - 1, (A - 1)(B - 1) and A B (n - 1); 2,000 tables, six standard errors."""
    rng = np.random.default_rng(1)
    found = [two_way(rng.normal(size=(3, 5, 2))) for _ in range(2000)]
    for name, freedom in (("first", 2), ("second", 4), ("both", 8), ("within", 15)):
        mean = np.mean([getattr(one, name) for one in found])
        assert abs(mean - freedom) < 6 * (2 * freedom / 2000) ** 0.5


def test_equal_measurements_have_no_shares():
    assert np.isnan(two_way(np.full((3, 2, 5), 0.1)).shares.first)


@pytest.mark.parametrize("values", [np.ones((2, 2)), np.ones((2, 0, 1)), np.full((2, 2, 1), np.nan)])
def test_what_is_no_table_is_refused(values):
    with pytest.raises(ValueError, match="two-way analysis needs"):
        two_way(values)
