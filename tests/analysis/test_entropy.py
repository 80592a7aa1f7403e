"""Entropies against scipy and their extremes."""

import math

import pytest
import scipy.stats
import torch

from mixop.analysis.entropy import binary_entropy, entropy, relative_entropy


def random_mean(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(edges, options, generator=generator, dtype=torch.float64).softmax(-1)
        for name, edges, options in (("normal", 4, 5), ("reduce", 2, 3))
    }


def test_entropy_is_scipys_averaged_over_decisions():
    mean = random_mean()
    rows = [scipy.stats.entropy(row) for value in mean.values() for row in value.numpy()]
    assert entropy(mean) == pytest.approx(sum(rows) / 6)


def test_rows_off_the_simplex_count_by_their_shares():
    mean = random_mean()
    assert entropy({name: 3 * value for name, value in mean.items()}) == pytest.approx(entropy(mean))
    assert entropy({"a": torch.tensor([[0.0, 2.5], [0.0, 0.0]])}) == 0, "a vanished edge is decided"


def test_relative_entropy_divides_each_decision_by_its_own_maximum():
    mean = random_mean()
    rows = [scipy.stats.entropy(row) / math.log(len(row)) for value in mean.values() for row in value.numpy()]
    assert relative_entropy(mean) == pytest.approx(sum(rows) / 6)


def test_extremes():
    even, decided = {"a": torch.full((3, 4), 0.25)}, {"a": torch.eye(4)}
    assert entropy(even) == pytest.approx(math.log(4))
    assert relative_entropy(even) == pytest.approx(1)
    assert entropy(decided) == relative_entropy(decided) == 0


def test_decisions_of_one_option_have_nothing_to_decide():
    assert relative_entropy({"a": torch.ones(2, 1)}) is None
    assert relative_entropy({"a": torch.ones(2, 1), "b": torch.full((1, 2), 0.5)}) == pytest.approx(1)


def test_binary_entropy_is_scipys_of_every_gate():
    gates = torch.tensor([[0.2, 0.9], [0.5, 1.0]], dtype=torch.float64)
    want = sum(scipy.stats.entropy([p, 1 - p]) for p in (0.2, 0.9, 0.5, 1.0)) / 4
    assert binary_entropy({"a": gates[:1], "b": gates[1:]}) == pytest.approx(want)
    assert binary_entropy({"a": torch.full((2, 2), 0.5)}) == pytest.approx(math.log(2))
    assert binary_entropy({"a": torch.eye(2)}) == 0
