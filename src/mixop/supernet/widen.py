"""Widening an operation: which old channels each channel of a wider copy stands for.

For every tensor of an operation `plan_operation` gives a `Carry`, the maps of its axes; whatever has the tensor's shape (the
weights, their momentum) is carried by the same one. A map from n to q channels is g with ``g(j) = j`` for ``j < n`` and
uniform over the n channels for the others.

Source: Chen, Goodfellow & Shlens 2016 (arXiv:1511.05641), eq. 1; as Chen et al. 2021 (arXiv:2006.10355) use it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mixop.core.errors import RecipeError
from mixop.nets.ops import FactorizedReduce

Convolution = nn.Conv1d | nn.Conv2d

DrawMap = Callable[[int, int], Tensor]
"""From old and new number of channels to an index map ``(new,)`` with entries below old."""


@dataclass(frozen=True, kw_only=True)
class Carry:
    """How a tensor becomes one of a wider layer: ``U[o, i] = W[out[o], inputs[i]] / multiplicity of inputs[i]``.

    Args:
        out: map of axis 0, ``(q,)`` int64; None to leave it.
        inputs: map of axis 1, ``(p,)`` int64; None to leave it.
        divide: whether each copied input is divided by how often it occurs, so that the layer's output stays.
    """

    out: Tensor | None = None
    inputs: Tensor | None = None
    divide: bool = False

    def __call__(self, old: Tensor) -> Tensor:
        """The wider tensor, of its own memory."""
        new = old.detach().clone()
        if self.out is not None:
            new = new.index_select(0, self.out.to(old.device))
        if self.inputs is not None:
            new = new.index_select(1, self.inputs.to(old.device))
            if self.divide:
                times = torch.bincount(self.inputs)[self.inputs].to(new)
                new = new / times.view(-1, *[1] * (new.dim() - 2))
        return new


def index_map(old: int, new: int, generator: Generator) -> Tensor:
    """A map ``(new,)``: the old channels in order, then uniformly drawn ones.

    Args:
        old: number of old channels, >= 1.
        new: number of new channels.
        generator: source of the draws, on the CPU; not used where the numbers are equal.

    Raises:
        RecipeError: if ``new < old``.
    """
    if new < old:
        raise RecipeError(
            f"Widening cannot shrink an operation, got {old} channels and then {new}: lower k of the partial channels from "
            "stage to stage, or give the stage start='fresh'."
        )
    return torch.cat([torch.arange(old), torch.randint(old, (new - old,), generator=generator)])


def map_drawer(generator: Generator, *, preserve: bool) -> DrawMap:
    """What draws the maps of one edge: a fresh one at each call or, to preserve its function, one for each pair of widths."""
    drawn: dict[tuple[int, int], Tensor] = {}

    def draw(old: int, new: int) -> Tensor:
        if preserve and (old, new) in drawn:
            return drawn[old, new]
        drawn[old, new] = index_map(old, new, generator)
        return drawn[old, new]

    return draw


def plan_operation(old: nn.Module, new: nn.Module, draw: DrawMap, *, preserve: bool = False) -> dict[str, Carry]:
    """How each tensor of an operation is carried into the same operation with as many or more channels.

    Layers are walked in their order. As in the authors' code, a dense convolution draws the map of its inputs and then that
    of its outputs; a depthwise one draws a single map, which the convolution behind it takes for its inputs; batch norm takes
    the map of the convolution before it, and draws one where there is none (behind pooling); the halves of a factorised
    reduction draw their own maps, and its batch norm takes both side by side. With ``preserve`` every layer takes the map of
    the one before it for its inputs, a depthwise convolution keeps that map, and a dense one divides: inputs duplicated by
    the map of the first layer then give outputs duplicated by that of the last, and no value changes.

    Args:
        old: the operation that has the weights.
        new: the same operation with as many or more channels.
        draw: gives a map for an old and a new number of channels.
        preserve: whether the function is preserved; the authors' code does not divide.

    Returns:
        A `Carry` for each name in the state dict of ``new``.

    Raises:
        RecipeError: if the two are not one operation, ``new`` is narrower, or it widens a module that this does not know.
    """
    if old.state_dict().keys() != new.state_dict().keys():
        names = sorted(old.state_dict().keys() ^ new.state_dict().keys())
        raise RecipeError(
            f"Weights can be carried only into the same operation with the same batch norm, but {', '.join(names)} is on one "
            "side only: keep both from stage to stage, or give the stage start='fresh'."
        )
    plan: dict[str, Carry] = {}
    current: Tensor | None = None  # what the channels between the layers stand for; None before the first map
    depthwise = False  # whether a depthwise convolution made them
    for name, layer in _layers(new):
        before = old.get_submodule(name)
        prefix = f"{name}." if name else ""
        known = current if preserve or depthwise else None
        if isinstance(layer, Convolution) and isinstance(before, Convolution):
            carries, current, depthwise = _convolution(before, layer, known, draw, preserve)
        elif isinstance(layer, FactorizedReduce) and isinstance(before, FactorizedReduce):
            carries, current, depthwise = *_reduction(before, layer, known, draw, preserve), False
        elif isinstance(layer, _BatchNorm) and isinstance(before, _BatchNorm):
            current = draw(before.num_features, layer.num_features) if current is None else current
            carries = _batch_norm(layer, current)
        else:
            carries = _unchanged(before, layer)
        plan |= {prefix + key: carry for key, carry in carries.items()}
    return plan


def _layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of an operation in the order in which they compute, those that hold tensors."""
    if not module.state_dict():
        return
    if type(module).forward is not nn.Sequential.forward:
        yield name, module
        return
    for key, child in module.named_children():
        yield from _layers(child, f"{name}.{key}" if name else key)


def _convolution(
    old: Convolution, new: Convolution, known: Tensor | None, draw: DrawMap, preserve: bool
) -> tuple[dict[str, Carry], Tensor, bool]:
    depthwise = all(conv.groups == conv.in_channels == conv.out_channels for conv in (old, new))
    if depthwise:
        out = draw(old.out_channels, new.out_channels) if known is None else known
        weight = Carry(out=out)
    elif old.groups == new.groups == 1:
        inputs = draw(old.in_channels, new.in_channels) if known is None else known
        out = draw(old.out_channels, new.out_channels)
        weight = Carry(out=out, inputs=inputs, divide=preserve)
    else:
        _unchanged(old, new)
        out = torch.arange(new.out_channels)
        weight = Carry()
    carries = {"weight": weight}
    if new.bias is not None:
        carries["bias"] = Carry(out=out)
    return carries, out, depthwise


def _batch_norm(layer: _BatchNorm, channels: Tensor) -> dict[str, Carry]:
    return {key: Carry(out=channels) if value.dim() else Carry() for key, value in layer.state_dict().items()}


def _reduction(
    old: FactorizedReduce, new: FactorizedReduce, known: Tensor | None, draw: DrawMap, preserve: bool
) -> tuple[dict[str, Carry], Tensor]:
    even, left, _ = _convolution(old.even, new.even, known, draw, preserve)
    # To preserve the function both halves need one map of their inputs; `draw` may give another one at each call.
    shared = even["weight"].inputs if preserve else known
    odd, right, _ = _convolution(old.odd, new.odd, shared, draw, preserve)
    both = torch.cat([left, right + old.even.out_channels])
    carries = {f"even.{key}": carry for key, carry in even.items()} | {f"odd.{key}": carry for key, carry in odd.items()}
    return carries | {f"norm.{key}": carry for key, carry in _batch_norm(new.norm, both).items()}, both


def _unchanged(old: nn.Module, new: nn.Module) -> dict[str, Carry]:
    """Copies as they are, for a module of any kind whose tensors keep their shapes."""
    before = old.state_dict()
    for key, value in new.state_dict().items():
        if before[key].shape != value.shape:
            raise RecipeError(
                f"Cannot widen {type(new).__name__}, whose {key} changes shape from {tuple(before[key].shape)} to "
                f"{tuple(value.shape)}: build the operation of Sequential, dense and depthwise convolutions, batch norm and "
                "FactorizedReduce, keep its width, or give the stage start='fresh'."
            )
    return dict.fromkeys(new.state_dict(), Carry())
