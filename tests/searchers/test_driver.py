"""The driver: its clock, its record, and searches that are killed at every trial."""

import hashlib
import importlib.util
import json
from dataclasses import asdict
from itertools import count

import pytest

from mixop.core.errors import DivergedError, RecipeError, RunError
from mixop.core.measure import LOSS
from mixop.searchers import SEARCHERS
from mixop.searchers.controller import Controller
from mixop.searchers.driver import read_rows, run_search
from mixop.searchers.evolution import Evolution
from mixop.searchers.random_search import RandomSearch
from mixop.spaces import nasbench201
from mixop.spaces.toy import Toy

needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason='needs pip install "mixop[hpo]"')
every = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_optuna if name == "bohb" else ()) for name in SEARCHERS]
)


class Killed(BaseException):
    """What a signal would be."""


def killed_after(objective, calls):
    left = [calls]

    def deadly(architecture, epochs):
        if not left[0]:
            raise Killed
        left[0] -= 1
        return objective(architecture, epochs)

    return deadly


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=needs_optuna if name == "bohb" else pytest.mark.slow if name == "controller" else ())
        for name in SEARCHERS
    ],
)
def test_a_search_that_is_killed_at_every_trial_is_the_same_search(name, tmp_path, rugged):
    space = Toy()
    objective, searcher = rugged(space), SEARCHERS[name]()
    whole = run_search(searcher, space, objective, max_trials=25, seed=4, save=tmp_path / "whole.jsonl")
    path = tmp_path / "killed.jsonl"
    for _ in range(25):  # each process lives for one trial
        with pytest.raises(Killed):
            run_search(searcher, space, killed_after(objective, 1), max_trials=26, seed=4, save=path)
    again = run_search(searcher, space, killed_after(objective, 0), max_trials=25, seed=4, save=path)
    assert again == whole
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert run_search(searcher, space, objective, max_trials=25, seed=4) == whole


def test_a_line_that_was_torn_anywhere_is_made_again(tmp_path, rugged):
    space, path = Toy(), tmp_path / "search.jsonl"
    objective = rugged(space)
    run_search(Evolution(), space, objective, max_trials=12, save=path)
    content = path.read_bytes()
    last = content[:-1].rfind(b"\n") + 1
    for length in (last, last + 1, (last + len(content)) // 2, len(content) - 1, 5, 0):
        path.write_bytes(content[:length])
        run_search(Evolution(), space, objective, max_trials=12, save=path)
        assert path.read_bytes() == content


def test_a_trial_that_overruns_the_budget_ends_the_search_and_does_not_count(tmp_path):
    seconds = iter([3.0, 3.0, 3.0, 5.0, 1.0])
    path = tmp_path / "search.jsonl"
    scores = iter([10.0, 30.0, 20.0, 99.0, 50.0])

    def objective(architecture, epochs):
        return next(scores), next(seconds)

    outcome = run_search(RandomSearch(), Toy(), objective, budget_seconds=10.0, save=path)
    assert [row.spent for row in outcome.rows] == [3.0, 6.0, 9.0]
    assert (outcome.value, outcome.spent) == (30.0, 9.0)
    assert [asdict(row) for row in read_rows(path, budget_seconds=10.0)] == [asdict(row) for row in outcome.rows]
    same = run_search(RandomSearch(), Toy(), objective, budget_seconds=10.0, save=path)
    assert same == outcome  # and nothing was asked of the objective again
    more = run_search(RandomSearch(), Toy(), objective, budget_seconds=15.0, max_trials=5, save=path)
    assert (more.value, more.spent, len(more.rows)) == (99.0, 15.0, 5)


def test_a_budget_is_used_to_the_last_second():
    outcome = run_search(RandomSearch(), Toy(), lambda a, epochs: (1.0, 2.5), budget_seconds=10.0)
    assert len(outcome.rows) == 4


def test_rows_tell_the_best_so_far(tmp_path, rugged):
    space = nasbench201()
    objective, told = rugged(space), []
    outcome = run_search(RandomSearch(epochs=3), space, objective, max_trials=40, save=tmp_path / "s", observe=told.append)
    assert told == list(outcome.rows)
    best = -1.0
    for number, row in enumerate(outcome.rows, start=1):
        architecture = space.from_native(row.architecture)
        assert (row.trial, row.epochs, (row.value, row.seconds)) == (number, 3, objective(architecture, 3))
        best = max(best, row.value)
        assert row.best == best == objective(space.from_native(row.best_architecture), 3)[0]
        assert row.spent == sum(r.seconds for r in outcome.rows[:number])
    assert outcome.value == best
    lines = (tmp_path / "s").read_text().splitlines()
    assert json.loads(lines[0])["searcher"] == {"type": "RandomSearch", "epochs": 3, "repeat": True}
    assert [json.loads(line) for line in lines[1:]] == [asdict(row) for row in outcome.rows]


def test_a_table_is_a_mapping_with_a_score(rugged):
    """What a benchmark's table has to offer: ``score(architecture, epochs)``."""
    space = Toy()
    known = {a: rugged(space)(a, 12) for a in space.architectures()}

    class Table:
        def score(self, architecture, epochs):
            return known[architecture]

    outcome = run_search(RandomSearch(repeat=False), space, Table().score, max_trials=64)
    assert known[outcome.architecture][0] == outcome.value == max(value for value, _ in known.values())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "needs an end: give budget_seconds, max_trials or both"),
        ({"budget_seconds": 0}, "budget_seconds must be a finite number above 0, got 0"),
        ({"budget_seconds": float("nan")}, "budget_seconds must be"),
        ({"budget_seconds": "10"}, "budget_seconds must be"),
        ({"max_trials": 0}, "max_trials must be a whole number of at least 1, got 0"),
        ({"max_trials": 2.0}, "max_trials must be"),
        ({"max_trials": 2, "seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_bad_budgets_are_refused_before_anything_is_scored(arguments, sentence):
    with pytest.raises(RecipeError, match=sentence):
        run_search(RandomSearch(), Toy(), killed_after(None, 0), **arguments)


def test_a_budget_too_small_for_one_trial_is_refused():
    with pytest.raises(RunError, match=r"Not even the first trial fits into the budget of 1\.0 s"):
        run_search(RandomSearch(), Toy(), lambda a, epochs: (1.0, 2.0), budget_seconds=1.0)


def test_an_answer_that_is_no_number_is_refused_and_not_recorded(tmp_path):
    path = tmp_path / "search.jsonl"
    with pytest.raises(RunError, match="The score of a trial must be a finite number, got nan"):
        run_search(RandomSearch(), Toy(), lambda a, epochs: (float("nan"), 2.0), max_trials=3, save=path)
    assert read_rows(path) == []


def test_another_search_in_the_file_is_refused(tmp_path, rugged):
    space, path = Toy(), tmp_path / "search.jsonl"
    objective = rugged(space)
    run_search(Evolution(), space, objective, max_trials=3, save=path)
    content = path.read_bytes()
    for searcher, where, seed, word in (
        (Evolution(sample=2), space, 0, "searcher"),
        (Evolution(), space, 1, "seed"),
        (Evolution(), Toy(blocks=4), 0, "space"),
    ):
        with pytest.raises(RunError, match=f"holds another search: its {word} is"):
            run_search(searcher, where, objective, max_trials=3, seed=seed, save=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("line", ["nonsense", "{}", '{"trial": 1}', "[1]"])
def test_a_line_that_is_no_row_is_refused_by_its_number(tmp_path, rugged, line):
    space, path = Toy(), tmp_path / "search.jsonl"
    run_search(RandomSearch(), space, rugged(space), max_trials=3, save=path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[3:]]) + "\n")
    with pytest.raises(RunError, match=r"Line 3 of .* is torn or not a row of a search"):
        read_rows(path)


def test_places_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Cannot write"):
        run_search(RandomSearch(), Toy(), lambda a, epochs: (1.0, 1.0), max_trials=1, save=tmp_path / "file" / "below")
    with pytest.raises(RunError, match="no record of a search"):
        read_rows(tmp_path / "nothing")


def test_a_searcher_that_does_not_fit_the_space_is_refused_before_a_file_is_made(tmp_path, kept):
    with pytest.raises(RecipeError, match="kept keeps some edges of each node"):
        run_search(Controller(), kept, lambda a, epochs: (1.0, 1.0), max_trials=1, save=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def fall(space):
    """An objective that is better when lower: a hash of the native string, in nats."""

    def objective(architecture, epochs):
        digest = hashlib.sha256(space.to_native(architecture).encode()).digest()
        return 3 * int.from_bytes(digest[:4]) / 2**32, 1.0

    objective.measure = LOSS
    return objective


@every
def test_what_is_better_when_lower_is_searched_downwards(name):
    """The same trials as for the measure turned round, and the lowest value is what is found."""
    space, searcher = Toy(), SEARCHERS[name]()
    objective = fall(space)
    outcome = run_search(searcher, space, objective, max_trials=30, seed=2)
    values = [row.value for row in outcome.rows]
    longest = max(row.epochs for row in outcome.rows)
    assert outcome.measure == LOSS
    assert outcome.value == min(row.value for row in outcome.rows if row.epochs == longest)
    assert outcome.best.value == outcome.value
    assert [row.best for row in outcome.rows if row.epochs == longest][-1] == outcome.value
    turned = run_search(searcher, space, lambda a, epochs: (-objective(a, epochs)[0], 1.0), max_trials=30, seed=2)
    assert [-row.value for row in turned.rows] == values
    assert turned.architecture == outcome.architecture


def test_a_plain_function_is_given_its_direction(tmp_path):
    space, path = Toy(), tmp_path / "s"
    plain = lambda a, epochs: (fall(space)(a, epochs)[0], 1.0)  # noqa: E731
    high, low = (run_search(RandomSearch(), space, plain, max_trials=20, measure=m) for m in (None, LOSS))
    assert high.value == max(row.value for row in high.rows)
    assert low.value == min(row.value for row in low.rows)
    run_search(RandomSearch(), space, plain, max_trials=2, save=path)
    with pytest.raises(RunError, match="holds another search: its measure is"):
        run_search(RandomSearch(), space, plain, max_trials=2, save=path, measure=LOSS)


@every
@pytest.mark.parametrize("lower", [False, True])
def test_a_trial_that_diverged_has_no_value_and_is_never_the_best(name, lower, tmp_path):
    space, path = Toy(), tmp_path / "s"
    answer = fall(space)
    number = count(1)

    def objective(architecture, epochs):
        value, seconds = answer(architecture, epochs)
        return (None if next(number) in (1, 2, 9) else value), seconds

    options = {"max_trials": 15, "measure": LOSS if lower else None, "save": path}
    outcome = run_search(SEARCHERS[name](), space, objective, **options)
    assert [row.value is None for row in outcome.rows] == [number in (1, 2, 9) for number in range(1, 16)]
    assert outcome.rows[1].best is outcome.rows[1].best_architecture is None
    longest = max(row.epochs for row in outcome.rows if row.value is not None)
    known = [row.value for row in outcome.rows if row.value is not None and row.epochs == longest]
    assert outcome.value == (min if lower else max)(known)
    assert read_rows(path) == list(outcome.rows)
    assert run_search(SEARCHERS[name](), space, objective, **options) == outcome  # read back, nothing asked again
    with pytest.raises(DivergedError, match="None of the 3 trials has a value"):
        run_search(SEARCHERS[name](), space, lambda a, epochs: (None, 1.0), max_trials=3)
