"""Depth and width of cells against matrix powers, enumeration, and published cells read by eye."""

from random import Random

import numpy as np
import pytest

from mixop.analysis.shape import depth, width
from mixop.core.errors import SpaceError
from mixop.spaces import (
    CellSpace,
    conv1d,
    darts,
    darts_rnn,
    enas_macro,
    enas_micro,
    enas_rnn,
    nasbench1shot1,
    nasbench101,
    nasbench201,
    published,
    randwire,
    toy,
)
from mixop.spaces.core import Roles
from mixop.spaces.nasnet import AmoebaNet, NasNet
from mixop.spaces.recurrent import EnasRnnCell

SPACE = nasbench201()


def by_powers(edges: list[tuple[int, int]], nodes: int) -> int:
    """The longest path of a graph: the largest power of its matrix that is not zero."""
    matrix = np.zeros((nodes, nodes), dtype=int)
    for source, target in edges:
        matrix[source, target] = 1
    power, length = matrix, 0
    while power.any():
        power, length = power @ matrix, length + 1
    return length


def check(space, architecture, cell="cell"):
    """For one cell whose edges are all decided by one group."""
    group, graph = space.group(cell), space.graph(cell)
    chosen = [(group.decisions[c.decision], c.option) for c in architecture.of(cell)]
    working = [(d.source, d.target) for d, o in chosen if o not in ("none", "skip_connect", "avg_pool_3x3", "max_pool_3x3")]
    assert depth(architecture, space, cell) == by_powers(working, graph.nodes)
    assert width(architecture, space, cell) == len({d.target for d, o in chosen if d.source < graph.inputs and o != "none"})


def test_all_cells_of_three_nodes():
    space = CellSpace(operations=("none", "skip_connect", "avg_pool_3x3", "nor_conv_3x3"), nodes=3)
    every = list(space.architectures())
    assert len(every) == 64
    for architecture in every:
        check(space, architecture)
    shapes = {(depth(architecture, space, "cell"), width(architecture, space, "cell")) for architecture in every}
    assert shapes == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2)}


@pytest.mark.parametrize(("space", "cells"), [(SPACE, ("cell",)), (darts(), ("normal", "reduce"))])
def test_random_cells(space, cells):
    rng = Random(0)
    for _ in range(100):
        architecture = space.random(rng)
        for cell in cells:
            check(space, architecture, cell)


@pytest.mark.parametrize(
    ("architecture", "space", "cell", "shape"),
    [
        (published.DARTS_V1, darts(), "normal", (1, 4)),
        (published.DARTS_V1, darts(), "reduce", (0, 4)),
        (published.DARTS_V2, darts(), "normal", (2, 4)),
        (published.DARTS_V2, darts(), "reduce", (0, 4)),
        (published.PC_DARTS_CIFAR, darts(), "normal", (1, 4)),
        (published.PC_DARTS_CIFAR, darts(), "reduce", (3, 4)),
        (published.PRDARTS, darts(), "normal", (4, 4)),
        (published.DRNAS_CIFAR10, darts(), "normal", (3, 3)),
        (published.NASNET_A, NasNet(), "normal", (1, 5)),
        (published.AMOEBANET_A, AmoebaNet(), "normal", (1, 5)),
        (published.DARTS_RNN_V1, darts_rnn(), "recurrent", (6, 1)),
        (published.DARTS_RNN_V2, darts_rnn(), "recurrent", (4, 1)),
        (published.ENAS_RNN, EnasRnnCell(), "recurrent", (6, 1)),
    ],
)
def test_published_cells_by_eye(architecture, space, cell, shape):
    assert (depth(architecture, space, cell), width(architecture, space, cell)) == shape


def test_a_skip_ends_a_path():
    """0 -conv-> 1 -skip-> 2 -conv-> 3: two paths of one edge each."""
    architecture = SPACE.from_native("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|")
    assert (depth(architecture, SPACE, "cell"), width(architecture, SPACE, "cell")) == (1, 1)


def test_roles_of_the_space_say_what_works():
    class Renamed(type(SPACE)):
        roles = Roles(absent=("avg_pool_3x3",), skips=("nor_conv_1x1",), pools=("nor_conv_3x3",))

    space = Renamed()
    architecture = space.from_native("|none~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|")
    assert (depth(architecture, space, "cell"), width(architecture, space, "cell")) == (2, 2)


def test_a_network_that_is_one_cell_of_two_groups():
    """Layers 0 and 2 are convolutions, layer 1 a pool; the last reads the stem's node by a skip."""
    space = enas_macro(depth=3)
    architecture = space.from_native("0  4 0  2 1 0")
    assert depth(architecture, space, "network") == 1
    assert width(architecture, space, "network") == 2, "layer 1 by its operation, layer 3 by its skip"
    convolutions = space.from_native("0  1 1  2 0 1")
    assert (depth(convolutions, space, "network"), width(convolutions, space, "network")) == (3, 2)


def test_the_same_operation_twice_is_one_node():
    space = enas_micro()
    text = "1 0 1 0  2 4 0 2  3 1 0 4  0 3 1 3  5 0 4 1  "
    architecture = space.from_native(text * 2)
    # 1 =sep=> 2 -identity-> 3, 3 -sep-> 4 -sep-> 6, and node 5 pools both inputs and is read by 6 through a sep.
    assert (depth(architecture, space, "normal"), width(architecture, space, "normal")) == (2, 4)


def test_recurrent_cells_with_loose_ends():
    space = enas_rnn(nodes=4)
    architecture = space.from_native("0  0 1  1 2  0 3")  # node 1; 2 and 4 read 1; 3 reads 2
    assert (depth(architecture, space, "recurrent"), width(architecture, space, "recurrent")) == (3, 1)


CONV, POOL = "conv3x3-bn-relu", "maxpool3x3"


@pytest.mark.parametrize(
    ("edges", "operations", "shape"),
    [
        ([(0, 1), (1, 2), (2, 6)], [CONV, CONV], (2, 1)),
        ([(0, 1), (1, 2), (2, 6)], [CONV, POOL], (1, 1)),
        ([(0, 1), (0, 2), (0, 6), (1, 6), (2, 6)], [CONV, POOL], (1, 2)),
        ([(0, 1), (1, 2), (2, 3), (0, 6)], [CONV, CONV, CONV], (0, 0)),  # on no path to the output: not in the network
        ([(0, 1)], [CONV], (0, 0)),  # the output reads nothing: no network
    ],
)
def test_operations_at_vertices(edges, operations, shape):
    space = nasbench101()
    group = space.group("edges")
    pairs = [(d.source, d.target) for d in group.decisions]
    names = [*operations, *[CONV] * (5 - len(operations))]
    numbers = [space.group("operations").decisions[0].options.index(name) for name in names]
    architecture = space.architecture([[int(pair in edges) for pair in pairs], numbers])
    for cell in ("edges", "operations"):
        assert (depth(architecture, space, cell), width(architecture, space, cell)) == shape


def test_cells_of_nasbench1shot1_are_those_of_nasbench101():
    space, rng = nasbench1shot1(2), Random(0)
    for _ in range(20):
        architecture = space.random(rng)
        spec = space.spec(architecture).pruned()
        last = len(spec.matrix) - 1
        works = [(s, t) for s, t in spec.edges if t < last and spec.operations[t - 1] != POOL]
        assert depth(architecture, space, "operations") == by_powers(works, last + 1)
        assert width(architecture, space, "operations") == sum(spec.matrix[0][1:last])


def test_random_graphs_count_the_nodes_on_the_way():
    space = randwire(nodes=5)
    architecture = space.from_native("conv3: 1>2 2>3 3>4 4>5; conv4: 1>2 1>3; conv5: none")
    assert [depth(architecture, space, stage) for stage in ("conv3", "conv4", "conv5")] == [5, 2, 1]
    assert [width(architecture, space, stage) for stage in ("conv3", "conv4", "conv5")] == [1, 3, 5]


def test_maps_of_the_toy_work():
    space = toy()
    architecture = space.from_native("abs|none|skip_connect")
    assert (depth(architecture, space, "cell"), width(architecture, space, "cell")) == (1, 2)
    assert depth(space.from_native("none|none|skip_connect"), space, "cell") == 0


def test_spaces_without_such_a_cell_are_refused():
    with pytest.raises(SpaceError, match="cell of nasbench201"):
        depth(SPACE.random(Random(0)), SPACE, "normal")
    with pytest.raises(SpaceError, match="has no cells"):
        width(SPACE.random(Random(0)), conv1d(), "cell")
