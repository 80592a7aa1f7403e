"""The network of NAS-Bench-101: sizes that its authors published, and a cell computed by hand."""

import pytest
import torch
from model_specs import FIRST
from torch import Generator

from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm
from mixop.nets.vertices import VertexCell
from mixop.spaces import nasbench1shot1, nasbench101
from mixop.spaces.model_spec import ModelSpec
from mixop.spaces.stacked import Layer

CONV3, CONV1, POOL = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
INCEPTION = ModelSpec(
    (
        (0, 1, 1, 1, 1, 0, 0),
        (0, 0, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, 0, 1, 0),
        (0, 0, 0, 0, 0, 0, 1),
        (0,) * 7,
    ),
    (CONV3, CONV1, POOL, CONV3, CONV3),
)
"""The cell that the benchmark's notebook asks for."""


@pytest.mark.parametrize(("spec", "parameters"), [(INCEPTION, 2_694_282), (FIRST, 8_555_530)])
def test_networks_have_the_published_number_of_parameters(spec, parameters):
    space = nasbench101(input_shape=(3, 32, 32), outputs=10)
    with torch.device("meta"):
        network = build(space.of_spec(spec), space)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_a_cell_is_what_it_is_by_hand():
    # 1 reads the input; 2 reads the input and 1; the output joins 1 and 2 and adds the input. 5 channels: 3 and 2.
    spec = ModelSpec(((0, 1, 1, 1), (0, 0, 1, 1), (0, 0, 0, 1), (0,) * 4), (POOL, CONV1))
    cell = VertexCell(Layer("cell", (0,), (4,), 5, group="edges"), spec, BatchNorm()).double()
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, generator=Generator().manual_seed(0))

    def conv(layer, value):
        return torch.relu(torch.nn.functional.batch_norm(layer[0](value), None, None, training=True))

    one = torch.nn.functional.max_pool2d(conv(cell.projections["1"], x), 3, stride=1, padding=1)
    two = conv(cell.operations[1], one[:, :2] + conv(cell.projections["2"], x))
    assert one.shape[1] == 3
    assert two.shape[1] == 2
    torch.testing.assert_close(cell([x], 0.0), torch.cat([one, two], 1) + conv(cell.projections["3"], x))


def test_the_input_alone_is_projected():
    cell = VertexCell(Layer("cell", (0,), (4,), 6, group="edges"), ModelSpec(((0, 1), (0, 0)), ()), BatchNorm())
    assert cell([torch.ones(2, 4, 3, 3)], 0.0).shape == (2, 6, 3, 3)


@pytest.mark.parametrize("shape", [(3, 9, 7), (3, 8), (1, 16, 16)])
def test_networks_read_inputs_of_any_size(shape):
    space = nasbench1shot1(2, channels=8, cells=4, input_shape=shape, outputs=5)
    architecture = space.architecture([(0, 1, 2, 1), (1,), (0, 2), (1, 3), (0, 2, 4)])
    network = build(architecture, space, generator=Generator().manual_seed(0))
    assert network(torch.randn(2, *shape, generator=Generator().manual_seed(1))).shape == (2, 5)


def test_drop_path_drops_operations():
    space = nasbench101(channels=8, cells=3, input_shape=(3, 8, 8), outputs=4)
    network = build(space.of_spec(INCEPTION), space, generator=Generator().manual_seed(0)).double()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=Generator().manual_seed(1))
    whole = network(x)
    network.drop_path = 0.5
    torch.manual_seed(0)
    assert not torch.allclose(network(x), whole)
