"""NAS-Bench-101 as a space: what is allowed, what is the same network, and how black-box searchers move in it."""

from itertools import combinations
from random import Random

import pytest

from mixop.core.errors import RecipeError, SpaceError
from mixop.recipes import darts
from mixop.searchers import Evolution, LocalSearch, RandomSearch, Reinforce
from mixop.searchers.coding import mutated, neighbours
from mixop.spaces import nasbench1shot1, nasbench101
from mixop.spaces.core import Architecture, Choice
from mixop.spaces.model_spec import OPERATIONS
from mixop.spaces.nasbench101 import PAIRS

SPACE = nasbench101()


def test_random_cells_are_allowed_and_come_back():
    rng = Random(0)
    for _ in range(100):
        architecture = SPACE.random(rng)
        SPACE.check(architecture)
        assert SPACE.from_native(SPACE.to_native(architecture)) == architecture


def connected(edges):
    reached = {0}
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        if source in reached:
            reached.add(target)
    return 6 in reached


def cell_of(edges):
    cell = tuple(Choice(e, "edge" if pair in edges else "absent") for e, pair in enumerate(PAIRS))
    return Architecture("nasbench101", (("edges", cell), ("operations", tuple(Choice(k, OPERATIONS[0]) for k in range(5)))))


def test_what_is_allowed_is_what_a_walk_finds():
    for count in range(4):
        for edges in combinations(PAIRS, count):
            assert SPACE.allows(cell_of(edges)) == connected(edges)
    chain = tuple((v, v + 1) for v in range(6))
    more = [pair for pair in PAIRS if pair not in chain]
    assert SPACE.allows(cell_of((*chain, *more[:3])))
    assert not SPACE.allows(cell_of((*chain, *more[:4])))


@pytest.mark.slow
def test_the_size_is_that_of_an_enumeration():
    matrices = sum(connected(edges) for count in range(10) for edges in combinations(PAIRS, count))
    assert SPACE.size() == matrices * 3**5


def test_smaller_cells_are_filled_up_and_are_the_same_network():
    small = SPACE.from_native("ModelSpec(matrix=[[0,1,0],[0,0,1],[0,0,0]], ops=['input', 'maxpool3x3', 'output'])")
    other = SPACE.from_native(
        "ModelSpec(matrix=[[0,1,1,0],[0,0,0,1],[0,0,0,0],[0,0,0,0]], ops=['input', 'maxpool3x3', 'conv3x3-bn-relu', 'output'])"
    )
    assert small != other
    assert SPACE.signature(small) == SPACE.signature(other)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_cell_of_nasbench1shot1_is_adopted(number):
    part, rng = nasbench1shot1(number), Random(number)
    architecture = part.random(rng)
    adopted = SPACE.adopted(architecture)
    SPACE.check(adopted)
    assert SPACE.spec(adopted) == part.spec(architecture)
    assert SPACE.signature(adopted) == part.signature(architecture)
    assert SPACE.includes(part)
    assert not part.includes(SPACE)


def full(count):
    """Every edge between a number of vertices."""
    matrix = [[int(t > s) for t in range(count)] for s in range(count)]
    return str({"matrix": matrix, "ops": ["input", *[OPERATIONS[0]] * (count - 2), "output"]})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ModelSpec(matrix=[[0,0],[0,0]], ops=['input', 'output'])", "does not depend on its input"),
        (full(7), "at most 9 edges, got 21"),
        (full(8), "at most 7 vertices, got 8"),
        ("ModelSpec(matrix=[[0,1,0],[0,0,1],[0,0,0]], ops=['input', 'maxpool5x5', 'output'])", "operation in nasbench101"),
    ],
)
def test_what_is_not_in_the_benchmark_is_refused(text, problem):
    with pytest.raises(SpaceError, match=problem):
        SPACE.from_native(text)


def test_children_and_neighbours_are_allowed():
    rng = Random(1)
    architecture = SPACE.random(rng)
    for _ in range(50):
        child = mutated(SPACE, architecture, rng)
        SPACE.check(child)
        assert child.distance(architecture) == 1
        architecture = child
    around = neighbours(SPACE, architecture)
    assert len(set(around)) == len(around) > 10
    for other in around:
        SPACE.check(other)


@pytest.mark.parametrize(
    "searcher", [RandomSearch(epochs=4), Evolution(epochs=4, population=3), LocalSearch(epochs=4), Reinforce(epochs=4)]
)
@pytest.mark.parametrize("space", [SPACE, nasbench1shot1(2)], ids=["nasbench101", "nasbench1shot1"])
def test_black_box_searchers_stay_inside(searcher, space):
    state = searcher.start(space, Random(0))
    for _ in range(12):
        trial = searcher.ask(state)
        space.check(trial.architecture)
        assert space.allows(trial.architecture)
        score = float(sum(option == "conv3x3-bn-relu" for option in trial.architecture.options()))
        searcher.tell(state, trial, score, 1.0)
    assert state.best is not None


def test_a_search_by_gradient_is_refused():
    with pytest.raises(RecipeError, match="has no supernet that holds its architectures"):
        darts().check(SPACE)
