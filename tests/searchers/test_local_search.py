"""Local search on a rugged landscape, against ascents done by enumeration."""

from random import Random

import pytest

from mixop.searchers.driver import run_search
from mixop.searchers.local_search import LocalSearch
from mixop.spaces.toy import Toy


@pytest.fixture(params=["toy", "kept"])
def space(request, kept):
    return {"toy": Toy(), "kept": kept}[request.param]


def near(space, everything):
    """Neighbours by enumeration: one choice differs, nodes keep as many edges."""
    pairs = {a: {(c.decision, c.option) for c in a.of("cell")} for a in everything}
    targets = {a: sorted(space.group("cell").decisions[c.decision].target for c in a.of("cell")) for a in everything}
    return {a: [b for b in everything if len(pairs[b] - pairs[a]) == 1 and targets[a] == targets[b]] for a in everything}


@pytest.mark.parametrize("seed", range(6))
def test_an_ascent_tries_what_enumeration_says_and_ends_at_a_local_optimum(space, rugged, seed):
    objective, everything = rugged(space), list(space.architectures())
    score = {a: objective(a, 12)[0] for a in everything}
    around = near(space, everything)

    searcher = LocalSearch()
    state = searcher.start(space, Random(seed))
    at = searcher.ask(state).architecture
    wanted = [{at}]  # sets: the order within a step is random
    while True:
        fresh = set(around[at]) - set().union(*wanted)
        wanted.append(fresh)
        best = max(around[at], key=score.__getitem__)
        if score[best] <= score[at]:
            break
        at = best
    assert all(score[other] < score[at] for other in around[at])
    for step in wanted:
        tried = set()
        for _ in step:
            assert state.memory["at"] is not None or step is wanted[0], "it gave up on its way"
            trial = searcher.ask(state)
            tried.add(trial.architecture)
            searcher.tell(state, trial, score[trial.architecture], 1.0)
        assert tried == step
    assert state.memory["at"] is None, "a local optimum was reached, but the ascent goes on"
    assert state.best.trial.architecture == at


@pytest.mark.parametrize("first", [False, True])
def test_the_whole_space_is_tried_once_and_the_best_found(space, rugged, first):
    objective = rugged(space)
    outcome = run_search(LocalSearch(first=first), space, objective, max_trials=10_000, seed=1)
    assert len(outcome.rows) == len({row.architecture for row in outcome.rows}) == space.size()
    assert outcome.value == max(objective(a, 12)[0] for a in space.architectures())


def test_the_first_better_neighbour_is_taken_at_once(rugged):
    space, searcher = Toy(), LocalSearch(first=True)
    objective = rugged(space)
    state = searcher.start(space, Random(2))
    moves = 0
    for _ in range(40):
        at, trial = state.memory["at"], searcher.ask(state)
        score, seconds = objective(trial.architecture, 12)
        better = at is not None and score > state.memory["seen"][at]
        searcher.tell(state, trial, score, seconds)
        if better and state.memory["at"] is not None:
            assert state.memory["seen"][state.memory["at"]] >= score
            moves += state.memory["at"] == space.to_native(trial.architecture)
    assert moves >= 3


def test_a_plateau_is_no_step_up():
    """Equal scores everywhere: every start is stuck after its neighbours."""
    space, searcher = Toy(), LocalSearch()
    state = searcher.start(space, Random(0))
    for _ in range(1 + 9):  # a start and its 3 x 3 neighbours
        searcher.tell(state, searcher.ask(state), 50.0, 1.0)
    assert state.memory["at"] is None
