"""The parts that a recipe file may name, and recipes as JSON data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mixop import bilevel, derive, monitors, regularise, wraps
from mixop.bilevel import perturb
from mixop.bilevel import weight_step as weights
from mixop.core import optim, schedules
from mixop.core.values import from_plain, merge, to_plain
from mixop.nets import costs
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipe.stage import Stage
from mixop.relax import ALL

PARTS: Mapping[str, type] = {
    cls.__name__: cls
    for cls in (
        Recipe,
        *ALL.values(),
        bilevel.FirstOrder,
        bilevel.SecondOrder,
        bilevel.SingleLevel,
        bilevel.ScoreFunction,
        bilevel.ImportanceWeighted,
        bilevel.Frozen,
        weights.SingleDraw,
        weights.ImportanceDraws,
        perturb.RandomSmoothing,
        perturb.Adversarial,
        regularise.AnchorL2,
        regularise.DirichletKL,
        regularise.Entropy,
        regularise.GatePenalty,
        regularise.SwitchPenalty,
        regularise.ExpectedCost,
        regularise.CostCeiling,
        costs.CostTable,
        *monitors.ALL.values(),
        optim.SGD,
        optim.Adam,
        optim.TorchOptimiser,
        optim.ExponentiatedGradient,
        *derive.ALL.values(),
        *wraps.ALL.values(),
        Stage,
        schedules.Constant,
        schedules.Linear,
        schedules.Cosine,
        schedules.Exponential,
        schedules.LinearWithTail,
        BatchNorm,
    )
}


"""Every part by the name it has in a recipe file."""


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON data, without loss."""
    return to_plain(recipe)


def recipe_from_json(data: Any) -> Recipe:
    """The recipe that `recipe_to_json` wrote.

    Raises:
        RecipeError: with the path to what is unknown, missing or of the wrong type.
    """
    return from_plain(data, Recipe, PARTS)


def change(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """A recipe with the settings of a nested mapping, as a JSON or TOML file writes them.

    Raises:
        RecipeError: with the path to what is unknown, of the wrong type or out of range.
    """
    return dataclasses.replace(merge(recipe, changes, PARTS))
