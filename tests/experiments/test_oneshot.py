"""Searches in NAS-Bench-1Shot1: what they need, what regret is, and a run by a table of the whole first space."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from mixop.core.errors import DataError, RecipeError
from mixop.engine.fit import check_fit
from mixop.engine.settings import Settings
from mixop.experiments import oneshot
from mixop.experiments.base import Findings, Panel, Request
from mixop.experiments.bench import EPOCHS
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.oneshot import BEST, METHODS
from mixop.experiments.quantities import QUANTITIES, REGRET
from mixop.experiments.run import run_experiment
from mixop.spaces import nasbench1shot1
from mixop.tables import convert
from mixop.tables.catalogue import open_table

NAMES = ("one-shot-1", "one-shot-2", "one-shot-3")


def written(folder, specs):
    """A table of cells whose test accuracy falls from 0.9 by a hundredth of a point from one to the next."""
    cells = [
        {
            "matrix": spec.matrix,
            "ops": ["input", *spec.operations, "output"],
            "validation_accuracy": [0.9],
            "test_accuracy": [0.9 - 1e-4 * row],
            "training_time": [1000.0],
        }
        for row, spec in enumerate(specs)
    ]
    (folder / "cells.json").write_text(json.dumps(cells))
    return str(convert(folder / "cells.json", folder / "cells.table"))


@pytest.fixture
def table(tmp_path):
    space = nasbench1shot1(1)
    return written(tmp_path, [space.spec(space.architecture([(k, 1, 0, 2), (0, 1), (2, 3), (0, 4)])) for k in range(2)])


@pytest.mark.parametrize("name", NAMES)
def test_every_method_fits_its_space_and_is_scored_by_the_table(name, table, tmp_path):
    experiment, request = CATALOGUE[name], Request(scale="tiny", out=tmp_path / "out", table=table)
    on, full = experiment.on(request), experiment.variants(EPOCHS)
    assert on.space.name == f"nasbench1shot1-{name[-1]}"
    assert on.best == pytest.approx(0.9)
    for variant, recipe in experiment.variants(on.epochs).items():
        assert (recipe.batch_size, recipe.warmup) == (96, 0)
        check_fit(on.paced(recipe, full[variant]), on.space, on.data, Settings())


def test_regret_is_what_the_best_has_more(table, tmp_path):
    on = CATALOGUE["one-shot-1"].on(Request(scale="tiny", out=tmp_path / "out", table=table))
    run = SimpleNamespace(curve=[(1, 10.0, 0.7), (2, 20.0, None), (3, 30.0, 0.9)])
    assert QUANTITIES[REGRET].of(run, on) == {1: pytest.approx(0.2), 2: None, 3: pytest.approx(0.0)}


def test_of_the_whole_benchmark_the_best_of_the_space_is_published(table, tmp_path, monkeypatch):
    monkeypatch.setattr(oneshot, "WHOLE", len(open_table(table)))
    for number, best in BEST.items():
        assert CATALOGUE[f"one-shot-{number}"].on(Request(scale="tiny", out=tmp_path / "out", table=table)).best == best
    assert {number: round(best, 6) for number, best in BEST.items()} == {1: 0.945513, 2: 0.942408, 3: 0.946615}


def test_what_is_missing_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="needs --table FILE, a table of NAS-Bench-101: mixop table convert"):
        run_experiment("one-shot-2", tmp_path / "out", scale="small", data=tmp_path)
    with pytest.raises(RecipeError, match="does not cover nasbench1shot1-2"):
        run_experiment("one-shot-2", tmp_path / "out", scale="tiny", table="nasbench201-digits")


def test_its_rules_take_the_methods_together():
    falling = np.linspace(0.2, 0.1, 8) + np.array([[0.0], [0.01], [0.02]])
    curves = {name: falling + (0.03 if name == "rsws" else 0.0) for name in METHODS}
    judged = CATALOGUE["one-shot-3"].judged(Findings({REGRET: Panel(REGRET, tuple(range(1, 9)), curves)}))
    assert [one.verdict for one in judged] == ["shows", "shows"]


@pytest.mark.slow  # 14,580 cells are hashed
def test_it_runs_by_a_table_of_its_whole_space(tmp_path):
    space, cells = nasbench1shot1(1), {}
    for architecture in space.architectures():
        cells.setdefault(space.signature(architecture), space.spec(architecture))
    outcome = run_experiment(
        "one-shot-1", tmp_path / "out", scale="tiny", table=written(tmp_path, cells.values()), seeds=[0], jobs=1
    )
    of = outcome.findings.panels[REGRET]
    assert of.x == (1.0, 2.0, 3.0)
    for name in METHODS:
        assert (of.series[name] >= 0).all()
        assert (of.series[name] <= 1e-4 * len(cells)).all()
