"""The fixed layers of the skeletons: stems, blocks between stages, heads, by the kind that a space names them with."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.nets.ops import BatchNorm, FactorizedReduce, relu_conv_norm
from mixop.spaces.core import Layer


class Residual(nn.Module):
    """The residual block between the stages of NAS-Bench-201: two 3x3 convolutions beside a pooled 1x1 shortcut.

    Source: Dong & Yang 2020 (arXiv:2001.00326), section 2.2, and the authors' code.
    """

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.first = relu_conv_norm(layer.channels[0], layer.out, 3, layer.stride, norm, affine=True)
        self.second = relu_conv_norm(layer.out, layer.out, 3, 1, norm, affine=True)
        conv = nn.Conv2d(layer.channels[0], layer.out, 1, bias=False)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, stride=2), conv) if layer.stride == 2 else conv

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(self.first(x))


class Head(nn.Module):
    """Batch norm, ReLU, mean over the image, linear classifier."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.norm = norm.make(layer.channels[0], affine=True)
        self.linear = nn.Linear(layer.channels[0], layer.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.relu(self.norm(x)).mean((2, 3)))


class LinearHead(nn.Module):
    """Mean over the image, linear classifier."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.channels[0], layer.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean((2, 3)))


class Slice(nn.Module):
    """A block of channels."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.start, self.stop = layer.offset, layer.offset + layer.out

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]


def _stem(layer: Layer, norm: BatchNorm) -> nn.Module:
    conv = nn.Conv2d(layer.channels[0], layer.out, 3, padding=1, bias=False)
    return nn.Sequential(conv, norm.make(layer.out, affine=True))


def _preprocess(layer: Layer, norm: BatchNorm) -> nn.Module:
    return relu_conv_norm(layer.channels[0], layer.out, 1, 1, norm)


def _reducing_preprocess(layer: Layer, norm: BatchNorm) -> nn.Module:
    return FactorizedReduce(layer.channels[0], layer.out, norm)


def _imagenet_stem(layer: Layer, norm: BatchNorm) -> nn.Module:
    """Two strided 3x3 convolutions: a quarter of the size."""
    half = layer.out // 2
    first = nn.Conv2d(layer.channels[0], half, 3, stride=2, padding=1, bias=False)
    second = nn.Conv2d(half, layer.out, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(first, norm.make(half, affine=True), nn.ReLU(), second, norm.make(layer.out, affine=True))


def _imagenet_stem_reduction(layer: Layer, norm: BatchNorm) -> nn.Module:
    return relu_conv_norm(layer.channels[0], layer.out, 3, 2, norm, affine=True)


class AuxiliaryHead(nn.Module):
    """A classifier on a cell in the middle of the network: it is pooled to 2x2 pixels and convolved to one.

    Images of 6 to 8 pixels are pooled by 5x5 windows, as published for 8 (CIFAR) and 7 (ImageNet); larger ones to 2x2 means.

    Source: Liu et al. 2019 (arXiv:1806.09055), appendix A.2, and the authors' code.
    """

    LEAST = 6

    def __init__(self, layer: Layer, norm: BatchNorm, *, second_norm: bool = True) -> None:
        super().__init__()
        first = nn.Conv2d(layer.channels[0], 128, 1, bias=False)
        second = nn.Conv2d(128, 768, 2, bias=False)
        norms = [norm.make(768, affine=True)] if second_norm else []
        self.body = nn.Sequential(first, norm.make(128, affine=True), nn.ReLU(), second, *norms, nn.ReLU())
        self.linear = nn.Linear(768, layer.out)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2]
        if size < self.LEAST:
            raise SpaceError(
                f"The auxiliary head needs {self.LEAST} pixels where it stands, got {size}: use larger images, or none."
            )
        x = torch.relu(x)
        if size <= 8:
            x = nn.functional.avg_pool2d(x, 5, stride=size - 5, count_include_pad=False)
        else:
            x = nn.functional.adaptive_avg_pool2d(x, 2)
        return self.linear(self.body(x).flatten(1))


def _imagenet_auxiliary_head(layer: Layer, norm: BatchNorm) -> nn.Module:
    return AuxiliaryHead(layer, norm, second_norm=False)  # left out in the original


LAYERS: dict[str, Callable[[Layer, BatchNorm], nn.Module]] = {
    "stem": _stem,
    "residual": Residual,
    "head": Head,
    "linear_head": LinearHead,
    "slice": Slice,
    "preprocess": _preprocess,
    "reducing_preprocess": _reducing_preprocess,
    "auxiliary_head": AuxiliaryHead,
    "imagenet_auxiliary_head": _imagenet_auxiliary_head,
    "imagenet_stem": _imagenet_stem,
    "imagenet_stem_reduction": _imagenet_stem_reduction,
}
