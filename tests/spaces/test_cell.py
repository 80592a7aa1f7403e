"""`mixop.spaces.cell`: a user's own cell space, its skeleton and its notation."""

import re
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from mixop.core.errors import SpaceError
from mixop.spaces.cell import CellSpace
from mixop.spaces.core import Architecture, Choice
from mixop.spaces.sizes import Sizes
from mixop.spaces.stacked import Graph, Layer

OPERATIONS = ("none", "skip_connect", "nor_conv_3x3")
SPACE = CellSpace(operations=OPERATIONS, channels=4, cells=2, input_shape=(3, 8, 8))


def test_edges_are_numbered_node_by_node():
    edges = [(d.target, d.source) for d in SPACE.group("cell").decisions]
    assert edges == [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]
    assert SPACE.graph("cell") == Graph(inputs=1, nodes=4, output=(3,))
    with pytest.raises(SpaceError, match="did you mean 'cell'"):
        SPACE.graph("cells")


def test_the_skeleton_is_a_chain_of_stages():
    space = replace(SPACE, cells=1, input_shape=(1, 8, 8), outputs=7)
    assert space.layers == (
        Layer("stem", (0,), (1,), 4),
        Layer("cell", (1,), (4,), 4, group="cell"),
        Layer("residual", (2,), (4,), 8, stride=2),
        Layer("cell", (3,), (8,), 8, group="cell"),
        Layer("residual", (4,), (8,), 16, stride=2),
        Layer("cell", (5,), (16,), 16, group="cell"),
        Layer("head", (6,), (16,), 7),
    )
    one_stage = replace(SPACE, stages=1, input_shape=(3, 7, 7)).layers
    assert [layer.kind for layer in one_stage] == ["stem", "cell", "cell", "head"]


@pytest.mark.parametrize("nodes", [2, 3, 5, 6])
def test_native_strings_round_trip_for_any_number_of_nodes(nodes: int):
    space = replace(SPACE, nodes=nodes)
    rng = Random(nodes)
    for _ in range(20):
        architecture = space.random(rng)
        native = space.to_native(architecture)
        assert native.count("~") == nodes * (nodes - 1) // 2
        assert space.from_native(f" {native}\n") == architecture


def test_dropped_edges_round_trip():
    choices = (Choice(0, "none"), Choice(4, "skip_connect"))
    architecture = Architecture("own", (("cell", choices),))
    assert SPACE.to_native(architecture) == "|none~0|+||+|skip_connect~1|"
    assert SPACE.from_native("|none~0|+||+|skip_connect~1|") == architecture


GOOD = "|none~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 3 nodes joined by \\+, found 1"),
        ("none", "3 nodes"),
        ("|none~0|", "3 nodes joined by \\+, found 1"),
        (GOOD + "+|none~0|", "3 nodes joined by \\+, found 4"),
        (GOOD[1:], "node 1 between two \\|, found 'none~0\\|'"),
        (GOOD[:-1], "node 3 between two \\|"),
        ("|" + GOOD[8:], "node 1 between two \\|, found '\\|'"),
        (GOOD.replace("|none~0|", "|none~0||", 1), "expected no further edge in node 1, found ''"),
        (GOOD.replace("none~0", "none", 1), "expected op~0 in node 1, found 'none'"),
        (GOOD.replace("none~0", "none~1", 1), "expected op~0 in node 1, found 'none~1'"),
        (GOOD.replace("none~0", "none~00", 1), "found 'none~00'"),
        (GOOD.replace("none~0", "none~\u0660", 1), "found 'none~\u0660'"),  # an Arabic 0, which int() would read
        (GOOD.replace("none~0", "none~-0", 1), "found 'none~-0'"),
        (GOOD.replace("none~0", "none ~0", 1), "There is no operation on edge 1<-0 of own 'none '"),
        (GOOD.replace("none~0", "none~0~0", 1), "found 'none~0~0'"),
        (GOOD.replace("skip_connect~1", "skip_connect~0"), "expected op~1 in node 2, found 'skip_connect~0'"),
        (GOOD.replace("|none~0|skip_connect~1|", "|skip_connect~1|none~0|"), "expected no further edge in node 2"),
        (GOOD.replace("skip_connect", "skip_conect"), "edge 2<-1 of own 'skip_conect': did you mean 'skip_connect'"),
        (GOOD.replace("skip_connect", "__import__('os').abort()"), "There is no operation on edge 2<-1"),
        (GOOD.replace("+", " + "), "node 1 between two"),
        (None, "written as a string, got NoneType"),
        (7, "written as a string, got int"),
    ],
)
def test_malformed_strings_are_refused_with_what_was_expected(text: Any, message: str):
    assert SPACE.to_native(SPACE.from_native(GOOD)) == GOOD
    with pytest.raises(SpaceError, match=message):
        SPACE.from_native(text)


@pytest.mark.parametrize(
    "line",
    [
        f"genotype: {GOOD}",
        f"Structure(4 nodes with {GOOD})",
        f"[2020-06-01-10:11:12] <<<--->>> The 3-th epoch : Structure(4 nodes with {GOOD}), valid 70.1 %\n",
        f"arch='{GOOD}'",
        f"  {GOOD}\n",
    ],
)
def test_a_string_is_found_in_a_line_of_a_log(line: str):
    assert SPACE.from_native(line) == SPACE.from_native(GOOD)


@pytest.mark.parametrize("line", [f"{GOOD} and {GOOD}", f"genotype:\n{GOOD}\n{GOOD}", f"x{GOOD}", "x" * 3000 + " " + GOOD])
def test_a_line_with_more_than_one_string_is_refused(line: str):
    with pytest.raises(SpaceError, match="is written"):
        SPACE.from_native(line)


def test_random_damage_to_a_string_never_passes_unnoticed():
    rng = Random(0)
    for _ in range(500):
        at = rng.randrange(len(GOOD))
        text = GOOD[:at] + rng.choice("|~+ 0123xn") * rng.randrange(2) + GOOD[at + 1 :]
        try:
            architecture = SPACE.from_native(text)
        except SpaceError:
            continue
        assert SPACE.to_native(architecture) == text.strip()


@pytest.mark.parametrize("field", ["nodes", "channels", "cells", "stages", "outputs"])
@pytest.mark.parametrize("value", [0, -3, 1.5, True, "4"])
def test_sizes_are_whole_numbers_of_at_least_one(field: str, value: Any):
    with pytest.raises(SpaceError, match=f"{field.replace('_', ' ')} must be a whole number of at least 1"):
        replace(SPACE, **{field: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes": 1}, "at least 2 nodes"),
        (
            {"input_shape": (3, 3, 3)},
            "2 times, so its height .* multiple of 4, got 3: the smallest that works is 4",
        ),
        ({"input_shape": (3, 32, 30)}, "its width must be a multiple of 4, got 30: 28 and 32 work"),
        ({"input_shape": (3, 30)}, "its length must be a multiple of 4, got 30: 28 and 32 work"),
        ({"operations": ()}, "at least one operation"),
        ({"operations": ("none", "none")}, "must differ, got none, none"),
        ({"operations": "nor_conv_3x3"}, "must be a list of names, got 'nor_conv_3x3'"),
        ({"operations": ("a|b",)}, r"without \|, ~ and \+, got 'a\|b'"),
        ({"operations": ("a~b",)}, "got 'a~b'"),
        ({"operations": ("a+b",)}, r"got 'a\+b'"),
        ({"operations": ("a b",)}, "got 'a b'"),
        ({"operations": ("",)}, "got ''"),
        ({"operations": (3,)}, "got 3"),
        ({"name": " "}, "name must be a text"),
        ({"edge_operations": (OPERATIONS,) * 5}, "each of the 6 edges, got 5 lists"),
        ({"edge_operations": "none"}, "each of the 6 edges, got 'none'"),
        ({"edge_operations": (*[("none",)] * 5, OPERATIONS)}, "same number of options"),
        ({"edge_operations": (("none", "none"),) * 6}, r"edge_operations\[0\] must differ"),
        ({"edge_operations": (("none", "skip_conect"),) * 6}, "did you mean 'skip_connect'"),
    ],
)
def test_spaces_that_make_no_network_are_refused(changes: dict[str, Any], message: str):
    with pytest.raises(SpaceError, match=message):
        replace(SPACE, **changes)


def test_sizes_left_open_are_taken_from_the_data():
    space = CellSpace(operations=OPERATIONS, stages=5)
    assert (space.layers[0].channels, space.layers[-1].out) == ((3,), 10)  # NAS-Bench-201's, where there is no data
    fitted = space.fit(Sizes((1, 48, 48), 7))
    assert fitted == replace(space, input_shape=(1, 48, 48), outputs=7, dense=False, tokens=False)
    assert (fitted.layers[0].channels, fitted.layers[-1].out) == ((1,), 7)
    assert fitted.fit(Sizes((1, 48, 48), 7)) is fitted
    with pytest.raises(SpaceError, match="multiple of 16, got 40: 32 and 48 work"):
        space.fit(Sizes((1, 40, 40), 7))
    sizes = Sizes((1, 48, 48), 7)
    for other in ({"shape": (3, 48, 48)}, {"shape": (1, 32, 32)}, {"outputs": 10}, {"dense": True}):
        with pytest.raises(SpaceError, match=f"but the data has {re.escape(str(next(iter(other.values()))))}: leave it out"):
            fitted.fit(replace(sizes, **other))


def test_the_smallest_images_work():
    for stages in (1, 2, 3, 4):
        size = 2 ** (stages - 1)
        assert replace(SPACE, stages=stages, input_shape=(3, size, size)).layers[-1].kind == "head"


def test_a_strided_stem_divides_the_input_at_once():
    space = replace(SPACE, stem_stride=4, stages=2, input_shape=(3, 24, 16), outputs=2)
    assert (space.layers[0].kind, space.layers[0].stride) == ("strided_stem", 4)
    with pytest.raises(
        SpaceError, match=r"the stem divides the input by 4 and 2 stages .* multiple of 8, got 20: 16 and 24 work"
    ):
        replace(space, input_shape=(3, 20, 16))
    for wrong, words in (
        ({"stem_stride": 0}, "stem stride must be a whole"),
        ({"stem_stride": 2.0}, "stem stride must be a whole"),
    ):
        with pytest.raises(SpaceError, match=words):
            replace(space, **wrong)
    for kind, shape in (("tokens", (20, 8)), ("a feature vector", (7,))):
        with pytest.raises(SpaceError, match=f"the stem of {kind} has no stride"):
            replace(space, stages=1, input_shape=shape, tokens=kind == "tokens")


def test_lists_become_tuples_so_that_a_space_is_hashable():
    space = CellSpace(operations=["none", "skip_connect"], edge_operations=[["none"], ["skip_connect"], ["none"]], nodes=3)  # type: ignore[arg-type]
    assert space.edge_operations == (("none",), ("skip_connect",), ("none",))
    assert hash(space) == hash(replace(space))


def test_edges_may_have_their_own_lists():
    lists = (("a", "b"), ("a", "c"), ("package.module:make", "b"))
    space = CellSpace(edge_operations=lists, nodes=3)
    assert tuple(d.options for d in space.group("cell").decisions) == lists
    native = "|b~0|+|c~0|package.module:make~1|"
    assert space.to_native(space.architecture([(1, 1, 0)])) == native
    assert space.from_native(native) == space.architecture([(1, 1, 0)])
    with pytest.raises(SpaceError, match="edge 2<-0"):
        space.from_native("|b~0|+|b~0|b~1|")


def test_connectivity_needs_a_path_without_none():
    def connected(text: str) -> bool:
        return SPACE.is_connected(SPACE.from_native(text))

    assert connected("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    assert connected("|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
    assert not connected("|none~0|+|skip_connect~0|skip_connect~1|+|none~0|skip_connect~1|none~2|")
    assert not connected("|skip_connect~0|+||+||")
