"""The layers of a recurrent language model: embedding, a cell that is a graph for every token, and the decoder tied to it.

Values are ``(B, C, T)`` between layers, T tokens of a window. Masks of dropout are drawn once for a window, on the CPU, by
`mixop.core.rng.rand`, which whoever trains fences.

Source: Liu et al. 2019 (arXiv:1806.09055), section 2.1, appendix A.3 and code; dropout of whole words and of a state by one
mask: Gal & Ghahramani 2016 (arXiv:1512.05287), Merity et al. 2018 (arXiv:1708.02182), sections 3 to 4.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from mixop.core.rng import rand
from mixop.nets.added import add_loss
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Decision
from mixop.spaces.stacked import Graph, Layer

INITIAL = 0.04
"""Weights begin uniform between minus and plus this. Source: code of Liu et al. 2019."""

FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
"""What the options of a recurrent cell do to every number; ``none`` has no value at all."""


def dropout_mask(shape: Sequence[int], rate: float, like: Tensor, *, by_example: bool = True) -> Tensor:
    """Zero with the chance ``rate``, ``1 / (1 - rate)`` otherwise.

    Args:
        shape: of the mask.
        rate: in [0, 1).
        like: gives dtype and device.
        by_example: whether the first axis is the examples, as in `mixop.core.rng.rand`.
    """
    keep = 1.0 - rate
    return (rand(shape, like.device, by_example=by_example) + keep).floor().to(like.dtype) / keep


def locked_dropout(x: Tensor, rate: float, *, training: bool) -> Tensor:
    """Values ``(B, C, T)`` with the same numbers dropped at every token of the window."""
    return x * dropout_mask((*x.shape[:2], 1), rate, x) if training and rate > 0 else x


class Embedding(nn.Module):
    """Vectors of tokens.

    Args:
        layer: ``channels`` is the vocabulary V, ``out`` the size C; settings ``word_dropout`` (a dropped word is zero at all
            its places of a window) and ``dropout`` (locked).
        norm: not used.
    """

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layer.channels[0], layer.out).uniform_(-INITIAL, INITIAL))
        self.words, self.dropout = layer.setting("word_dropout"), layer.setting("dropout")

    def forward(self, x: Tensor) -> Tensor:
        """Values ``(B, C, T)`` of tokens ``(B, T)``."""
        y = embedding(x, self.weight)
        if self.training and self.words > 0:
            y = y * dropout_mask((len(self.weight), 1), self.words, y, by_example=False)[x]
        return locked_dropout(y.transpose(1, 2), self.dropout, training=self.training)


class TiedDecoder(nn.Module):
    """Logits by the weight of the embedding, and a bias.

    Args:
        layer: ``out`` is the vocabulary V; settings ``dropout`` (locked) and ``activation``, the weight of the squared values
            after it in the loss of training.
        norm: not used.
    """

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(layer.out))
        self.dropout, self.activation = layer.setting("dropout"), layer.setting("activation")

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Logits ``(B, V, T)`` of values ``(B, C, T)``, with the embedding's weight ``(V, C)``."""
        x = locked_dropout(x, self.dropout, training=self.training)
        if self.training and self.activation > 0:
            add_loss(self.activation * x.square().mean())
        return torch.nn.functional.linear(x.transpose(1, 2), weight, self.bias).transpose(1, 2)


class Masks:
    """The masks of one window: of the input ``(B, C)`` and of the state ``(B, n)``; None where nothing is dropped."""

    def __init__(self, cell: "RecurrentCell", x: Tensor, h: Tensor) -> None:
        self.input = dropout_mask(x.shape[1:], cell.input_dropout, x) if cell.training and cell.input_dropout > 0 else None
        self.state = dropout_mask(h.shape, cell.state_dropout, h) if cell.training and cell.state_dropout > 0 else None

    def of_input(self, x: Tensor) -> Tensor:
        """Inputs ``(..., B, C)`` under their mask."""
        return x if self.input is None else x * self.input

    def of_state(self, s: Tensor) -> Tensor:
        """States ``(..., B, n)`` under their mask."""
        return s if self.state is None else s * self.state


class RecurrentCell(nn.Module):
    """What a recurrent cell has in a supernet and in a network: its matrices, its masks, and the way through a window.

    Args:
        layer: ``channels`` is the size of the input, ``out`` that of the state, n; settings ``input_dropout``,
            ``state_dropout`` and ``slowness``, the weight of ``mean((h_t - h_(t-1))^2)`` in the loss of training.
        graph: its nodes.
        first: how many matrices ``[x, h]`` is multiplied by, each ``(C + n, 2n)``; None for one without an axis of its own.
        others: how many other matrices ``(n, 2n)`` there are; None for one for each node but node 0.

    Attributes:
        carries: it is called with its state, and returns the new one.
    """

    carries = True

    def __init__(self, layer: Layer, graph: Graph, *, first: int | None = None, others: int | None = None) -> None:
        super().__init__()
        size = layer.out
        self.size, self.graph = size, graph
        shape = () if first is None else (first,)
        others = graph.nodes - 1 if others is None else others
        self.weight_input = nn.Parameter(torch.empty(*shape, layer.channels[0] + size, 2 * size).uniform_(-INITIAL, INITIAL))
        self.weight_nodes = nn.Parameter(torch.empty(others, size, 2 * size).uniform_(-INITIAL, INITIAL))
        self.input_dropout, self.state_dropout = layer.setting("input_dropout"), layer.setting("state_dropout")
        self.slowness = layer.setting("slowness")

    def begin(self, inputs: Sequence[Tensor], state: Tensor | None) -> tuple[Tensor, Tensor, Masks]:
        """The window token by token ``(T, B, C)``, the state before it ``(B, n)``, and its masks.

        Args:
            inputs: the one input of the cell, ``(B, C, T)``.
            state: what the window before left; None at the start of a stream.
        """
        (x,) = inputs
        x = x.permute(2, 0, 1)
        h = x.new_zeros(x.shape[1], self.size) if state is None else state
        return x, h, Masks(self, x, h)

    def starts(self, x: Tensor, masks: Masks) -> Tensor:
        """The inputs' part of ``[x, h] W_0`` for a whole window, ``(T, B, 2n)``."""
        return masks.of_input(x) @ self.weight_input[: x.shape[-1]]

    def end(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """The window's values ``(B, n, T)`` and the state after it; adds its slowness to the loss.

        Args:
            states: after every token, ``(T, B, n)``.
        """
        if self.training and self.slowness > 0 and len(states) > 1:
            add_loss(self.slowness * states.diff(dim=0).square().mean())
        return states.permute(1, 2, 0), states[-1]


class DiscreteRecurrentCell(RecurrentCell):
    """A cell in which every node reads one node by one activation, without batch norm; see `mixop.spaces.recurrent`.

    Args:
        layer: its place in the network.
        graph: its nodes.
        kept: for every node the edge that is kept, and its activation.
        first: the activation that makes node 0 from token and state.
    """

    def __init__(self, layer: Layer, graph: Graph, kept: Sequence[tuple[Decision, str]], *, first: str = "tanh") -> None:
        super().__init__(layer, graph)
        self.first = first
        read = {decision.target: (decision.source, option) for decision, option in kept}
        self.reads = [read[node] for node in range(1, graph.nodes)]

    def forward(self, inputs: Sequence[Tensor], drop: float, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Values ``(B, n, T)`` of a window and the state after it.

        Args:
            inputs: the one input ``(B, C, T)``.
            drop: not used: there are no single edges that could be dropped.
            state: what the window before left ``(B, n)``; None at the start of a stream.
        """
        x, h, masks = self.begin(inputs, state)
        of_state, nodes = self.weight_input[x.shape[-1] :], self.weight_nodes.unbind()
        states = []
        for start in self.starts(x, masks):
            gate, value = (start + masks.of_state(h) @ of_state).to(h.dtype).chunk(2, dim=-1)
            values = [torch.lerp(h, FUNCTIONS[self.first](value), gate.sigmoid())]
            for (source, option), weight in zip(self.reads, nodes, strict=True):
                s = values[source]
                gate, value = (masks.of_state(s) @ weight).to(h.dtype).chunk(2, dim=-1)
                values.append(torch.lerp(s, FUNCTIONS[option](value), gate.sigmoid()))
            h = torch.stack([values[node] for node in self.graph.output]).mean(0)
            states.append(h)
        return self.end(torch.stack(states))


def discrete_highway_cell(layer: Layer, graph: Graph, kept: Sequence[tuple[Decision, str]]) -> DiscreteRecurrentCell:
    """The cell of an architecture whose first node is decided too, see `mixop.spaces.enas_rnn`: its node 1 is node 0 there.

    Args:
        layer: its place in the network.
        graph: its nodes, of which node 0 are token and state side by side.
        kept: for every node the edge that is kept, and its activation.
    """
    (_, first), *others = kept
    shifted = replace(graph, nodes=graph.nodes - 1, output=tuple(node - 1 for node in graph.output))
    edges = [(replace(edge, source=edge.source - 1, target=edge.target - 1), option) for edge, option in others]
    return DiscreteRecurrentCell(layer, shifted, edges, first=first)
