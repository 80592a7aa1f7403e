"""`mixop.spaces.describe`: the content of ``space.json`` and ``architecture.json``."""

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from mixop.core.errors import SpaceError
from mixop.core.values import from_plain, to_plain
from mixop.spaces import SPACE_TYPES, CellSpace, Space, nasbench201, toy
from mixop.spaces.describe import describe_architecture, describe_space, read_architecture

SPACES = [
    nasbench201(channels=4, cells=1),
    toy(blocks=4, seed=3),
    CellSpace(operations=("none", "my.module:make"), nodes=5, name="mine"),
    CellSpace(edge_operations=(("a", "b"), ("c", "b"), ("a", "d")), nodes=3),
]


def through_json(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


@pytest.mark.parametrize("space", SPACES)
def test_spaces_and_architectures_survive_json(space: Space):
    assert from_plain(through_json(to_plain(space)), Space, SPACE_TYPES, "space") == space
    rng = Random(0)
    for _ in range(10):
        architecture = space.random(rng)
        assert read_architecture(space, through_json(describe_architecture(space, architecture))) == architecture


def test_an_architecture_is_described_edge_by_edge():
    space = CellSpace(operations=("none", "conv"), nodes=3, name="mine")
    assert describe_architecture(space, space.from_native("|conv~0|+|conv~1|")) == {
        "space": "mine",
        "native": "|conv~0|+|conv~1|",
        "cells": {
            "cell": {
                "inputs": 1,
                "nodes": 3,
                "output": [2],
                "edges": [
                    {"decision": 0, "source": 0, "target": 1, "operation": "conv"},
                    {"decision": 2, "source": 1, "target": 2, "operation": "conv"},
                ],
            }
        },
    }


def test_a_space_is_described_with_its_decisions():
    space = toy(blocks=1, width=2)
    options = ["none", "skip_connect", "abs", "sine"]
    assert describe_space(space) == {
        "space": {"type": "Toy", "blocks": 1, "width": 2, "outputs": 4, "seed": 0},
        "groups": [{"name": "cell", "decisions": [{"source": 0, "target": 1, "options": options}]}],
        "graphs": {"cell": {"inputs": 1, "nodes": 2, "output": [1]}},
    }


def edit(change: Callable[[dict[str, Any]], Any]) -> Any:
    space = nasbench201()
    data = copy.deepcopy(describe_architecture(space, space.from_index(0)))
    change(data)
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "must hold an object, got list"),
        ({}, "'space' is missing"),
        (edit(lambda d: d.pop("native")), "'native' is missing"),
        (edit(lambda d: d.pop("cells")), "'cells' is missing"),
        (edit(lambda d: d.update(space="darts")), "of space 'nasbench201', got one of 'darts'"),
        (edit(lambda d: d.update(native=3)), "written as a string, got int"),
        (edit(lambda d: d.update(native="|none~0|")), "expected 3 nodes"),
        (edit(lambda d: d["cells"]["cell"]["edges"][0].update(operation="none")), "contradicts itself \\(its cell 'cell'"),
        (edit(lambda d: d["cells"]["cell"]["edges"].pop()), "contradicts itself"),
        (edit(lambda d: d["cells"]["cell"].update(nodes=5)), "contradicts itself"),
        (edit(lambda d: d.update(cells={})), "its cell 'cell' is not what its native string"),
        (edit(lambda d: d.update(cells=None)), "contradicts itself"),
        (edit(lambda d: d["cells"].update(reduce={})), r"its list of cells \['cell', 'reduce'\]"),
    ],
)
def test_damaged_architecture_files_are_refused(data: Any, message: str):
    with pytest.raises(SpaceError, match=message):
        read_architecture(nasbench201(), data)


def test_further_entries_of_an_architecture_file_are_left_alone():
    space = nasbench201()
    assert read_architecture(space, edit(lambda d: d.update(note="found on a Friday"))) == space.from_index(0)


def test_an_architecture_of_another_space_is_not_described():
    with pytest.raises(SpaceError, match="of space 'toy'"):
        describe_architecture(toy(), nasbench201().from_index(0))
