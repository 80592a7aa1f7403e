"""The cell of a randomly wired network: nodes that convolve, joined by edges that only carry.

Source: Xie et al. 2019 (arXiv:1904.01569), section 3.2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.nets.dims import CONVOLUTIONS
from mixop.nets.ops import BatchNorm, drop_path
from mixop.spaces.core import Decision
from mixop.spaces.stacked import Graph, Layer


class WiredNode(nn.Module):
    """The weighed sum of what a node reads, ReLU, a separable 3x3 convolution and batch norm.

    The weights are the sigmoid of learned numbers, which begin at 0; of a single input there is none, since batch norm would
    undo it.

    Args:
        reads: how many values it reads, >= 1.
        channels: of each of them.
        out: channels of its output.
        stride: of its convolution.
        norm: batch norm settings.
        dims: 2 for images, 1 for signals.
    """

    def __init__(self, reads: int, channels: int, out: int, stride: int, norm: BatchNorm, dims: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(reads)) if reads > 1 else None
        conv = CONVOLUTIONS[dims]
        self.depthwise = conv(channels, channels, 3, stride, 1, groups=channels, bias=False)
        self.pointwise = conv(channels, out, 1, bias=False)
        self.norm = norm.make(out, dims, affine=True)

    def forward(self, values: Sequence[Tensor], drop: float) -> Tensor:
        total, *others = values
        if self.weight is not None:
            weights = torch.sigmoid(self.weight)
            total, *others = (w * (drop_path(x, drop) if drop > 0 else x) for w, x in zip(weights, values, strict=True))
        for value in others:
            total = total + value
        return self.norm(self.pointwise(self.depthwise(torch.relu(total))))


class WiredCell(nn.Module):
    """A stage of a randomly wired network; called with the probability that an edge into a node of several is dropped.

    Args:
        layer: its channels and stride, which the nodes that read its input have.
        graph: its nodes: the first is its input, the last its output, the mean of what leads to it.
        kept: its edges.
        norm: batch norm settings.

    Raises:
        SpaceError: if a node reads the input beside other nodes, or reads nothing.
    """

    def __init__(self, layer: Layer, graph: Graph, kept: Sequence[tuple[Decision, str]], norm: BatchNorm) -> None:
        super().__init__()
        self.sources: list[list[int]] = [[] for _ in range(graph.nodes)]
        for decision, _ in kept:
            self.sources[decision.target].append(decision.source)
        self.nodes = nn.ModuleList()
        for node, sources in enumerate(self.sources[1:-1], start=1):
            if not sources or (0 in sources and len(sources) > 1):
                raise SpaceError(f"Node {node} of a random graph must read other nodes, or the input alone, got {sources}.")
            outer = sources == [0]
            given, stride = (layer.channels[0], layer.stride) if outer else (layer.out, 1)
            self.nodes.append(WiredNode(len(sources), given, layer.out, stride, norm, layer.dims))

    def forward(self, inputs: list[Tensor], drop: float) -> Tensor:
        values = list(inputs)
        for node, sources in zip(self.nodes, self.sources[1:-1], strict=True):
            values.append(node([values[source] for source in sources], drop))
        ends = [values[source] for source in self.sources[-1]]
        return torch.stack(ends).mean(0) if len(ends) > 1 else ends[0]
