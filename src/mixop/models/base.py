"""What the ready models have in common: what they are given, what they refuse, and how a space is made of them."""

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec

from torch import nn

from mixop.core.errors import SpaceError
from mixop.core.values import to_plain
from mixop.nets.modules.choice import Choice
from mixop.nets.modules.space import SIZES, ModuleSpace
from mixop.spaces.sizes import Sizes

P = ParamSpec("P")

Shape = tuple[int, ...]

_CONV = {1: nn.Conv1d, 2: nn.Conv2d}
_NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
_MEAN = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}
_STEM = {1: 7, 2: 3}
"""Windows of first convolutions."""

READS = {
    "images": ("resnet", "separable", "mobilenet", "proxylessnas", "shufflenet", "vit"),
    "images with an output at every pixel": ("unet",),
    "signals": ("conv1d", "fcn", "separable"),
    "features": ("mlp",),
}
"""The ready models by the data that they read; one may read several."""


def ready(name: str, net: Callable[Concatenate[Shape, int, bool, bool, P], nn.Module]) -> Callable[P, ModuleSpace]:
    """The function that makes the space of a ready model.

    Args:
        name: in `mixop.spaces.ready.READY`.
        net: makes the model of the four sizes of data, ``(input_shape, outputs, dense, tokens)``, and arguments of its own.

    Returns:
        A function of those arguments. All of them are written into the space, so a default that changes changes no run.
    """
    signature = inspect.signature(net)
    own = signature.replace(parameters=[p for p in signature.parameters.values() if p.name not in SIZES])

    def make(*args: P.args, **kwargs: P.kwargs) -> ModuleSpace:
        bound = own.bind(*args, **kwargs)
        bound.apply_defaults()
        return ModuleSpace(factory=name, arguments=to_plain(bound.arguments))

    make.__name__ = make.__qualname__ = name
    make.__module__, make.__doc__ = net.__module__, net.__doc__
    make.__signature__ = own.replace(return_annotation=ModuleSpace)  # type: ignore[attr-defined]  # functions may have one
    return make


def check_kind(name: str, sizes: Sizes) -> None:
    """Refuses data that a ready model does not read.

    Args:
        name: of the model.
        sizes: of the data.

    Raises:
        SpaceError: naming what to use instead.
    """
    found = _kind(sizes)
    reads = [kind for kind, names in READS.items() if name in names]
    if found not in reads:
        use = " or ".join(READS.get(found, ("a space of cells", "mixop.spaces.in_module with a model of your own")))
        known = " and ".join(reads)
        raise SpaceError(f"{name} reads {known}, but the data are {found} of shape {tuple(sizes.shape)}: use {use}.")


def _kind(sizes: Sizes) -> str:
    if sizes.tokens:
        return "tokens"
    kind = {1: "features", 2: "signals", 3: "images"}[len(sizes.shape)]
    return f"{kind} with an output at every {'pixel' if kind == 'images' else 'position'}" if sizes.dense else kind


def check_numbers(name: str, **given: int | float | Sequence[int] | Sequence[float]) -> None:
    """Refuses arguments that are not above 0: numbers, or lists of at least one.

    Args:
        name: of the model.
        given: arguments by name. Whole numbers but for ``ratios``; those in ``kernels`` are windows, odd and different.

    Raises:
        SpaceError: with the argument and its value.
    """
    for argument, value in given.items():
        numbers = list(value) if isinstance(value, list | tuple) else [value]
        whole, odd = argument != "ratios", argument == "kernels"
        if not numbers or not all(_is_above_zero(number, whole, odd) for number in numbers):
            wanted = "odd whole numbers" if odd else "whole numbers" if whole else "numbers"
            raise SpaceError(f"{argument} of {name} must be {wanted} above 0, got {value!r}.")


def _is_above_zero(number: Any, whole: bool, odd: bool) -> bool:
    if isinstance(number, bool) or not isinstance(number, int if whole else int | float):
        return False
    return 0 < number < math.inf and (not odd or number % 2 == 1)


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1, dilation: int = 1, dims: int = 2
) -> nn.Sequential:
    """A convolution with batch norm; it keeps the size, or divides it by the stride and rounds up."""
    padding = dilation * (kernel // 2)
    made = _CONV[dims](inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(made, _NORM[dims](outputs))


def in_a_row(blocks: Sequence[nn.Module]) -> nn.Sequential:
    """A stage: blocks that keep a shape, but for the first, which alone cannot be left out. How many stay is its depth."""
    first, *others = blocks
    return nn.Sequential(first, *(Choice({"block": block, "skip": nn.Identity()}) for block in others))


def in_stages(
    input_shape: Shape,
    outputs: int,
    channels: int,
    blocks: Sequence[int],
    stem_stride: int,
    block: Callable[[int, int, int], nn.Module],
) -> nn.Module:
    """A network for images or signals: a strided stem, stages of blocks that double the channels and halve the positions along
    every axis, and a classifier.

    Args:
        input_shape: ``(C, H, W)`` or ``(C, L)``.
        outputs: numbers for an image.
        channels: of the first stage.
        blocks: how many each stage has at most.
        stem_stride: of the first convolution.
        block: makes one of ``(inputs, outputs, stride)``.
    """
    dims, stages, inputs = len(input_shape) - 1, [], channels
    for number, count in enumerate(blocks):
        width = channels * 2**number
        first = block(inputs, width, 1 if number == 0 else 2)
        stages.append(in_a_row([first, *(block(width, width, 1) for _ in range(count - 1))]))
        inputs = width
    window = max(_STEM[dims], 2 * stem_stride - 1)
    stem = nn.Sequential(conv(input_shape[0], channels, window, stem_stride, dims=dims), nn.ReLU())
    head = nn.Sequential(_MEAN[dims](1), nn.Flatten(), nn.Linear(inputs, outputs))
    return nn.Sequential(OrderedDict(stem=stem, stages=nn.Sequential(*stages), head=head))
