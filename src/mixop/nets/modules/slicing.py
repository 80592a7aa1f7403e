"""Layers cut to some of their channels: for good in a network that is built, or by views during one pass of a supernet."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

Indices = tuple[int, ...]
"""Indices of an axis that are kept, in increasing order."""

Kept = Mapping[str, Mapping[int, Indices]]
"""By the name of a parameter or buffer, for each axis that is cut, what is kept."""

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Layers that weigh each channel on its own, whose weight may be left out."""


class Part:
    """Some indices of an axis: a view of a tensor where they are a range.

    Args:
        indices: increasing, at least one.
    """

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = tuple(indices)
        self.is_range = self.indices[-1] - self.indices[0] + 1 == len(self.indices)
        self._on: dict[torch.device, Tensor] = {}

    def of(self, tensor: Tensor, axis: int) -> Tensor:
        """The part of a tensor."""
        if self.is_range:
            return tensor.narrow(axis, self.indices[0], len(self.indices))
        return tensor.index_select(axis, self.on(tensor.device))

    def rest(self, length: int) -> list[slice]:
        """The other indices of an axis of some length, as ranges."""
        edges = (-1, *self.indices, length)
        return [slice(a + 1, b) for a, b in pairwise(edges) if b > a + 1]

    def on(self, device: torch.device) -> Tensor:
        """The indices as a tensor."""
        if device not in self._on:
            with torch.inference_mode(False):
                self._on[device] = torch.tensor(self.indices, device=device)
        return self._on[device]


@dataclass(frozen=True)
class Cut:
    """What changes in one module.

    Args:
        path: of the module.
        parameters: by name in the module, the axes that are cut.
        buffers: the same.
        attributes: sizes that the module repeats, as they are afterwards.
    """

    path: str
    parameters: Mapping[str, Mapping[int, Part]]
    buffers: Mapping[str, Mapping[int, Part]]
    attributes: Mapping[str, Any]


def part_of(tensor: Tensor, axes: Mapping[int, Part]) -> Tensor:
    """The kept part of a tensor that is cut along some axes."""
    for axis, part in axes.items():
        tensor = part.of(tensor, axis)
    return tensor


def cuts(model: nn.Module, kept: Kept) -> list[Cut]:
    """What changes in the modules of a model.

    Args:
        model: as it is before.
        kept: by names in the model, ``path.weight`` also where a norm has no weight.
    """
    return [change for path, module in model.named_modules() if (change := cut_of(path, module, kept))]


def cut_of(path: str, module: nn.Module, kept: Kept) -> Cut | None:
    """What changes in one module; None where nothing does."""
    prefix = f"{path}." if path else ""
    names = ("weight", *module._parameters, *module._buffers)
    mine = {name: kept[prefix + name] for name in dict.fromkeys(names) if prefix + name in kept}
    if not mine:
        return None
    axes = {name: {axis: Part(indices) for axis, indices in axes.items()} for name, axes in mine.items()}
    return Cut(
        path,
        {name: part for name, part in axes.items() if module._parameters.get(name) is not None},
        {name: part for name, part in axes.items() if module._buffers.get(name) is not None},
        _attributes(module, mine),
    )


def cut(model: nn.Module, made: Sequence[Cut]) -> None:
    """Makes layers smaller, for good; parameters that are tied stay tied."""
    modules = dict(model.named_modules())
    new: dict[int, nn.Parameter] = {}
    for change in made:
        module = modules[change.path]
        for name, axes in change.parameters.items():
            old = module._parameters[name]
            assert old is not None
            if id(old) not in new:
                new[id(old)] = nn.Parameter(part_of(old.detach(), axes).clone(), requires_grad=old.requires_grad)
            module._parameters[name] = new[id(old)]
        for name, axes in change.buffers.items():
            module._buffers[name] = part_of(module._buffers[name], axes).clone()  # type: ignore[arg-type]  # it is not None
        for name, value in change.attributes.items():
            setattr(module, name, value)
        if isinstance(module, nn.RNNBase):
            module._flat_weights = [module._parameters.get(name) for name in module._flat_weights_names]


@contextmanager
def sliced_model(modules: Mapping[str, nn.Module], made: Sequence[Cut]) -> Iterator[None]:
    """Inside, layers compute with parts of their parameters and buffers; a gradient, and statistics, reach the whole ones.

    Args:
        modules: of the model, by path.
        made: what is cut.
    """
    before: list[tuple[dict[str, Any], str, Any]] = []
    write: list[tuple[Tensor, Tensor, Mapping[int, Part]]] = []

    def swap(where: dict[str, Any], name: str, value: Any) -> None:
        before.append((where, name, where[name]))
        where[name] = value

    try:
        for change in made:
            module = modules[change.path]
            for name, axes in change.parameters.items():
                swap(module._parameters, name, part_of(module._parameters[name], axes))  # type: ignore[arg-type]
            for name, axes in change.buffers.items():
                whole: Tensor = module._buffers[name]  # type: ignore[assignment]  # it is not None
                part = part_of(whole, axes)
                if module.training and not all(part.is_range for part in axes.values()):
                    write.append((whole, part, axes))
                swap(module._buffers, name, part)
            for name, value in change.attributes.items():
                swap(module.__dict__, name, value)
            if isinstance(module, nn.RNNBase):
                swap(module.__dict__, "_flat_weights", [module._parameters.get(name) for name in module._flat_weights_names])
        yield
        with torch.no_grad():
            for whole, part, axes in write:
                grid = [torch.arange(size, device=whole.device) for size in whole.shape]
                for axis, kept in axes.items():
                    grid[axis] = kept.on(whole.device)
                whole[torch.meshgrid(*grid, indexing="ij")] = part
    finally:
        for where, name, value in reversed(before):
            where[name] = value


def _attributes(module: nn.Module, mine: Mapping[str, Mapping[int, Indices]]) -> dict[str, Any]:
    """The sizes that a layer of torch repeats beside its weights."""
    axes = mine.get("weight", {})

    def size(axis: int, before: int) -> int:
        return len(axes[axis]) if axis in axes else before

    if isinstance(module, nn.Linear):
        return {"out_features": size(0, module.out_features), "in_features": size(1, module.in_features)}
    if isinstance(module, _ConvNd):
        return _of_convolution(module, axes)
    if isinstance(module, _NormBase):
        return {"num_features": size(0, module.num_features)}
    if isinstance(module, nn.GroupNorm):
        count = size(0, module.num_channels)
        return {"num_channels": count, "num_groups": max(1, count * module.num_groups // module.num_channels)}
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return {"normalized_shape": tuple(size(axis, n) for axis, n in enumerate(module.normalized_shape))}
    if isinstance(module, nn.PReLU):
        return {"num_parameters": size(0, module.num_parameters)}
    if isinstance(module, nn.Embedding):
        return {"num_embeddings": size(0, module.num_embeddings), "embedding_dim": size(1, module.embedding_dim)}
    if isinstance(module, nn.RNNBase) and 1 in mine.get("weight_ih_l0", {}):
        return {"input_size": len(mine["weight_ih_l0"][1])}
    return {}


def _of_convolution(module: _ConvNd, axes: Mapping[int, Indices]) -> dict[str, Any]:
    rows, columns = module.weight.shape[:2]
    # Axis 0 goes through the groups one by one; what a group has of it is kept as a whole or in part.
    per_group = rows // module.groups
    groups = len({row // per_group for row in axes[0]}) if 0 in axes else module.groups
    rows = len(axes[0]) if 0 in axes else rows
    columns = (len(axes[1]) if 1 in axes else columns) * groups
    out, into = (columns, rows) if module.transposed else (rows, columns)
    return {"out_channels": out, "in_channels": into, "groups": groups}


def outputs_axis(module: nn.Module) -> int | None:
    """The axis of a layer's weight that its bias goes along; None where nothing is known."""
    if isinstance(module, (nn.Linear, *NORMS)):
        return 0
    if isinstance(module, _ConvNd):
        return 0 if not module.transposed else 1 if module.groups == 1 else None
    return None
