"""A discrete network in training, node by node: what depends on a value only is computed once for all that read it.

The numbers are those of the plain modules, in a different order of additions. Every value has one positive part, which all
convolutions that begin with a ReLU share, and one pool of each kind. A 1x1 convolution is a product of matrices, a dilated
depthwise one runs as undilated ones of the four phases of an image, and a factorised reduction reads two grids of pixels. A
gradient comes back in the layout of its value, which batch norm needs to be fast.

What the network draws is drawn in the order of the plain modules.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from mixop.nets.dims import join_phases, phases
from mixop.nets.ops import FactorizedReduce

CHANNELS_LAST = torch.channels_last


class Values:
    """The values of one forward pass, and what is computed from each of them once."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}

    def once(self, x: Tensor, what: str, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What is computed from a value, at the first call only.

        Args:
            x: the value.
            what: a name, the same for what gives the same.
            compute: computes it.
        """
        key = (id(x), what)
        if key not in self._found:
            self._found[key] = (x, compute(x))  # the value is kept with it, so that nothing else gets its number
        return self._found[key][1]

    def positive(self, x: Tensor) -> Tensor:
        """Its positive part."""
        return self.once(x, "relu", torch.relu)


def run(module: nn.Module, x: Tensor, values: Values) -> Tensor:
    """The value of a module of mixop or of a user's own at a value.

    Args:
        module: the module.
        x: the value ``(B, C, *positions)``.
        values: of this pass.
    """
    if isinstance(module, FactorizedReduce) and x.dim() == 4 and not (x.shape[2] % 2 or x.shape[3] % 2):
        return _reduction(module, x, values)
    if type(module).forward is nn.Sequential.forward:
        return _sequence(list(module), x, values)  # type: ignore[call-overload]
    if isinstance(module, nn.AvgPool2d | nn.MaxPool2d):
        return values.once(x, repr(module), module)
    return module(x)


def _sequence(modules: Sequence[nn.Module], x: Tensor, values: Values) -> Tensor:
    """Modules one after the other; only the first one's input has other readers."""
    if modules and type(modules[0]) is nn.ReLU:
        x, modules = values.positive(x), modules[1:]
        if _phased(modules, x):
            inner = values.once(x, "phases", phases)
            for module in (_undilated(modules[0]), *modules[1:]):
                inner = module(inner)
            return join_phases(inner)
    for module in modules:
        x = _pointwise(module, x) if _is_pointwise(module, x) else module(x)
    return x


def _is_pointwise(module: nn.Module, x: Tensor) -> bool:
    return (
        type(module) is nn.Conv2d
        and x.dim() == 4
        and (module.kernel_size, module.stride, module.padding, module.groups) == ((1, 1), (1, 1), (0, 0), 1)
    )


def _pointwise(module: Any, x: Tensor) -> Tensor:
    return linear(x.permute(0, 2, 3, 1), module.weight.flatten(1), module.bias).permute(0, 3, 1, 2)


def _phased(modules: Sequence[nn.Module], x: Tensor) -> bool:
    """Whether these are a dilated depthwise convolution of stride 1 and what acts on every pixel alike."""
    first = modules[0] if modules else None
    return (
        type(first) is nn.Conv2d
        and (first.dilation, first.stride) == ((2, 2), (1, 1))
        and not (x.shape[2] % 2 or x.shape[3] % 2)
        and all(isinstance(m, nn.BatchNorm2d) or _is_pointwise(m, x) for m in modules[1:])
    )


def _undilated(module: Any) -> Callable[[Tensor], Tensor]:
    padding = tuple(p // 2 for p in module.padding)
    return lambda x: torch.conv2d(x, module.weight, module.bias, 1, padding, 1, module.groups)


def _reduction(module: FactorizedReduce, x: Tensor, values: Values) -> Tensor:
    x = values.positive(x) if module.relu else x
    batch, _, height, width = x.shape
    grids = _Grids.apply(x)
    halves = [linear(grid, conv.weight.flatten(1)) for grid, conv in zip(grids, (module.even, module.odd), strict=True)]
    return module.norm(torch.cat(halves, dim=1).view(batch, height // 2, width // 2, -1).permute(0, 3, 1, 2))


class _Grids(torch.autograd.Function):
    """The pixels of even row and column, and those of odd ones, as matrices ``(B H/2 W/2, C)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.shape = x.shape
        pixels = x.permute(0, 2, 3, 1)
        even, odd = (pixels[:, k::2, k::2].reshape(-1, x.shape[1]) for k in (0, 1))
        return even, odd

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        batch, channels, height, width = ctx.shape
        slope = grads[0].new_zeros(batch, height, width, channels)
        for k, grad in enumerate(grads):
            slope[:, k::2, k::2] = grad.view(batch, height // 2, width // 2, channels)
        return slope.permute(0, 3, 1, 2)


def joined(nodes: Sequence[Tensor]) -> Tensor:
    """Values side by side along the channels, ``(B, n C, *positions)``.

    The gradient of each is a tensor of its own in the value's layout, not a slice of the whole: a batch norm whose output has
    a slice for its gradient takes several times as long.
    """
    if len(nodes) == 1:
        return nodes[0]
    return _Joined.apply(*nodes)  # type: ignore[return-value]


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *nodes: Tensor) -> Tensor:
        ctx.channels = [node.shape[1] for node in nodes]
        return torch.cat(nodes, dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        layout = CHANNELS_LAST if grads[0].dim() == 4 else torch.contiguous_format
        return tuple(part.contiguous(memory_format=layout) for part in grads[0].split(ctx.channels, dim=1))
