"""Techniques against architectures: what trainings differ in, what the networks are, and how the variance is divided."""

from dataclasses import replace

import numpy as np
import pytest

from mixop.evaluate.protocol import PROTOCOLS
from mixop.experiments import techniques
from mixop.experiments.base import Findings, Request
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.techniques import KINDS, SHARES, SIZES, TECHNIQUES, networks, protocol
from mixop.spaces.darts import Darts

NETS = ("found a", "found b", "random 0", "random 1", "hand-made a", "hand-made b")


def test_trainings_differ_in_their_techniques_alone():
    published = PROTOCOLS["darts-cifar10"]
    made = {name: protocol(name, SIZES["small"]) for name in TECHNIQUES}
    on = {name: (one.cutout, one.drop_path, one.auxiliary) for name, one in made.items()}
    assert on == {
        "none": (0, 0, 0),
        "cutout": (16, 0, 0),
        "drop path": (0, 0.2, 0),
        "auxiliary head": (0, 0, 0.4),
        "all three": (16, 0.2, 0.4),
    }
    assert len({replace(one, name="", cutout=0, drop_path=0, auxiliary=0) for one in made.values()}) == 1
    full = protocol("all three", SIZES["full"])
    assert replace(full, name=published.name) == published


def test_every_kind_has_two_networks_and_all_differ():
    made = networks(Darts(), 2)
    assert [name.split()[0] for name in made] == [kind for kind in KINDS for _ in range(2)]
    assert len(set(made.values())) == 6
    assert [name.split()[0] for name in networks(Darts(), 1)] == list(KINDS)
    dense = made["hand-made dense"]
    assert set(dense.options()) == {"sep_conv_3x3"}


def measured(values):
    """Findings of accuracies ``(networks, seeds, trainings)``."""
    panels = techniques._panels(np.asarray(values), NETS)
    return Findings({panel.title: panel for panel in panels})


def test_what_training_and_architecture_add_is_divided_between_them():
    """Trainings add 0 to 0.4, networks 0 or 0.1: sums of squares 6 x 0.1 and 5 x 0.015 for each seed."""
    rng = np.random.default_rng(0)
    network, training = np.array([0, 0.1, 0, 0.1, 0, 0.1]), np.arange(5) / 10
    values = network[:, None, None] + training[None, None, :] + rng.normal(0, 0.1, (1, 3, 1))
    found = measured(values)
    expected = {"training": 0.6 / 0.675, "architecture": 0.075 / 0.675, "both together": 0.0}
    for name, share in expected.items():
        np.testing.assert_allclose(found.panels[SHARES].series[name], share, atol=1e-12)
    first, beats_random, beats_hand = CATALOGUE["techniques"].judged(found)
    assert first.verdict == "shows"
    assert (beats_random.verdict, beats_hand.verdict) == ("cannot show", "cannot show")
    better = measured(values + np.array([0.2, 0.2, 0, 0, 0.3, 0.3])[:, None, None])
    assert [one.verdict for one in CATALOGUE["techniques"].judged(better)[1:]] == ["shows", "does not show"]


def test_a_training_that_diverged_leaves_its_seed_out():
    values = np.random.default_rng(1).uniform(0.1, 0.2, (6, 3, 5))
    values[2, 1, 3] = np.nan
    found = measured(values)
    assert np.isnan(found.panels[SHARES].series["training"][:, 0]).tolist() == [False, True, False]
    assert "Some trainings diverged" in techniques._whole(values)


@pytest.mark.slow  # thirty trainings
def test_it_runs_and_continues(tmp_path):
    request = Request(scale="tiny", out=tmp_path / "out", seeds=[0], jobs=1)
    found = CATALOGUE["techniques"].run(request)
    (tmp_path / "out" / "found-DARTS-none-0" / "score.json").unlink()
    again = CATALOGUE["techniques"].run(request)
    for title, panel in found.panels.items():
        for name, values in panel.series.items():
            np.testing.assert_array_equal(again.panels[title].series[name], values)
