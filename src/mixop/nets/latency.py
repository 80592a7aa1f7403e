"""Milliseconds of a network on a device, from a table of what its layers take there."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mixop.core.errors import DataError, RecipeError
from mixop.core.files import read_file
from mixop.core.outside import MalformedError, parse_object
from mixop.core.schedules import check_range
from mixop.core.values import from_plain, to_plain
from mixop.nets.modules.choice import Decided
from mixop.runs.write import write_bytes


@dataclass(frozen=True, kw_only=True)
class LatencyTable:
    """What layers take on a device, one by one, and how whole networks follow from that: ``fixed + scale * sum``.

    A layer by itself takes another time than among others: what it reads is in the cache or not, and sums and activations
    that are no modules are not among the layers. The two numbers correct that. They are fitted to whole networks, and the error
    is that of other ones.

    Args:
        device: what people call it.
        layers: milliseconds of a layer for one example by its description, see `described`; >= 0.
        scale: factor of the sum, >= 0.
        fixed: milliseconds of any network, >= 0.
        uncorrected: what the sum alone is off by, as a share of the measured time: root of the mean square over networks.
        error: the same with the correction, for networks that it was not fitted to.
        networks: how many whole networks were measured for these numbers, half of them for the fit.

    Raises:
        RecipeError: if a time is negative, or not finite.

    Source: Cai et al. 2019 (arXiv:1812.00332), section 3.3, latency as a sum over operations; the correction is ours.
    """

    device: str
    layers: Mapping[str, float]
    scale: float = 1.0
    fixed: float = 0.0
    uncorrected: float = 0.0
    error: float = 0.0
    networks: int = 0

    def __post_init__(self) -> None:
        for name in ("scale", "fixed", "uncorrected", "error", "networks"):
            check_range(f"{name} of a latency table", getattr(self, name), at_least=0)
        for layer, milliseconds in self.layers.items():
            check_range(f"milliseconds of {layer}", milliseconds, at_least=0)

    def __hash__(self) -> int:
        return hash((self.device, len(self.layers), self.scale, self.fixed))

    def __str__(self) -> str:
        checked = f"; its table is off by {100 * self.error:.0f} % for networks that it does not know" if self.networks else ""
        return f"Milliseconds are those of {self.device}{checked}"

    @property
    def identity(self) -> str:
        """The SHA-256 of its content."""
        return hashlib.sha256(json.dumps(to_plain(self), sort_keys=True).encode()).hexdigest()

    def of(self, net: nn.Module, x: Any) -> float:
        """Milliseconds of a network on the table's device.

        Args:
            net: in the mode that is meant.
            x: one example.

        Raises:
            DataError: naming a layer that the table lacks.
        """
        return self.fixed + self.scale * self.sum(net, x)

    def sum(self, net: nn.Module, x: Any) -> float:
        """The times of a network's layers, added up and not corrected; see `of`."""
        return sum(self.milliseconds(layer.description) for layer in layers_of(net, x))

    def milliseconds(self, layer: str) -> float:
        """What a layer takes by itself.

        Raises:
            DataError: if the table lacks it.
        """
        if layer not in self.layers:
            raise DataError(
                f"The latency table of {self.device} lacks {layer}: measure these networks there, by mixop speed --latency."
            )
        return self.layers[layer]


def read_latency_table(path: str | os.PathLike[str]) -> LatencyTable:
    """The table that a file holds, as `write_latency_table` wrote it here or on another device.

    Raises:
        DataError: if the file is missing, malformed, or holds something else.
    """
    try:
        content = parse_object(read_file(path))
    except MalformedError as error:
        raise DataError(f"{os.fspath(path)!r} is no latency table: {error}.") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise DataError(f"Cannot read the latency table {os.fspath(path)!r} ({getattr(error, 'strerror', error)}).") from error
    try:
        return from_plain(content, LatencyTable, {"LatencyTable": LatencyTable}, "the table")
    except RecipeError as error:
        raise DataError(f"{os.fspath(path)!r} is no latency table of mixop speed --latency: {error}") from error


def write_latency_table(table: LatencyTable, path: str | os.PathLike[str]) -> None:
    """Writes a table as JSON, whole or not at all.

    Raises:
        RunError: if the file cannot be written.
    """
    write_bytes(Path(path), (json.dumps(to_plain(table), indent=1) + "\n").encode())


@dataclass(frozen=True)
class Layer:
    """A layer that a pass meets: a module that has weights of its own, or no modules inside.

    Args:
        description: what it is and what it reads, see `described`.
        module: itself.
        given: what it is called with.
    """

    description: str
    module: nn.Module
    given: tuple[Any, ...]


def layers_of(net: nn.Module, x: Any) -> list[Layer]:
    """The layers that a pass meets, in order.

    Args:
        net: in the mode that is meant.
        x: its inputs.
    """
    found: list[Layer] = []
    with torch.no_grad(), meeting_layers(net, found.append):
        net(x)
    return found


@contextmanager
def meeting_layers(net: nn.Module, meet: Callable[[Layer], None]) -> Iterator[None]:
    """Inside, every layer of a network that a pass meets is told before it runs; not those inside of others."""
    inside: list[nn.Module] = []

    def enter(module: nn.Module, given: tuple[Any, ...]) -> None:
        if not inside:
            meet(Layer(described(module, given), module, given))
        inside.append(module)

    def leave(*_: Any) -> None:
        inside.pop()

    layers = [module for module in net.modules() if _is_layer(module)]
    hooks = [layer.register_forward_pre_hook(enter) for layer in layers]
    hooks += [layer.register_forward_hook(leave) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_layer(module: nn.Module) -> bool:
    if any(True for _ in module.parameters(recurse=False)):
        return True
    # A choice is gone once it is made, or an identity, which computes nothing.
    return next(module.children(), None) is None and not isinstance(module, Decided | nn.Identity)


def described(module: nn.Module, given: tuple[Any, ...]) -> str:
    """What a layer is and what it reads, in words that another device's table has too.

    Args:
        module: the layer.
        given: what it is called with.

    Example:
        >>> described(nn.Linear(4, 2), (torch.zeros(1, 4),))
        'Linear(in_features=4, out_features=2, bias=True) on 1x4'
    """
    settings = module.extra_repr()
    if not settings:  # a class of the user's may say nothing of its settings
        plain = {name: value for name, value in vars(module).items() if isinstance(value, int | float | str | tuple)}
        settings = ", ".join(f"{name}={plain[name]}" for name in sorted(plain) if name != "training" and name[0] != "_")
        sizes = ("x".join(map(str, p.shape)) for p in module.parameters())
        settings = ", ".join(part for part in (settings, *sizes) if part)
    shapes = ("x".join(map(str, leaf.shape)) for leaf in tree_leaves(given) if isinstance(leaf, Tensor))
    return f"{type(module).__name__}({settings}) on {', '.join(shapes)}"
