"""Single steps of a search, to be timed or counted."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.data.arrays import from_arrays
from mixop.data.core import Data
from mixop.data.images.augment import Augment
from mixop.data.text import from_tokens
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.nets.training import trained
from mixop.recipe.core import Recipe
from mixop.runs.directory import RunDirectory
from mixop.spaces.core import Space


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured.

    Args:
        recipe: the method, with its batch size.
        space: the search space with its sizes.
        settings: of the run; the executor in it is replaced by the one measured.
    """

    asked: ClassVar[str] = "mixop.measure.steps.Case(...)"

    recipe: Recipe
    space: Space
    settings: Settings

    def by(self, executor: str) -> "Case":
        """The same case with another executor."""
        return replace(self, settings=replace(self.settings, executor=executor))


class Steps:
    """A search whose steps are taken one by one.

    Args:
        case: what is measured.
        folder: an empty directory for the run.
        timed: whether the halves of a step are timed, for which the host waits for the device.
    """

    def __init__(self, case: Case, folder: Path, *, timed: bool = True) -> None:
        recipe = replace(case.recipe, warmup=0, architecture_every=1, windows=None)  # all steps alike, each with both halves
        self.search = Search(recipe, case.space, data_of(case), RunDirectory(folder), case.settings)
        self.search._prepare_epoch()
        self.batch = self.search.data.batch(self.search.state.weight_stream.peek())
        self._halves = {"architecture": 0.0, "weights": 0.0}
        for name, half in (("_architecture_step", "architecture"), ("_weight_step", "weights")) if timed else ():
            setattr(self.search, name, self._timed(getattr(self.search, name), half))

    def _timed(self, run: Callable[..., None], half: str) -> Callable[..., None]:
        def timed(*arguments: Any) -> None:
            self._halves[half] += seconds(lambda: run(*arguments), self.device)

        return timed

    @property
    def device(self) -> str:
        """The device that computes the steps."""
        return self.search.settings.device

    def take(self) -> None:
        """Takes one step, as a driver takes and tells it."""
        search = self.search
        for stream in (search.state.weight_stream, search.state.architecture_stream):
            stream.at = 0  # always whole batches
            stream.state = None
        search._step()
        search.position()

    def step(self) -> tuple[float, float, float]:
        """Seconds of one step, and of its two halves."""
        self._halves.update(architecture=0.0, weights=0.0)
        whole = seconds(self.take, self.device)
        return whole, self._halves["architecture"], self._halves["weights"]

    def loss(self) -> Tensor:
        """The training loss of a batch at the network's own weights."""
        problem = self.search.problem
        problem.begin_step()
        self.search.state.net.train()
        with torch.no_grad():
            draws = problem.draw(self.search.state.params)
        return problem.draw_loss(None, draws, self.batch)

    def pass_(self) -> float:
        """Seconds of a forward and backward pass in the weights."""
        weights = trained(self.search.state.net)
        return seconds(lambda: torch.autograd.grad(self.loss(), weights, allow_unused=True), self.device)


def seconds(run: Callable[[], object], device: str) -> float:
    """How long something takes on a device."""
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    wait()
    begin = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - begin


def data_of(case: Case) -> Data:
    """Random examples of the sizes of a case, a few batches of them."""
    batch, (shape, classes) = case.recipe.batch_size, sizes(case.space)
    generator = torch.Generator().manual_seed(0)
    if case.space.tokens:
        vocabulary, window = shape
        train, valid, test = (torch.randint(vocabulary, (3 * batch * window,), generator=generator) for _ in range(3))
        return from_tokens(train, valid, test, vocabulary, window=window)
    count = max(5 * batch, 20 * classes)
    x = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    augment = Augment(crop=min(shape[1:]) // 8, flip=True)
    return from_arrays(x, torch.arange(count) % classes, valid=0.5, test_share=0.2, layout="nchw", augment=augment)


def sizes(space: Space) -> tuple[tuple[int, ...], int]:
    """Shape of an image and number of classes that a fitted space is for."""
    if not (space.input_shape and space.outputs):
        raise RecipeError(f"The sizes of {space.name} are open: give input_shape and outputs.")
    return space.input_shape, space.outputs
