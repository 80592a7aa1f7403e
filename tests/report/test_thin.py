"""Fewer points show the same picture: extremes stay, ends stay, gaps stay, means are means."""

import numpy as np
import pytest

from mixop.report.thin import columns, extremes


@pytest.mark.parametrize("count", [5000, 4999, 601, 301])
def test_a_thinned_curve_has_every_peak_at_its_own_epoch(count: int):
    values = np.random.default_rng(0).normal(size=count)
    values[[count // 3, count // 2]] = 50.0, -50.0
    epochs = list(range(1, count + 1))
    kept, thin = extremes(epochs, values, 300)
    assert len(kept) <= 302
    assert (kept[0], kept[-1]) == (1, count)
    assert kept == sorted(kept)
    assert thin.tolist() == [values[epoch - 1] for epoch in kept]
    assert (thin.max(), thin.min()) == (50.0, -50.0)


def test_every_stretch_keeps_its_own_extremes():
    """By enumeration: in each bucket of 10 of 1,000 points nothing lies outside of what is kept there."""
    values = np.random.default_rng(1).normal(size=1000)
    kept, _ = extremes(range(1000), values, 200)
    for begin in range(0, 1000, 10):
        own = [values[index] for index in kept if begin <= index < begin + 10]
        part = values[begin : begin + 10]
        assert (min(own), max(own)) == (part.min(), part.max())


def test_a_gap_stays_a_gap_and_a_lone_value_stays():
    values = np.full(1000, np.nan)
    values[:300], values[700] = 1.0, 2.0
    kept, thin = extremes(range(1000), values, 100)
    assert not np.isfinite(thin[[300 < index < 690 for index in kept]]).any()
    assert thin[kept.index(700)] == 2.0
    assert np.isfinite(thin[[index < 290 for index in kept]]).all()


def test_a_short_curve_is_left_alone():
    epochs, values = [1, 2, 4], np.array([1.0, np.nan, 3.0])
    kept, thin = extremes(epochs, values, 3)
    assert kept == epochs
    assert thin is values


def test_columns_are_means_of_their_epochs():
    weights = np.random.default_rng(2).random((1000, 3))
    assert columns(weights, 100) == pytest.approx(weights.reshape(100, 10, 3).mean(1))
    assert columns(weights, 1000) is weights


def test_columns_leave_out_what_is_unknown():
    weights = np.ones((40, 2))
    weights[:10], weights[15] = np.nan, np.nan
    found = columns(weights, 4)
    assert np.isnan(found[0]).all()
    assert found[1:] == pytest.approx(1.0)


def test_columns_of_unequal_length_lose_no_epoch():
    """Of 10 epochs in 4 columns: each epoch is in one of them, and the columns differ by one epoch at most."""
    lit = [columns(np.eye(10)[:, [epoch]], 4)[:, 0] for epoch in range(10)]
    lengths = [round(1 / values.max()) for values in lit]
    assert all(np.count_nonzero(values) == 1 for values in lit)
    assert set(lengths) == {2, 3}
