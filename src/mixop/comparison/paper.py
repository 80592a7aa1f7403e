"""What papers report of the methods of a comparison, and what was different there."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mixop.comparison.evaluators import Tabular
from mixop.data.core import Data
from mixop.experiments.published import published
from mixop.recipe import Recipe
from mixop.recipes import RECIPES
from mixop.report.comparison import RANDOM
from mixop.searchers.base import Searcher
from mixop.spaces.core import Space
from mixop.spaces.nasbench201 import NasBench201

IMAGES = 25_000
"""In each split of the published searches on CIFAR."""


def paper_of(
    recipes: Mapping[str, Recipe], searchers: Mapping[str, Searcher], space: Space, data: Data, evaluator: Tabular
) -> dict[str, Any]:
    """What stands beside our numbers.

    Args:
        recipes: the methods, by name.
        searchers: black-box ones.
        space: the search space, its sizes fitting the data.
        data: what is searched on.
        evaluator: how runs are scored.

    Returns:
        ``reported``: for each method with a published number its ``mean`` and ``deviation`` in percent and its ``source``;
        ``differences``: a sentence, empty if nothing is different. An empty dictionary if nothing is reported.
    """
    if space.name != NasBench201().name:
        return {}
    reported = {}
    for name in (*recipes, *searchers, RANDOM):
        found = published(name, evaluator.dataset.lower())
        mean = None if found is None else found.test if evaluator.test else found.valid
        if found is not None and mean is not None:
            deviation = found.test_deviation if evaluator.test else found.valid_deviation
            reported[name] = {"mean": mean, "deviation": deviation, "source": found.source}
    return {"reported": reported, "differences": _differences(recipes, space, data)} if reported else {}


def _differences(recipes: Mapping[str, Recipe], space: Space, data: Data) -> str:
    """What the papers' searches had, and ours have not."""
    usual = NasBench201(input_size=32, input_channels=3, classes=10)
    words = [
        f"{getattr(space, f.name)} {f.name.replace('_', ' ')} ({getattr(usual, f.name)})"
        for f in fields(usual)
        if f.name in ("channels", "cells", "input_size") and getattr(space, f.name) != getattr(usual, f.name)
    ]
    if (len(data.train), len(data.valid)) != (IMAGES, IMAGES):
        words.append(f"{len(data.train):,} and {len(data.valid):,} images in the two splits ({IMAGES:,} each)")
    lengths: dict[tuple[int, int], list[str]] = {}
    warmups: dict[tuple[int, int], list[str]] = {}
    for name, recipe in recipes.items():
        if recipe.name in RECIPES:
            own = RECIPES[recipe.name]()
            lengths.setdefault((recipe.epochs, own.epochs), []).append(name)
            warmups.setdefault((recipe.warmup, own.warmup), []).append(name)
    for what, found in (("epochs", lengths), ("epochs of warm-up", warmups)):
        for (here, there), names in found.items():
            if here != there:
                whose = "" if len(found) == 1 else f" for {', '.join(names)}"
                words.append(f"{here} {what} ({there}){whose}")
    return f"{'; '.join(words)}; what the published recipe has is in brackets." if words else ""
