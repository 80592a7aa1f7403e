"""A recipe for a short search: one rule for all methods."""

from dataclasses import replace
from math import ceil

from mixop.core.errors import RecipeError
from mixop.core.schedules import Constant, Cosine, CosineRestarts, Joined, Linear, Schedule
from mixop.recipe.core import Recipe
from mixop.recipe.stage import moving_epochs, shortest_stage, stage_progress
from mixop.recipes import RECIPES

EXAMPLES = 25_000
"""Half of CIFAR-10's training images: what an epoch of a published search on two levels goes through."""

LARGEST_FACTOR = 100.0
LARGEST_RATE = 0.1
LARGEST_SIMPLEX_RATE = 1.0


def travel(recipe: Recipe, batches: int) -> float:
    """How far a search may move its architecture: the sum of the architecture's learning rate over the steps that move it.

    Steps of warm-up, of every stage, do not move it, nor do the weight steps between two architecture steps.

    Args:
        recipe: the method.
        batches: weight steps in an epoch, >= 1.
    """
    if not recipe.scheme.searches:
        return 0.0
    moving = moving_epochs(recipe.stages, recipe.epochs, recipe.warmup)
    times = [stage_progress(recipe.stages, recipe.epochs, epoch, recipe.warmup) for epoch in moving]
    return recipe.architecture_steps(batches) * sum(recipe.architecture_optimiser.lr(time) for time in times)


def published_travel(recipe: Recipe) -> float:
    """`travel` of the published search on CIFAR-10: its epochs, batches, warm-up, stages and learning rate.

    Args:
        recipe: of a published name, all else of which may have been changed. Of another name it is its own measure: what it
            would travel on CIFAR-10 as it is.
    """
    published = _published(recipe)
    return travel(published, _batches(published, EXAMPLES, EXAMPLES))


def scaled(recipe: Recipe, batches: int, *, warmup: int | None = None, published: Recipe | None = None) -> Recipe:
    """The recipe for a short search, its architecture travelling as far as in the published one.

    The architecture's learning rate is multiplied so that `travel` is that of the published search, and the warm-up keeps its
    share of the epochs. The same rule holds for every method; nothing else is changed.

    The factor lies between 1 and 100, and the rate does not rise above 0.1 by it, above 1 on the simplex: beyond, single
    batches decide. Parameters of a policy keep their rate, for they are weights of a network like those of the supernet. Where
    these limits hold, a short search moves the architecture less than the published one: docs/methods.md has the numbers. A
    rate that is no longer the published one was set by someone, and stays.

    Args:
        recipe: with the epochs of the short search.
        batches: weight steps in an epoch of the short search, >= 1.
        warmup: epochs at the start in which only the weights are trained, in [0, epochs); where a search has stages, the same
            share of each. None for the share of the published search.
        published: the recipe at its published length; None for that of its name, and for the recipe itself where none has it.

    Raises:
        RecipeError: if batches is less than 1, or if the warm-up leaves no epoch.
    """
    published = published or _published(recipe)
    shortest = shortest_stage(recipe.stages, recipe.epochs)
    if warmup is None:
        warmup = round(published.warmup / published.epochs * recipe.epochs)
    elif isinstance(warmup, bool) or not isinstance(warmup, int) or not 0 <= warmup < recipe.epochs:
        raise RecipeError(f"A warm-up must be a number of epochs from 0 to {recipe.epochs - 1}, got {warmup!r}.")
    else:
        warmup = round(warmup * shortest / recipe.epochs)
    return paced(replace(recipe, warmup=min(warmup, shortest - 1)), batches, published=published)


def paced(recipe: Recipe, batches: int, *, published: Recipe | None = None) -> Recipe:
    """The recipe with its architecture's rate by the rule of `scaled`, and its warm-up as it is.

    Args:
        recipe: with the epochs of the search.
        batches: weight steps in an epoch, >= 1.
        published: as in `scaled`.

    Raises:
        RecipeError: if batches is less than 1.
    """
    if isinstance(batches, bool) or not isinstance(batches, int) or batches < 1:
        raise RecipeError(f"batches in an epoch of a short search must be a whole number of at least 1, got {batches!r}.")
    published, optimiser = published or _published(recipe), recipe.architecture_optimiser
    own = optimiser.lr != published.architecture_optimiser.lr
    if own or not (recipe.scheme.searches and recipe.relaxation.parameter_per_option):
        return recipe
    largest = LARGEST_SIMPLEX_RATE if optimiser.keeps_simplex else LARGEST_RATE
    wanted = travel(published, _batches(published, EXAMPLES, EXAMPLES)) / travel(recipe, batches)
    factor = max(1.0, min(wanted, LARGEST_FACTOR, largest / optimiser.lr.bounds[1]))
    return replace(recipe, architecture_optimiser=replace(optimiser, lr=_times(optimiser.lr, factor)))


def scaled_to(recipe: Recipe, train: int, valid: int, *, warmup: int | None = None, published: Recipe | None = None) -> Recipe:
    """`scaled` for a search on splits of the given sizes.

    Args:
        recipe: with the epochs and the batch size of the short search.
        train: examples of the weight split, >= 1.
        valid: examples of the validation split, which a search on one level goes through as well.
        warmup: as in `scaled`.
        published: as in `scaled`.

    Raises:
        RecipeError: as `scaled`.
    """
    return scaled(recipe, _batches(recipe, train, valid), warmup=warmup, published=published)


def paced_to(recipe: Recipe, train: int, valid: int) -> Recipe:
    """`paced` for a search on splits of the given sizes; the arguments are those of `scaled_to`."""
    return paced(recipe, _batches(recipe, train, valid))


def share_of_travel(recipe: Recipe, train: int, valid: int) -> float:
    """How far a search moves its architecture, as a share of the published way; 1 where the architecture never moves.

    Args:
        recipe: as it is searched with; of a name that is not published it is its own measure.
        train: examples of the weight split, >= 1.
        valid: examples of the validation split.
    """
    whole = published_travel(recipe)
    return travel(recipe, _batches(recipe, train, valid)) / whole if whole else 1.0


def _published(recipe: Recipe) -> Recipe:
    """A recipe at its published length; one that was never published as it is."""
    return RECIPES[recipe.name]() if recipe.name in RECIPES else recipe


def _batches(recipe: Recipe, train: int, valid: int) -> int:
    """Weight steps in an epoch on splits of these sizes."""
    return ceil((train + valid if recipe.scheme.shares_data else train) / recipe.batch_size)


def _times(rate: Schedule, factor: float) -> Schedule:
    if isinstance(rate, Constant):
        return Constant(rate.value * factor)
    if isinstance(rate, Linear | Cosine | CosineRestarts):
        return replace(rate, start=rate.start * factor, stop=rate.stop * factor)
    if isinstance(rate, Joined):
        return replace(rate, first=_times(rate.first, factor), second=_times(rate.second, factor))
    return replace(rate, start=rate.start * factor)
