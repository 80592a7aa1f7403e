"""Candidate operations and the fixed blocks of the skeletons, as torch modules, by their published names.

An operation is built by ``make(channels, stride, norm, dims)``; it keeps the number of channels and divides every axis by
``stride``. ``dims`` is 2 for images ``(B, C, H, W)`` and 1 for signals ``(B, C, L)``, where a name keeps its meaning along
the one axis: ``nor_conv_3x3`` is a convolution of window 3. `OPERATIONS` is the table of names; an outsider's operation is
named ``package.module:make`` in a space's option list and needs no registration. If its function has no argument ``dims``,
it is called as ``make(channels, stride, norm)``, for images only.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mixop.core.errors import RecipeError, SpaceError, unknown
from mixop.core.names import load
from mixop.core.rng import rand, randn
from mixop.core.schedules import check_range
from mixop.core.transfer import upload
from mixop.nets.dims import AVERAGE_POOLS, BATCH_NORMS, CONVOLUTIONS, MAX_POOLS, padded_to_even, strided


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """How batch normalisation behaves, named in every recipe and result.

    Args:
        affine: whether candidate operations have a trainable scale and shift (the fixed layers always do).
        track: whether running statistics are kept and used in evaluation; if not, every batch uses its own statistics.
        momentum: weight of the newest batch in the running statistics, in (0, 1].
        eps: added to the variance, > 0.
    """

    affine: bool = True
    track: bool = True
    momentum: float = 0.1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        check_range("batch norm momentum", self.momentum, above=0, at_most=1)
        check_range("batch norm eps", self.eps, above=0)

    def make(self, channels: int, dims: int = 2, *, affine: bool | None = None) -> nn.BatchNorm1d | nn.BatchNorm2d:
        """The layer, for ``channels`` channels of images (``dims`` 2) or signals (1)."""
        return BATCH_NORMS[dims](
            channels,
            eps=self.eps,
            momentum=self.momentum,
            affine=self.affine if affine is None else affine,
            track_running_stats=self.track,
        )


class Zero(nn.Module):
    """``none``: zeros of the (strided) input's shape."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x if self.stride == 1 else strided(x, self.stride))


class Noise(nn.Module):
    """``noise``: fresh standard normal numbers of the (strided) input's shape, in training and evaluation alike.

    Drawn on the CPU, whatever the device, by `mixop.core.rng.randn`: the caller fences it.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 3.1, space S4.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        shape = strided(x, self.stride).shape
        return upload(randn(shape, x.dtype, by_example=True), x.device)


class Elementwise(nn.Module):
    """A parameter-free map of every entry, for the toy space."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 stride-2 convolutions on grids of positions one apart, concatenation, batch norm; methods of DARTS, 4.1.

    Args:
        channels: input channels.
        out: output channels, even.
        norm: batch norm settings.
        dims: 2 for images, 1 for signals.
        relu: whether it begins with a ReLU; not in ENAS.
        affine: whether its batch norm has a scale and a shift; None for what the settings say.
    """

    def __init__(
        self, channels: int, out: int, norm: BatchNorm, dims: int = 2, *, relu: bool = True, affine: bool | None = None
    ) -> None:
        super().__init__()
        self.relu = relu
        if out % 2:
            raise SpaceError(f"A factorised reduction needs an even number of output channels, got {out}.")
        self.even = CONVOLUTIONS[dims](channels, out // 2, 1, stride=2, bias=False)
        self.odd = CONVOLUTIONS[dims](channels, out // 2, 1, stride=2, bias=False)
        self.norm = norm.make(out, dims, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x) if self.relu else x
        # An odd size would give the two grids different sizes: pad the end by one zero before the shift.
        shifted = strided(padded_to_even(x), 1, start=1)
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))


def relu_conv_norm(
    channels: int, out: int, kernel: int, stride: int, norm: BatchNorm, dims: int = 2, *, affine: bool | None = None
) -> nn.Sequential:
    """ReLU, convolution without bias (padding ``kernel // 2``), batch norm."""
    conv = CONVOLUTIONS[dims](channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, norm.make(out, dims, affine=affine))


def conv_norm_relu(channels: int, out: int, kernel: int, stride: int, norm: BatchNorm, dims: int = 2) -> nn.Sequential:
    """Convolution without bias (padding ``kernel // 2``), batch norm with scale and shift always, ReLU.

    Source: Ying et al. 2019 (arXiv:1902.09635), section 2.2, and the authors' code.
    """
    conv = CONVOLUTIONS[dims](channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, norm.make(out, dims, affine=True), nn.ReLU())


def depthwise_separable(
    channels: int, kernel: int, stride: int, norm: BatchNorm, dims: int = 2, *, dilation: int = 1
) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    """ReLU, depthwise convolution, 1x1 convolution, batch norm; the input shrinks by the stride alone."""
    conv, padding = CONVOLUTIONS[dims], dilation * (kernel - 1) // 2
    depthwise = conv(channels, channels, kernel, stride=stride, padding=padding, dilation=dilation, groups=channels, bias=False)
    return nn.ReLU(), depthwise, conv(channels, channels, 1, bias=False), norm.make(channels, dims)


MakeOperation = Callable[[int, int, BatchNorm, int], nn.Module]
"""``make(channels, stride, norm, dims)``."""


def _dense(kernel: int) -> MakeOperation:
    return lambda channels, stride, norm, dims: relu_conv_norm(channels, channels, kernel, stride, norm, dims)


def _post_activated(kernel: int) -> MakeOperation:
    return lambda channels, stride, norm, dims: conv_norm_relu(channels, channels, kernel, stride, norm, dims)


def _separable(kernel: int) -> MakeOperation:
    """A depthwise separable convolution applied twice, the first time with the stride."""
    return lambda channels, stride, norm, dims: nn.Sequential(
        *depthwise_separable(channels, kernel, stride, norm, dims), *depthwise_separable(channels, kernel, 1, norm, dims)
    )


def _dilated(kernel: int) -> MakeOperation:
    return lambda channels, stride, norm, dims: nn.Sequential(
        *depthwise_separable(channels, kernel, stride, norm, dims, dilation=2)
    )


def _factorised_7x7(channels: int, stride: int, norm: BatchNorm, dims: int) -> nn.Module:
    """A row and a column of 7. Along one axis there is nothing to factorise: it is one convolution of window 7."""
    if dims == 1:
        return relu_conv_norm(channels, channels, 7, stride, norm, dims)
    row = nn.Conv2d(channels, channels, (1, 7), stride=(1, stride), padding=(0, 3), bias=False)
    column = nn.Conv2d(channels, channels, (7, 1), stride=(stride, 1), padding=(3, 0), bias=False)
    return nn.Sequential(nn.ReLU(), row, column, norm.make(channels))


def _average(stride: int, dims: int) -> nn.Module:
    return AVERAGE_POOLS[dims](3, stride=stride, padding=1, count_include_pad=False)


def _maximum(stride: int, dims: int) -> nn.Module:
    return MAX_POOLS[dims](3, stride=stride, padding=1)


def _normalised(pool: nn.Module, channels: int, norm: BatchNorm, dims: int) -> nn.Module:
    """A pool followed by a batch norm without scale and shift, as the DARTS family searches with it."""
    return nn.Sequential(pool, norm.make(channels, dims, affine=False))


def _skip(channels: int, stride: int, norm: BatchNorm, dims: int) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, norm, dims)


class Spared(nn.Sequential):
    """Modules one after the other that drop path leaves alone, as it does skip connections."""


def _join(channels: int, stride: int, dims: int) -> list[nn.Module]:
    """What a value goes through before it is added to a node: its part of a 1x1 convolution of all values side by side."""
    return [nn.ReLU(), CONVOLUTIONS[dims](channels, channels, 1, stride=stride, bias=False)]


def _enas(kernel: int, *, separable: bool = False, final: bool = False, joined: bool = False) -> MakeOperation:
    """An operation of ENAS's networks: a 1x1 convolution, and a convolution of the kernel's size.

    Args:
        kernel: window.
        separable: whether it is depthwise, followed by a 1x1 convolution.
        final: whether ReLUs stand before convolutions, as in the network that is trained at last, not behind batch norms.
        joined: whether it ends with what joins the inputs of a node.
    """

    def make(channels: int, stride: int, norm: BatchNorm, dims: int) -> nn.Module:
        conv, groups = CONVOLUTIONS[dims], channels if separable else 1
        one = conv(channels, channels, 1, stride=stride, bias=False), norm.make(channels, dims), nn.ReLU()
        wide = conv(channels, channels, kernel, padding=kernel // 2, groups=groups, bias=False)
        point = [conv(channels, channels, 1, bias=False)] if separable else []
        body = [*one, wide, *point, norm.make(channels, dims)]
        body = [nn.ReLU(), *body] if final else [*body, nn.ReLU()]
        return nn.Sequential(*body, *(_join(channels, 1, dims) if joined else ()))

    return make


def _enas_pool(pool: Callable[[int, int], nn.Module], *, final: bool = False, joined: bool = False) -> MakeOperation:
    """A pool of ENAS's networks behind a 1x1 convolution; the arguments are those of `_enas`."""

    def make(channels: int, stride: int, norm: BatchNorm, dims: int) -> nn.Module:
        first = CONVOLUTIONS[dims](channels, channels, 1, stride=stride, bias=False)
        body = [first, norm.make(channels, dims), nn.ReLU(), pool(1, dims)]
        return nn.Sequential(*([nn.ReLU()] if final else []), *body, *(_join(channels, 1, dims) if joined else ()))

    return make


def _enas_identity(channels: int, stride: int, norm: BatchNorm, dims: int) -> nn.Module:
    return nn.Identity() if stride == 1 else Spared(FactorizedReduce(channels, channels, norm, dims, relu=False))


def _enas_operations() -> dict[str, MakeOperation]:
    """ENAS's operations in a supernet (``enas_conv_3x3``), in the final network (``enas_final_...``), and with what joins
    the inputs of a node (``enas_final_..._joined``). An identity in either passes its input on.

    Source: Pham et al. 2018 (arXiv:1802.03268), section 2.3, and the authors' code.
    """
    found: dict[str, MakeOperation] = {
        "enas_join": lambda channels, stride, norm, dims: Spared(*_join(channels, stride, dims)),
        "enas_final_identity": _enas_identity,
        "enas_final_identity_joined": lambda channels, stride, norm, dims: nn.Sequential(*_join(channels, stride, dims)),
    }
    for end, form in (("", {"final": True}), ("_joined", {"final": True, "joined": True})):
        for kernel in (3, 5):
            found[f"enas_final_conv_{kernel}x{kernel}{end}"] = _enas(kernel, **form)
            found[f"enas_final_sep_conv_{kernel}x{kernel}{end}"] = _enas(kernel, separable=True, **form)
        found[f"enas_final_avg_pool_3x3{end}"] = _enas_pool(_average, **form)
        found[f"enas_final_max_pool_3x3{end}"] = _enas_pool(_maximum, **form)
    for kernel in (3, 5):
        found[f"enas_conv_{kernel}x{kernel}"] = _enas(kernel)
        found[f"enas_sep_conv_{kernel}x{kernel}"] = _enas(kernel, separable=True)
    return found | {"enas_avg_pool_3x3": _enas_pool(_average), "enas_max_pool_3x3": _enas_pool(_maximum)}


OPERATIONS: dict[str, MakeOperation] = {
    "none": lambda channels, stride, norm, dims: Zero(stride),
    "skip_connect": _skip,
    "nor_conv_1x1": _dense(1),
    "nor_conv_3x3": _dense(3),
    "avg_pool_3x3": lambda channels, stride, norm, dims: _average(stride, dims),
    "max_pool_3x3": lambda channels, stride, norm, dims: _maximum(stride, dims),
    "avg_pool_3x3_norm": lambda channels, stride, norm, dims: _normalised(_average(stride, dims), channels, norm, dims),
    "max_pool_3x3_norm": lambda channels, stride, norm, dims: _normalised(_maximum(stride, dims), channels, norm, dims),
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
    "conv_7x1_1x7": _factorised_7x7,
    "noise": lambda channels, stride, norm, dims: Noise(stride),
    # Those of NAS-Bench-101.
    "conv3x3-bn-relu": _post_activated(3),
    "conv1x1-bn-relu": _post_activated(1),
    "maxpool3x3": lambda channels, stride, norm, dims: _maximum(stride, dims),
    # The toy space's maps of single numbers.
    "abs": lambda channels, stride, norm, dims: Elementwise(torch.abs),
    "sine": lambda channels, stride, norm, dims: Elementwise(lambda x: torch.sin(3 * x)),
}


ENAS_OPERATIONS: dict[str, MakeOperation] = _enas_operations()
"""The forms of ENAS's operations in its supernets and networks, which its spaces name; no options themselves."""


def operation(name: str, channels: int, stride: int, norm: BatchNorm, dims: int = 2) -> nn.Module:
    """Builds the operation of that name.

    Args:
        name: a name in `OPERATIONS`, or ``package.module:make`` of your own.
        channels: input and output channels.
        stride: 1 or 2.
        norm: batch norm settings.
        dims: 2 for images ``(B, C, H, W)``, 1 for signals ``(B, C, L)``.

    Raises:
        SpaceError: if there is no such operation, or it is an outsider's for images only.
    """
    if ":" not in name:
        table = ENAS_OPERATIONS if name in ENAS_OPERATIONS else OPERATIONS
        if name not in table:
            raise SpaceError(unknown("operation", name, OPERATIONS))
        return table[name](channels, stride, norm, dims)
    try:
        make = load(name, "the space", "function")
    except RecipeError as error:
        raise SpaceError(str(error)) from error
    if _knows_dims(make):
        return make(channels, stride, norm, dims=dims)
    if dims != 2:
        raise SpaceError(
            f"Operation {name!r} works on images only, got signals of {dims} dimension: give its function an argument dims, "
            "1 for signals and 2 for images."
        )
    return make(channels, stride, norm)


def _knows_dims(make: Callable[..., nn.Module]) -> bool:
    try:
        return "dims" in inspect.signature(make).parameters
    except ValueError:  # a function without a signature, of an extension in C
        return False


def drop_path(x: Tensor, probability: float) -> Tensor:
    """The examples of a batch, each set to zero with a probability and divided by ``1 - probability`` otherwise.

    Args:
        x: values ``(B, C, *positions)``.
        probability: chance of every example to be dropped, in [0, 1).

    Source: Larsson et al. 2017 (arXiv:1605.07648), as DARTS uses it (arXiv:1806.09055).
    """
    keep = 1.0 - probability
    # Drawn on the CPU, whatever the device and the layout: the caller fences it.
    mask = rand((len(x), *[1] * (x.dim() - 1)), x.device, by_example=True).lt(keep).to(x.dtype)
    return x * (mask / keep)
