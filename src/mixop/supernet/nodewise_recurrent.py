"""The recurrent cell of the node-wise executor: the numbers of the plain one, in fewer and larger operations.

The input's part of all tokens is one product for a window, and all edges that end in a node are one product for a token. With
``a_j = sum_f w_jf``, a node is ``sum_j a_j (1 - c_j) s_j + c_j sum_f w_jf f(g_j)``, so that every activation is computed once
for all of its edges.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mixop.nets.recurrent import FUNCTIONS, Masks
from mixop.supernet.recurrent import MixedRecurrentCell, Mixture


class _Node(NamedTuple):
    """What a node adds up in a pass: the nodes that it reads, and what each of their edges weighs.

    Args:
        sources: R nodes.
        whole: of every edge the weight of all its options, ``(R, 1, 1)``.
        functions: activations by name with the edges that run them, None for all, and their weights ``(r, 1, 1)``.
        rest: weights of options that do not run, a scalar that is zero in value; None where all run.
    """

    sources: Sequence[int]
    whole: Tensor
    functions: Sequence[tuple[str, list[int] | None, Tensor]]
    rest: Tensor | None


class NodewiseRecurrentCell(MixedRecurrentCell):
    """A recurrent cell that is computed node by node; see `MixedRecurrentCell` for the arguments."""

    def states(self, x: Tensor, h: Tensor, masks: Masks, mixture: Mixture) -> list[Tensor]:
        nodes = [self._node(edges, mixture) for edges in self.into]
        of_state, matrices = self.weight_input[x.shape[-1] :], self.weight_nodes.unbind()
        states = []
        for start in self.starts(x, masks):
            gate, value = (start + masks.of_state(h) @ of_state).chunk(2, dim=-1)
            values = [self.norm(torch.lerp(h, value.tanh(), gate.sigmoid()))]
            for node, matrix in zip(nodes, matrices, strict=True):
                values.append(self.norm(self._sum(node, matrix, values, masks)))
            h = torch.stack([values[node] for node in self.graph.output]).mean(0)
            states.append(h)
        return states

    def _sum(self, node: _Node, matrix: Tensor, values: Sequence[Tensor], masks: Masks) -> Tensor:
        """The sum of the edges into a node, ``(B, n)``."""
        total = torch.zeros_like(values[0])
        if node.sources:
            s = torch.stack([values[source] for source in node.sources])
            gate, value = (masks.of_state(s) @ matrix).chunk(2, dim=-1)
            gate = gate.sigmoid()
            mixed = None
            for name, rows, weights in node.functions:
                if rows is None:
                    term = weights * FUNCTIONS[name](value)
                    mixed = term if mixed is None else mixed + term
                else:
                    total = total + (weights * gate[rows] * FUNCTIONS[name](value[rows])).sum(0)
            kept = node.whole * s
            if mixed is None:
                total = total + (kept - gate * kept).sum(0)
            else:
                total = total + torch.lerp(kept, mixed, gate).sum(0)
        return total if node.rest is None else total + node.rest

    def _node(self, edges: Sequence[int], mixture: Mixture) -> _Node:
        """What is to be added up for a node, by the options that run on its edges."""
        weights, edge_weights, active = mixture
        if edge_weights is not None:
            weights = weights * edge_weights[:, None]
        read: list[int] = []
        whole: list[Tensor] = []
        runs: dict[str, list[tuple[int, Tensor]]] = {}
        rest: list[Tensor] = []
        for e in edges:
            running = range(weights.shape[1]) if active is None else active[e]
            options = self.group.decisions[e].options
            computed = [o for o in running if not self.group.is_absent(options[o])]
            if active is not None and running:
                rest.append(weights[e].sum() - weights[e, list(running)].sum())
            if not computed:
                continue
            for o in computed:
                runs.setdefault(options[o], []).append((len(read), weights[e, o]))
            read.append(e)
            whole.append(weights[e, computed].sum())

        def column(numbers: Sequence[Tensor]) -> Tensor:
            return torch.stack(tuple(numbers))[:, None, None]

        functions = [
            (name, None if len(its) == len(read) else [row for row, _ in its], column([weight for _, weight in its]))
            for name, its in runs.items()
        ]
        return _Node(
            sources=[self.group.decisions[e].source for e in read],
            whole=column(whole) if whole else weights.new_zeros(0),
            functions=functions,
            rest=torch.stack(rest).sum() if rest else None,
        )
