"""Whether a run's settings fit its method and space: refused before anything is computed, for every stage."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, nn

from mixop.bilevel.base import trial
from mixop.core.errors import MixopError, RecipeError
from mixop.core.ranks import ALONE, Ranks
from mixop.core.rng import unseen
from mixop.data.core import Data
from mixop.engine.settings import Settings
from mixop.engine.state import stage_space
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.skeleton import Skeleton
from mixop.nets.training import carries, is_laid_out
from mixop.recipe.core import Recipe
from mixop.spaces.core import Space
from mixop.spaces.stacked import Stacked
from mixop.supernet.executors import check_executor, make_supernet
from mixop.wraps.base import Wrap


def check_fit(recipe: Recipe, space: Space, data: Data, settings: Settings, ranks: Ranks = ALONE) -> None:
    """Refuses what a search cannot be, in one place and before anything is computed or written.

    Args:
        recipe: the method.
        space: its space, with the sizes of the data.
        data: what it searches on.
        settings: of the run.
        ranks: the processes that search together.

    Raises:
        RecipeError: saying what does not fit.
    """
    recipe.check(space)
    if recipe.cutout:
        data.augment.erasing(recipe.cutout, 1.0, data.shape)
    settings = computing(recipe, space, settings, ranks)[0]
    check_computing(recipe, space, settings)
    if settings.accumulate > 1:
        _check_accumulate(recipe, space, data, settings, ranks)
    if not ranks.alone:
        _check_ranks(recipe, space, data, settings, ranks)


def computing(recipe: Recipe, space: Space, settings: Settings, ranks: Ranks = ALONE) -> tuple[Settings, str]:
    """The settings with an executor in place of ``auto``: the fused one where it can compute the search, else the node-wise.

    Where the space is a ready model of images, that computes it with the channels last.

    Args:
        recipe: the method.
        space: the search space with its sizes.
        settings: of the run.
        ranks: the processes that search together.

    Returns:
        The settings, and in a sentence why the fused one does not fit; empty where it does, and where nobody left it open.
    """
    if settings.executor != "auto":
        return settings, ""
    try:
        if not ranks.alone:
            raise RecipeError(_ALONE.format("fused"))
        fused = replace(settings, executor="fused")
        check_computing(recipe, space, fused)
    except MixopError as error:
        last = settings.channels_last or (isinstance(space, ModuleSpace) and is_laid_out(space))
        return replace(settings, executor="nodewise", channels_last=last), str(error)
    return fused, ""


_ALONE = (
    "The kernels of the {} executor compute batch norm over the examples of one process: use --executor nodewise, or start "
    "it without torchrun."
)


def _check_ranks(recipe: Recipe, space: Space, data: Data, settings: Settings, ranks: Ranks) -> None:
    """Refuses what several processes would not compute as one does.

    Raises:
        RecipeError: saying what does not fit.
    """
    if settings.executor in ("fused", "triton"):
        raise RecipeError(_ALONE.format(settings.executor))
    for name, chosen in (("compile", settings.compile), ("capture", settings.capture)):
        if chosen:
            raise RecipeError(
                f"A graph knows no batch norm over several processes: leave out {name}, or search in one process."
            )
    for stage, wraps in enumerate(recipe.all_wraps):
        check_divided(_structure(recipe, space, stage, wraps), data, recipe.batch_size, ranks)


def _check_accumulate(recipe: Recipe, space: Space, data: Data, settings: Settings, ranks: Ranks) -> None:
    """Refuses what cannot be computed in pieces.

    Raises:
        RecipeError: saying what does not fit.
    """
    twice = _second_derivatives(recipe)
    if twice:
        raise RecipeError(
            f"A batch in pieces has first derivatives only, but {twice} takes second ones: leave out accumulate, or use "
            "another part."
        )
    if data.tokens:
        raise RecipeError("A text is read from window to window, in whole batches: leave out accumulate.")
    if not ranks.alone:
        raise RecipeError("Several processes divide a batch already: leave out accumulate, or start more of them.")
    for name, chosen in (("compile", settings.compile), ("capture", settings.capture)):
        if chosen:
            raise RecipeError(f"A graph is made for whole batches: leave out accumulate, or {name}.")
    for stage, wraps in enumerate(recipe.all_wraps):
        check_divided(_structure(recipe, space, stage, wraps), data, recipe.batch_size, ranks)


def check_divided(net: nn.Module, data: Data, batch_size: int, ranks: Ranks) -> None:
    """Refuses a training whose batches cannot be divided, among processes or in pieces.

    Args:
        net: what is trained.
        data: what it is trained on.
        batch_size: examples in a batch.
        ranks: the processes.

    Raises:
        RecipeError: saying what does not fit.
    """
    if carries(net) and not isinstance(net, Skeleton):
        raise RecipeError(
            f"The state that {type(net).__name__} carries may have its examples on any axis, so that several processes cannot "
            "divide it: start one process."
        )
    if batch_size < ranks.size:
        raise RecipeError(
            f"A batch of {batch_size} has no example for some of the {ranks.size} processes: use larger batches, or fewer "
            "processes."
        )
    _check_unseen(net, "for a share of a batch", "compute whole batches in one process")
    if data.task.draws:
        raise RecipeError(
            f"The loss of {type(data.task).__name__} may draw random numbers, which would not be the run's own for a share "
            "of a batch: give its class the attribute draws = False if it draws none, or compute whole batches in one process."
        )


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
        for stage, wraps in enumerate(recipe.all_wraps):
            net = _structure(recipe, space, stage, wraps)
            _check_unseen(net, "inside a graph", f"leave out {'compile' if settings.compile else 'capture'}")
    if not settings.capture:
        return
    if space.tokens:
        raise RecipeError("A CUDA graph carries no state from batch to batch, which a token stream needs: leave out capture.")
    if twice:
        raise RecipeError(f"A CUDA graph holds first derivatives only, but {twice} takes second ones: leave out capture.")
    if trial(recipe.relaxation).active is not None:
        raise RecipeError(
            f"A CUDA graph always does the same work, but the draws of {type(recipe.relaxation).__name__} run different "
            "options every time, and a graph of all options would train another network: leave out capture."
        )
    drawing = [type(wrap).__name__ for wraps in recipe.all_wraps for wrap in wraps if wrap.draws]
    drawing += ["the option noise" for group in space.groups for d in group.decisions if "noise" in d.options]
    if drawing:
        raise RecipeError(
            f"A CUDA graph always does the same work, but {drawing[0]} draws random numbers in every pass: leave out capture."
        )


def _structure(recipe: Recipe, space: Space, stage: int, wraps: Sequence[Wrap]) -> nn.Module:
    """The supernet of a stage, without numbers."""
    with torch.device("meta"):
        now = stage_space(space, recipe, stage, {})
        return make_supernet("plain", now, norm=recipe.norm, generator=Generator(), wraps=wraps)


def _check_unseen(net: nn.Module, where: str, instead: str) -> None:
    """Refuses parts that may draw random numbers where no fence can reach them: inside a graph, or for a share of a batch."""
    module = unseen(net)
    if module is not None:
        raise RecipeError(
            f"{type(module).__name__} may draw random numbers, which would not be the run's own {where}: give its "
            f"class the attribute draws = False if it draws none, or {instead}."
        )


def _second_derivatives(recipe: Recipe) -> str:
    """The part of a recipe that takes second derivatives by autograd; empty if there is none."""
    parts = [recipe.scheme, *recipe.monitors]
    return next((type(part).__name__ for part in parts if part.second_derivatives), "")
