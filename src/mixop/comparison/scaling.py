"""A recipe for a short search: one rule for all methods."""

from dataclasses import replace
from math import ceil

from mixop.core.errors import RecipeError, unknown
from mixop.core.schedules import Constant, Cosine, Linear, Schedule
from mixop.recipe.core import Recipe
from mixop.recipe.stage import shortest_stage
from mixop.recipes import RECIPES

EXAMPLES = 25_000
"""Half of CIFAR-10's training images: what an epoch of a published search on two levels goes through."""

LARGEST_FACTOR = 100.0
LARGEST_RATE = 0.1
LARGEST_SIMPLEX_RATE = 1.0


def published_steps(recipe: Recipe) -> int:
    """Weight steps of the published search on CIFAR-10: default epochs times batches of an epoch.

    Args:
        recipe: of a published name; its epochs and batch may have been changed.

    Raises:
        RecipeError: if no recipe has that name.
    """
    if recipe.name not in RECIPES:
        raise RecipeError(unknown("recipe", recipe.name, RECIPES))
    published = RECIPES[recipe.name]()
    examples = 2 * EXAMPLES if published.scheme.shares_data else EXAMPLES
    return published.epochs * ceil(examples / published.batch_size)


def scaled(recipe: Recipe, steps: int, *, warmup: int | None = None) -> Recipe:
    """The recipe for a search of few steps, its architecture travelling as far as in the published one.

    The architecture's learning rate is multiplied by ``published steps / steps``, so that rate times steps stays the same,
    and the warm-up keeps its share of the epochs. With a warm-up of your own, warm-up steps, in which the architecture
    does not move, are left out of both numbers. The same rule holds for every method; nothing else is changed.

    The factor lies between 1 and 100, and the rate does not rise above 0.1 by it, above 1 on the simplex: beyond, single
    batches decide. Parameters of a policy keep their rate, for they are weights of a network like those of the supernet.

    Args:
        recipe: a recipe of a published name, with the epochs of the short search.
        steps: weight steps of the short search: epochs times batches in an epoch, >= 1.
        warmup: epochs at the start in which only the weights are trained, in [0, epochs); where a search has stages, the same
            share of each. None for the share of the published search.

    Raises:
        RecipeError: if no recipe has that name, if steps is less than 1, or if the warm-up leaves no epoch.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise RecipeError(f"steps of a short search must be a whole number of at least 1, got {steps!r}.")
    travel = published_steps(recipe) / steps
    published, optimiser = RECIPES[recipe.name](), recipe.architecture_optimiser
    shortest = shortest_stage(recipe.stages, recipe.epochs)
    if warmup is None:
        warmup = round(published.warmup / published.epochs * recipe.epochs)
    elif isinstance(warmup, bool) or not isinstance(warmup, int) or not 0 <= warmup < recipe.epochs:
        raise RecipeError(f"A warm-up must be a number of epochs from 0 to {recipe.epochs - 1}, got {warmup!r}.")
    else:
        travel *= (1 - published.warmup / published.epochs) / (1 - warmup / recipe.epochs)
        warmup = round(warmup * shortest / recipe.epochs)
    largest = LARGEST_SIMPLEX_RATE if optimiser.keeps_simplex else LARGEST_RATE
    factor = max(1.0, min(travel, LARGEST_FACTOR, largest / optimiser.lr.bounds[1]))
    if not recipe.relaxation.parameter_per_option:
        factor = 1.0
    return replace(
        recipe,
        architecture_optimiser=replace(optimiser, lr=_times(optimiser.lr, factor)),
        warmup=min(warmup, shortest - 1),
    )


def scaled_to(recipe: Recipe, train: int, valid: int, *, warmup: int | None = None) -> Recipe:
    """`scaled` for a search on splits of the given sizes.

    Args:
        recipe: a recipe of a published name, with the epochs and the batch size of the short search.
        train: examples of the weight split, >= 1.
        valid: examples of the validation split, which a search on one level goes through as well.
        warmup: as in `scaled`.

    Raises:
        RecipeError: as `scaled`.
    """
    examples = train + (valid if recipe.scheme.shares_data else 0)
    return scaled(recipe, recipe.epochs * ceil(examples / recipe.batch_size), warmup=warmup)


def _times(rate: Schedule, factor: float) -> Schedule:
    if isinstance(rate, Constant):
        return Constant(rate.value * factor)
    if isinstance(rate, Linear | Cosine):
        return replace(rate, start=rate.start * factor, stop=rate.stop * factor)
    return replace(rate, start=rate.start * factor)
