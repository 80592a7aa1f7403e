"""NAS-Bench-301's notation: a cell written out by hand, there and back, and what it cannot say."""

import random

import pytest

from mixop.core.errors import SpaceError
from mixop.spaces import S4, S5, darts, from_nasbench301, to_nasbench301
from mixop.spaces.nasbench301 import PREFIX
from mixop.spaces.published import ARCHITECTURES, DARTS_V2

DARTS_V2_REDUCE = {  # max(0) max(1) | skip(2) max(1) | max(0) skip(2) | skip(2) max(1)
    "edge_reduce_0": "max_pool_3x3",
    "edge_reduce_1": "max_pool_3x3",
    "edge_reduce_3": "max_pool_3x3",
    "edge_reduce_4": "skip_connect",
    "edge_reduce_5": "max_pool_3x3",
    "edge_reduce_7": "skip_connect",
    "edge_reduce_10": "max_pool_3x3",
    "edge_reduce_11": "skip_connect",
    "inputs_node_reduce_3": "1_2",
    "inputs_node_reduce_4": "0_2",
    "inputs_node_reduce_5": "1_2",
}


def test_a_cell_is_written_as_by_hand():
    config = to_nasbench301(DARTS_V2)
    assert len(config) == 2 * (8 + 3)
    assert {key.removeprefix(PREFIX): value for key, value in config.items() if "reduce" in key} == DARTS_V2_REDUCE


def test_architectures_go_there_and_back():
    for architecture in ARCHITECTURES.values():
        if architecture.space != "darts":
            continue
        assert from_nasbench301(to_nasbench301(architecture)) == architecture
    rng = random.Random(0)
    for _ in range(50):
        architecture = darts().random(rng)
        config = list(to_nasbench301(architecture).items())
        rng.shuffle(config)
        assert from_nasbench301(dict(config)) == architecture


def test_relatives_are_written_too():
    architecture = S5().random(random.Random(1))
    assert from_nasbench301(to_nasbench301(architecture)).choices == architecture.choices


def test_what_it_cannot_say_is_refused():
    noisy = S4().from_native(S4().to_native(S4().random(random.Random(2))).replace("sep_conv_3x3", "noise"))
    with pytest.raises(SpaceError, match=r"has the operations .*, got noise"):
        to_nasbench301(noisy)
    pairs = (
        darts()
        .to_native(DARTS_V2)
        .replace("('skip_connect', 0), ('dil_conv_3x3', 2)", "('skip_connect', 0), ('dil_conv_3x3', 0)")
    )
    with pytest.raises(SpaceError, match="8 different edges"):
        to_nasbench301(darts().from_native(pairs))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"edge_normal_14": "skip_connect"}, "keys .* got '.*edge_normal_14'"),
        ({"nonsense": "skip_connect"}, "keys .* got '.*nonsense'"),
        ({"inputs_node_reduce_3": "0_1"}, "Node 3 of the reduce cell .* inputs 0_1, got them from 1_2"),
        ({"edge_reduce_2": "skip_connect"}, "Node 3 of the reduce cell .* got them from 0_1_2"),
        ({"edge_reduce_0": "conv_9x9"}, "conv_9x9"),
        ({"edge_reduce_0": None}, "Node 2 of the reduce cell"),
        ({"inputs_node_normal_5": None}, "inputs i_j"),
    ],
)
def test_configurations_that_are_none_are_refused(change, words):
    config = to_nasbench301(DARTS_V2) | {PREFIX + key: value for key, value in change.items()}
    with pytest.raises(SpaceError, match=words):
        from_nasbench301({key: value for key, value in config.items() if value is not None})
