"""How fast a training step of a discrete network is: executors in turns, beside what the machine can do, and what a step does.

A step is one of the retraining: batch, augmentation, forward and backward pass, clipping, optimiser and averaging.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from mixop.core.door import door
from mixop.core.errors import RecipeError
from mixop.core.rng import fenced
from mixop.core.scratch import scratch_folder
from mixop.core.surroundings import using
from mixop.data.arrays import from_arrays
from mixop.data.core import Data
from mixop.data.images.augment import Augment
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import Protocol
from mixop.evaluate.retrain import FOUND, Retraining
from mixop.measure.speed import sizes
from mixop.measure.turns import Turns, roofline, seconds
from mixop.nets.discrete import build
from mixop.nets.training import training_outputs
from mixop.runs.directory import RunDirectory
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class TrainingCase:
    """What is measured: a network of images.

    Args:
        architecture: which network.
        space: its space, for images, with their sizes.
        protocol: how it is trained, with batch and sizes of the network.
        settings: device and threads.
    """

    asked: ClassVar[str] = "mixop.measure.retraining.TrainingCase(...)"

    architecture: Architecture
    space: Space
    protocol: Protocol
    settings: Settings


@dataclass(frozen=True, kw_only=True)
class Work:
    """Seconds of one kind of work each, in one step.

    Args:
        augmentation: reading and augmenting a batch.
        forward: outputs and loss.
        backward: gradients.
        optimiser: clipping, the step and averaging.
    """

    augmentation: float
    forward: float
    backward: float
    optimiser: float


@dataclass(frozen=True, kw_only=True)
class TrainingTiming:
    """Seconds of an executor.

    Args:
        executor: its name.
        step: of whole steps.
        work: of the kinds of work of other steps; what is left of a whole step is the rest.
    """

    executor: str
    step: Sequence[float]
    work: Sequence[Work]

    def shares(self) -> dict[str, float]:
        """The share of the median step of each kind of work, and of the rest."""
        whole = median(self.step)
        found = {field.name: median(getattr(work, field.name) for work in self.work) / whole for field in fields(Work)}
        return {**found, "rest": max(0.0, 1 - sum(found.values()))}


@dataclass(frozen=True, kw_only=True)
class TrainingResult(Turns[TrainingTiming]):
    """A whole measurement; the operations of a step are counted on the plain modules."""

    def figures(self, timing: TrainingTiming) -> dict[str, Any]:
        return {**super().figures(timing), "steps_a_second": 1 / median(timing.step), "shares": timing.shares()}


class TrainingSteps:
    """A retraining whose steps are taken one by one.

    Args:
        case: what is measured.
        executor: how the network is computed.
        folder: an empty directory.
    """

    def __init__(self, case: TrainingCase, executor: str, folder: Path) -> None:
        settings = replace(case.settings, executor=executor)
        networks = [(FOUND, case.architecture)]
        self.job = Retraining(networks, case.space, _data(case), case.protocol, RunDirectory(folder), settings)
        self.job.begin_epoch()
        self.device, self.protocol = settings.device, case.protocol

    def step(self) -> float:
        """Seconds of one step."""
        self._rewind()
        return seconds(self.job.take_step, self.device)

    def work(self) -> Work:
        """Seconds of the kinds of work in one step."""
        job, state, found = self.job, self.job.state, {}
        self._rewind()

        def timed(name: str, run: Callable[[], Any]) -> Any:
            kept: list[Any] = []
            found[name] = seconds(lambda: kept.append(run()), self.device)
            return kept[0]

        at = state.stream.next()
        batch = timed("augmentation", lambda: job.data.augmented(at, state.generators["augment"], job.augment))
        state.net.train()
        state.optimiser.zero_grad(set_to_none=True)
        with fenced(state.generators["forward"], watch=state.unseen):
            loss = timed("forward", lambda: self._loss(batch.x, batch.y))
            timed("backward", loss.backward)
        timed("optimiser", lambda: (state.clip(self.protocol.clip), state.move(self.protocol)))
        return Work(**found)

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        state = self.job.state
        outputs, auxiliary, _ = training_outputs(state.net, x)
        loss = state.task.loss(outputs, y)
        state.train.add(outputs.detach(), y)
        return loss if auxiliary is None else loss + self.protocol.auxiliary * state.task.loss(auxiliary, y)

    def _rewind(self) -> None:
        """Always whole batches."""
        self.job.state.stream.begin()
        self.job.state.stream.at = 0


@door()
def measure_training(
    case: TrainingCase,
    executors: Sequence[str] = ("plain", "nodewise"),
    *,
    repeats: int = 5,
    observe: Callable[[str], None] = lambda what: None,
) -> TrainingResult:
    """Measures executors in turns.

    Args:
        case: what is measured.
        executors: their names; ratios are to the first one.
        repeats: measured steps of each, >= 1, after two of warm-up.
        observe: called with what is measured next.

    Raises:
        RecipeError: if there is nothing to measure, or the network is not for images.
    """
    if repeats < 1:
        raise RecipeError(f"A measurement needs at least 1 repetition, got {repeats}.")
    if len(sizes(case.space)[0]) != 3:
        raise RecipeError(f"A training is measured on images, which {case.space.name} is not for here: choose another space.")
    with scratch_folder() as folder, using(case.settings.threads):
        steps = {name: TrainingSteps(case, name, Path(folder, name)) for name in executors}
        times: dict[str, list[float]] = {name: [] for name in executors}
        work: dict[str, list[Work]] = {name: [] for name in executors}
        for turn in range(-1, repeats + 1):
            for name, its in steps.items():
                observe(f"{name}, {'warming up' if turn < 1 else f'step {turn} of {repeats}'}")
                step, parts = its.step(), its.work()
                if turn > 0:
                    times[name].append(step)
                    work[name].append(parts)
        del steps
        observe("what the machine can do")
        roof = roofline(case.settings.device)
        count = training_flops(case)
    timings = [TrainingTiming(executor=name, step=times[name], work=work[name]) for name in executors]
    return TrainingResult(timings=timings, flops=count, roofline=roof)


@door()
def training_flops(case: TrainingCase) -> int:
    """Multiplications and additions of one step's convolutions and linear maps, gradients included, counted by hand.

    Depthwise convolutions count ``2 B C H W k^2``, what they need. Counted without computing.

    Args:
        case: what is measured.
    """
    generator, protocol = Generator().manual_seed(0), case.protocol
    with torch.device("meta"):
        space, auxiliary = protocol.sized(case.space), protocol.auxiliary > 0
        net = build(case.architecture, space, generator=generator, norm=protocol.norm, auxiliary=auxiliary).train()
        x = torch.empty(protocol.batch_size, *sizes(case.space)[0])
    counted = [0]

    def count(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        once = 2 * output.numel() * module.get_parameter("weight")[0].numel()
        counted[0] += once * (2 + given[0].requires_grad)

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.device("meta"), fenced(generator):
        training_outputs(net, x)
    return counted[0]


def _data(case: TrainingCase) -> Data:
    """Random images of the sizes of a case, a few batches of them."""
    shape, classes = sizes(case.space)
    count = max(4 * case.protocol.batch_size, 20 * classes)
    x = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=Generator().manual_seed(0))
    augment = Augment(crop=min(shape[1:]) // 8, flip=True)
    y = torch.arange(count) % classes
    return from_arrays(x, y, valid=0.25, test_share=0.25, layout="nchw", augment=augment)
