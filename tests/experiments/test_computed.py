"""Experiments that are computed: a directory of their own, and seeds that decide everything."""

import numpy as np
import pytest

from mixop.core.errors import RunError
from mixop.experiments.base import Panel, Request
from mixop.experiments.computed import SIZES, Computed


def drawn(seeds, draws):
    values = np.array([[np.random.default_rng(seed).uniform(size=draws).mean()] for seed in seeds])
    return (Panel("mean", (1.0,), {"a": values}),)


GIVEN = Computed(name="given", question="Is it?", source="2020", patterns=(), compute=drawn, settings={"of": "uniform"})


def test_its_scale_says_how_many_runs_and_draws(tmp_path):
    found = GIVEN.run(Request(scale="small", out=tmp_path / "a"))
    assert found.panels["mean"].series["a"].shape == (SIZES["small"].seeds, 1)
    assert found.settings == {"of": "uniform", "draws of a run": "40", "seeds": "0, 1, 2"}
    assert found.tells
    again = GIVEN.run(Request(scale="small", out=tmp_path / "b", seeds=[2, 0]))
    np.testing.assert_array_equal(again.panels["mean"].series["a"], found.panels["mean"].series["a"][[2, 0]])
    assert not GIVEN.run(Request(scale="tiny", out=tmp_path / "c")).tells


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="holds something else: choose another --out"):
        GIVEN.run(Request(scale="tiny", out=tmp_path))
    with pytest.raises(RunError, match="Cannot write into"):
        GIVEN.run(Request(scale="tiny", out=tmp_path / "mine.txt"))
