"""The triton executor: node by node on a GPU, with kernels of our own where torch would go through memory once for every step.

What differs from the node-wise executor: batch norms that end an operation, their mixing weights and the sums at nodes are one
kernel for all kinds of operations on all edges that leave a node; depthwise convolutions are one kernel for all of these edges,
and dilated ones need no phases; pools remember one byte for a pixel; all running statistics of a pass are updated at once.
Other convolutions, operations without a batched form, and what wraps add stay torch's. Second derivatives are torch's too.

Parameters lie as in the node-wise executor. What the kernels do not know is refused by name when the supernet is built.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError, RunError
from mixop.core.types import Paths
from mixop.nets.ops import BatchNorm
from mixop.spaces.stacked import Stacked
from mixop.supernet.batched import BATCHED, POOLS, Bundle, NodeValue, Statistics, depthwise_pointwise, laid_out
from mixop.supernet.cells import CellSupernet
from mixop.supernet.launched import Moments, batch_moments, depthwise, interpreting, kernels, mixture, pooled
from mixop.supernet.nodewise import CellPass, NodewiseCell, NodewiseSupernet, Sum, check_wraps, shares_sources, stacked_supernet
from mixop.wraps.base import Wrap

INSTEAD = "use --executor nodewise"


class TritonCell(NodewiseCell):
    """A cell that is computed source node by source node, by kernels of our own where that pays."""

    def begin(
        self, inputs: list[Tensor], weights: Tensor, edge_weights: Tensor | None, active: Paths | None, progress: float
    ) -> CellPass:
        if weights.device.type != "cuda" and not interpreting():
            raise RunError(f"The triton executor computes on a GPU, got tensors on {weights.device.type}: {INSTEAD}.")
        return TritonPass(self, inputs, weights, edge_weights, active, progress)


class RawBundle(Bundle):
    """The operations of one kind up to their last batch norm, which the mixture computes.

    Args:
        of: the pass.
        kind: the operation's name in a supernet.
        slots: their places in the stacks.

    Attributes:
        last: the name of the last batch norm.
    """

    last = ""

    def __init__(self, of: "TritonPass", kind: str, slots: tuple[int, ...]) -> None:
        self.of, self.cell, self.kind, self.slots, self._norm, self._parts = of, of.cell, kind, slots, of.cell.norm, of._tensor

    def norm(self, x: Tensor, key: str, *, weighted: bool) -> Tensor:
        assert weighted
        self.last = key
        return x

    def norm_relu(self, x: Tensor, key: str) -> Tensor:
        """The positive part of their batch norm of that name, which is not the last one."""
        scale, shift = (None, None) if (pair := self.affine(key)) is None else (each[None] for each in pair)
        found = self.of.moments([(x, self.statistics(key))], [], 1)
        return mixture([x], found=found, scale=scale, shift=shift, edges=1, relu=True, eps=self._norm.eps)[0]

    def affine(self, key: str) -> tuple[Tensor, Tensor] | None:
        """Scale and shift of the batch norm of that name, those of all operations one behind the other; None if it has none."""
        return (self[f"{key}.weight"], self[f"{key}.bias"]) if self._attribute(f"{key}.weight") in self.cell.stacks else None


def _separable(source: NodeValue, bundle: RawBundle) -> Tensor:
    y = depthwise_pointwise(source.relu, bundle["1.weight"], bundle["2.weight"], source.stride, between=depthwise)
    y = bundle.norm_relu(y, "3")
    y = depthwise_pointwise(y, bundle["5.weight"], bundle["6.weight"], between=depthwise)
    return bundle.norm(y, "7", weighted=True)


def _dilated(source: NodeValue, bundle: RawBundle) -> Tensor:
    y = depthwise_pointwise(source.relu, bundle["1.weight"], bundle["2.weight"], source.stride, 2, between=depthwise)
    return bundle.norm(y, "3", weighted=True)


RAW: Mapping[str, Callable[[NodeValue, RawBundle], Tensor]] = {
    **BATCHED,
    **dict.fromkeys(("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"), _separable),
    **dict.fromkeys(("dil_conv_3x3", "dil_conv_5x5"), _dilated),
}
"""Operations up to the batch norm that they end in; those that `BATCHED` computes leave it out through their bundle."""


@dataclass
class _Maps:
    """What is added to some edges: maps with the statistics of their norms, and the mixing weight of each edge."""

    edges: tuple[int, ...]
    stacks: list[tuple[Tensor, RawBundle]] = field(default_factory=list)
    normed: list[tuple[Tensor, Statistics | None]] = field(default_factory=list)
    bare: list[Tensor] = field(default_factory=list)
    weights: dict[str, list[Tensor]] = field(default_factory=lambda: {"stacks": [], "normed": [], "bare": []})


class TritonPass(CellPass):
    """One forward pass of a cell; the arguments are those of `CellPass`."""

    def output(self) -> Tensor:
        self._held: dict[int, Sum] = {}  # of every node the sum that has what was added to it so far
        self._updates: list[tuple[Statistics, Tensor, Tensor]] = []
        value = super().output()
        self._update()
        return value

    def _evaluate(self, source: NodeValue, edges: list[int]) -> dict[int, Sum]:
        cell = self.cell
        sums = {e: Sum() for e in edges}
        together: dict[tuple[int, ...], _Maps] = {}
        for kind, its in cell.kinds.items():
            some = tuple(e for e in edges if e in its and its[e] in self._running(e))
            if not some:
                continue
            maps = together.setdefault(some, _Maps(some))
            weights = [self.weights[e][its[e]] for e in some]
            bundle = RawBundle(self, kind, tuple(cell.slots[kind][e] for e in some))
            if kind not in POOLS:
                maps.stacks.append((RAW[kind](source, bundle), bundle))
                maps.weights["stacks"] += weights
                continue
            value = pooled(source.x, source.stride, maximum=kind.startswith("max"))
            if kind.endswith("_norm"):
                maps.normed.append((value, bundle.statistics("1")))
                maps.weights["normed"] += weights
            else:
                maps.bare.append(value)
                maps.weights["bare"] += weights
        skips = tuple(e for e in edges if e in cell.skips and cell.skips[e] in self._running(e))
        if skips:
            maps = together.setdefault(skips, _Maps(skips))
            maps.bare.append(source.x)
            maps.weights["bare"] += [self.weights[e][cell.skips[e]] for e in skips]
        for maps in together.values():
            before = [self._take(e, sums[e]) for e in maps.edges]
            known = [x for x in before if x is not None]
            whole = len(known) == len(before)
            values = self._mix(maps, known if whole else [])
            for e, x, value in zip(maps.edges, before, values, strict=True):
                sums[e].terms.append(value if whole or x is None else x + value)
                if not self.wrapped:
                    self._held[cell.group.decisions[e].target] = sums[e]
        self._add_idle(sums)
        return sums

    def _take(self, e: int, its: Sum) -> Tensor | None:
        """What was added to an edge, or to the node that it enters: the kernel adds to it, so that no other one need do so."""
        held = its if self.wrapped else self._held.get(self.cell.group.decisions[e].target)
        return held.terms.pop() if held is not None and held.terms else None

    def _mix(self, maps: _Maps, before: list[Tensor]) -> tuple[Tensor, ...]:
        edges = len(maps.edges)
        stacks = [laid_out(x) for x, _ in maps.stacks]
        shared = [*(x for x, _ in maps.normed), *maps.bare]
        channels = shared[0].shape[1] if shared else stacks[0].shape[1] // edges
        weights = torch.stack([weight for its in maps.weights.values() for weight in its])[:, None]
        scale, shift = weights.expand(-1, channels), None
        affine = [pair for _, bundle in maps.stacks if (pair := bundle.affine(bundle.last)) is not None]
        if affine:  # the norms of pools have neither
            first = edges * len(affine)
            factors, terms = (torch.cat(its).view(first, channels) for its in zip(*affine, strict=True))
            shift = (terms * weights[:first]).view(len(affine), edges, channels).sum(0)
            scale = torch.cat([factors * weights[:first], scale[first:]])
        found = self.moments([(x, bundle.statistics(bundle.last)) for x, bundle in maps.stacks], maps.normed, edges)
        return mixture(
            stacks,
            shared,
            before,
            found=found,
            scale=scale,
            shift=shift,
            edges=edges,
            normed=len(maps.normed),
            eps=self.cell.norm.eps,
        )

    def moments(
        self, stacks: list[tuple[Tensor, Statistics | None]], shared: list[tuple[Tensor, Statistics | None]], edges: int
    ) -> Moments:
        """The statistics that maps are normalised by.

        Args:
            stacks: maps of several edges side by side, with their running statistics, or None where they have none.
            shared: maps that all of these edges have.
            edges: how many.
        """
        norm, every = self.cell.norm, [*stacks, *shared]
        kept = [statistics for _, statistics in every if statistics is not None]
        if not every:
            nothing = self.inputs[0].new_empty(0, dtype=torch.promote_types(self.inputs[0].dtype, torch.float32))
            return Moments(nothing, nothing)
        if kept and not norm.training:  # each edge has statistics of its own, also of a shared pool
            mean, variance = (torch.cat(its) for its in ([k.mean for k in kept], [k.variance for k in kept]))
            return Moments(mean, (variance + norm.eps).rsqrt(), apart=True)
        found = batch_moments([x for x, _ in stacks], [x for x, _ in shared], norm.eps, edges)
        assert found.variance is not None
        if kept:
            sizes = [x.shape[1] for x, _ in every]
            self._updates += zip(kept, found.mean.split(sizes), found.variance.split(sizes), strict=True)
        return found

    @torch.no_grad()
    def _update(self) -> None:
        """Mixes the batch's statistics into the running ones, all at once."""
        momentum = self.cell.norm.momentum
        if momentum is None:  # the mean over all batches: each slot has a share of its own
            for statistics, mean, variance in self._updates:
                statistics.update(mean, variance, None)
            return
        old, new, counts = [], [], []
        for statistics, *found in self._updates:
            slots = 0
            for *running, count in statistics.parts:
                counts.append(count)
                for kept, value in zip(running, found, strict=True):
                    rows = value.view(-1, len(kept) // len(count))  # one for each slot, or one for all
                    old += kept.view(len(count), -1).unbind()
                    new += rows[slots : slots + len(count)].unbind() if len(rows) > 1 else [rows[0]] * len(count)
                slots += len(count)
        if counts:
            torch._foreach_add_(counts, 1)
            torch._foreach_lerp_(old, new, momentum)


def triton(space: Stacked, *, norm: BatchNorm, generator: Generator, wraps: Sequence[Wrap] = ()) -> CellSupernet:
    """The triton supernet of a space, with the initial weights that `mixop.supernet.plain.plain` gives.

    Args:
        space: the search space with its sizes.
        norm: batch norm settings.
        generator: source of the initial weights.
        wraps: changes of how its edges compute, the first one nearest to the operations.

    Raises:
        RecipeError: for signals, cells that are not sums of edges, and a wrap that it does not know.
        MissingExtraError: if Triton is not installed.
        RunError: where there is no GPU for it.
    """
    check_triton(space, wraps=wraps)
    return stacked_supernet(NodewiseSupernet, TritonCell, space, norm=norm, generator=generator, wraps=wraps)


def check_triton(space: Stacked, *, wraps: Sequence[Wrap] = ()) -> None:
    """Refuses what the executor does not know, and a machine that it cannot run on.

    Raises:
        RecipeError: naming it.
        MissingExtraError: if Triton is not installed.
        RunError: where there is no GPU for it.
    """
    check_wraps(wraps, "triton")
    if not space.adds_edges:
        raise RecipeError(f"The triton executor computes cells of images, which {space.name} does not have: {INSTEAD}.")
    for layer in space.layers:
        if layer.kind != "cell":
            continue
        if layer.dims != 2:
            raise RecipeError(f"The triton executor computes cells of images, got cells of signals: {INSTEAD}.")
        if not shares_sources(space, layer):
            raise RecipeError(f"The triton executor computes operations on edges, and {space.name} has none: {INSTEAD}.")
    kernels()
    if not (torch.cuda.is_available() or interpreting()):
        raise RunError(f"The triton executor computes on a GPU, and torch finds none here: {INSTEAD}.")
