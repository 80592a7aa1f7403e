"""ENAS's macro space: its numbers there and back, its layers, and the published network with the parameters it has."""

import random
from dataclasses import replace

import pytest
import torch

from mixop.core.errors import SpaceError
from mixop.nets.discrete import build
from mixop.spaces import EnasMacro, Sizes, enas_macro
from mixop.spaces.published import ENAS_MACRO, SIZES

IMAGES = {"input_shape": (3, 32, 32), "outputs": 10}


def parameters(architecture, space):
    with torch.device("meta"):
        return sum(p.numel() for p in build(architecture, space).parameters())


def test_groups_are_an_operation_for_each_layer_and_a_skip_for_each_pair():
    operations, skips = enas_macro().groups
    assert (operations.shape, skips.shape) == ((12, 6), (66, 2))
    assert [(d.source, d.target) for d in skips.decisions[:4]] == [(0, 2), (0, 3), (1, 3), (0, 4)]
    assert skips.switches
    assert not operations.switches
    assert enas_macro().size() == 6**12 * 2**66
    assert [group.name for group in enas_macro(depth=1).groups] == ["operations"]


def test_the_published_network_is_written_as_in_the_authors_script():
    space = EnasMacro(depth=24)
    numbers = space.to_native(ENAS_MACRO).split()
    assert len(numbers) == 24 * 25 // 2
    assert [int(numbers[layer * (layer + 1) // 2]) for layer in range(24)] == [
        0, 3, 0, 2, 2, 3, 2, 2, 1, 0, 2, 0, 2, 1, 0, 2, 2, 2, 3, 3, 0, 3, 0, 0
    ]  # fmt: skip
    assert numbers[15:21] == ["3", "1", "1", "0", "1", "0"]  # the sixth layer
    taken = sum(choice.option == "skip_connect" for choice in ENAS_MACRO.of("skips"))
    assert taken == sum(numbers[layer * (layer + 1) // 2 + 1 + s] == "1" for layer in range(24) for s in range(layer))


def test_the_published_network_has_the_parameters_that_the_authors_code_counts():
    """Counted from their code by hand, layer by layer; the paper says 21.3 million of another network."""
    literal = EnasMacro(depth=24, channels=96, enas_literal=True, **IMAGES)
    assert parameters(ENAS_MACRO, literal) == 42_559_392
    assert parameters(ENAS_MACRO, replace(literal, enas_literal=False)) == 30_947_424


def test_numbers_are_read_in_lines_and_lists():
    space = EnasMacro(depth=3)
    architecture = space.from_native("0 3 0 5 1 0")
    assert space.from_native("[0]\n[3, 0]\n[5, 1, 0]\n") == architecture
    assert [choice.option for choice in architecture.of("operations")] == ["conv_3x3", "separable_conv_5x5", "max_pooling"]
    assert [choice.option for choice in architecture.of("skips")] == ["none", "skip_connect", "none"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 3 0 5 1", "6 numbers, got 5"),
        ("0 3 0 6 1 0", "Layer 3 of enas_macro has one of the operations 0 conv_3x3, .* got 6"),
        ("0 3 2 5 1 0", "A skip of layer 2 of enas_macro is 0 or 1, got 2"),
        ("0 3 x 5 1 0", "but there is 'x'"),
        ("", "but there is ''"),
        ("9" * 30_000, "at most 20,000 characters"),
        (7, "is written as a string, got int"),
    ],
)
def test_what_is_no_architecture_is_refused(text, message):
    with pytest.raises(SpaceError, match=message):
        EnasMacro(depth=3).from_native(text)


def test_an_operation_that_a_space_leaves_out_is_refused():
    with pytest.raises(SpaceError, match="has one of the operations 2 conv_5x5, 4 average_pooling, got 0"):
        EnasMacro(depth=1, operations=("conv_5x5", "average_pooling")).from_native("0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 0}, "depth must be a whole number"),
        ({"depth": 65}, "depth must be at most 64"),
        ({"channels": 7}, "channels must be even"),
        ({"dropout": 1.0}, r"dropout must be a share in \[0, 1\)"),
        ({"operations": ("conv_7x7",)}, "no operation in enas_macro 'conv_7x7'"),
        ({"operations": ()}, "must be a list of names"),
        ({"enas_literal": 1}, "must be true or false"),
        ({"input_shape": (3, 2, 9)}, "2 halvings leave nothing of an input whose height is 2"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        EnasMacro(**arguments)


@pytest.mark.parametrize("sizes", [Sizes((9, 6), 9, dense=True, tokens=True), Sizes((7,), 2)])
def test_tokens_and_features_are_refused(sizes):
    with pytest.raises(SpaceError, match="reads images and signals, got"):
        enas_macro().fit(sizes)


def test_everything_is_halved_after_each_third():
    space = EnasMacro(depth=6, channels=4, **IMAGES)
    kinds = [layer.kind for layer in space.layers]
    assert kinds.count("factorised_reduction") == 3 + 5  # the stem and two layers, then four
    assert {layer.out for layer in space.layers[:-1]} == {4}
    assert space.layers_of(space.random(random.Random(0)))[-1].channels == (16,)
    assert EnasMacro(depth=2).reductions == ()
    for shape, dense in (((3, 16), False), ((3, 9, 12), True)):
        net = build(space.random(random.Random(1)), replace(space, input_shape=shape, dense=dense, tokens=False))
        wanted = (2, 10, *shape[1:]) if dense else (2, 10)
        assert net(torch.zeros(2, *shape)).shape == wanted


def test_a_network_of_another_depth_says_which():
    with pytest.raises(SpaceError, match="has 24 layers, but this enas_macro has 12: give it depth=24"):
        EnasMacro().check(ENAS_MACRO)
    assert SIZES["ENAS_MACRO"] == {"depth": 24}
