"""Genotypes there and back, and what is not one."""

import random

import pytest

from mixop.core.errors import SpaceError
from mixop.spaces import S2, darts

TEXT = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('skip_connect', 2)], reduce_concat=range(2, 6))"
)


def test_the_notation_is_written_as_it_is_read():
    space = darts()
    assert space.to_native(space.from_native(TEXT)) == TEXT
    rng = random.Random(0)
    for _ in range(50):
        architecture = space.random(rng)
        assert space.from_native(space.to_native(architecture)) == architecture


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep", "('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep", 1),
        TEXT.replace("range(2, 6)", "[2, 3, 4, 5]"),
        TEXT.replace("range(2, 6)", "(5, 4, 3, 2)"),
        TEXT.replace(", ", ",\n    "),
        "  " + TEXT + "\n",
        TEXT.replace("('skip_connect', 2)", "['skip_connect', 2]"),
    ],
)
def test_order_within_a_node_and_layout_do_not_matter(other):
    assert other != TEXT
    assert darts().from_native(other) == darts().from_native(TEXT)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("dil_conv_3x3", "dil_conv_4x4"), "dil_conv_4x4"),
        (TEXT.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"), "Node 5 of the normal cell reads one of the nodes 0 to 4"),
        (TEXT.replace("('sep_conv_3x3', 0), ", "", 1), "normal cell of darts has 8 pairs, got 7"),
        (TEXT.replace("normal_concat=range(2, 6)", "normal_concat=range(2, 5)"), "normal_concat"),
        (TEXT.replace(", reduce_concat=range(2, 6)", ""), "reduce_concat is missing"),
        (TEXT.replace("Genotype", "Cells"), "is written Genotype"),
        (TEXT.replace("normal=[('sep_conv_3x3', 0)", "normal=[('sep_conv_3x3', '0')"), r"pairs are \('operation', source\)"),
        (TEXT.replace("'sep_conv_3x3', 0", "__import__('os').getcwd(), 0", 1), "list of"),
        (TEXT.replace("range(2, 6)", "range(10**9)"), "normal_concat"),
        (TEXT.replace("Genotype(", "Genotype(extra=[], "), "extra"),
        (TEXT[:-1], "is written Genotype"),
        ("", "is written Genotype"),
        (17, "written as a string"),
        (TEXT.replace("('sep_conv_3x3', 1)", "('sep_conv_3x3', 0)", 1), "one of them twice"),
    ],
)
def test_what_is_no_genotype_is_refused_in_one_sentence(text, words):
    with pytest.raises(SpaceError, match=words) as caught:
        darts().from_native(text)
    assert "\n" not in str(caught.value)


def test_a_relative_refuses_operations_that_it_does_not_have():
    with pytest.raises(SpaceError, match="operation on edge 5<-2 of normal in s2"):
        S2().from_native(TEXT)
