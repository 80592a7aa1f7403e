"""Genotypes there and back, and what is not one."""

import random
import re

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


def nested(text: str, form: str = r"(\1, \2)") -> str:
    """The same with the pairs of a node in brackets of their own."""
    return re.sub(r"(\('\w+', \d\)), (\('\w+', \d\))", form, text)


FORMS = {
    "nested by node": nested(TEXT),
    "nested in lists": nested(TEXT, r"[\1, \2]"),
    "nested, with connectN": nested(TEXT).replace("range(2, 6))", "[2, 3, 4, 5], connectN=None, connects=None)"),
    "triples with a weight": re.sub(r"(', \d)\)", r"\1, 0.13017432391643524)", TEXT),
    "fields for bottlenecks": TEXT[:-1] + ", normal_bottleneck='', reduce_bottleneck='')",
    "an assignment": f"PDARTS = {TEXT}",
    "a line of a log": f"06/12 03:04:05 PM genotype = {TEXT}",
    "a line with a level": f"2020-08-31 11:37:38,123 INFO genotype = {TEXT} # after 50 epochs",
    "comments": TEXT.replace("('max_pool_3x3', 1), ", "('max_pool_3x3', 1), # step (2]\n  ", 1),
    "numbers of NumPy": re.sub(r"', (\d)\)", r"', np.int64(\1))", TEXT),
    "a dictionary": re.sub(r"(\w+)=", r"'\1': ", TEXT).replace("Genotype(", "{")[:-1] + "}",
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_other_repositories_are_read(form: str):
    assert FORMS[form] != TEXT
    assert darts().from_native(FORMS[form]) == darts().from_native(TEXT)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            nested(TEXT).replace("(('skip_connect', 0), ('dil_conv_3x3', 2))", "(('skip_connect', 0),)"),
            "The normal cell of darts has 2 pairs in node 5, got 1.",
        ),
        (
            nested(TEXT).replace(", (('skip_connect', 0), ('dil_conv_3x3', 2))", ""),
            "The normal cell of darts has 4 nodes, got 3.",
        ),
        (
            TEXT[:-1] + ", normal_bottleneck='conv')",
            "A genotype of darts has nothing but its pairs, got normal_bottleneck='conv'.",
        ),
        (
            TEXT.replace("reduce_concat", "reduce_output"),
            "A genotype of darts has the parts normal, normal_concat, reduce, reduce_concat, but there is 'reduce_output' "
            "besides.",
        ),
        (f"{TEXT}\n{TEXT}", "The text holds 2 genotypes, and one is read: give it alone."),
        (TEXT + " " * 20_000, "An architecture of darts is written in at most 20,000 characters, got 20,416."),
        ("Genotype(normal=" + "[" * 5000 + "]" * 5000 + ")", None),
        ("Genotype(normal=" + "-" * 9000 + "1, reduce=1)", None),
        (TEXT.replace("'sep_conv_3x3', 0", "open('x'), 0", 1), None),
        (TEXT.replace("'sep_conv_3x3', 0", "'sep_conv_3x3', True", 1), None),
        (TEXT.replace("'sep_conv_3x3', 0", "f'{1}', 0", 1), None),
        (TEXT.replace("range(2, 6)", "range(-5, 10**9)", 1), None),
    ],
)
def test_what_cannot_be_read_is_refused_truthfully(text: str, sentence: str | None):
    with pytest.raises(SpaceError) as caught:
        darts().from_native(text)
    assert sentence in (None, str(caught.value))
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_mutated_genotypes_are_read_or_refused():
    rng = random.Random(0)
    forms = list(FORMS.values())
    for _ in range(1000):
        text = rng.choice(forms)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice("()[]{}'\",=#0159-\\\n ~x") * rng.randrange(3) + text[at + rng.randrange(3) :]
        try:
            darts().check(darts().from_native(text))
        except SpaceError:
            continue


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
