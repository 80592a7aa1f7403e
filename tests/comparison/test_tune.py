"""Tuning on the toy space: ordinary runs, pruned, killed and continued, two processes at once, refused."""

import importlib.util
import json
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from killed import CONTEXT, kill_after

from mixop import api, recipes
from mixop.comparison.evaluators import Optimum, Retrain, Supernet, against, tabular
from mixop.comparison.ranges import OneOf, Range
from mixop.comparison.tune import tune
from mixop.comparison.tuned import TuneResult
from mixop.core.errors import RecipeError, RunError
from mixop.data import digits
from mixop.data.toy import toy_set
from mixop.evaluate.score import parameters
from mixop.nets.discrete import build
from mixop.runs.directory import RunDirectory
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces.nasbench201 import NasBench201Digits
from mixop.spaces.toy import Toy

pytestmark = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason='needs pip install "mixop[hpo]"')

BASE = replace(recipes.darts(epochs=3), batch_size=8)
SCORED = Optimum(protocol=replace(Optimum().protocol, epochs=1, batch_size=16))
SEED = 5
"""Of draws some of which fall behind the others."""

RATE, EPOCHS, WEIGHTS = "recipe.architecture_optimiser.lr", "recipe.epochs", "recipe.weight_optimiser.lr"
WIDE = {
    RATE: Range(1e-5, 0.5, log=True),
    WEIGHTS: Range(1e-4, 0.5, log=True),
    EPOCHS: Range(2, 4),
    "recipe": OneOf(("darts", "gaea")),
}


def tuned(out: Path, trials: int = 4, observe: Any = None, **options: Any) -> TuneResult:
    given: dict[str, Any] = {"ranges": WIDE, "evaluate": SCORED, "sampler": "random", "seed": SEED, **options}
    return tune(BASE, Toy(), toy_set(Toy(), n=96), out, trials=trials, observe=observe, **given)


def found(result: TuneResult) -> list[Any]:
    """All that a tuning found, without paths."""
    return [(t.number, t.state, t.settings, t.score, t.cost, t.epochs, t.architecture, t.error) for t in result.trials]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    """One that nobody disturbed."""
    return tuned(tmp_path_factory.mktemp("done") / "t", 8)


def test_a_trial_is_the_very_search_that_its_settings_describe(finished: TuneResult, tmp_path: Path):
    done = [trial for trial in finished.trials if trial.state == "complete"]
    assert len({json.dumps(trial.settings) for trial in finished.trials}) == 8
    for trial in done[:3]:
        make = {"darts": recipes.darts, "gaea": recipes.gaea}[trial.settings["recipe"]]
        recipe = make(epochs=3)
        recipe = replace(
            recipe,
            epochs=trial.settings[EPOCHS],
            batch_size=8,
            architecture_optimiser=replace(recipe.architecture_optimiser, lr=trial.settings[RATE]),
            weight_optimiser=replace(recipe.weight_optimiser, lr=trial.settings[WEIGHTS]),
        )
        by_hand = api.search(recipe, Toy(), toy_set(Toy(), n=96), tmp_path / str(trial.number), seed=SEED)
        assert by_hand.native == trial.architecture
        assert (by_hand.out / "architecture.json").read_bytes() == (trial.path / "architecture.json").read_bytes()
        assert trial.score == against(by_hand.architecture, Toy())["score"]
        assert json.loads((trial.path / "trial.json").read_text())["settings"] == trial.settings


def test_the_best_settings_are_the_best_of_all_and_beat_the_worst(tmp_path: Path):
    ranges = {RATE: OneOf((1e-5, 0.1)), WEIGHTS: OneOf((1e-4, 0.3))}
    scores = {}
    for rates in product(*(tuned.options for tuned in ranges.values())):
        weights, architecture = replace(BASE.weight_optimiser, lr=rates[1]), replace(BASE.architecture_optimiser, lr=rates[0])
        recipe = replace(BASE, architecture_optimiser=architecture, weight_optimiser=weights)
        by_hand = api.search(recipe, Toy(), toy_set(Toy(), n=96), tmp_path / f"{rates}", seed=SEED)
        scores[rates] = against(by_hand.architecture, Toy())["score"]
    result = tuned(tmp_path / "t", 9, ranges=ranges, pruner="none")
    assert {(t.settings[RATE], t.settings[WEIGHTS]): t.score for t in result.trials} == scores  # every one of the four came
    assert result.best.score == max(scores.values()) > min(scores.values())


def test_pruning_comes_between_two_epochs_by_the_rule_of_the_median(finished: TuneResult):
    pruned = [trial for trial in finished.trials if trial.state == "pruned"]
    assert pruned
    space = Toy()
    curves = {
        trial.number: [against(space.from_native(r.architecture), space)["score"] for r in RunDirectory(trial.path).searched()]
        for trial in finished.trials
    }
    for trial in finished.trials:
        curve = curves[trial.number]
        others = [curves[t.number] for t in finished.trials if t.number < trial.number and t.state == "complete"]
        stops = [
            epoch
            for epoch in range(1, trial.settings[EPOCHS])
            if len(others) >= 5 and max(curve[:epoch], default=0.0) < median(c[epoch - 1] for c in others if len(c) >= epoch)
        ]
        told = json.loads((trial.path / "trial.json").read_text()).get("pruned")
        assert told == (stops[0] if stops else None)
        assert len(curve) == (told or trial.settings[EPOCHS])  # no epoch more
        assert (trial.state == "pruned") is bool(stops)
        assert (trial.path / "architecture.json").exists() is not bool(stops)


def test_a_pruned_trial_may_be_searched_to_its_end_by_hand(finished: TuneResult, tmp_path: Path):
    trial = next(trial for trial in finished.trials if trial.state == "pruned")
    copy = tmp_path / "copy"
    shutil.copytree(trial.path, copy)
    resumed = api.resume(copy, toy_set(Toy(), n=96))
    assert isinstance(resumed, api.SearchResult)
    alone = api.search(resumed.recipe, Toy(), toy_set(Toy(), n=96), tmp_path / "alone", seed=SEED, rates="paper")
    assert resumed.native == alone.native
    assert len(resumed.history) == len(alone.history) == trial.settings[EPOCHS]


def test_what_is_finished_is_not_repeated_and_more_trials_go_on(finished: TuneResult, tmp_path: Path):
    told: list[Any] = []
    first = tuned(tmp_path / "t", 3)
    assert found(first) == found(finished)[:3]
    assert found(tuned(tmp_path / "t", 3, told.append)) == found(first)
    assert not told
    assert found(tuned(tmp_path / "t", 5)) == found(finished)[:5]
    assert found(tuned(finished.out, 2)) == found(finished)  # fewer take nothing away


def _slow(out: Path, observe: Any) -> None:
    tuned(out, 8, observe, checkpoint_seconds=0.0)


@pytest.mark.parametrize("records", [pytest.param(3, marks=pytest.mark.slow), 40])
def test_after_a_kill_it_ends_as_if_nothing_had_been(records: int, finished: TuneResult, tmp_path: Path):
    kill_after(records, _slow, tmp_path / "t")
    left = tuned(tmp_path / "t", 1)  # no new one: what was left is finished all the same
    assert left.count("running") == 0
    assert found(left) == found(finished)[: len(left.trials)]
    assert found(tuned(tmp_path / "t", 8)) == found(finished)
    assert sorted(p.name for p in (tmp_path / "t").glob("trial-*")) == sorted(f"trial-{k}" for k in range(8))


def test_a_signal_stops_it_and_the_same_call_goes_on(finished: TuneResult, tmp_path: Path):
    def press(record: Mapping[str, Any]) -> None:
        if record.get("epoch") == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRunError, match=r"saved in .*/t: the same command continues"):
        tuned(tmp_path / "t", 8, press)
    assert found(tuned(tmp_path / "t", 8)) == found(finished)


def _beside(pipe: Connection, out: Path, storage: Mapping[str, str]) -> None:
    """Works on a trial for ever, once it has one."""

    def stay(record: Mapping[str, Any]) -> None:
        if record.get("epoch") == 2:
            pipe.send("at work")
            time.sleep(600)

    torch.set_num_threads(1)
    tuned(out, 5, stay, pruner="none", checkpoint_seconds=0.0, **storage)


@pytest.mark.parametrize("url", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes_share_a_study_and_one_that_is_killed_loses_nothing(url: bool, tmp_path: Path, monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "t"
    storage = {"storage": f"sqlite:///{tmp_path}/studies.db"} if url else {}
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_beside, args=(theirs, out, storage))
    process.start()
    theirs.close()
    assert ours.recv() == "at work"
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        if len(told) == 2:
            process.kill()
            process.join()

    result = tuned(out, 5, pruner="none", tell=tell, **storage)
    assert process.exitcode == -signal.SIGKILL
    ours.close()
    process.close()
    assert [int(sentence.split()[1].rstrip(":")) for sentence in told] == [
        1,
        2,
        0,
        3,
        4,
    ]  # while it lived, its trial was its own
    assert len(RunDirectory(out / "trial-0").read_json("environment.json")["resumed"]) == 1
    assert found(result) == found(tuned(tmp_path / "alone" / "t", 5, pruner="none"))


def test_workers_of_a_runner_take_the_trials_and_tell_how_each_ended(tmp_path: Path):
    told: list[str] = []
    seen: list[str] = []

    def observe(record: Mapping[str, Any]) -> None:
        seen.append(record.get("event") or record.get("phase", ""))

    result = tuned(tmp_path / "t", 6, observe, pruner="none", jobs=2, tell=told.append)
    assert found(result) == found(tuned(tmp_path / "alone" / "t", 6, pruner="none"))
    assert sorted(sentence.split(":")[0] for sentence in told) == [f"Trial {number}" for number in range(6)]
    assert {"step", "search"} <= set(seen)
    assert not {"begun", "done", "trial"} & set(seen)


def test_who_finds_all_taken_does_not_wait(tmp_path: Path):
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_beside, args=(theirs, tmp_path / "t", {}))
    process.start()
    theirs.close()
    assert ours.recv() == "at work"
    result = tuned(tmp_path / "t", 5, pruner="none")
    assert [trial.state for trial in result.trials] == ["running", *["complete"] * 4]
    process.kill()
    process.join()


def test_settings_that_do_not_fit_fail_with_a_sentence_and_the_others_go_on(tmp_path: Path):
    ranges = {"recipe.architecture_optimiser": OneOf(("Adam", "ExponentiatedGradient"))}
    result = tuned(tmp_path / "t", 8, ranges=ranges, pruner="none")
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert 0 < len(failed) < 8
    for trial in failed:
        assert trial.settings["recipe.architecture_optimiser"] == "ExponentiatedGradient"
        assert "moves points of the simplex" in trial.error
        assert json.loads((trial.path / "trial.json").read_text())["error"] == trial.error


def test_the_study_is_one_of_optunas_own(finished: TuneResult):
    import optuna

    journal = optuna.storages.journal
    storage = journal.JournalStorage(journal.JournalFileBackend(str(finished.out / "study.journal")))
    study = optuna.load_study(study_name=finished.study, storage=storage)
    assert study.direction.name == "MAXIMIZE"
    assert [trial.params.keys() for trial in study.trials] == [trial.settings.keys() for trial in finished.trials]
    assert study.best_value == finished.best.score
    assert study.best_trial.params == finished.best.settings


def test_two_objectives_have_a_front(tmp_path: Path):
    with pytest.raises(RecipeError, match="Optuna prunes by one objective"):
        tuned(tmp_path / "t", cost="flops", pruner="median")
    result = tuned(tmp_path / "t", cost="parameters")
    for trial in result.trials:
        space = Toy()
        assert trial.cost == parameters(build(space.from_native(trial.architecture), space))
    assert result.front[0].score == max(trial.score or 0.0 for trial in result.trials)


def test_a_table_scores_and_prunes(tmp_path: Path):
    space, scored = NasBench201Digits(), tabular("nasbench201-digits")
    data = digits(valid=0.1, test=0.8)
    recipe = replace(recipes.gaea(epochs=2), batch_size=32)
    small = {"space.channels": OneOf((2,)), RATE: Range(0.01, 0.5, log=True)}
    result = tune(recipe, space, data, tmp_path / "t", ranges=small, trials=2, evaluate=scored)
    for trial in result.trials:
        assert trial.score == scored.look_up(space.from_native(trial.architecture))
        assert trial.epochs == 2


def test_training_scores_with_the_tuned_protocol(tmp_path: Path):
    retrain = Retrain(protocol=replace(SCORED.protocol, epochs=1))
    result = tuned(tmp_path / "t", 2, ranges={"protocol.label_smoothing": Range(0.0, 0.3)}, evaluate=retrain)
    for trial in result.trials:
        run = RunDirectory(trial.path / "trained")
        assert run.read_json("retrain.json")["protocol"]["label_smoothing"] == trial.settings["protocol.label_smoothing"]
        assert run.score().networks[0].measures["accuracy"] == trial.score


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"ranges": {RATE: Range(1e-5, 0.5, log=True)}}, "tuning.ranges"),
        ({"seed": 1}, "tuning.seed is 5 there and 1 now"),
        ({"sampler": "tpe"}, "tuning.sampler"),
        ({"evaluate": Supernet(protocol=SCORED.protocol)}, "tuning.evaluator.type"),
        ({"cost": "seconds"}, "tuning.cost"),
    ],
)
def test_another_tuning_is_refused_with_the_difference(finished: TuneResult, options: Any, difference: str):
    with pytest.raises(RunError, match=difference):
        tuned(finished.out, 8, **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"trials": 0}, "trials must be at least 1, got 0"),
        ({"evaluate": Retrain(test=True)}, "must not see the test set"),
        ({"ranges": {EPOCHS: Range(-3, 0)}}, "epochs must be a whole number of at least 1"),
        ({"ranges": {"recipe.batch_size": Range(100, 200)}}, "A batch of 1.. is larger than the weight split of 48"),
        ({"sampler": "grid"}, "did you mean|choose one of"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(options: Any, sentence: str, tmp_path: Path):
    with pytest.raises(RecipeError, match=sentence):
        tuned(tmp_path / "t", **options)
    assert not (tmp_path / "t").exists()
