"""`mixop.spaces.nasbench201` against the published benchmark."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mixop.core.errors import SpaceError
from mixop.spaces.core import Architecture
from mixop.spaces.nasbench201 import NASBENCH201_OPERATIONS, NasBench201, NasBench201Digits, nasbench201
from mixop.spaces.published import ARCHITECTURES

SPACE = nasbench201()
TABLE = Path(__file__).parents[2].parent / "shared" / "data" / "nasbench201.npz"


def everywhere(operation: str) -> str:
    return f"|{operation}~0|+|{operation}~0|{operation}~1|+|{operation}~0|{operation}~1|{operation}~2|"


# Numbers of the published meta list.
INDICES = {
    0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    9: "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    11: "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|",
    123: "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    284: "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|",
    15624: "|nor_conv_1x1~0|+|none~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    1835: everywhere("skip_connect"),
    1462: everywhere("nor_conv_3x3"),
    1651: everywhere("none"),
}


@pytest.fixture(scope="module")
def architectures() -> list[Architecture]:
    return [SPACE.from_index(index) for index in range(SPACE.size())]


@pytest.fixture(scope="module")
def keys(architectures: list[Architecture]) -> list[str]:
    return [SPACE.isomorphism_key(architecture) for architecture in architectures]


@pytest.mark.parametrize(("index", "native"), INDICES.items())
def test_numbers_are_those_of_the_benchmark_file(index: int, native: str):
    architecture = SPACE.from_native(native)
    assert SPACE.index(architecture) == index
    assert SPACE.to_native(SPACE.from_index(index)) == native


def test_numbers_are_a_bijection(architectures: list[Architecture]):
    assert len(set(architectures)) == SPACE.size() == 15625 == 5**6
    assert [SPACE.index(architecture) for architecture in architectures] == list(range(15625))


@pytest.mark.parametrize("index", [-1, 15625, 1.0, True, None, "0"])
def test_numbers_outside_the_benchmark_are_refused(index: object):
    with pytest.raises(SpaceError, match="0 to 15624, got"):
        SPACE.from_index(index)  # type: ignore[arg-type]


def test_published_counts_of_functions(architectures: list[Architecture], keys: list[str]):
    assert len(set(keys)) == 6466
    assert len({SPACE.isomorphism_key(a, zeros=False) for a in architectures}) == 12751
    assert sum(SPACE.is_connected(a) for a in architectures) == 15284


def test_isomorphism_contracts_skips_and_ignores_the_order_of_terms():
    def key(text: str) -> str:
        return SPACE.isomorphism_key(SPACE.from_native(text))

    direct = key("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    through_node_1 = key("|skip_connect~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|")
    assert direct == through_node_1 == "#+#+(0)@nor_conv_3x3"
    # Nodes 1 and 2 exchanged.
    first = key("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|avg_pool_3x3~2|")
    assert first != key("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|avg_pool_3x3~1|skip_connect~2|")
    assert key(everywhere("none")) == "#+#+#"


def test_order_and_isomorphism_agree_with_the_published_table(architectures: list[Architecture], keys: list[str]):
    if not TABLE.exists():
        pytest.skip("needs nasbench201.npz, the converted benchmark file")
    with np.load(TABLE) as table:
        natives = [native.decode() for native in table["arch"]]
        classes = table["isomorphism_class"].tolist()
    assert [SPACE.to_native(a) for a in architectures] == natives
    assert len(set(zip(keys, classes, strict=True))) == len(set(keys)) == len(set(classes))  # the same partition


def test_a_typical_neighbourhood(architectures: list[Architecture]):
    """Six edges with four other operations each: 24 neighbours at distance 1, 240 at distance 2."""
    distances = Counter(architectures[0].distance(other) for other in architectures)
    assert distances == {0: 1, 1: 24, 2: 240, 3: 1280, 4: 3840, 5: 6144, 6: 4096}


def test_defaults_are_the_benchmark_and_sizes_are_arguments():
    assert NasBench201() == SPACE
    assert [layer.kind for layer in SPACE.layers].count("cell") == 15
    assert [layer.out for layer in SPACE.layers if layer.kind == "residual"] == [32, 64]
    small = nasbench201(channels=4, cells=1, stages=2, input_shape=(1, 8, 8), outputs=7)
    assert [(layer.kind, layer.out) for layer in small.layers] == [
        ("stem", 4),
        ("cell", 4),
        ("residual", 8),
        ("cell", 8),
        ("head", 7),
    ]


def test_every_edge_has_an_operation():
    with pytest.raises(SpaceError, match=r"edge 5 \(3<-2\) is missing: 'none' stands for no connection"):
        SPACE.from_native("|none~0|+|none~0|none~1|+|none~0|none~1|")


def test_a_choice_of_operations_keeps_the_benchmarks_numbers():
    space = nasbench201(operations=NASBENCH201_OPERATIONS[1:])
    assert space.size() == 4**6
    assert space.index(space.from_native(INDICES[1835])) == 1835
    with pytest.raises(SpaceError, match="There is no option on edge"):
        space.from_index(1651)
    pruned = replace(SPACE, edge_operations=(("none", "skip_connect"),) * 3 + (("nor_conv_3x3", "none"),) * 3)
    assert pruned.size() == 64
    assert pruned.index(pruned.architecture([(0, 0, 0, 1, 1, 1)])) == 1651


def test_other_operations_are_refused():
    with pytest.raises(SpaceError, match="did you mean 'nor_conv_3x3'"):
        nasbench201(operations=("none", "conv_3x3"))
    with pytest.raises(TypeError):
        NasBench201(nodes=5)  # type: ignore[call-arg]


def test_the_space_of_the_table_on_digits_has_the_benchmarks_cells():
    small = NasBench201Digits()
    assert small.size() == 3**6
    text = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|nor_conv_3x3~0|skip_connect~1|nor_conv_3x3~2|"
    architecture = small.from_native(text)
    large = nasbench201()
    assert small.index(architecture) == large.index(large.from_native(small.to_native(architecture)))
    with pytest.raises(SpaceError, match="nor_conv_1x1"):
        small.from_native(text.replace("|nor_conv_3x3~0|+", "|nor_conv_1x1~0|+"))


def test_what_published_searches_found():
    """The README of NATS-Bench: DARTS skips everywhere; GDAS has convolutions, and one edge less."""
    space = NasBench201()
    assert {choice.option for choice in ARCHITECTURES["DARTS_NASBENCH201"].of("cell")} == {"skip_connect"}
    found = ARCHITECTURES["GDAS_NASBENCH201"]
    assert space.to_native(found) == "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_3x3~2|"
