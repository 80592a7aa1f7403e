"""Measures on this machine what layers and whole networks take, and makes the table that predicts other networks."""

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mixop.core.door import door
from mixop.core.errors import RecipeError
from mixop.core.surroundings import undisturbed
from mixop.nets.discrete import build
from mixop.nets.inputs import random_inputs
from mixop.nets.latency import LatencyTable, layers_of
from mixop.nets.modules.costs import one_input
from mixop.nets.modules.space import ModuleSpace
from mixop.spaces.core import Architecture, Choice, Group, Space

CHECKED = 24
"""Whole networks that are timed: the correction is fitted to one half, and its error is that of the other."""

FEWEST_CHECKED = 4
"""Whole networks that a correction needs."""

QUIET_DRAWS = 10
"""Draws in a row without a new layer after which a space counts as covered."""

MOST_DRAWS = 200
"""Draws from a space at most."""

WARM, TIMED = 3, 15
"""Passes before the timed ones, and timed ones; the shortest counts, since other work on the machine only ever adds."""

Example = tuple[nn.Module, Any]
"""A network and one example for it."""


@door()
def latency_table(space: Space, *, device: str | torch.device = "cpu", name: str | None = None, seed: int = 0) -> LatencyTable:
    """The table of a space's networks on this machine, for one example at a time.

    Args:
        space: with its sizes.
        device: where the networks run.
        name: what the table calls this machine; None for the machine's name.
        seed: of the networks that are drawn.

    Raises:
        RecipeError: if the size of the space's inputs is open.
    """
    return table_of([examples_of(space, seed)], device=device, name=name, seed=seed)


def examples_of(space: Space, seed: int) -> Iterator[Example]:
    """Networks of a space that have all of its layers among them, as far as draws can tell.

    Args:
        space: with its sizes.
        seed: of the draws.

    Raises:
        RecipeError: if the size of the space's inputs is open.
    """
    if space.input_shape is None and not space.tokens and not (isinstance(space, ModuleSpace) and space.example):
        raise RecipeError(f"What a network of {space.name} takes depends on the size of its input: set input_shape.")
    generator = torch.Generator().manual_seed(seed)
    if isinstance(space, ModuleSpace):
        space.try_out()
        x = one_input(space)
    else:
        x = random_inputs(space, 1, generator=generator)
    for architecture in _covering(space, Random(seed)):
        yield build(architecture, space, generator=torch.Generator().manual_seed(seed)).eval(), x


def _covering(space: Space, rng: Random) -> Iterator[Architecture]:
    """Architectures with every option on every edge, then random ones; whoever asks stops when nothing new comes.

    Of choices that fit the groups, those are left out that the space does not allow.
    """
    for number in range(max(group.shape[1] for group in space.groups)):
        drawn = space.random(rng)  # which edges are kept, where some are
        choices = []
        for group in space.groups:
            kept = [choice.decision for choice in drawn.of(group.name)] if group.keep else range(group.shape[0])
            choices.append((group.name, tuple(Choice(e, option) for e in kept for option in _taken(group, e, number))))
        architecture = Architecture(space.name, tuple(choices))
        if space.allows(architecture):
            yield space.settled(architecture)
    for _ in range(MOST_DRAWS):
        yield space.random(rng)


def _taken(group: Group, e: int, number: int) -> list[str]:
    """The options of a decision from a number on, as many as it takes, in the order of the group."""
    options = group.eligible(e)
    first = number % len(options)
    return [options[o] for o in sorted((first + k) % len(options) for k in range(group.take))]


@undisturbed()
def table_of(
    kinds: Iterable[Iterable[Example]], *, device: str | torch.device = "cpu", name: str | None = None, seed: int = 0
) -> LatencyTable:
    """The table of some networks on this machine, with a correction that is fitted to some and checked on others.

    Args:
        kinds: networks of several kinds, with an example each. Of a kind no more are asked for after `QUIET_DRAWS` of them in a
            row brought no new layer.
        device: where they run.
        name: what the table calls this machine; None for the machine's name.
        seed: of the choice of networks that are timed as a whole.
    """
    device, layers = torch.device(device), {}
    rng, kept, met = Random(seed), [], 0
    for examples in kinds:
        quiet = 0
        for made, example in examples:
            net, x = made.to(device), moved(example, device)
            fresh = {layer.description: layer for layer in layers_of(net, x) if layer.description not in layers}
            for what, layer in fresh.items():
                layers[what] = milliseconds(lambda: layer.module(*layer.given), device)  # noqa: B023
            met += 1
            if len(kept) < CHECKED:
                kept.append((net, x))
            elif (at := rng.randrange(met)) < CHECKED:  # each network met so far is as likely as any other
                kept[at] = net, x
            quiet = 0 if fresh else quiet + 1
            if quiet == QUIET_DRAWS:
                break
    table = LatencyTable(device=name or platform.node() or "this machine", layers=layers)
    return table if len(kept) < FEWEST_CHECKED else _corrected(table, kept, device)


def _corrected(table: LatencyTable, networks: Sequence[Example], device: torch.device) -> LatencyTable:
    sums = np.array([table.sum(net, x) for net, x in networks])
    times = np.array([milliseconds(lambda: net(x), device) for net, x in networks])  # noqa: B023
    fit, check = slice(0, None, 2), slice(1, None, 2)
    fixed, scale = fitted(sums[fit], times[fit])
    return replace(
        table,
        scale=scale,
        fixed=fixed,
        uncorrected=_off(sums[check], times[check]),
        error=_off(fixed + scale * sums[check], times[check]),
        networks=len(networks),
    )


def fitted(sums: np.ndarray, times: np.ndarray) -> tuple[float, float]:
    """``fixed, scale``, both at least 0, with the least squares of ``(fixed + scale * sum - time) / time``."""
    from scipy.optimize import nnls

    (fixed, scale), _ = nnls(np.stack([1 / times, sums / times], axis=1), np.ones(len(times)))
    return float(fixed), float(scale)


def _off(predicted: np.ndarray, times: np.ndarray) -> float:
    return float(np.sqrt(np.square(predicted / times - 1).mean()))


def moved(x: Any, device: torch.device) -> Any:
    """Inputs on a device."""
    return tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, x)


def milliseconds(call: Callable[[], Any], device: torch.device) -> float:
    """What a call takes without gradients: the shortest of several, after some that warm up."""
    seconds = []
    with torch.no_grad():
        for _ in range(WARM + TIMED):
            start = time.perf_counter()
            call()
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds[WARM:])
