"""The recurrent cell of the node-wise executor: the numbers of the plain one, in fewer and larger operations.

The input's part of all tokens is one product for a window, and all edges that end in a node are one product for a token. With
``a_j = sum_f w_jf``, a node is ``sum_j a_j (1 - c_j) s_j + c_j sum_f w_jf f(g_j)``, so that every activation is computed once
for all of its edges.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from mixop.core.share import present_share
from mixop.core.transfer import indices
from mixop.nets.ops import BatchNorm
from mixop.nets.recurrent import FUNCTIONS, Masks
from mixop.spaces.core import Group
from mixop.spaces.stacked import Graph, Layer
from mixop.supernet.recurrent import MixedRecurrentCell, Mixture
from mixop.supernet.window import Window


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
    """A recurrent cell that is computed node by node; see `MixedRecurrentCell` for the arguments.

    Where all options run and batch norm takes the statistics of the batch, a whole window is one function.
    """

    def __init__(self, layer: Layer, graph: Graph, group: Group, norm: BatchNorm) -> None:
        super().__init__(layer, graph, group, norm)
        self.names = tuple(dict.fromkeys(o for d in group.decisions for o in d.options if not group.is_absent(o)))
        absent = group.shape[1]  # the column of zeros behind the options
        columns = [[d.options.index(name) if name in d.options else absent for name in self.names] for d in group.decisions]
        self.columns = columns

    def states(self, x: Tensor, h: Tensor, masks: Masks, mixture: Mixture) -> Tensor:
        starts, of_state = self.starts(x, masks).to(h.dtype), self.weight_input[x.shape[-1] :]
        if not self._whole(mixture) or present_share() is not None:  # whose batch norms are those of all processes
            nodes = [self._node(edges, mixture) for edges in self.into]
            return self._states(starts, h, of_state, self.weight_nodes, masks, nodes, self.norm)
        weights = mixture.weights
        if mixture.edge_weights is not None:
            weights = weights * mixture.edge_weights[:, None]
        padded = torch.cat([weights, weights.new_zeros(len(weights), 1)], dim=1)
        norm, statistics = self.norm, None
        if norm.training and norm.running_mean is not None and norm.running_var is not None:
            statistics = norm.running_mean, norm.running_var
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.add_(self.graph.nodes * len(x))

        def again(given: Sequence[Tensor]) -> Tensor:
            starts, h, of_state, matrices, weights = given
            nodes = [self._alike(edges, weights) for edges in self.into]
            plain = partial(batch_norm, running_mean=None, running_var=None, training=True, eps=norm.eps)
            return self._states(starts, h, of_state, matrices, masks, nodes, plain)

        window = Window(self.graph.output, self.names, masks.state, statistics, self.norm.momentum or 0.0, self.norm.eps, again)
        table = padded.gather(1, indices(tuple(chain.from_iterable(self.columns)), weights.device).view(len(weights), -1))
        return window(starts, h, of_state, self.weight_nodes, table)

    def _whole(self, mixture: Mixture) -> bool:
        """Whether a window can be one function."""
        norm = self.norm
        own = norm.training or norm.running_mean is None
        return mixture.active is None and own and norm.weight is None and norm.momentum is not None and bool(self.names)

    def _states(
        self,
        starts: Tensor,
        h: Tensor,
        of_state: Tensor,
        matrices: Tensor,
        masks: Masks,
        nodes: Sequence[_Node],
        norm: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """The states after every token, ``(T, B, n)``, by functions that torch differentiates."""
        states, each = [], matrices.unbind()
        for start in starts:
            gate, value = (start + masks.of_state(h) @ of_state).to(h.dtype).chunk(2, dim=-1)
            values = [norm(torch.lerp(h, value.tanh(), gate.sigmoid()))]
            for node, matrix in zip(nodes, each, strict=True):
                values.append(norm(self._sum(node, matrix, values, masks)))
            h = torch.stack([values[node] for node in self.graph.output]).mean(0)
            states.append(h)
        return torch.stack(states)

    def _alike(self, edges: Sequence[int], weights: Tensor) -> _Node:
        """What a node adds up where every edge runs every activation, by their weights ``(E, K)``."""
        rows = weights[indices(tuple(edges), weights.device)][:, :, None, None]
        functions = [(name, None, column) for name, column in zip(self.names, rows.unbind(1), strict=True)]
        return _Node([self.group.decisions[e].source for e in edges], rows.sum(1), functions, None)

    def _sum(self, node: _Node, matrix: Tensor, values: Sequence[Tensor], masks: Masks) -> Tensor:
        """The sum of the edges into a node, ``(B, n)``."""
        total = torch.zeros_like(values[0])
        if node.sources:
            s = torch.stack([values[source] for source in node.sources])
            gate, value = (masks.of_state(s) @ matrix).to(s.dtype).chunk(2, dim=-1)
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
