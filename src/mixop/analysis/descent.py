"""How much a step on the weights lowers the loss, as a function of the mixing weights: the theory behind PR-DARTS.

The theorem is about a network of h layers. Layer 0 is the input, every later one is a sum over all layers before it: of a zero,
a skip connection and a convolution, each with its mixing weight. One step of gradient descent on the weights leaves at most the
share ``1 - constant * lr * phi`` of a squared loss, where phi depends on the mixing weights alone. Skip connections enter as
products, so they weigh more than convolutions: a search that prefers what trains fast prefers them.

Matrices of mixing weights are ``(h, h)``; entry ``[t, i]`` belongs to the edge from layer t into layer i, t < i, and the others
are not read. `mixop.analysis.regression_network` has the network itself, to measure what the theorem bounds.

Source: Zhou et al. 2020 (arXiv:2006.16537), theorem 1; its form for DARTS- after Chu et al. 2021 (arXiv:2009.01027).
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mixop.core.errors import RecipeError, SpaceError, unknown
from mixop.core.schedules import check_range
from mixop.core.types import Mix
from mixop.nets.costs import learning
from mixop.spaces.core import Space
from mixop.spaces.stacked import stacked

COMBINE = ("sum", "max")


class LayerWeights(NamedTuple):
    """Mixing weights of a cell as those of the theorem's layers."""

    conv: Tensor
    """Of operations with parameters, ``(h, h)``; 0 where there is no such edge."""
    skip: Tensor
    """Of skip connections, ``(h, h)``; 0 where there is no such edge."""
    inputs: int
    """How many of the first layers are given."""


class Sensitivity(NamedTuple):
    """The derivatives of `phi`; 0 where it does not depend on an entry."""

    conv: Tensor
    """In the weights of convolutions, ``(h, h)``."""
    skip: Tensor
    """In the weights of skip connections, ``(h, h)``."""


def phi(conv: Tensor, skip: Tensor, *, auxiliary: float = 0.0, inputs: int = 1) -> Tensor:
    """What the bound on the descent depends on: ``sum_{i<=h-2} conv[i, h-1]^2 * prod_{t<i} (skip[t, i] + auxiliary)^2``.

    A convolution counts on the edges into the last layer. The product runs over all skip connections that enter layer i; it is
    no product along a path.

    Args:
        conv: mixing weights of convolutions, ``(h, h)``, h >= 2.
        skip: mixing weights of skip connections, ``(h, h)``.
        auxiliary: coefficient of the auxiliary skip connection of DARTS-, which is on every edge, >= 0.
        inputs: how many of the first layers are given, 1 to h - 1. Nothing enters them, so that their product is 1. It is 1 in
            the theorem; cells may have two.

    Returns:
        A scalar >= 0, differentiable in both matrices.

    Raises:
        RecipeError: for matrices that are not square or differ in shape, and numbers out of range.

    Source: Zhou et al. 2020, theorem 1.

    Example:
        >>> weights = torch.full((3, 3), 0.5)
        >>> phi(weights, weights)  # 0.5^2 from layer 0, and 0.5^2 * 0.5^2 from layer 1
        tensor(0.3125)
    """
    reaching, entering = _factors(conv, skip, auxiliary, inputs)
    return (reaching.square() * entering.square().prod(0)).sum()


def sensitivity(conv: Tensor, skip: Tensor, *, auxiliary: float = 0.0, inputs: int = 1) -> Sensitivity:
    """The derivatives of `phi` in closed form: twice the term of layer i, divided by the factor in question.

    Args:
        conv: as for `phi`.
        skip: as for `phi`.
        auxiliary: as for `phi`.
        inputs: as for `phi`.

    Raises:
        RecipeError: as `phi`.
    """
    reaching, entering = _factors(conv, skip, auxiliary, inputs)
    layers, last = len(conv), len(conv) - 1
    by_conv, by_skip = torch.zeros_like(conv), torch.zeros_like(skip)
    by_conv[:last, last] = 2 * reaching * entering.square().prod(0)
    # Each factor in turn is left out of its product: a division would fail where a weight is 0.
    out = torch.eye(last, dtype=torch.bool, device=skip.device)[:, :, None]
    others = entering.square().expand(last, last, last).masked_fill(out, 1).prod(1)
    by_skip[:last, :last] = 2 * entering * others * reaching.square()
    return Sensitivity(by_conv, by_skip * _enters(layers, inputs, skip.device))


def guaranteed_decrease(phi: Tensor | float, *, lr: float, constant: float) -> Tensor | float:
    """The share of the loss that one step takes away at least: ``lambda = constant * lr * phi``.

    The theorem is ``F(W(k+1)) <= (1 - lambda) F(W(k))`` for small steps and wide networks.

    Args:
        phi: from `phi`, >= 0.
        lr: step size of gradient descent on the weights, > 0.
        constant: of the theorem, > 0; it depends on the data and on the activation, and no source gives a number for it.

    Raises:
        RecipeError: for numbers out of range.

    Source: Zhou et al. 2020, theorem 1.
    """
    check_range("step size of a guaranteed decrease", lr, above=0)
    check_range("constant of a guaranteed decrease", constant, above=0)
    return constant * lr * phi


def layer_weights(mix: Mix, space: Space, cell: str, *, combine: Literal["sum", "max"] = "sum") -> LayerWeights:
    """The mixing weights of a cell as the matrices that `phi` takes: its nodes are the layers, its last node is the last one.

    That the weight of an edge's convolution is that of all its operations with parameters together is our choice: the theorem
    has a single one. Pools and other operations without parameters do not count.

    Args:
        mix: for each group mixing weights ``(E, O)``.
        space: a space of cells that add up their edges.
        cell: the name of a cell: that of its group, or of the cell that several groups decide about.
        combine: whether an edge's weight of operations with parameters is their ``sum`` or the largest of them (``max``).

    Returns:
        The matrices, differentiable in the mix, and the number of the cell's inputs.

    Raises:
        SpaceError: if the space has no such cell, or its cells do not add up edges with operations of their own.
        RecipeError: for another way to combine, or weights of another shape.
    """
    if combine not in COMBINE:
        raise RecipeError(unknown("way to combine operations with parameters", str(combine), COMBINE))
    space = stacked(space)
    groups = space.cell_of(cell)
    if not (space.adds_edges and all(group.on_edges for group in space.groups)):
        raise SpaceError(
            f"The theorem is about cells that add up edges, each an operation with its own weights, and those of {space.name} "
            "are others: use a space such as nasbench201 or darts."
        )
    graph = space.graph(groups[0].name)
    sample = mix[groups[0].name]
    conv, skip = (sample.new_zeros(graph.nodes, graph.nodes) for _ in range(2))
    for group in groups:
        weights = mix[group.name]
        if tuple(weights.shape) != group.shape:
            raise RecipeError(f"The mixing weights of group {group.name!r} must be {group.shape}, got {tuple(weights.shape)}.")
        skips = torch.tensor([[group.is_skip(option) for option in row.options] for row in group.decisions])
        weighted = torch.tensor(learning(space, group)) & ~skips
        ends = torch.tensor([[row.source, row.target] for row in group.decisions]).T.to(weights.device).unbind()
        chosen = weights * weighted.to(weights)
        conv = conv.index_put(ends, chosen.sum(-1) if combine == "sum" else chosen.amax(-1), accumulate=True)
        skip = skip.index_put(ends, (weights * skips.to(weights)).sum(-1), accumulate=True)
    return LayerWeights(conv, skip, graph.inputs)


def _factors(conv: Tensor, skip: Tensor, auxiliary: float, inputs: int) -> tuple[Tensor, Tensor]:
    """Of the layers before the last one: the weights into the last ``(h-1,)``, and the factors of skips ``(h-1, h-1)``."""
    layers = len(conv) if conv.dim() else 0
    if layers < 2 or conv.shape != (layers, layers) or conv.shape != skip.shape:
        raise RecipeError(
            "Mixing weights of layers must be two square matrices of the same size, 2 x 2 at least, got "
            f"{tuple(conv.shape)} and {tuple(skip.shape)}."
        )
    check_range("coefficient of the auxiliary skip", auxiliary, at_least=0)
    check_range("number of given layers", inputs, at_least=1, at_most=layers - 1)
    enters = _enters(layers, inputs, skip.device)[:-1, :-1]
    return conv[:-1, -1], torch.where(enters, skip[:-1, :-1] + auxiliary, 1)


def cell_phi(mix: Mix, space: Space, cell: str, *, auxiliary: float = 0.0, combine: Literal["sum", "max"] = "sum") -> float:
    """`phi` of the `layer_weights` of a cell.

    Args:
        mix: for each group mixing weights ``(E, O)``.
        space: a space of cells that add up their edges.
        cell: the name of a cell.
        auxiliary: as for `phi`.
        combine: as for `layer_weights`.

    Raises:
        SpaceError: as `layer_weights`.
        RecipeError: as both.
    """
    found = layer_weights(mix, space, cell, combine=combine)
    return float(phi(found.conv.double(), found.skip.double(), auxiliary=auxiliary, inputs=found.inputs))


def _enters(layers: int, inputs: int, device: torch.device) -> Tensor:
    """Which entries ``[t, i]`` are edges into a layer that is computed and is not the last."""
    number = torch.arange(layers, device=device)
    return (number[:, None] < number) & (number >= inputs) & (number < layers - 1)
