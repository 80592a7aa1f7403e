"""`mixop.spaces.core`: groups, architectures and what every space can do."""

from dataclasses import replace
from random import Random

import pytest

from mixop.core.errors import SpaceError
from mixop.spaces.cell import CellSpace
from mixop.spaces.core import Architecture, Choice, Decision, Group, check_complete

SPACE = CellSpace(operations=("none", "skip_connect", "nor_conv_3x3"), nodes=3, name="small")


def cell(*choices: tuple[int, str], space: str = "small", group: str = "cell") -> Architecture:
    return Architecture(space, ((group, tuple(Choice(*choice) for choice in choices)),))


FULL = cell((0, "none"), (1, "skip_connect"), (2, "nor_conv_3x3"))


def test_a_group_knows_its_shape_and_the_edges_into_a_node():
    group = SPACE.group("cell")
    assert group.shape == (3, 3)
    assert group.into(1) == [0]
    assert group.into(2) == [1, 2]


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ((), "at least one decision"),
        ((Decision(0, 1, ()),), "at least one option"),
        ((Decision(0, 1, ("a", "b")), Decision(0, 2, ("a",))), "same number of options, got 2 and 1"),
        ((Decision(0, 1, ("a", "a")),), "must differ, got a, a"),
        ((Decision(0, 2, ("a",)), Decision(0, 1, ("a",))), r"ordered by their target node, got \[2, 1\]"),
    ],
)
def test_malformed_groups_are_refused(decisions: tuple[Decision, ...], message: str):
    with pytest.raises(SpaceError, match=message):
        Group("g", decisions)


@pytest.mark.parametrize(("source", "target"), [(1, 1), (2, 1), (-1, 0)])
def test_an_edge_runs_forwards(source: int, target: int):
    with pytest.raises(SpaceError, match="from a node to a later one"):
        Decision(source, target, ("a",))


def test_an_architecture_is_built_from_indices_and_hashable():
    assert SPACE.architecture([(0, 1, 2)]) == FULL
    assert len({FULL, SPACE.architecture([(0, 1, 2)])}) == 1
    assert list(FULL.options()) == ["none", "skip_connect", "nor_conv_3x3"]
    assert FULL.of("cell")[1] == Choice(1, "skip_connect")


@pytest.mark.parametrize("indices", [[], [(0, 1)], [(0, 1, 2, 0)], [(0, 1, 2)] * 2, [(0, 1, 3)], [(0, 1, -1)]])
def test_indices_that_do_not_fit_are_refused(indices: list[tuple[int, ...]]):
    with pytest.raises(SpaceError, match="got"):
        SPACE.architecture(indices)


def test_names_of_groups_are_looked_up_with_a_hint():
    with pytest.raises(SpaceError, match="did you mean 'cell'"):
        SPACE.group("cel")
    with pytest.raises(SpaceError, match="did you mean 'cell'"):
        FULL.of("cells")


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (replace(FULL, space="other"), "of space 'small', got one of 'other'"),
        (cell((0, "none"), group="normal"), r"groups \['cell'\], got \['normal'\]"),
        (Architecture("small", ()), r"got \[\]"),
        (Architecture("small", FULL.choices * 2), r"got \['cell', 'cell'\]"),
        (cell((3, "none")), "decisions 0 to 2, got 3"),
        (cell((-1, "none")), "decisions 0 to 2, got -1"),
        (cell((0, "none"), (0, "none")), "increasing order of their decisions, got 0 after 0"),
        (cell((1, "none"), (0, "none")), "got 0 after 1"),
        (cell((0, "skip_conect")), "did you mean 'skip_connect'"),
    ],
)
def test_foreign_architectures_are_refused(architecture: Architecture, message: str):
    with pytest.raises(SpaceError, match=message):
        SPACE.check(architecture)


def test_a_dropped_decision_is_named_where_all_are_needed():
    check_complete(SPACE, FULL)
    with pytest.raises(SpaceError, match=r"edge 1 \(2<-0\) is missing"):
        check_complete(SPACE, cell((0, "none"), (2, "none")))


def test_edit_distance_counts_decisions_that_differ():
    assert FULL.distance(FULL) == 0
    assert FULL.distance(cell((0, "skip_connect"), (1, "skip_connect"), (2, "none"))) == 2
    assert FULL.distance(cell((0, "none"))) == 2  # two edges dropped
    with pytest.raises(SpaceError, match="no distance"):
        FULL.distance(replace(FULL, space="other"))


def test_edit_distance_is_a_metric():
    rng = Random(0)
    for _ in range(50):
        a, b, c = (SPACE.random(rng) for _ in range(3))
        assert a.distance(b) == b.distance(a)
        assert (a.distance(b) == 0) == (a == b)
        assert a.distance(c) <= a.distance(b) + b.distance(c)


def test_enumeration_meets_every_architecture_once_with_the_last_decision_fastest():
    everything = list(SPACE.architectures())
    assert len(everything) == len(set(everything)) == SPACE.size() == 27
    assert everything[1] == SPACE.architecture([(0, 0, 1)])
    for architecture in everything:
        SPACE.check(architecture)


def test_random_architectures_are_seeded_and_uniform():
    assert SPACE.random(Random(3)) == SPACE.random(Random(3))
    rng, draws = Random(0), 2700
    counts = dict.fromkeys(SPACE.architectures(), 0)
    for _ in range(draws):
        counts[SPACE.random(rng)] += 1
    expected = draws / 27
    chi2 = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi2 < 54.05  # 0.1 % point of chi-square with 26 degrees of freedom
