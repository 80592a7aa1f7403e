"""ENAS's micro space: its numbers there and back, its skeletons, and the published cells with the parameters they have."""

import random

import pytest
import torch

from mixop.core.errors import SpaceError
from mixop.nets.discrete import build
from mixop.spaces import EnasMicro, Sizes, enas_micro
from mixop.spaces.core import Choice
from mixop.spaces.published import ENAS_MICRO

PUBLISHED = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1  1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
SORTED = "0 0 0 2 0 1 0 4 0 4 1 1 0 1 1 0 0 2 1 1 1 0 1 0 0 2 0 3 1 1 3 1 0 4 1 0 0 3 1 1"


def test_the_published_cells_are_read_as_the_authors_script_has_them():
    space = enas_micro()
    assert space.from_native(PUBLISHED) == ENAS_MICRO
    assert space.to_native(ENAS_MICRO) == SORTED
    assert space.from_native(SORTED) == ENAS_MICRO
    assert ENAS_MICRO.of("reduce")[:2] == (Choice(1, "separable_conv_3x3"),) * 2  # the same pair twice
    assert [space.graph_in(ENAS_MICRO, name).output for name in ("normal", "reduce")] == [(2, 3, 4, 5, 6), (2, 4, 5, 6)]


def test_the_published_network_has_the_parameters_that_the_authors_code_counts():
    """Counted from their code by hand; 3.9 million, and 0.5 of the auxiliary head. The paper says 4.6 million."""
    space = EnasMicro(cells=15, channels=36, input_shape=(3, 32, 32), outputs=10)
    with torch.device("meta"):
        plain, trained = build(ENAS_MICRO, space), build(ENAS_MICRO, space, auxiliary=True)
    count = sum(p.numel() for p in plain.parameters())
    assert count == 3_894_372
    assert sum(p.numel() for p in trained.parameters()) - count == 494_848 + 10  # theirs has no bias at its end


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 1 0", "40 numbers, got 4"),
        ("2 0 1 0 " + "0 0 1 0 " * 9, "Node 2 of the normal cell reads one of the nodes 0 to 1, got 2"),
        ("0 0 1 0 " * 5 + "0 5 1 0 " * 5, "0 separable_conv_3x3, .* got 5"),
    ],
)
def test_what_is_no_architecture_is_refused(text, message):
    with pytest.raises(SpaceError, match=message):
        enas_micro().from_native(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cells": 0}, "cells must be a whole number"),
        ({"channels": 3}, "channels must be even"),
        ({"dropout": -0.1}, "dropout must be a share"),
        ({"operations": ("none",)}, "no operation in enas_micro 'none'"),
        ({"input_shape": (3, 2)}, "leave nothing of an input whose length is 2"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        EnasMicro(**arguments)
    with pytest.raises(SpaceError, match="reads images and signals, got feature vectors"):
        enas_micro().fit(Sizes((7,), 2))


def test_reductions_stand_before_their_cells_in_the_supernet_and_in_their_edges_in_networks():
    space = EnasMicro(cells=3, channels=4, input_shape=(3, 16, 16), outputs=10)
    assert space.reductions == (1, 3)
    searched = [layer for layer in space.layers if layer.kind == "cell"]
    assert [(layer.group, layer.stride, layer.out) for layer in searched] == [
        ("normal", 1, 4), ("reduce", 1, 8), ("normal", 1, 8), ("reduce", 1, 16), ("normal", 1, 16)
    ]  # fmt: skip
    built = [layer for layer in space.layers_of(ENAS_MICRO) if layer.kind == "cell"]
    assert [(layer.stride, layer.out) for layer in built] == [(1, 20), (2, 32), (1, 40), (2, 64), (1, 80)]
    assert space.auxiliary_of(ENAS_MICRO).channels == (80,)
    assert EnasMicro(cells=15).reductions == (5, 11)
    assert EnasMicro().reductions == (2, 5)


def test_networks_of_signals_and_of_unread_inputs_compute():
    """An input that nothing reads is an output too; a reduction cell halves it."""
    space = EnasMicro(cells=1, channels=4, input_shape=(3, 8), outputs=5)
    text = "0 0 0 4 " * 5 + "0 4 0 2 " * 5
    architecture = space.from_native(text)
    assert space.graph_in(architecture, "reduce").output == (1, 2, 3, 4, 5, 6)
    net = build(architecture, space)
    assert net(torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))).shape == (2, 5)
    assert net.layers[net.specs.index(next(s for s in net.specs if s.group == "reduce"))].reductions.keys() == {"1"}
    rng = random.Random(0)
    dense = EnasMicro(cells=1, channels=4, input_shape=(3, 8, 8), outputs=5, dense=True)
    assert build(dense.random(rng), dense, auxiliary=True)(torch.zeros(2, 3, 8, 8)).shape == (2, 5, 8, 8)
