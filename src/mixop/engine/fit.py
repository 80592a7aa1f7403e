"""Whether a run's settings fit its method and space: refused before anything is computed, for every stage."""

from dataclasses import replace

import torch
from torch import Generator

from mixop.bilevel.base import trial
from mixop.core.errors import MixopError, RecipeError
from mixop.core.rng import unseen
from mixop.data.core import Data
from mixop.engine.settings import Settings
from mixop.engine.state import stage_space
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.training import is_laid_out
from mixop.recipe.core import Recipe
from mixop.spaces.core import Space
from mixop.spaces.stacked import Stacked
from mixop.supernet.executors import check_executor, make_supernet


def check_fit(recipe: Recipe, space: Space, data: Data, settings: Settings) -> None:
    """Refuses what a search cannot be, in one place and before anything is computed or written.

    Args:
        recipe: the method.
        space: its space, with the sizes of the data.
        data: what it searches on.
        settings: of the run.

    Raises:
        RecipeError: saying what does not fit.
    """
    recipe.check(space)
    if recipe.cutout:
        data.augment.erasing(recipe.cutout, 1.0, data.shape)
    check_computing(recipe, space, computing(recipe, space, settings)[0])


def computing(recipe: Recipe, space: Space, settings: Settings) -> tuple[Settings, str]:
    """The settings with an executor in place of ``auto``: the fused one where it can compute the search, else the node-wise.

    Where the space is a ready model of images, that computes it with the channels last.

    Args:
        recipe: the method.
        space: the search space with its sizes.
        settings: of the run.

    Returns:
        The settings, and in a sentence why the fused one does not fit; empty where it does, and where nobody left it open.
    """
    if settings.executor != "auto":
        return settings, ""
    try:
        fused = replace(settings, executor="fused")
        check_computing(recipe, space, fused)
    except MixopError as error:
        last = settings.channels_last or (isinstance(space, ModuleSpace) and is_laid_out(space))
        return replace(settings, executor="nodewise", channels_last=last), str(error)
    return fused, ""


def check_computing(recipe: Recipe, space: Space, settings: Settings) -> None:
    """Refuses settings that a search of a space cannot be computed with, for every stage.

    Raises:
        RecipeError: saying what does not fit.
    """
    for stage, wraps in enumerate(recipe.all_wraps):
        check_executor(settings.executor, stage_space(space, recipe, stage, {}), norm=recipe.norm, wraps=wraps)
    if settings.compile and not isinstance(space, Stacked):
        raise RecipeError(f"torch compiles the cells of a supernet, which {space.name} does not have: leave out compile.")
    if settings.compile and isinstance(space, Stacked) and not space.adds_edges:
        raise RecipeError(
            f"torch would unroll the tokens of a window to compile the cell of {space.name}, which takes longer than it saves: "
            "leave out compile."
        )
    twice = _second_derivatives(recipe)
    if settings.compile and twice:
        raise RecipeError(f"torch compiles first derivatives only, but {twice} takes second ones: leave out compile.")
    if settings.compile or settings.capture:
        _check_unseen(recipe, space, "compile" if settings.compile else "capture")
    if not settings.capture:
        return
    if space.tokens:
        raise RecipeError("A CUDA graph carries no state from batch to batch, which a token stream needs: leave out capture.")
    if twice:
        raise RecipeError(f"A CUDA graph holds first derivatives only, but {twice} takes second ones: leave out capture.")
    if trial(recipe.relaxation).active is not None:
        raise RecipeError(
            f"A CUDA graph always does the same work, but the draws of {type(recipe.relaxation).__name__} run different "
            "options every time: leave out capture."
        )
    drawing = [type(wrap).__name__ for wraps in recipe.all_wraps for wrap in wraps if wrap.draws]
    drawing += ["the option noise" for group in space.groups for d in group.decisions if "noise" in d.options]
    if drawing:
        raise RecipeError(
            f"A CUDA graph always does the same work, but {drawing[0]} draws random numbers in every pass: leave out capture."
        )


def _check_unseen(recipe: Recipe, space: Space, word: str) -> None:
    """Refuses parts that may draw random numbers where no fence can reach them: inside a graph."""
    for stage, wraps in enumerate(recipe.all_wraps):
        with torch.device("meta"):
            now = stage_space(space, recipe, stage, {})
            net = make_supernet("plain", now, norm=recipe.norm, generator=Generator(), wraps=wraps)
        module = unseen(net)
        if module is not None:
            raise RecipeError(
                f"{type(module).__name__} may draw random numbers, which would not be the run's own inside a graph: give its "
                f"class the attribute draws = False if it draws none, or leave out {word}."
            )


def _second_derivatives(recipe: Recipe) -> str:
    """The part of a recipe that takes second derivatives by autograd; empty if there is none."""
    parts = [recipe.scheme, *recipe.monitors]
    return next((type(part).__name__ for part in parts if part.second_derivatives), "")
