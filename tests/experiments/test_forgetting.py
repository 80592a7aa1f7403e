"""Forgetting: architectures as far apart as they are to be, and a rise that is what scoring by hand gives."""

from random import Random

import numpy as np
import pytest

from mixop.analysis.diversity import diversity
from mixop.core.errors import RunError
from mixop.data.portable import Portable
from mixop.experiments import forgetting
from mixop.experiments.base import Findings, Panel, Request
from mixop.experiments.bench import images
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.forgetting import AFTER, FORGETTING, RISE, drawn, measure, options_of
from mixop.runs.directory import RunDirectory


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return images(Request(scale="tiny", out=tmp_path_factory.mktemp("out")))


def test_a_decision_is_drawn_again_with_its_probability(tiny):
    """Of 3 options a decision that is drawn again differs from the base in two of three draws; 4 errors of 3,000 draws."""
    space, _ = tiny
    rng = Random(0)
    base = space.random(rng)
    for changed in (0.0, 0.2, 1.0):
        paths = [options_of(drawn(space, base, changed, rng)) for _ in range(500)]
        share = np.mean([[a != b for a, b in zip(path, options_of(base), strict=True)] for path in paths])
        wanted = changed * 2 / 3
        assert abs(share - wanted) <= 4 * (wanted * (1 - wanted) / 3000) ** 0.5
        space.check(drawn(space, base, changed, rng))
    assert diversity([options_of(drawn(space, base, 0.0, rng)) for _ in range(3)]) == 0


def test_a_rise_is_the_loss_later_less_the_loss_at_once(tiny, tmp_path, monkeypatch):
    """With losses that count up by one at every look, the looks after a probe are 1 to 5 above it."""
    space, data = tiny
    looks = iter(range(10_000))
    monkeypatch.setattr(forgetting, "score", lambda *_, **__: {"loss": float(next(looks))})
    given = {"space": space, "changed": 0.5, "epochs": 2, "batch": 8, "seed": 0, "device": "cpu"}
    told = []
    measure(data=Portable.of(data), folder=tmp_path / "a", observe=told.append, **given)
    found = RunDirectory(tmp_path / "a").read_json(FORGETTING)
    assert found["rise"] == [1, 2, 3, 4, 5]
    assert found["probes"] == 1  # steps 22 to 43 of 44, and a probe needs 17
    assert [record["epoch"] for record in told] == [1, 2]
    with pytest.raises(RunError, match="too few to measure"):
        measure(data=Portable.of(data), folder=tmp_path / "b", observe=told.append, **{**given, "batch": 64})


def test_a_seed_repeats_a_run(tiny, tmp_path):
    space, data = tiny
    given = {"space": space, "changed": 1.0, "epochs": 2, "batch": 8, "device": "cpu", "observe": lambda record: None}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        measure(data=Portable.of(data), folder=tmp_path / name, seed=seed, **given)
    a, b, c = (RunDirectory(tmp_path / name).read_json(FORGETTING) for name in "abc")
    assert a == b != c


def test_its_rules_judge_the_last_place():
    series = {"narrow": [0.3, 0.31, 0.33], "half": [9.0, 0.0, 3.0], "uniform": [0.1, 0.12, 0.09]}
    curves = {name: np.outer(ends, np.arange(1, 6) / 5) for name, ends in series.items()}
    judged = CATALOGUE["forgetting"].judged(Findings({RISE: Panel(RISE, AFTER, curves)}))
    assert [one.verdict for one in judged] == ["shows", "shows"]
    assert "+0.103" in judged[0].why
