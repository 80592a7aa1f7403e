"""The paired test against SciPy, and what it cannot say."""

import numpy as np
import pytest
from scipy import stats

from mixop.core.measure import ACCURACY, LOSS
from mixop.report.paired import compared, sign_flip

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12])
def test_it_is_the_exact_permutation_test(n: int):
    rng = np.random.default_rng(n)
    for _ in range(5):
        values = rng.normal(0.3, 1.0, size=n)
        expected = stats.permutation_test(
            (values,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
        )
        assert sign_flip(values.tolist()) == pytest.approx(expected.pvalue, abs=1e-12)


def test_few_pairs_cannot_be_sure():
    assert sign_flip([1.0]) == 1.0
    assert sign_flip([1.0, 2.0, 3.0]) == 2 / 8
    assert sign_flip([5.0] * 10) == 2 / 1024


def test_equal_methods_do_not_differ():
    assert sign_flip([0.0, 0.0, 0.0]) == 1.0
    assert sign_flip([0.1, -0.1]) == 1.0


def test_the_order_of_additions_decides_nothing():
    values = [0.1, 0.2, 0.3, -0.6 + 1e-17, 0.7]
    assert sign_flip(values) == sign_flip(values[::-1])


def test_many_pairs_are_drawn_and_agree_with_the_normal_law():
    rng = np.random.default_rng(0)
    values = rng.normal(0.4, 1.0, size=40)
    p = sign_flip(values.tolist())
    z = abs(values.sum()) / np.sqrt((values**2).sum())
    assert p == pytest.approx(2 * stats.norm.sf(z), abs=0.01)
    assert p == sign_flip(values.tolist())


@pytest.mark.parametrize(("measure", "better"), [(ACCURACY, [True, False, False]), (LOSS, [False, True, False])])
def test_which_of_two_is_better_the_measure_says(measure, better):
    found = [compared(differences, measure) for differences in ([0.1, 0.3], [-0.1, -0.3], [0.1, -0.1])]
    assert [pair.better for pair in found] == better
    assert [pair.difference for pair in found] == pytest.approx([0.2, -0.2, 0.0])
    assert {pair.n for pair in found} == {2}
