"""The cell of a randomly wired network against the formulas of its paper, written out."""

import pytest
import torch
from torch import Generator, nn
from torch.nn import functional as F

import mixop
from mixop.core.errors import SpaceError
from mixop.core.rng import fenced
from mixop.nets.ops import BatchNorm
from mixop.nets.wired import WiredCell
from mixop.spaces import RandWire

SPACE = RandWire(nodes=5, channels=4, input_shape=(3, 28, 28), outputs=7)
ARCHITECTURE = SPACE.from_native("conv3: 1>3 2>3 2>4; conv4: 1>2 1>3 1>4 1>5 2>5 3>5 4>5; conv5: none")


def made() -> nn.Module:
    net = mixop.build(ARCHITECTURE, SPACE, generator=Generator().manual_seed(0)).double()
    with torch.no_grad():
        for p in net.parameters():  # weights of the sums, and scales and shifts of batch norm, too
            p.copy_(torch.randn(p.shape, dtype=p.dtype, generator=Generator().manual_seed(p.numel())))
    return net


def node(cell: WiredCell, number: int, reads: list[torch.Tensor]) -> torch.Tensor:
    own = cell.nodes[number - 1]
    assert isinstance(own.depthwise, nn.Conv2d)
    total = reads[0] if len(reads) == 1 else sum(torch.sigmoid(w) * x for w, x in zip(own.weight, reads, strict=True))
    stride = own.depthwise.stride[0]
    wide = F.conv2d(F.relu(total), own.depthwise.weight, stride=stride, padding=1, groups=total.shape[1])
    y = F.conv2d(wide, own.pointwise.weight)
    mean, var = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), unbiased=False, keepdim=True)
    scale, shift = (p[:, None, None] for p in (own.norm.weight, own.norm.bias))
    return (y - mean) / (var + own.norm.eps).sqrt() * scale + shift


def test_stages_compute_what_the_paper_says():
    """Nodes sum with weights sigmoid(w), ReLU, separable convolution, batch norm; a stage gives the mean of its last nodes."""
    net = made()
    conv3, conv4, conv5 = (layer for layer in net.layers if isinstance(layer, WiredCell))
    x = torch.randn(3, 4, 14, 14, dtype=torch.float64, generator=Generator().manual_seed(1))
    one, two, five = (node(conv3, number, [x]) for number in (1, 2, 5))
    three, four = node(conv3, 3, [one, two]), node(conv3, 4, [two])
    after = (three + four + five) / 3
    torch.testing.assert_close(conv3([x], 0.0), after)
    first = node(conv4, 1, [after])
    middle = [node(conv4, number, [first]) for number in (2, 3, 4)]
    deep = node(conv4, 5, [first, *middle])
    torch.testing.assert_close(conv4([after], 0.0), deep)
    torch.testing.assert_close(conv5([deep], 0.0), torch.stack([node(conv5, n, [deep]) for n in range(1, 6)]).mean(0))


def test_only_the_first_nodes_of_a_stage_have_its_stride_and_the_channels_before_it():
    conv4 = made().layers[3]
    shapes = [(n.depthwise.in_channels, n.pointwise.out_channels, n.depthwise.stride[0]) for n in conv4.nodes]
    assert shapes == [(4, 8, 2)] + [(8, 8, 1)] * 4


def test_every_weight_learns():
    net = made()
    x = torch.randn(4, 3, 28, 28, dtype=torch.float64, generator=Generator().manual_seed(2))
    net(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_edges_into_nodes_of_several_are_dropped_in_training():
    cell = made().layers[3].train()
    x = torch.randn(3, 4, 8, 8, dtype=torch.float64, generator=Generator().manual_seed(3))

    def dropped(seed: int) -> torch.Tensor:
        with fenced(Generator().manual_seed(seed)):
            return cell([x], 0.5)

    assert torch.equal(dropped(0), dropped(0))
    assert not torch.equal(dropped(0), dropped(1))
    net = made()
    net.drop_path = 0.5
    whole = torch.randn(4, 3, 28, 28, dtype=torch.float64, generator=Generator().manual_seed(4))
    torch.testing.assert_close(net.eval()(whole), made().eval()(whole))  # in training only


def test_a_node_reads_the_input_alone_or_other_nodes():
    group = SPACE.groups[0]
    for pairs in ([(0, 1), (0, 2), (1, 2)], [(0, 1)]):
        kept = [(decision, "wire") for decision in group.decisions if (decision.source, decision.target) in pairs]
        with pytest.raises(SpaceError, match="Node 2 of a random graph must read other nodes, or the input alone"):
            WiredCell(SPACE.layers[2], SPACE.graph("conv3"), kept, BatchNorm())
