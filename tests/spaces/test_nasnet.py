"""Cells of five nodes, and the published ones among them."""

import random
from dataclasses import replace

import pytest
import torch

from mixop.core.errors import SpaceError
from mixop.nets.discrete import build
from mixop.spaces import AmoebaNet, NasNet, darts
from mixop.spaces.published import AMOEBANET_A, NASNET_A

NASNET = """NASNet = Genotype(
  normal = [
    ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), ('sep_conv_3x3', 0), ('avg_pool_3x3', 1),
    ('skip_connect', 0), ('avg_pool_3x3', 0), ('avg_pool_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 1),
  ],
  normal_concat = [2, 3, 4, 5, 6],
  reduce = [
    ('sep_conv_5x5', 1), ('sep_conv_7x7', 0), ('max_pool_3x3', 1), ('sep_conv_7x7', 0), ('avg_pool_3x3', 1),
    ('sep_conv_5x5', 0), ('skip_connect', 3), ('avg_pool_3x3', 2), ('sep_conv_3x3', 2), ('max_pool_3x3', 1),
  ],
  reduce_concat = [4, 5, 6],
)"""

AMOEBANET = """AmoebaNet = Genotype(
  normal = [
    ('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 2), ('sep_conv_3x3', 0),
    ('avg_pool_3x3', 3), ('sep_conv_3x3', 1), ('skip_connect', 1), ('skip_connect', 0), ('avg_pool_3x3', 1),
    ],
  normal_concat = [4, 5, 6],
  reduce = [
    ('avg_pool_3x3', 0), ('sep_conv_3x3', 1), ('max_pool_3x3', 0), ('sep_conv_7x7', 2), ('sep_conv_7x7', 0),
    ('avg_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1), ('conv_7x1_1x7', 0), ('sep_conv_3x3', 5),
  ],
  reduce_concat = [3, 4, 6]
)"""


@pytest.mark.parametrize(
    ("space", "text", "architecture"), [(NasNet(), NASNET, NASNET_A), (AmoebaNet(), AMOEBANET, AMOEBANET_A)]
)
def test_the_published_cells_are_read_as_the_code_of_darts_writes_them(space: NasNet, text: str, architecture):
    assert space.from_native(text) == architecture
    assert space.from_native(space.to_native(architecture)) == architecture
    net = build(architecture, replace(space, cells=3, channels=4, input_shape=(3, 16, 16), outputs=10))
    assert net(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


def test_other_spaces_say_where_the_cells_belong():
    with pytest.raises(SpaceError, match=r"The normal cell of darts has 8 pairs, got 10: cells of 5 nodes, .* nasnet\."):
        darts().from_native(NASNET)
    with pytest.raises(SpaceError, match=r"normal_concat .* of nasnet must be range\(2, 7\), got \[4, 5, 6\]: give the space"):
        NasNet().from_native(AMOEBANET)
    with pytest.raises(SpaceError, match=r"The normal cell of amoebanet has 10 pairs, got 8: cells of 4 nodes are of"):
        AmoebaNet().from_native(darts().to_native(darts().random(random.Random(0))))
    own = NasNet(normal_output=(4, 5, 6), reduce_output=(3, 4, 6))
    assert own.from_native(AMOEBANET).choices == AMOEBANET_A.choices
    assert "normal_concat=range(4, 7)" in own.to_native(own.from_native(AMOEBANET))
    assert "reduce_concat=[3, 4, 6]" in own.to_native(own.from_native(AMOEBANET))


def test_a_node_may_add_the_same_operation_twice():
    space = NasNet(cells=1, channels=4, input_shape=(3, 8, 8), outputs=2, reduce_output=(2, 3, 4, 5, 6))
    text = "Genotype(normal=[{0}], normal_concat=range(2, 7), reduce=[{0}], reduce_concat=range(2, 7))"
    pairs = ["('avg_pool_3x3', 0), ('avg_pool_3x3', 0)"] + ["('skip_connect', 0), ('skip_connect', 1)"] * 4
    architecture = space.from_native(text.format(", ".join(pairs)))
    cell = build(architecture, replace(space, cells=4), generator=torch.Generator().manual_seed(0)).layers[3]
    assert [type(operation).__name__ for operation in cell.operations[:2]] == ["AvgPool2d"] * 2
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    out = cell([x, torch.zeros_like(x)], 0.0)
    torch.testing.assert_close(out[:, :4], 2 * cell.operations[0](x))


@pytest.mark.parametrize("output", [(), (1, 2), (2, 7), (3, 2), (2, 2), "all", (2.0,)])
def test_outputs_that_are_no_nodes_are_refused(output):
    with pytest.raises(SpaceError, match="nasnet: normal_output must be"):
        NasNet(normal_output=output)


def test_the_number_of_architectures():
    space = NasNet(operations=("skip_connect", "sep_conv_3x3"))
    assert space.size() == (1 * 3 * 6 * 10 * 15 * 2**10) ** 2  # two edges of 2, 3, 4, 5 and 6, and an operation for each
