"""BOHB-like search: the extra it needs, its ladder, its model."""

import importlib.util
import sys
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from mixop.core.errors import MissingExtraError
from mixop.core.studies import quiet
from mixop.searchers.bohb import Bohb
from mixop.searchers.driver import run_search
from mixop.spaces.toy import Toy

needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason='needs pip install "mixop[hpo]"')


def test_without_optuna_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"needs optuna, which is not installed: pip install 'mixop\[hpo\]'") as caught:
        Bohb().start(Toy(), Random(0))
    assert "\n" not in str(caught.value)


def hill(space):
    def objective(architecture, epochs):
        return 100 * (1 - architecture.distance(space.optimum) / space.blocks) - 30 / epochs, float(epochs)

    return objective


@needs_optuna
def test_a_longer_training_follows_its_shorter_one_and_only_the_better_go_on():
    space = Toy(blocks=5)
    rows = run_search(Bohb(ladder=(1, 3, 9)), space, hill(space), max_trials=150, seed=0).rows
    for before, row in pairwise(rows):
        if row.epochs > 1:
            assert (row.architecture, row.epochs) == (before.architecture, 3 * before.epochs)
    counts = {epochs: sum(row.epochs == epochs for row in rows) for epochs in (1, 3, 9)}
    assert counts[1] > counts[3] > counts[9] > 0
    went_on = {row.trial - 1 for row in rows if row.epochs > 1}
    short = [row for row in rows if row.epochs == 1]
    assert np.mean([row.value for row in short if row.trial in went_on]) > np.mean([row.value for row in short])


@needs_optuna
def test_one_length_is_the_model_alone_and_it_learns():
    space = Toy(blocks=6)
    rows = run_search(Bohb(ladder=(12,), candidates=24), space, hill(space), max_trials=100, seed=0).rows
    assert {row.epochs for row in rows} == {12}
    assert np.mean([row.value for row in rows[:20]]) + 25 < np.mean([row.value for row in rows[-40:]])


@needs_optuna
def test_the_first_trials_are_uniform():
    space, searcher = Toy(), Bohb(ladder=(1,), startup=5)
    firsts = [space.to_native(searcher.ask(searcher.start(space, Random(seed))).architecture) for seed in range(300)]
    first_maps = [native.split("|")[0] for native in firsts]
    counts = [first_maps.count(name) for name in set(first_maps)]
    assert len(counts) == 4
    assert max(abs(count - 75) for count in counts) < 4 * np.sqrt(300 / 4 * 3 / 4)


@needs_optuna
def test_the_study_holds_what_the_state_does_and_optuna_stays_as_it_was():
    import optuna

    optuna.logging.set_verbosity(optuna.logging.INFO)
    space, searcher = Toy(), Bohb(ladder=(1, 3))
    state = searcher.start(space, Random(0))
    for _ in range(12):
        trial = searcher.ask(state)
        searcher.tell(state, trial, hill(space)(trial.architecture, trial.epochs)[0], 1.0)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    with quiet(optuna):
        trials = searcher._study(state, Random(0)).get_trials()
    assert [list(t.intermediate_values.values()) for t in trials] == [t["scores"] for t in state.memory["tried"]]
    assert [t.state.name for t in trials] == [t["state"] for t in state.memory["tried"]]
