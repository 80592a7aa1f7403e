"""The recurrent cell of a supernet, token by token and edge by edge, as the papers write it.

A node is ``batch norm(sum_j sum_f w_jf (s_j + c_j (f(g_j) - s_j)))`` over the nodes j before it and their activations f, with
``c_j`` and ``g_j`` from ``s_j W``, W the node's own. Absent options add nothing.

Source: Liu et al. 2019 (arXiv:1806.09055), section 2.1 and code.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mixop.core.errors import SpaceError
from mixop.core.share import present_share
from mixop.core.types import Paths
from mixop.nets.ops import BatchNorm
from mixop.nets.recurrent import FUNCTIONS, Masks, RecurrentCell
from mixop.spaces.core import Group
from mixop.spaces.stacked import Graph, Layer


class Mixture(NamedTuple):
    """Mixing weights ``(E, O)``, those of the edges ``(E,)`` or None, and the options that run, None for all."""

    weights: Tensor
    edge_weights: Tensor | None
    active: Paths | None


class RecurrentMixture(RecurrentCell, ABC):
    """What recurrent cells of supernets have in common: the way through a window, by `states`.

    Attributes:
        tracks: whether its batch norm keeps running statistics.
    """

    tracks: bool

    @abstractmethod
    def states(self, x: Tensor, h: Tensor, masks: Masks, mixture: Mixture) -> Tensor:
        """The states after every token, ``(T, B, n)``.

        Args:
            x: inputs ``(T, B, C)``.
            h: the state before.
            masks: of the window.
            mixture: of the pass.
        """

    @abstractmethod
    def idle(self, paths: Paths) -> list[tuple[Tensor, slice]]:
        """The weights that no running option reads: parameters, each with a range of its first axis.

        Args:
            paths: for every decision the options that run.
        """

    def forward(
        self,
        inputs: Sequence[Tensor],
        weights: Tensor,
        edge_weights: Tensor | None,
        active: Paths | None,
        progress: float,
        state: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Values ``(B, n, T)`` of a window and the state after it ``(B, n)``.

        Args:
            inputs: the one input ``(B, C, T)``.
            weights: mixing weights ``(E, O)``.
            edge_weights: of the edges ``(E,)``, or None.
            active: the options that run, or None for all.
            progress: not used.
            state: what the window before left; None at the start of a stream.

        Raises:
            SpaceError: for a single column of text, which has no batch statistics.
        """
        x, h, masks = self.begin(inputs, state)
        share = present_share()
        if (len(h) if share is None else share.of) == 1 and (self.training or not self.tracks):
            raise SpaceError(
                "The batch norm of a recurrent supernet needs at least 2 columns of text, got 1: use larger batches, or a text "
                "of at least twice the window in every part."
            )
        return self.end(self.states(x, h, masks, Mixture(weights, edge_weights, active)))


class MixedRecurrentCell(RecurrentMixture):
    """A recurrent cell whose edges mix all options, token by token and edge by edge.

    Args:
        layer: its place in the network.
        graph: its nodes.
        group: its edges.
        norm: batch norm settings, of one batch norm that follows every node.
    """

    def __init__(self, layer: Layer, graph: Graph, group: Group, norm: BatchNorm) -> None:
        super().__init__(layer, graph)
        self.group = group
        self.norm, self.tracks = norm.make(layer.out, 1), norm.track
        self.into = [group.into(node) for node in range(1, graph.nodes)]

    def states(self, x: Tensor, h: Tensor, masks: Masks, mixture: Mixture) -> Tensor:
        states = []
        for token in x:
            h = self._token(token, h, masks, mixture)
            states.append(h)
        return torch.stack(states)

    def _token(self, x: Tensor, h: Tensor, masks: Masks, mixture: Mixture) -> Tensor:
        """The state after a token ``(B, n)``, from its input ``(B, C)`` and the state before."""
        weights, edge_weights, active = mixture
        gate, value = (torch.cat([masks.of_input(x), masks.of_state(h)], dim=-1) @ self.weight_input).chunk(2, dim=-1)
        values = [self.norm(h + gate.sigmoid() * (value.tanh() - h))]
        for edges, matrix in zip(self.into, self.weight_nodes, strict=True):
            total = torch.zeros_like(h)
            for e in edges:
                running = range(weights.shape[1]) if active is None else active[e]
                if not running:
                    continue
                decision = self.group.decisions[e]
                s = values[decision.source]
                gate, value = (masks.of_state(s) @ matrix).chunk(2, dim=-1)
                edge = torch.zeros_like(h)
                for o in running:
                    option = decision.options[o]
                    if not self.group.is_absent(option):
                        edge = edge + weights[e, o] * (s + gate.sigmoid() * (FUNCTIONS[option](value) - s))
                if active is not None:
                    # Zero in value; they carry the gradient of options that do not run, where the relaxation gave them one.
                    edge = edge + (weights[e].sum() - weights[e, list(running)].sum())
                total = total + (edge if edge_weights is None else edge_weights[e] * edge)
            values.append(self.norm(total))
        return torch.stack([values[node] for node in self.graph.output]).mean(0)

    def idle(self, paths: Paths) -> list[tuple[Tensor, slice]]:
        """The matrices of nodes whose edges all rest."""

        def reads(e: int) -> bool:
            options = self.group.decisions[e].options
            return any(not self.group.is_absent(options[o]) for o in paths[e])

        return [(self.weight_nodes, slice(k, k + 1)) for k, edges in enumerate(self.into) if not any(map(reads, edges))]
