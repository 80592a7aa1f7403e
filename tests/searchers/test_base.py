"""The contract of all searchers, and the state that they share."""

import importlib.util
import json
from random import Random

import pytest

from mixop.core.errors import MixopError, RecipeError, RunError
from mixop.core.values import from_plain, to_plain
from mixop.searchers import SEARCHERS, Bohb, Controller, Evolution, LocalSearch, RandomSearch, Reinforce
from mixop.searchers.base import Trial, state_from_json, state_to_json
from mixop.spaces import darts, nasbench201
from mixop.spaces.toy import Toy
from mixop.testing import check_searcher

needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason='needs pip install "mixop[hpo]"')
every = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_optuna if name == "bohb" else ()) for name in SEARCHERS]
)


@every
def test_searchers_keep_their_contract(name):
    check_searcher(SEARCHERS[name]())


@every
@pytest.mark.parametrize("space", [nasbench201(), darts()], ids=lambda space: space.name)
def test_in_other_spaces_too(name, space):
    if name == "controller" and space.name == "darts":
        with pytest.raises(RecipeError, match="use Reinforce"):
            check_searcher(Controller(), space=space)
    else:
        check_searcher(SEARCHERS[name](), space=space, trials=15)


@every
def test_settings_survive_json(name):
    searcher = SEARCHERS[name](ladder=(2, 7)) if name == "bohb" else SEARCHERS[name](epochs=7)
    parts = {cls.__name__: cls for cls in SEARCHERS.values()} | {"LstmPolicy": type(Controller().policy)}
    assert from_plain(json.loads(json.dumps(to_plain(searcher))), SEARCHERS[name], parts) == searcher


@every
def test_every_seed_has_its_own_search(name):
    space = nasbench201()
    searcher = SEARCHERS[name]()
    firsts = {searcher.ask(searcher.start(space, Random(seed))).architecture for seed in range(12)}
    assert len(firsts) >= 11  # of 15,625: two alike are rare


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RandomSearch(epochs=0), "epochs of RandomSearch must be a whole number of at least 1, got 0"),
        (lambda: Evolution(population=0), "population of Evolution"),
        (lambda: Evolution(sample=2.5), "sample of Evolution must be a whole number of at least 1, got 2.5"),
        (lambda: LocalSearch(epochs=True), "epochs of LocalSearch"),
        (lambda: Reinforce(lr=0.0), "lr of Reinforce"),
        (lambda: Reinforce(decay=1.0), "decay of Reinforce must be less than 1"),
        (lambda: Controller(lr=-1.0), "lr of Controller"),
        (lambda: Controller(power=0.5), "power of Controller"),
        (lambda: Controller(decay=1.0), "decay of Controller must be less than 1"),
        (lambda: Bohb(ladder=()), "ladder of Bohb must be increasing"),
        (lambda: Bohb(ladder=(12, 12)), "ladder of Bohb must be increasing"),
        (lambda: Bohb(ladder=(0, 12)), "ladder of Bohb must be a whole number"),
        (lambda: Bohb(eta=1), "eta of Bohb must be a whole number of at least 2"),
        (lambda: Bohb(candidates=0), "candidates of Bohb"),
        (lambda: Bohb(startup=0), "startup of Bohb"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(RecipeError, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_trials_are_told_once_and_in_order():
    searcher, space = RandomSearch(), Toy()
    state = searcher.start(space, Random(0))
    trial = searcher.ask(state)
    searcher.tell(state, trial, 50.0, 1.0)
    with pytest.raises(RunError, match="Trial 2 comes next, got trial 1"):
        searcher.tell(state, trial, 50.0, 1.0)


@pytest.mark.parametrize(
    ("score", "seconds"), [(float("nan"), 1.0), (float("inf"), 1.0), (50.0, -1.0), ("50", 1.0), (50.0, None), (None, -1.0)]
)
def test_what_is_no_score_is_refused_and_changes_nothing(score, seconds):
    searcher = Evolution()
    state = searcher.start(Toy(), Random(0))
    before = json.dumps(state_to_json(state))
    with pytest.raises(RunError, match="must be a finite number"):
        searcher.tell(state, searcher.ask(state), score, seconds)
    assert json.dumps(state_to_json(state)) == before


def test_the_best_is_the_first_of_the_highest_at_the_longest_training():
    searcher, space = RandomSearch(), Toy()
    state = searcher.start(space, Random(0))
    best = []
    for number, (epochs, score) in enumerate([(1, 50.0), (1, 90.0), (3, 20.0), (1, 99.0), (3, 30.0), (3, 30.0)], start=1):
        searcher.tell(state, Trial(number, space.random(Random(number)), epochs), score, 1.5)
        assert state.best is not None
        best.append(state.best.trial.number)
    assert best == [1, 2, 3, 3, 5, 5]
    assert state.spent == 9.0


@pytest.mark.parametrize("data", [{}, {"seed": 1, "told": 0, "spent": 0.0, "best": {"trial": 1}, "memory": {}}, [], None])
def test_what_is_no_state_is_refused(data):
    with pytest.raises(MixopError, match="not the state of a search in toy"):
        state_from_json(Toy(), data)


def test_a_trial_without_a_score_counts_as_the_worst_so_far():
    """Evolution keeps its members with the scores that it was told."""
    searcher, space = Evolution(), Toy()
    state = searcher.start(space, Random(0))
    for score in (None, 5.0, 3.0, None, 4.0):
        searcher.tell(state, searcher.ask(state), score, 1.0)
    assert [score for _, score in state.memory["population"]] == [5.0, 3.0, 3.0, 4.0]  # of the first nothing is known
    assert (state.best.score, state.lowest, state.told) == (5.0, 3.0, 5)
