"""What papers report of the methods of a comparison, and what was different there."""

from collections.abc import Mapping
from typing import Any

from mixop.comparison.evaluators import Tabular
from mixop.comparison.published import published
from mixop.data.core import Data
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.report.methods import RANDOM
from mixop.searchers.base import Searcher
from mixop.spaces.core import Space
from mixop.spaces.nasbench201 import NasBench201

IMAGES: Mapping[str, int] = {"cifar10": 25_000}
"""Images in each split of the published searches, where the papers agree."""

PIXELS: Mapping[str, int] = {"cifar10": 32, "cifar100": 32, "imagenet16-120": 16}
"""Height and width of their images."""


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
        ``differences``: what ours have that differs, that of the published searches in brackets; may be empty. An empty
        dictionary if nothing is reported.
    """
    if not isinstance(space, NasBench201) or space.name != NasBench201().name:
        return {}
    reported = {}
    methods = [name for name, recipe in recipes.items() if recipe.name == name]  # variants go by other names
    for name in (*methods, *searchers, RANDOM):
        found = published(name, evaluator.dataset.lower())
        mean = None if found is None else found.test if evaluator.test else found.valid
        if found is not None and mean is not None:
            deviation = found.test_deviation if evaluator.test else found.valid_deviation
            reported[name] = {"mean": mean, "deviation": deviation, "source": found.source}
    return (
        {"reported": reported, "differences": _differences(recipes, space, data, evaluator.dataset.lower())} if reported else {}
    )


def _differences(recipes: Mapping[str, Recipe], space: NasBench201, data: Data, dataset: str) -> str:
    """What ours have that differs, with that of the published searches in brackets."""
    usual = NasBench201()
    facts = [
        ("{} channels", str(space.channels), str(usual.channels)),
        ("{} cell a stage" if space.cells == 1 else "{} cells a stage", str(space.cells), str(usual.cells)),
        ("images of {} pixels", _pixels(space), str(PIXELS[dataset])),
    ]
    if dataset in IMAGES:
        usually = IMAGES[dataset]
        facts.append(("{} images", f"{len(data.train):,} + {len(data.valid):,}", f"{usually:,} + {usually:,}"))
    known = [(recipe, RECIPES[recipe.name]()) for recipe in recipes.values() if recipe.name in RECIPES]
    for text, name in (("{} epochs", "epochs"), ("{} of them a warm-up", "warmup"), ("batches of {}", "batch_size")):
        here, there = (_range({getattr(pair[side], name) for pair in known}) for side in (0, 1))
        facts.append((text, here, there))
    return ", ".join(f"{text.format(here)} ({there})" for text, here, there in facts if here != there)


def _pixels(space: NasBench201) -> str:
    """Height and width of its images: one number where they are equal."""
    return " x ".join(map(str, dict.fromkeys((space.input_shape or ())[1:])))


def _range(values: set[int]) -> str:
    return "" if not values else f"{min(values)}" if len(values) == 1 else f"{min(values)} to {max(values)}"
