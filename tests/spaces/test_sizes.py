"""Sizes of inputs and outputs: what fits which space, and the sentence where it does not."""

import pytest

from mixop.core.errors import SpaceError
from mixop.core.values import from_plain, to_plain
from mixop.spaces import SPACE_TYPES, CellSpace, Sizes, Space, darts, nasbench201, toy
from mixop.spaces.describe import with_shape
from mixop.spaces.sizes import positions, strides_for

POINTWISE = ("none", "skip_connect", "nor_conv_1x1")


@pytest.mark.parametrize(
    ("shape", "dims", "named"),
    [
        ((3, 8, 6), 2, {"height": 8, "width": 6}),
        ((3, 8), 1, {"length": 8}),
        ((9,), 0, {}),
    ],
)
def test_positions_are_counted_along_axes(shape, dims, named):
    assert positions(shape) == named
    assert nasbench201(stages=1, input_shape=shape).dims == dims


@pytest.mark.parametrize(
    ("sizes", "strides", "kept"),
    [
        ((224, 224), (2, 2, 2, 2, 1, 2, 1), (2, 2, 2, 2, 1, 2, 1)),
        ((32, 32), (2, 2, 2, 2, 2), (1, 1, 2, 2, 2)),
        ((25, 99), (2, 2, 2, 2), (1, 2, 2, 2)),  # rounded up: 13, 7, 4
        ((300, 24), (2, 2, 1, 2), (1, 2, 1, 2)),  # the shorter axis decides: 12, 6, and not 3
        ((28,), (2, 2, 2, 2), (1, 2, 2, 2)),
        ((12,), (2, 1, 4), (1, 1, 1)),  # the last one does not fit
        ((8, 8), (2, 2), (1, 2)),
        ((3, 3), (2,), (1,)),
        (None, (2, 2), (2, 2)),
    ],
)
def test_small_inputs_lose_the_first_strides(sizes, strides, kept):
    assert strides_for(sizes, strides) == kept


def test_an_open_shape_is_that_of_images_unless_inputs_are_tokens():
    assert nasbench201().dims == 2
    assert CellSpace(operations=POINTWISE, tokens=True).dims == 1


@pytest.mark.parametrize(
    ("make", "sizes", "words"),
    [
        (nasbench201, Sizes((9,), 2), "3 stages halve the input 2 times, but a feature vector has no positions .* stages=1"),
        (nasbench201, Sizes((3, 30), 2), "its length must be a multiple of 4, got 30: 28 and 32 work"),
        (nasbench201, Sizes((3, 32, 30), 2), "its width must be a multiple of 4, got 30: 28 and 32 work"),
        (darts, Sizes((9,), 2), "darts halves its input, but a feature vector has no positions .* CellSpace with stages=1"),
        (darts, Sizes((3, 32, 2), 2), "an input whose width is 2: the smallest width that works is 3"),
        (darts, Sizes((3, 2), 2), "an input whose length is 2: the smallest length that works is 3"),
        (darts, Sizes((50, 32), 50, dense=True, tokens=True), "not possible with an output at every token: use a CellSpace"),
        (lambda: darts(stem="imagenet"), Sizes((50, 64), 3, tokens=True), "tokens are embedded in place of the stem"),
        (lambda: nasbench201(stages=1), Sizes((50, 8), 50, dense=True, tokens=True), "nor_conv_3x3 would see the token"),
        (
            lambda: nasbench201(operations=POINTWISE, stages=2),
            Sizes((50, 8), 50, dense=True, tokens=True),
            "the input cannot be halved where every token has an output: use stages=1, got 2",
        ),
        (
            lambda: CellSpace(operations=("mine:make",), stages=1),
            Sizes((50, 8), 50, dense=True, tokens=True),
            "mine:make would see",
        ),
        (nasbench201, Sizes((3, 8, 8), 2, tokens=True), r"tokens have the input shape \(V, T\)"),
        (lambda: nasbench201(stages=1), Sizes((9,), 2, dense=True), "a feature vector has no positions to give outputs at"),
        (toy, Sizes((3, 8, 8), 4), r"input shape is \(12, 1, 1\), but the data has \(3, 8, 8\)"),
        (toy, Sizes((12, 1, 1), 4, dense=True), "dense is False, but the data has True"),
    ],
)
def test_a_misfit_is_refused_in_one_sentence(make, sizes, words):
    with pytest.raises(SpaceError, match=words) as refused:
        make().fit(sizes)
    assert str(refused.value).count("\n") == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_shape": (3, 8, 8, 8)}, "input shape must be"),
        ({"input_shape": ()}, "input shape must be"),
        ({"input_shape": (3, 0)}, "input shape must be"),
        ({"input_shape": (3, 8.0)}, "input shape must be"),
        ({"input_shape": 8}, "input shape must be"),
        ({"outputs": 0}, "outputs must be a whole number of at least 1"),
        ({"dense": 1}, "dense must be true or false"),
        ({"tokens": "yes"}, "tokens must be true or false"),
    ],
)
@pytest.mark.parametrize("make", [nasbench201, darts])
def test_values_that_are_no_sizes_are_refused(make, changes, words):
    with pytest.raises(SpaceError, match=words):
        make(**changes)


@pytest.mark.parametrize(
    ("sizes", "kinds"),
    [
        (Sizes((3, 8, 4), 2), ("stem", "head")),
        (Sizes((3, 8), 2), ("stem", "head")),
        (Sizes((9,), 2), ("linear_stem", "head")),
        (Sizes((3, 8), 2, dense=True), ("stem", "dense_head")),
        (Sizes((50, 8), 50, dense=True, tokens=True), ("token_stem", "dense_head")),
    ],
)
def test_the_ends_of_a_network_are_those_of_the_data(sizes, kinds):
    layers = nasbench201(stages=1, operations=POINTWISE).fit(sizes).layers
    assert (layers[0].kind, layers[-1].kind) == kinds
    assert (layers[0].channels, layers[-1].out) == ((sizes.shape[0],), sizes.outputs)
    assert {layer.dims for layer in layers} == {max(len(sizes.shape) - 1, 1)}


def test_a_space_of_shapes_survives_json():
    for sizes in (Sizes((3, 8, 4), 2), Sizes((3, 8), 2, dense=True), Sizes((9,), 2)):
        space = nasbench201(stages=1).fit(sizes)
        assert from_plain(with_shape(to_plain(space)), Space, SPACE_TYPES) == space


def test_spaces_written_before_shapes_are_read():
    old = {"type": "NasBench201", "channels": 4, "cells": 1, "input_size": 8, "input_channels": 1, "classes": 10}
    fitted = nasbench201(channels=4, cells=1).fit(Sizes((1, 8, 8), 10))
    assert from_plain(with_shape(old), Space, SPACE_TYPES) == fitted
    left_open = {**old, "input_size": None, "input_channels": None, "classes": None}
    assert from_plain(with_shape(left_open), Space, SPACE_TYPES) == nasbench201(channels=4, cells=1)
    assert from_plain(with_shape({"type": "Toy", "blocks": 2, "classes": 3}), Space, SPACE_TYPES) == toy(blocks=2, outputs=3)
