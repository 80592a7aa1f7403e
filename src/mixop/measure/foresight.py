"""How much time and memory a search or a retraining will take, measured before it starts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mixop.core.door import door
from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.core.scratch import scratch_folder
from mixop.data.core import Data, Source
from mixop.data.given import MapStyle, given
from mixop.engine.estimate import Estimate, free_bytes
from mixop.engine.fit import check_fit, computing
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import Protocol
from mixop.evaluate.retrain import FOUND, Retraining
from mixop.recipe.core import Recipe
from mixop.runs.directory import RunDirectory
from mixop.spaces.core import Architecture, Space

AHEAD = 1.15
"""Times are planned longer by this, for what an estimate leaves out: evaluation, monitors, files."""


@door()
def recipe_in(
    minutes: float, recipe: Recipe, space: Space, data: Data | Source | MapStyle, settings: Settings | None = None
) -> Recipe:
    """The recipe with as many epochs as fit into a time on this machine, but no more than its own; warm-up keeps its share.

    Args:
        minutes: for the search, > 0.
        recipe: the method.
        space: the search space.
        data: examples with a task.
        settings: of the run: device and executor; by default those of any run.

    Raises:
        RecipeError: if not one epoch fits.
    """
    check_range("minutes", minutes, above=0)
    epochs = _epochs_in(minutes, search_estimate(recipe, space, data, settings), recipe.epochs, "fewer channels or examples")
    return replace(recipe, epochs=epochs, warmup=recipe.warmup * epochs // recipe.epochs)


@door()
def protocol_in(
    minutes: float,
    architecture: Architecture,
    space: Space,
    data: Data | Source | MapStyle,
    protocol: Protocol,
    *,
    networks: int = 1,
    device: str | torch.device = "cpu",
) -> Protocol:
    """The protocol with as many epochs as fit into a time on this machine, but no more than its own.

    Args:
        minutes: for all networks together, > 0.
        architecture: the one that is measured; the others count the same.
        space: its space.
        data: examples with a task.
        protocol: how to train.
        networks: how many are trained, >= 1.
        device: where torch computes.

    Raises:
        RecipeError: if not one epoch fits.
    """
    check_range("minutes", minutes, above=0)
    found = retraining_estimate(architecture, space, data, protocol, networks=networks, device=device)
    return replace(protocol, epochs=_epochs_in(minutes, found, protocol.epochs, "fewer random architectures"))


def _epochs_in(minutes: float, whole: Estimate, epochs: int, advice: str) -> int:
    each = AHEAD * whole.seconds / epochs
    count = int(60 * minutes / each)
    if count < 1:
        raise RecipeError(
            f"One epoch takes about {each / 60:.2g} minutes here, and there are {minutes:g}: give more minutes, or {advice}."
        )
    return min(count, epochs)


@door()
def search_estimate(recipe: Recipe, space: Space, data: Data | Source | MapStyle, settings: Settings | None = None) -> Estimate:
    """Time and memory of a search, from a few steps of a copy; the time of evaluation and monitors is left out.

    Args:
        recipe: the method; if it has several stages, only the first one is measured.
        space: the search space.
        data: examples with a task.
        settings: of the run: device and executor; by default those of any run.

    Raises:
        MemoryLimitError: if a batch does not fit into the free memory.
    """
    data = given(data)
    space = space.fit(data)
    settings, _ = computing(recipe, space, settings or Settings())
    check_fit(recipe, space, data, settings)
    with scratch_folder() as folder:
        run = RunDirectory(Path(folder, "estimate"))
        return Search(recipe, space, data, run, settings).estimate()


@door()
def fitting_batch(recipe: Recipe, space: Space, data: Data | Source | MapStyle, settings: Settings | None = None) -> int:
    """The recipe's batch size, halved until a batch fits into the free memory and the data.

    Only four fifths of the free memory are used, because other programs need some of it too.

    Args:
        recipe: the method; if it has several stages, only the first one is measured.
        space: the search space.
        data: examples with a task.
        settings: of the run: device and executor; by default those of any run.

    Raises:
        MemoryLimitError: if not even a batch of 2 fits.
    """
    data = given(data)
    space = space.fit(data)
    settings, _ = computing(recipe, space, settings or Settings())
    check_fit(recipe, space, data, settings)
    splits = [data.at("train", "valid")] if recipe.scheme.shares_data else [data.train, data.valid]
    batch = recipe.batch_size
    while batch > min(map(len, splits)) and batch > 2:
        batch //= 2
    with scratch_folder() as folder:
        run = RunDirectory(Path(folder, "estimate"))
        found = Search(replace(recipe, batch_size=batch), space, data, run, settings).memory()
    free = free_bytes(settings.device) * 4 // 5
    while batch > 2 and batch > found.largest_batch(free):
        batch //= 2
    replace(found, batch_size=batch).check(free)
    return batch


@door()
def retraining_estimate(
    architecture: Architecture,
    space: Space,
    data: Data | Source | MapStyle,
    protocol: Protocol,
    *,
    networks: int = 1,
    device: str | torch.device = "cpu",
) -> Estimate:
    """Time and memory of a retraining, from a few steps of a copy.

    Args:
        architecture: the one that is measured; the others count the same.
        space: its space.
        data: examples with a task.
        protocol: how to train.
        networks: how many are trained, >= 1.
        device: where torch computes.

    Raises:
        MemoryLimitError: if a batch does not fit into the free memory.
    """
    data = given(data)
    labels: Sequence[str] = [FOUND, *(f"copy {k}" for k in range(1, networks))]
    with scratch_folder() as folder:
        run = RunDirectory(Path(folder, "estimate"))
        job = Retraining([(label, architecture) for label in labels], space, data, protocol, run, Settings(device=str(device)))
        return job.estimate()
