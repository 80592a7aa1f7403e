"""Whether a run's settings fit its method and space: refused before anything is computed, for every stage."""

from mixop.bilevel.base import trial
from mixop.core.errors import RecipeError
from mixop.engine.settings import Settings
from mixop.engine.state import stage_space
from mixop.recipe.core import Recipe
from mixop.spaces.core import Space
from mixop.supernet.executors import check_executor


def check_fit(recipe: Recipe, space: Space, settings: Settings) -> None:
    """Refuses settings that a search cannot have.

    Args:
        recipe: the method.
        space: its space, with the sizes of the data.
        settings: of the run.

    Raises:
        RecipeError: saying what does not fit.
    """
    for stage, wraps in enumerate(recipe.all_wraps):
        check_executor(settings.executor, stage_space(space, recipe, stage, {}), norm=recipe.norm, wraps=wraps)
    twice = _second_derivatives(recipe)
    if settings.compile and twice:
        raise RecipeError(f"torch compiles first derivatives only, but {twice} takes second ones: leave out compile.")
    if not settings.capture:
        return
    if twice:
        raise RecipeError(f"A CUDA graph holds first derivatives only, but {twice} takes second ones: leave out capture.")
    if trial(recipe.relaxation).active is not None:
        raise RecipeError(
            f"A CUDA graph always does the same work, but the draws of {type(recipe.relaxation).__name__} run other options "
            "every time: leave out capture."
        )
    drawing = [type(wrap).__name__ for wraps in recipe.all_wraps for wrap in wraps if wrap.draws]
    drawing += ["the option noise" for group in space.groups for d in group.decisions if "noise" in d.options]
    if drawing:
        raise RecipeError(f"A CUDA graph always does the same work, but {drawing[0]} draws in every pass: leave out capture.")


def _second_derivatives(recipe: Recipe) -> str:
    """The part of a recipe that takes second derivatives by autograd; empty if there is none."""
    parts = [recipe.scheme, *recipe.monitors]
    return next((type(part).__name__ for part in parts if part.second_derivatives), "")
