"""Partial channels: the operations see a share of the channels, the others pass by."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from mixop.core.errors import RecipeError
from mixop.core.rng import randperm
from mixop.core.schedules import check_range
from mixop.core.transfer import upload
from mixop.nets.dims import MAX_POOLS
from mixop.nets.skeleton import node_width
from mixop.spaces.stacked import Stacked
from mixop.wraps.base import EdgeSpec, MakeEdge, Wrap, WrappedEdge


class PartialEdge(WrappedEdge):
    """``shuffle(concat(inner(x[:C/K]), x[C/K:]))``, or the same with a random share of the channels in their places."""

    def __init__(self, inner: nn.Module, channels: int, k: int, stride: int, dims: int, *, random: bool) -> None:
        super().__init__(inner)
        self.seen, self.k, self.random = channels // k, k, random
        self.bypass = MAX_POOLS[dims](2, stride=2, ceil_mode=True) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor, weights: Tensor, active: tuple[int, ...] | None = None, progress: float = 0.0) -> Tensor:
        if not self.random:
            y = torch.cat([self.inner(x[:, : self.seen], weights, active, progress), self.bypass(x[:, self.seen :])], dim=1)
            return shuffle_channels(y, self.k)
        order = upload(randperm(x.shape[1]), x.device)
        seen, rest = x[:, order[: self.seen]], x[:, order[self.seen :]]
        y = torch.cat([self.inner(seen, weights, active, progress), self.bypass(rest)], dim=1)
        return y[:, order.argsort()]


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """The channels of ``(B, C, *positions)`` interleaved: channel ``g * C/G + i`` goes to ``i * G + g``.

    Source: Zhang et al. 2018 (arXiv:1707.01083), figure 1.
    """
    batch, channels, *sizes = x.shape
    return x.view(batch, groups, channels // groups, *sizes).transpose(1, 2).reshape(x.shape)


@dataclass(frozen=True, kw_only=True)
class PartialChannels(Wrap):
    """The options of an edge work on ``C / K`` of its C channels; the others pass by, max-pooled where the edge is strided.

    Args:
        k: K, >= 1, a divisor of the channels of every cell; 1 changes nothing.
        channels: which channels are seen: ``first``, the first block with a shuffle of all channels afterwards (the authors'
            code), or ``random``, drawn in every pass and put back in their places (their paper).

    Source: Xu et al. 2020 (arXiv:1907.05737), eq. 1.
    """

    k: int = 4
    channels: Literal["first", "random"] = "first"

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int):
            raise RecipeError(f"k of PartialChannels must be a whole number, got {self.k!r}.")
        check_range("k of PartialChannels", self.k, at_least=1)
        if self.channels not in ("first", "random"):
            raise RecipeError(f"channels of PartialChannels must be 'first' or 'random', got {self.channels!r}.")

    @property
    def draws(self) -> bool:
        return self.channels == "random"

    def __call__(self, make_edge: MakeEdge) -> MakeEdge:
        if self.k == 1:
            return make_edge

        def make(spec: EdgeSpec) -> nn.Module:
            inner = make_edge(replace(spec, channels=spec.channels // self.k))
            return PartialEdge(inner, spec.channels, self.k, spec.stride, spec.dims, random=self.channels == "random")

        return make

    def check(self, space: Stacked) -> None:
        for layer in space.layers:
            if layer.kind != "cell":
                continue
            channels = node_width(layer, space.graph_of(layer))
            if channels % self.k:
                raise RecipeError(
                    f"PartialChannels(k={self.k}) needs cells whose channels are a multiple of {self.k}, but {space.name} has "
                    f"cells of {channels}: choose other channels, or another k."
                )
