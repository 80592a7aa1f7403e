"""The best of many networks by scores before training, for where a limit leaves few known ones."""

import time
from random import Random
from typing import Any

import torch

from mixop.analysis.training_free import naswot, synflow
from mixop.finder.contender import Entry
from mixop.nets.discrete import build
from mixop.spaces.core import Architecture, Space

BATCH = 32
"""Examples that a score looks at."""

MOST = 64
"""Networks that are ranked."""

FEWEST = 8
"""Networks that are ranked; fewer say too little."""

TRIED = 20
"""Draws for each network that is ranked: where a limit is tight, most draws break it."""


def best_before_training(space: Space, entry: Entry, *, seconds: float, seed: int) -> dict[str, Any]:
    """Draws architectures that keep the limits, and takes the one whose places by two scores add up to the best.

    Of the scores that were tried, the sum of the places by `synflow` and `naswot` did best in NAS-Bench-201 (docs/find.md).

    Args:
        space: fitted to the data.
        entry: lets networks in that keep the limits.
        seconds: for all of it; drawing stops when they are over.
        seed: of the draws and of the weights.

    Returns:
        ``architecture``, in its native notation, None where too few keep the limits; and ``networks``, the number that does.
    """
    data = entry.data
    x = data.batch(data.train[:BATCH]).x
    rng, begun = Random(seed), time.monotonic()
    scores: dict[Architecture, tuple[float, float]] = {}
    for _ in range(MOST * TRIED):
        if len(scores) == MOST or time.monotonic() - begun > seconds:
            break
        architecture = space.random(rng)
        if architecture in scores:
            continue
        net = build(architecture, space, generator=torch.Generator().manual_seed(seed)).to(data.device)
        if entry.keeps(net, x[:1]):
            scores[architecture] = (synflow(net, tuple(x.shape[1:])), naswot(net, x))
    if len(scores) < FEWEST:
        return {"architecture": None, "networks": len(scores)}
    return {"architecture": space.to_native(first_by_both(scores)), "networks": len(scores)}


def first_by_both(scores: dict[Architecture, tuple[float, float]]) -> Architecture:
    """The architecture whose places by the two scores add up to the best; of equals the first.

    Args:
        scores: of each, higher for better.
    """
    places = dict.fromkeys(scores, 0)
    for which in (0, 1):
        for place, architecture in enumerate(sorted(scores, key=lambda a: scores[a][which])):
            places[architecture] += place
    return max(places, key=places.__getitem__)
