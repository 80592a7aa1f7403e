"""The three spaces of NAS-Bench-1Shot1: their sizes by enumeration, and their cells as NAS-Bench-101 writes them."""

import json
from random import Random

import pytest

from mixop.core.errors import SpaceError
from mixop.spaces import NasBench1Shot1, Sizes, nasbench1shot1
from mixop.spaces.core import Architecture
from mixop.spaces.describe import describe_architecture, describe_space, read_architecture

COUNTS = {1: (14_580, 3_078), 2: (29_160, 11_178), 3: (1_312_200, 108_135)}
"""Architectures, and those without loose ends: methods 4.5, counted from the published numbers of parents."""


@pytest.mark.parametrize("number", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_sizes_are_those_of_an_enumeration(number):
    space = nasbench1shot1(number)
    count = whole = 0
    operations = None
    for architecture in space.architectures():
        count += 1
        if operations is None:
            operations = architecture.of("operations")
        if architecture.of("operations") == operations:  # loose ends depend on the parents alone
            whole += not space.loose_ends(architecture)
    nodes = space.nodes
    assert (count, whole * 3**nodes) == COUNTS[number]
    assert space.size() == count


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_cell_has_nine_edges_and_seven_vertices_and_comes_back(number):
    space, rng = nasbench1shot1(number), Random(number)
    for _ in range(50):
        architecture = space.random(rng)
        spec = space.spec(architecture)
        assert len(spec.edges) == 9
        assert len(spec.matrix) == 7
        assert space.from_native(space.to_native(architecture)) == architecture
        data = json.loads(json.dumps(describe_architecture(space, architecture)))
        assert read_architecture(space, data) == architecture


def test_parents_and_the_further_node_are_where_the_authors_have_them():
    space = nasbench1shot1(1)
    architecture = space.architecture([(1, 2, 0, 1), (0, 2), (1, 3), (0, 4)])
    spec = space.spec(architecture)
    assert [[s for s in range(7) if spec.matrix[s][t]] for t in range(7)] == [[], [0], [0, 1], [0, 2], [1, 3], [], [0, 4]]
    assert spec.operations == ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "conv3x3-bn-relu", "conv1x1-bn-relu")
    assert space.loose_ends(architecture) == 0
    rows = [[*row[:5], row[6]] for row in (*spec.matrix[:5], spec.matrix[6])]
    six = {"matrix": rows, "ops": ["input", *spec.operations[:4], "output"]}
    assert space.from_native(str(six)) == architecture


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m, o: (m, [*o[:2], "sep_conv", *o[3:]]), "operation in nasbench1shot1-1"),
        (lambda m, o: ([[*row[:4], 1 if s == 0 else row[4], *row[5:]] for s, row in enumerate(m)], o), "node 4 reads 2"),
        (lambda m, o: ([[*row[:6], 0] for row in m], o), "the output reads 2"),
        (lambda m, o: ([[*row[:5], int(s == 0), *row[6:]] for s, row in enumerate(m)], o), "nothing reads it"),
        (lambda m, o: ([row[:4] for row in m[:4]], ["input", "maxpool3x3", "maxpool3x3", "output"]), "has 6 vertices"),
    ],
)
def test_cells_of_other_spaces_are_refused(change, problem):
    space = nasbench1shot1(1)
    spec = space.spec(space.architecture([(1, 2, 0, 1), (0, 2), (1, 3), (0, 4)]))
    matrix, operations = change([list(row) for row in spec.matrix], ["input", *spec.operations, "output"])
    with pytest.raises(SpaceError, match=problem):
        space.from_native(str({"matrix": matrix, "ops": operations}))


def test_a_decision_takes_as_many_options_as_it_must():
    space = nasbench1shot1(3)
    architecture = space.random(Random(0))
    choices = tuple((name, chosen[:-1] if name == "output" else chosen) for name, chosen in architecture.choices)
    with pytest.raises(SpaceError, match="takes 2 options, got 1"):
        space.check(Architecture(space.name, choices))
    twice = tuple((name, (chosen[0], chosen[0]) if name == "output" else chosen) for name, chosen in architecture.choices)
    with pytest.raises(SpaceError, match="must differ"):
        space.check(Architecture(space.name, twice))
    with pytest.raises(SpaceError, match="Expected an architecture of space 'nasbench1shot1-2'"):
        nasbench1shot1(2).check(architecture)


@pytest.mark.parametrize("number", [0, 4, True, "1"])
def test_there_are_three_spaces(number):
    with pytest.raises(SpaceError, match="spaces 1, 2 and 3"):
        NasBench1Shot1(number=number)


def test_sizes_that_make_no_network_are_refused():
    with pytest.raises(SpaceError, match="3 stages need a cell each"):
        nasbench1shot1(cells=2)
    with pytest.raises(SpaceError, match="no positions to halve"):
        nasbench1shot1().fit(Sizes((30,), 3))
    with pytest.raises(SpaceError, match="the smallest height that works is 3"):
        nasbench1shot1(input_shape=(3, 2, 9))


def test_the_description_says_what_every_decision_is_about():
    groups = {group["name"]: group for group in describe_space(nasbench1shot1(2))["groups"]}
    assert groups["operations"]["decisions"][1]["place"] == "node 2"
    assert groups["output"]["decisions"][0] == {
        "source": 0, "target": 5, "options": ["input", "1", "2", "3", "4"], "place": "read by the output",
    }  # fmt: skip
    assert groups["output"]["take"] == 3
    assert groups["inputs.2"]["reads"]


@pytest.mark.slow
def test_the_first_space_has_2685_networks():
    space = nasbench1shot1(1)
    assert len({space.signature(architecture) for architecture in space.architectures()}) == 2685
