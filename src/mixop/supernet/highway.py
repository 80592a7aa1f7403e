"""The recurrent cell of ENAS in a supernet: a matrix for every pair of an edge and an activation.

A node is ``sum_j sum_f w_jf (s_j + c_jf (f(g_jf) - s_j))`` over the nodes j before it and their activations f, with ``c_jf``
(behind a sigmoid) and ``g_jf`` from batch norm of ``s_j W_jf``; the batch norm is the node's. For node 1 the state is ``s_j``,
and token and state side by side are multiplied. The mean of the nodes that nothing reads goes through one batch norm more, and
is the state after the token. Where one option of one edge into every node runs, the authors' code computes the same.

Source: Pham et al. 2018 (arXiv:1802.03268), section 2.1, and the authors' code (melodyguan/enas).
"""

import torch
from torch import Tensor, nn

from mixop.core.types import Paths
from mixop.nets.loose import ends_of
from mixop.nets.ops import BatchNorm
from mixop.nets.recurrent import FUNCTIONS, Masks
from mixop.spaces.core import Group
from mixop.spaces.stacked import Graph, Layer
from mixop.supernet.recurrent import Mixture, RecurrentMixture


class MixedHighwayCell(RecurrentMixture):
    """A recurrent cell whose options all have matrices of their own, token by token and edge by edge.

    Args:
        layer: its place in the network.
        graph: its nodes, of which node 0 are token and state.
        group: its edges; the first one ends in node 1.
        norm: batch norm settings, of one for the product of each node, and one for the output.
    """

    def __init__(self, layer: Layer, graph: Graph, group: Group, norm: BatchNorm) -> None:
        edges, options = group.shape
        super().__init__(layer, graph, first=options, others=(edges - 1) * options)
        self.group, self.tracks = group, norm.track
        self.norms = nn.ModuleList(norm.make(2 * layer.out, 1) for _ in range(1, graph.nodes))
        self.last = norm.make(layer.out, 1)
        self.into = [group.into(node) for node in range(1, graph.nodes)]

    def states(self, x: Tensor, h: Tensor, masks: Masks, mixture: Mixture) -> Tensor:
        ends = ends_of(self.graph, [decision.source for decision in self.group.decisions], mixture.active)
        states = []
        for token in x:
            nodes = self._nodes(token, h, masks, mixture)
            h = self.last(torch.stack([nodes[end] for end in ends]).mean(0))
            states.append(h)
        return torch.stack(states)

    def _nodes(self, x: Tensor, h: Tensor, masks: Masks, mixture: Mixture) -> list[Tensor]:
        """The values of the nodes after a token, ``(B, n)`` each; that of node 0 is the state."""
        weights, edge_weights, active = mixture
        nodes, options = [h], weights.shape[1]
        given = torch.cat([masks.of_input(x), masks.of_state(h)], dim=-1)
        for edges, norm in zip(self.into, self.norms, strict=True):
            total = torch.zeros_like(h)
            for e in edges:
                running = range(options) if active is None else active[e]
                if not running:
                    continue
                s, edge = nodes[self.group.decisions[e].source], torch.zeros_like(h)
                for o in running:
                    product = given @ self.weight_input[o] if e == 0 else masks.of_state(s) @ self.weight_nodes[self._row(e, o)]
                    gate, value = norm(product).chunk(2, dim=-1)
                    function = FUNCTIONS[self.group.decisions[e].options[o]]
                    edge = edge + weights[e, o] * (s + gate.sigmoid() * (function(value) - s))
                if active is not None:
                    # Zero in value; they carry the gradient of options that do not run, where the relaxation gave them one.
                    edge = edge + (weights[e].sum() - weights[e, list(running)].sum())
                total = total + (edge if edge_weights is None else edge_weights[e] * edge)
            nodes.append(total)
        return nodes

    def _row(self, e: int, o: int) -> int:
        """The number of the matrix of an option of an edge between nodes."""
        return (e - 1) * self.group.shape[1] + o

    def idle(self, paths: Paths) -> list[tuple[Tensor, slice]]:
        """The matrices of options that do not run."""
        found = []
        for e, running in enumerate(paths):
            for o in set(range(self.group.shape[1])) - set(running):
                row = self._row(e, o) if e else o
                found.append((self.weight_nodes if e else self.weight_input, slice(row, row + 1)))
        return found
