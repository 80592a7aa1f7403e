"""The DARTS space and its relatives: decisions, sizes, refusals. The networks' numbers are in tests/test_darts_networks.py."""

import random
from collections import Counter
from math import comb

import pytest

from mixop.core.errors import SpaceError
from mixop.core.values import from_plain, to_plain
from mixop.spaces import S1, S2, S3, S4, S5, SPACE_TYPES, SPACES, Darts, Space, darts
from mixop.spaces.core import Choice
from mixop.spaces.darts import DARTS_OPERATIONS, EDGES
from mixop.spaces.describe import describe_architecture, describe_space, read_architecture
from mixop.spaces.sizes import Sizes
from mixop.testing import check_space

NODES = 2, 3, 4, 5
RELATIVES = [Darts, S1, S2, S3, S4, S5]


def test_the_edges_are_numbered_node_by_node():
    assert [EDGES.index((0, node)) for node in NODES] == [0, 2, 5, 9]
    assert len(EDGES) == 14
    for group in darts().groups:
        assert group.keep == 2
        assert [(d.source, d.target) for d in group.decisions] == list(EDGES)
        assert {d.options for d in group.decisions} == {DARTS_OPERATIONS}


def test_the_size_is_the_published_count():
    """Per cell: two of n inputs for each node, seven operations on each."""
    per_cell = 1
    for n in NODES:
        per_cell *= comb(n, 2) * 7**2
    assert per_cell == 180 * 7**8
    assert darts().size() == per_cell**2 == S5().size()
    assert S2().size() == S3().size() // 1 == (180 * 2**8) ** 2
    assert S1().size() == (180 * 2**8) ** 2


@pytest.mark.parametrize("make", RELATIVES)
def test_random_architectures_keep_two_inputs_of_every_node_uniformly_and_no_none(make):
    space = make()
    rng = random.Random(0)
    sources = Counter()
    for _ in range(400):
        architecture = space.random(rng)
        space.check(architecture)
        for group in space.groups:
            kept = Counter(group.decisions[c.decision].target for c in architecture.of(group.name))
            assert kept == dict.fromkeys(NODES, 2)
            sources.update(c.decision for c in architecture.of("normal") if group.name == "normal")
            assert "none" not in [c.option for c in architecture.of(group.name)]
    last = [sources[e] for e in range(9, 14)]  # each of five inputs of the last node with probability 2/5
    assert all(abs(count - 160) < 4 * (400 * 0.4 * 0.6) ** 0.5 for count in last)


def test_all_architectures_of_a_small_relative_are_enumerated_once():
    space = Darts(operations=("none", "skip_connect"))
    first = [architecture for architecture, _ in zip(space.architectures(), range(2000), strict=False)]
    assert len(set(first)) == 2000
    assert space.size() == 180**2
    assert sum(1 for _ in space.architectures()) == 180**2


@pytest.mark.parametrize("make", RELATIVES)
def test_a_space_promises_what_every_space_does_and_survives_json(make):
    space = make(cells=3, channels=4)
    check_space(space)
    assert from_plain(to_plain(space), Space, SPACE_TYPES, "space") == space
    assert SPACES[space.name] is make
    assert describe_space(space)["groups"][1]["name"] == "reduce"
    architecture = space.random(random.Random(1))
    assert read_architecture(space, describe_architecture(space, architecture)) == architecture


def test_s1_has_the_published_lists_on_each_edge():
    normal, reduce = S1().groups
    assert normal.decisions[5].options == ("max_pool_3x3", "skip_connect")
    assert normal.decisions[13].options == ("dil_conv_3x3", "dil_conv_5x5")
    assert reduce.decisions[6].options == ("max_pool_3x3", "sep_conv_3x3")
    assert Counter(d.options for d in reduce.decisions)["max_pool_3x3", "avg_pool_3x3"] == 6
    assert Counter(d.options for d in normal.decisions)["skip_connect", "sep_conv_3x3"] == 4


@pytest.mark.parametrize(
    ("cells", "reductions"), [(1, {0}), (2, {0, 1}), (3, {1, 2}), (8, {2, 5}), (14, {4, 9}), (20, {6, 13})]
)
def test_reductions_stand_at_a_third_and_two_thirds(cells, reductions):
    space = darts(cells=cells)
    made = [layer for layer in space.layers if layer.kind == "cell"]
    assert {i for i, layer in enumerate(made) if layer.group == "reduce"} == reductions
    assert [layer.out // 4 for layer in made] == [16 * 2 ** sum(r <= i for r in reductions) for i in range(cells)]


def test_cells_read_the_two_before_them_at_one_size():
    for stem in ("cifar", "imagenet"):
        sizes, layers = [224], darts(cells=14, stem=stem).layers
        for layer in layers:
            given = [sizes[i] for i in layer.inputs]
            assert len(set(given)) == 1, layer
            sizes.append(-(-given[0] // layer.stride))
        assert sizes[-2] == (7 if stem == "imagenet" else 56)


@pytest.mark.parametrize(("stem", "least"), [("cifar", 3), ("imagenet", 17)])
def test_images_that_are_too_small_are_refused_with_the_smallest_size(stem, least):
    darts(input_shape=(3, least, least), stem=stem)
    with pytest.raises(SpaceError, match=f"the smallest width that works is {least}"):
        darts(input_shape=(3, least, least - 1), stem=stem)


def test_pruning_leaves_lists_on_the_edges():
    kept = {name: [[o, 7] for o in (0, 1, 2, 3, 4, 5, 6) * 2] for name in ("normal", "reduce")}
    space = darts().prune(kept)
    assert [d.options for d in space.groups[0].decisions[:3]] == [
        ("none", "dil_conv_5x5"),
        ("max_pool_3x3", "dil_conv_5x5"),
        ("avg_pool_3x3", "dil_conv_5x5"),
    ]
    again = space.prune({name: [[1]] * 14 for name in kept})
    assert {d.options for d in again.groups[1].decisions} == {("dil_conv_5x5",)}
    assert from_plain(to_plain(space), Space, SPACE_TYPES, "space") == space
    for wrong, words in (
        ({**kept, "reduce": [[]] * 14}, "must leave an option on every edge"),
        ({**kept, "normal": [[1, 0]] * 14}, "increasing indices"),
        ({**kept, "normal": [[0, 9]] * 14}, "below 8"),
        ({**kept, "normal": [[0]] * 13}, "14 decisions"),
        ({**kept, "normal": [[0]] + [[0, 1]] * 13}, "same number of options"),
    ):
        with pytest.raises(SpaceError, match=words):
            darts().prune(wrong)
    assert darts(cells=5).deeper(6).cells == 11


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cells": 0}, "cells must be a whole number"),
        ({"channels": 5}, "channels must be even"),
        ({"stem": "mnist"}, "'cifar' or 'imagenet'"),
        ({"stem": "imagenet", "stem_stride": 2}, "has its own strides"),
        ({"stem_stride": 4, "input_shape": (3, 8, 8)}, "4 halvings leave nothing .* height is 8"),
        ({"operations": ()}, "at least one operation"),
        ({"operations": ("sep_conv_4x4",)}, "sep_conv_4x4"),
        ({"normal_operations": (("skip_connect",),) * 13}, "each of the 14 edges, got 13"),
        ({"outputs": 0}, "outputs"),
    ],
)
def test_what_makes_no_network_is_refused(wrong, words):
    with pytest.raises(SpaceError, match=words):
        Darts(**wrong)


def test_an_architecture_keeps_two_inputs_of_every_node_but_two_options_may_share_an_edge():
    space = darts()
    architecture = space.random(random.Random(0))
    (_, normal), reduce = architecture.choices
    with pytest.raises(SpaceError, match="every node keeps 2 inputs, but node 2 has 1"):
        space.check(type(architecture)("darts", (("normal", normal[1:]), reduce)))
    with pytest.raises(SpaceError, match="one of them twice"):
        space.check(type(architecture)("darts", (("normal", (normal[0], normal[0], *normal[2:])), reduce)))
    double = (Choice(0, "skip_connect"), Choice(0, "sep_conv_3x3"), *normal[2:])
    space.check(type(architecture)("darts", (("normal", double), reduce)))


def test_sizes_are_taken_from_the_data_or_refused():
    space = darts(cells=3, channels=4).fit(Sizes((1, 28, 28), 7))
    assert (space.layers[0].channels, space.layers[-1].out) == ((1,), 7)
    with pytest.raises(SpaceError, match="outputs is 10, but the data has 7"):
        darts(outputs=10).fit(Sizes((3, 32, 32), 7))
    with pytest.raises(SpaceError, match="smallest height"):
        darts().fit(Sizes((1, 2, 2), 3))
