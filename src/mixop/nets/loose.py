"""Cells whose output are the nodes that nothing reads: how a supernet joins them, whichever they are in a pass."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixop.core.types import Paths
from mixop.nets.dims import CONVOLUTIONS
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import node_width
from mixop.spaces.stacked import Graph, Layer, loose_ends


def ends_of(graph: Graph, sources: Sequence[int], active: Paths | None) -> tuple[int, ...]:
    """The nodes that are a cell's output in a pass.

    Args:
        graph: its nodes.
        sources: what every edge reads.
        active: the options that run on every edge, None for all. Where every edge runs, the output are all output nodes of the
            graph, as in cells without loose ends: no node is left over but the last one.
    """
    read = [source for e, source in enumerate(sources) if active is None or active[e]]
    return graph.output if len(read) == len(sources) else loose_ends(graph, read)


class LooseEnds(nn.Module):
    """The output of a cell in a supernet whose output nodes are those that nothing reads: ReLU, a 1x1 convolution, batch norm.

    Every node has its own weights, so that the convolution of a concatenation is the sum of those of its parts.

    Source: Pham et al. 2018 (arXiv:1802.03268), section 2.4, and the authors' code.
    """

    def __init__(self, layer: Layer, graph: Graph, norm: BatchNorm) -> None:
        super().__init__()
        self.graph = graph
        conv, width = CONVOLUTIONS[layer.dims], node_width(layer, graph)
        self.convs = nn.ModuleList(conv(width, layer.out, 1, bias=False) for _ in range(graph.nodes))
        self.norm = norm.make(layer.out, layer.dims, affine=True)

    def forward(self, nodes: Sequence[Tensor], sources: Sequence[int], active: Paths | None) -> Tensor:
        """The joined value.

        Args:
            nodes: values of all nodes.
            sources: what every edge reads.
            active: the options that run on every edge, None for all.
        """
        total = None
        for node in ends_of(self.graph, sources, active):
            value = self.convs[node](torch.relu(nodes[node]))
            total = value if total is None else total + value
        return self.norm(total)
