"""The memory of a search's weight steps, by what a forward pass keeps for the backward pass: no machine, no clock."""

from dataclasses import replace
from pathlib import Path

from mixop.api import read_recipe
from mixop.core.scratch import scratch_folder
from mixop.data.core import Data
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.engine.state import stage_space
from mixop.evaluate.start import trained_supernet
from mixop.runs.directory import RunDirectory


def step_bytes(run: RunDirectory, data: Data) -> int:
    """The memory of a weight step: weights, their gradients and momentum, and what is kept of a batch for the backward pass.

    Of the plain executor, which computes as the papers write it; the others keep less. Of a search in stages it is the larger
    one of the first and of the last stage, with the options that it kept.

    Args:
        run: a finished search.
        data: what it searched on.

    Returns:
        Bytes.

    Raises:
        RunError: if the search is not finished, or its checkpoint is gone or torn.
    """
    recipe, supernet = read_recipe(run), trained_supernet(run)
    spaces = {0: stage_space(supernet.base, recipe, 0, {}), supernet.stage: supernet.space}
    found = []
    for stage, space in spaces.items():
        alone = replace(recipe, wraps=recipe.all_wraps[stage], stages=(), warmup=0)
        with scratch_folder() as folder:
            search = Search(alone, space, data, RunDirectory(Path(folder, "memory")), Settings(executor="plain"))
            found.append(search.memory().peak_bytes)
    return max(found)
