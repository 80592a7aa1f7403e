"""The theorems' experiments, beside the functions that they are made of."""

import numpy as np
import pytest
import torch
from torch import Generator

from mixop.analysis.descent import phi
from mixop.analysis.geometry import race
from mixop.analysis.regression_network import RegressionNetwork, decreases, random_layer_weights
from mixop.experiments import theory
from mixop.experiments.base import Findings, Panel
from mixop.experiments.catalogue import CATALOGUE


def test_the_ratio_is_that_of_the_worst_step_to_the_rate_times_phi():
    """One architecture, by hand."""
    _, worst = theory.bound([7], 1)
    for name, trained in theory.HEADS.items():
        for column, layers in enumerate(theory.LAYERS):
            net, generator = RegressionNetwork(layers=layers, trains_head=trained), Generator().manual_seed(7)
            mix = random_layer_weights(layers, generator, scale=theory.SPREAD)
            losses = net.descend(net.init(generator), net.random_batch(6, generator), mix, lr=0.02, steps=20)
            by_hand = decreases(losses).min() / (0.02 * phi(mix.conv, mix.skip))
            assert worst.series[name][0, column] == pytest.approx(float(by_hand))


def test_a_shallow_and_a_deep_network_have_as_many_convolutions():
    for deep in (False, True):
        mix = theory._chain(5, deep=deep)
        assert mix.conv.sum() == 4
        assert (mix.conv.triu(1) == mix.conv).all()
        assert (mix.conv.sum(0) == torch.tensor([0, 1, 1, 1, 1])).all()
    assert theory._chain(5, deep=True).conv[3, 4] == theory._chain(5, deep=False).conv[0, 4] == 1


def test_more_skip_keeps_the_sum_where_convolutions_pay():
    (panel,) = theory.faster([0], 2)
    assert len(panel.series) == 4
    assert all(np.isfinite(values).all() and (values > 0).all() for values in panel.series.values())


def test_the_regret_is_that_of_the_race():
    (panel,) = theory.races([3], 1)
    generator = Generator().manual_seed(3)
    for column, k in enumerate(theory.SIMPLEX):
        found = race(k, 4 * k + 200, generator)
        assert panel.series["exponentiated"][0, column] == pytest.approx(float(found.exponentiated.regret[-1]))
        assert panel.series["projected"][0, column] == pytest.approx(float(found.projected.regret[-1]))


def regrets(projected: float, exponentiated: float) -> Findings:
    x = np.array(theory.SIMPLEX, dtype=float)
    noise = np.array([[1.0], [1.01], [1.02]])
    series = {"projected": noise * x**projected, "exponentiated": noise * x**exponentiated}
    return Findings({theory.REGRET: Panel(theory.REGRET, tuple(x), series)})


@pytest.mark.parametrize(("projected", "verdict"), [(1.0, "shows"), (0.2, "does not show")])
def test_the_gap_of_geometries_is_one_of_slopes(projected, verdict):
    (judged,) = CATALOGUE["geometry-gap"].judged(regrets(projected, 0.1))
    assert judged.verdict == verdict
