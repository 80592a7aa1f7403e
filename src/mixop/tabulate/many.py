"""Many small discrete networks as one: each trains as it would alone, in a fraction of the time.

Their channels lie side by side: one grouped convolution computes a convolution of all networks, one batch norm their batch
norms. On the edges of their cells the networks differ; those with the same operation are computed together. The gradient of the
summed losses is the gradient of each network's loss, so one step of an optimiser that treats every number alike steps them all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.nets.dims import mean_of_positions, padded_to_even, resized, strided
from mixop.nets.discrete import DiscreteCell, DiscreteNetwork
from mixop.nets.layers import DenseHead, Head, LinearHead, LinearStem, Residual
from mixop.nets.ops import FactorizedReduce, Zero


class Many(nn.Module):
    """G networks of one space side by side.

    Args:
        networks: networks of equal sizes without auxiliary heads; their weights are copied.

    Raises:
        SpaceError: if a layer or operation has no form for many networks.
    """

    def __init__(self, networks: Sequence[DiscreteNetwork]) -> None:
        super().__init__()
        first = networks[0]
        self.specs, self.count = first.specs, len(networks)
        self.layers = nn.ModuleList(together([network.layers[i] for network in networks]) for i in range(len(first.layers)))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs.

        Args:
            x: the inputs of every network ``(B, G * C, *positions)``; see `side_by_side`.

        Returns:
            ``(B, G, K)``, or ``(B, G, K, *positions)`` where the space is dense.
        """
        outputs = [x]
        for spec, layer in zip(self.specs, self.layers, strict=True):
            given = [outputs[i] for i in spec.inputs]
            outputs.append(layer(given) if spec.kind == "cell" else layer(*given))
        return outputs[-1].unflatten(1, (self.count, -1))


def side_by_side(x: Tensor, whose: Tensor) -> Tensor:
    """The inputs of every network: those of the batch that it is trained on.

    Args:
        x: batches ``(S, B, C, *positions)``.
        whose: for every network the number of its batch ``(G,)``.

    Returns:
        ``(B, G * C, *positions)``.
    """
    return x[whose].transpose(0, 1).flatten(1, 2)


def together(modules: Sequence[Any]) -> nn.Module:
    """Equal modules of all networks as one.

    Raises:
        SpaceError: if the module has no form for many networks.
    """
    first = modules[0]
    make = _FORMS.get(type(first))
    if make is None or any(type(module) is not type(first) for module in modules):
        raise SpaceError(
            f"{type(first).__name__} cannot be computed for many networks at once: a space with it cannot be tabulated."
        )
    return make(modules)


def _convolution(modules: Sequence[nn.Conv1d | nn.Conv2d]) -> nn.Module:
    first, count = modules[0], len(modules)
    made = type(first)(
        count * first.in_channels,
        count * first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        first.dilation,  # type: ignore[arg-type]
        count * first.groups,
        bias=first.bias is not None,
    ).to(first.weight.dtype)
    return _filled(made, modules)


def _norm(modules: Sequence[nn.BatchNorm1d | nn.BatchNorm2d]) -> nn.Module:
    first, count = modules[0], len(modules)
    made = type(first)(
        count * first.num_features, first.eps, first.momentum, first.affine, first.track_running_stats
    )  # fmt: skip
    return _filled(made if not first.affine else made.to(first.weight.dtype), modules)


@torch.no_grad()
def _filled(made: nn.Module, modules: Sequence[nn.Module]) -> nn.Module:
    """Fills ``made`` with the tensors of all modules, one behind the other; counts of batches are equal, so one is kept."""
    states = [module.state_dict() for module in modules]
    made.load_state_dict({name: torch.cat([s[name] for s in states]) if t.dim() else t for name, t in states[0].items()})
    return made


class _Sequence(nn.Sequential):
    """Modules one after the other."""

    def __init__(self, modules: Sequence[nn.Sequential]) -> None:
        super().__init__(*(together([module[i] for module in modules]) for i in range(len(modules[0]))))


class _Linear(nn.Module):
    """Linear maps, each of its own channels."""

    def __init__(self, modules: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([module.weight.detach() for module in modules]))
        self.bias = None
        if modules[0].bias is not None:
            self.bias = nn.Parameter(torch.stack([module.bias.detach() for module in modules]))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.einsum("bgc,gkc->bgk", x.unflatten(1, (len(self.weight), -1)), self.weight)
        return (y if self.bias is None else y + self.bias).flatten(1)


class _Residual(nn.Module):
    """Residual blocks between stages."""

    def __init__(self, modules: Sequence[Residual]) -> None:
        super().__init__()
        self.first = together([module.first for module in modules])
        self.second = together([module.second for module in modules])
        self.shortcut = together([module.shortcut for module in modules])

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(self.first(x))


class _Head(nn.Module):
    """Linear maps behind a mean over the positions."""

    def __init__(self, modules: Sequence[Head | LinearHead]) -> None:
        super().__init__()
        self.norm = together([m.norm for m in modules if isinstance(m, Head)]) if isinstance(modules[0], Head) else None
        self.linear = together([module.linear for module in modules])

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.norm is None else torch.relu(self.norm(x))
        return self.linear(mean_of_positions(x))


class _DenseHead(nn.Module):
    """1x1 convolutions, interpolated to the positions of the input."""

    def __init__(self, modules: Sequence[DenseHead]) -> None:
        super().__init__()
        self.dims = modules[0].dims
        self.norm = None if modules[0].norm is None else together([module.norm for module in modules])
        self.conv = together([module.conv for module in modules])

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        x = x if self.norm is None else torch.relu(self.norm(x))
        return resized(self.conv(x), given.shape[-self.dims :])


class _LinearStem(nn.Module):
    """Maps of feature vectors to signals of length 1."""

    def __init__(self, modules: Sequence[LinearStem]) -> None:
        super().__init__()
        self.linear = together([module.linear for module in modules])
        self.norm = together([module.norm for module in modules])

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(x).unsqueeze(-1))


class _Reduction(nn.Module):
    """Factorised reductions."""

    def __init__(self, modules: Sequence[FactorizedReduce]) -> None:
        super().__init__()
        self.count, self.relu = len(modules), modules[0].relu
        self.even = together([module.even for module in modules])
        self.odd = together([module.odd for module in modules])
        self.norm = together([module.norm for module in modules])

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x) if self.relu else x
        shifted = strided(padded_to_even(x), 1, start=1)
        halves = [half.unflatten(1, (self.count, -1)) for half in (self.even(x), self.odd(shifted))]
        return self.norm(torch.cat(halves, dim=2).flatten(1, 2))


class _Edge(nn.Module):
    """One edge of many cells: networks with the same operation on it are computed together, those without it get zeros."""

    order: Tensor
    back: Tensor

    def __init__(self, operations: Sequence[tuple[str, nn.Module] | None]) -> None:
        super().__init__()
        self.count = len(operations)
        names = dict.fromkeys(found[0] for found in operations if found is not None)
        whose = {name: [g for g, found in enumerate(operations) if found and found[0] == name] for name in names}
        self.operations = nn.ModuleList(
            together([found[1] for found in operations if found and found[0] == name]) for name in names
        )
        self.absent = sum(found is None for found in operations)
        self.sizes = [len(its) for its in whose.values()]
        order = [*(g for its in whose.values() for g in its), *(g for g, found in enumerate(operations) if found is None)]
        # Buffers, to be on the networks' device; no part of their state.
        self.register_buffer("order", torch.tensor(order), persistent=False)
        self.register_buffer("back", torch.tensor(order).argsort(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if len(self.sizes) == 1 and not self.absent:
            return self.operations[0](x)
        each = x.unflatten(1, (self.count, -1))
        whose = self.order[: sum(self.sizes)].split(self.sizes)
        values = [
            operation(each.index_select(1, its).flatten(1, 2)).unflatten(1, (len(its), -1))
            for operation, its in zip(self.operations, whose, strict=True)
        ]
        if self.absent:
            values.append(torch.zeros_like(values[0][:, :1]).expand(-1, self.absent, *[-1] * (each.dim() - 2)))
        return torch.cat(values, dim=1).index_select(1, self.back).flatten(1, 2)


class _Cell(nn.Module):
    """Cells of one place in many networks."""

    def __init__(self, cells: Sequence[DiscreteCell]) -> None:
        super().__init__()
        self.graph, self.count = cells[0].graph, len(cells)
        self.wiring = sorted({edge for cell in cells for edge in cell.edges}, key=lambda edge: (edge[1], edge[0]))
        self.edges = nn.ModuleList(_Edge([_on(cell, edge) for cell in cells]) for edge in self.wiring)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        graph = self.graph
        nodes: list[Tensor | None] = [*inputs, *[None] * (graph.nodes - graph.inputs)]
        for (source, target), edge in zip(self.wiring, self.edges, strict=True):
            x, present = nodes[source], nodes[target]
            value = edge(torch.zeros_like(inputs[0]) if x is None else x)
            nodes[target] = value if present is None else present + value
        output = [torch.zeros_like(inputs[0]) if (x := nodes[k]) is None else x for k in graph.output]
        if len(output) == 1:
            return output[0]
        return torch.cat([x.unflatten(1, (self.count, -1)) for x in output], dim=2).flatten(1, 2)


def _on(cell: DiscreteCell, edge: tuple[int, int]) -> tuple[str, nn.Module] | None:
    """The operation of a cell on an edge, and a text that is the same for equal ones; None if it has none there."""
    places = [n for n, its in enumerate(cell.edges) if its == edge]
    if not places:
        return None
    operation = cell.operations[places[0]]
    return repr(operation), operation


_FORMS: dict[type, Callable[[Any], nn.Module]] = {
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.BatchNorm1d: _norm,
    nn.BatchNorm2d: _norm,
    nn.Linear: _Linear,
    nn.Sequential: _Sequence,
    Residual: _Residual,
    Head: _Head,
    LinearHead: _Head,
    DenseHead: _DenseHead,
    LinearStem: _LinearStem,
    FactorizedReduce: _Reduction,
    DiscreteCell: _Cell,
    **{
        kind: lambda modules: modules[0]
        for kind in (nn.ReLU, nn.Identity, nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d, Zero)
    },
}
"""What has no numbers of its own is the same for all."""
