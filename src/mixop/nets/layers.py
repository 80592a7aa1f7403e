"""The fixed layers of the skeletons: stems, blocks between stages, heads, by the kind that a space names them with."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.core.rng import rand
from mixop.nets.dims import (
    ADAPTIVE_MEAN,
    AVERAGE_POOLS,
    CONVOLUTIONS,
    MAX_POOLS,
    POOL_MEAN,
    dims_of,
    mean_of_positions,
    resized,
)
from mixop.nets.ops import BatchNorm, FactorizedReduce, conv_norm_relu, relu_conv_norm
from mixop.nets.recurrent import Embedding, TiedDecoder
from mixop.nets.tokens import TokenStem
from mixop.spaces.stacked import Layer


class Residual(nn.Module):
    """The residual block between the stages of NAS-Bench-201: two 3x3 convolutions beside a pooled 1x1 shortcut.

    Source: Dong & Yang 2020 (arXiv:2001.00326), section 2.2, and the authors' code.
    """

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        dims = layer.dims
        self.first = relu_conv_norm(layer.channels[0], layer.out, 3, layer.stride, norm, dims, affine=True)
        self.second = relu_conv_norm(layer.out, layer.out, 3, 1, norm, dims, affine=True)
        conv = CONVOLUTIONS[dims](layer.channels[0], layer.out, 1, bias=False)
        self.shortcut = nn.Sequential(AVERAGE_POOLS[dims](2, stride=2), conv) if layer.stride == 2 else conv

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(self.first(x))


class Head(nn.Module):
    """Batch norm, ReLU, mean over the positions, linear map."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.norm = norm.make(layer.channels[0], layer.dims, affine=True)
        self.linear = nn.Linear(layer.channels[0], layer.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(mean_of_positions(torch.relu(self.norm(x))))


class LinearHead(nn.Module):
    """Mean over the positions, linear map."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.channels[0], layer.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(mean_of_positions(x))


class ReluLinearHead(LinearHead):
    """ReLU, mean over the positions, linear map."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.relu(x))


class DenseHead(nn.Module):
    """Batch norm and ReLU, if it has them, and a 1x1 convolution, interpolated to the positions of the network's input.

    Args:
        layer: reads the values, and the network's input for its size.
        norm: batch norm settings.
        normalised: whether it begins with batch norm and ReLU.
    """

    def __init__(self, layer: Layer, norm: BatchNorm, *, normalised: bool = True) -> None:
        super().__init__()
        self.dims = layer.dims
        self.norm = norm.make(layer.channels[0], layer.dims, affine=True) if normalised else None
        self.conv = CONVOLUTIONS[layer.dims](layer.channels[0], layer.out, 1)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        x = x if self.norm is None else torch.relu(self.norm(x))
        return resized(self.conv(x), given.shape[-self.dims :])


class DroppedHead(nn.Module):
    """ReLU, if it has one, mean over the positions, dropout, linear map without bias; or a 1x1 convolution at every position.

    Args:
        layer: reads the values; for outputs at every position, the network's input too, for its size.
        norm: not used.
        relu: whether it begins with a ReLU.

    Source: the code of Pham et al. 2018 (arXiv:1802.03268): the networks of the micro space have the ReLU.
    """

    def __init__(self, layer: Layer, norm: BatchNorm, *, relu: bool = False) -> None:
        super().__init__()
        self.relu, self.dropout, self.dims = relu, layer.dropout, layer.dims
        self.linear = nn.Linear(layer.channels[0], layer.out, bias=False)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        x = torch.relu(x) if self.relu else x
        if given is None:
            return self.linear(self._dropped(mean_of_positions(x)))
        outputs = self.linear(self._dropped(x).movedim(1, -1)).movedim(-1, 1)
        return resized(outputs, given.shape[-self.dims :])

    def _dropped(self, x: Tensor) -> Tensor:
        if not self.training or self.dropout == 0:
            return x
        # Drawn on the CPU, whatever the device: the caller fences it.
        mask = rand(x.shape, x.device, by_example=True).lt(1 - self.dropout).to(x.dtype)
        return x * (mask / (1 - self.dropout))


class LinearStem(nn.Module):
    """Linear map of feature vectors ``(B, F)`` and batch norm: signals of length 1, ``(B, C, 1)``."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.channels[0], layer.out, bias=False)
        self.norm = norm.make(layer.out, 1, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(x).unsqueeze(-1))


class Slice(nn.Module):
    """A block of channels."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.start, self.stop = layer.offset, layer.offset + layer.out

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]


def _stem(layer: Layer, norm: BatchNorm) -> nn.Module:
    conv = CONVOLUTIONS[layer.dims](layer.channels[0], layer.out, 3, padding=1, bias=False)
    return nn.Sequential(conv, norm.make(layer.out, layer.dims, affine=True))


def _norm_relu_stem(layer: Layer, norm: BatchNorm) -> nn.Module:
    return conv_norm_relu(layer.channels[0], layer.out, 3, 1, norm, layer.dims)


def _postprocess(layer: Layer, norm: BatchNorm) -> nn.Module:
    return relu_conv_norm(layer.channels[0], layer.out, 1, 1, norm, layer.dims, affine=False)


def _preprocess(layer: Layer, norm: BatchNorm) -> nn.Module:
    return relu_conv_norm(layer.channels[0], layer.out, 1, 1, norm, layer.dims)


def _reducing_preprocess(layer: Layer, norm: BatchNorm) -> nn.Module:
    return FactorizedReduce(layer.channels[0], layer.out, norm, layer.dims)


def _imagenet_stem(layer: Layer, norm: BatchNorm) -> nn.Module:
    """Two strided 3x3 convolutions: a quarter of the size."""
    half, dims, conv = layer.out // 2, layer.dims, CONVOLUTIONS[layer.dims]
    first = conv(layer.channels[0], half, 3, stride=2, padding=1, bias=False)
    second = conv(half, layer.out, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(first, norm.make(half, dims, affine=True), nn.ReLU(), second, norm.make(layer.out, dims, affine=True))


def _imagenet_stem_reduction(layer: Layer, norm: BatchNorm) -> nn.Module:
    return relu_conv_norm(layer.channels[0], layer.out, 3, 2, norm, layer.dims, affine=True)


class AuxiliaryHead(nn.Module):
    """Outputs from a cell in the middle of the network: it is pooled to two positions along every axis and convolved to one.

    Images of 6 to 8 pixels are pooled by 5x5 windows, as published for 8 (CIFAR) and 7 (ImageNet); larger ones to 2x2 means.
    Signals are pooled likewise along their one axis.

    Source: Liu et al. 2019 (arXiv:1806.09055), appendix A.2, and the authors' code.
    """

    LEAST = 6

    def __init__(self, layer: Layer, norm: BatchNorm, *, second_norm: bool = True) -> None:
        super().__init__()
        dims, conv = layer.dims, CONVOLUTIONS[layer.dims]
        first = conv(layer.channels[0], 128, 1, bias=False)
        second = conv(128, 768, 2, bias=False)
        norms = [norm.make(768, dims, affine=True)] if second_norm else []
        self.body = nn.Sequential(first, norm.make(128, dims, affine=True), nn.ReLU(), second, *norms, nn.ReLU())
        self.linear = nn.Linear(768, layer.out)

    def forward(self, x: Tensor) -> Tensor:
        sizes, dims = x.shape[2:], dims_of(x)
        if min(sizes) < self.LEAST:
            raise SpaceError(
                f"The auxiliary head needs {self.LEAST} positions along every axis where it stands, got "
                f"{' x '.join(map(str, sizes))}: use larger inputs, or leave it out, auxiliary 0 of the protocol."
            )
        x = torch.relu(x)
        if max(sizes) <= 8:
            x = POOL_MEAN[dims](x, 5, stride=tuple(size - 5 for size in sizes), count_include_pad=False)
        else:
            x = ADAPTIVE_MEAN[dims](x, 2)
        return self.linear(self.body(x).flatten(1))


def _norm(layer: Layer, norm: BatchNorm) -> nn.Module:
    return norm.make(layer.out, layer.dims, affine=True)


def _factorised_reduction(layer: Layer, norm: BatchNorm) -> nn.Module:
    return FactorizedReduce(layer.channels[0], layer.out, norm, layer.dims, relu=False, affine=True)


def _strided_stem(layer: Layer, norm: BatchNorm) -> nn.Module:
    """Windows of 3 up to a stride of 2; at a larger one they grow, so that they overlap and miss nothing."""
    reach = max(1, layer.stride - 1)
    conv = CONVOLUTIONS[layer.dims](layer.channels[0], layer.out, 2 * reach + 1, layer.stride, reach, bias=False)
    return nn.Sequential(conv, norm.make(layer.out, layer.dims, affine=True))


def _relu_conv(kernel: int) -> Callable[[Layer, BatchNorm], nn.Module]:
    return lambda layer, norm: relu_conv_norm(layer.channels[0], layer.out, kernel, layer.stride, norm, layer.dims, affine=True)


LAYERS: dict[str, Callable[[Layer, BatchNorm], nn.Module]] = {
    "stem": _stem,
    "linear_stem": LinearStem,
    "token_stem": TokenStem,
    "embedding": Embedding,
    "tied_decoder": TiedDecoder,
    "residual": Residual,
    "head": Head,
    "linear_head": LinearHead,
    "relu_linear_head": ReluLinearHead,
    "strided_stem": _strided_stem,
    "relu_conv_3x3": _relu_conv(3),
    "relu_conv_1x1": _relu_conv(1),
    "dense_head": DenseHead,
    "dense_linear_head": partial(DenseHead, normalised=False),
    "dropped_head": DroppedHead,
    "dense_dropped_head": DroppedHead,
    "relu_dropped_head": partial(DroppedHead, relu=True),
    "dense_relu_dropped_head": partial(DroppedHead, relu=True),
    "norm": _norm,
    "factorised_reduction": _factorised_reduction,
    "slice": Slice,
    "norm_relu_stem": _norm_relu_stem,
    # The largest of two: an odd axis ends with a window of one, as TensorFlow pads; or with a margin of one on all sides, as in
    # the supernets of NAS-Bench-1Shot1.
    "pool": lambda layer, norm: MAX_POOLS[layer.dims](2, stride=2, ceil_mode=True),
    "wide_pool": lambda layer, norm: MAX_POOLS[layer.dims](2, stride=2, padding=1),
    "postprocess": _postprocess,
    "preprocess": _preprocess,
    "reducing_preprocess": _reducing_preprocess,
    "auxiliary_head": AuxiliaryHead,
    "imagenet_auxiliary_head": partial(AuxiliaryHead, second_norm=False),  # left out in the original
    "imagenet_stem": _imagenet_stem,
    "imagenet_stem_reduction": _imagenet_stem_reduction,
}
