"""Networks of a table that are trained together: a job for the driver, which can be left and gone on with at any step."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from mixop.core.errors import RunError
from mixop.core.optim import set_rate
from mixop.core.rng import fenced
from mixop.core.schedules import Progress
from mixop.data.core import Data, Part
from mixop.nets.discrete import discrete
from mixop.nets.training import channels_last
from mixop.runs import checkpoint
from mixop.spaces.core import Architecture, Space
from mixop.spaces.stacked import stacked
from mixop.tabulate.how import Tabulation
from mixop.tabulate.many import Many, side_by_side
from mixop.tasks.base import Task

EVALUATION_BATCH = 256
"""Examples of a forward pass that scores."""

SPLITS: tuple[Part, ...] = ("valid", "test")
"""What networks are scored on."""


@dataclass
class Place:
    """Where a cohort stands, see `mixop.engine.driver.Position`."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0


class Cohort:
    """Architectures trained side by side, each with every seed.

    What a network learns depends on its number in the space, its seed and the settings alone.

    Args:
        architectures: which ones.
        indices: their numbers in the space, which seed their initial weights.
        space: their space.
        data: examples of a task.
        how: how they are trained.
        device: where torch computes.
        file: for checkpoints; None keeps none.
        stopped: what someone reads who stopped it.
    """

    def __init__(
        self,
        architectures: Sequence[Architecture],
        indices: Sequence[int],
        space: Space,
        data: Data,
        how: Tabulation,
        *,
        device: str = "cpu",
        file: Path | None = None,
        stopped: str = "Stopped.",
    ) -> None:
        self.indices, self.how, self.file, self._stopped = list(indices), how, file, stopped
        self.data = data.to(device)
        networks = [
            discrete(architecture, stacked(space), norm=how.norm, generator=initial(index, seed))
            for architecture, index in zip(architectures, indices, strict=True)
            for seed in range(how.seeds)
        ]
        self.dtype = next(networks[0].parameters()).dtype
        with fenced(Generator()):  # modules are made with weights that are then replaced
            self.many = channels_last(Many(networks), space).to(device)
        self.whose = torch.arange(how.seeds, device=device).repeat(len(architectures))
        self.optimiser = how.optimiser.build(self.many.parameters())
        self.orders, self.augments = ([Generator().manual_seed(2 * s + k) for s in range(how.seeds)] for k in range(2))
        self.streams = [data.stream(("train",), how.batch_size, order) for order in self.orders]
        self.columns: dict[str, list[Tensor]] = {}
        self.losses, self.seen = torch.zeros(self.many.count, dtype=torch.float64, device=device), 0
        self._place = Place()
        if file is not None and checkpoint.exists(file):
            saved = None
            with suppress(RunError):  # torn: these networks begin again, as they do without one
                saved = checkpoint.load(file)
            self._restore(saved, file)

    @property
    def state(self) -> Place:
        """Where it stands."""
        return self._place

    @property
    def done(self) -> float:
        """How much of the training is done, in [0, 1]."""
        return (self.state.epoch + self.state.step / self.streams[0].batches) / self.how.epochs

    def begin_epoch(self) -> int:
        """The rate of the epoch that is due; its number of steps."""
        if self.state.step == 0:
            self.losses, self.seen = torch.zeros_like(self.losses), 0
        set_rate(self.optimiser, self.how.optimiser.lr(Progress(self.state.epoch, self.how.epochs)))
        return self.streams[0].batches

    def take_step(self) -> None:
        """One step of all networks; those of a seed see the same batch."""
        batches = [
            self.data.augmented(stream.next(), augment) for stream, augment in zip(self.streams, self.augments, strict=True)
        ]
        x, y = torch.stack([batch.x for batch in batches]).to(self.dtype), torch.stack([batch.y for batch in batches])
        self.many.train()
        losses = losses_of(self.many, self.data.task, x, y, self.whose)
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        self.optimiser.step()
        self.losses, self.seen = self.losses + losses.detach().double() * y.shape[1], self.seen + y.shape[1]

    def position(self) -> Mapping[str, Any]:
        """What observers receive at every step."""
        return {"epoch": self.state.epoch + 1, "epochs": self.how.epochs}

    def finish_epoch(self, seconds: Callable[[], float]) -> Mapping[str, Any]:
        """Scores the networks if this epoch is kept, and moves on to the next one."""
        if self.state.epoch + 1 in self.how.kept:
            self._keep("train_loss", self.losses / self.seen)
            for split in SPLITS:
                for name, values in self.measure(split).items():
                    self._keep(f"{split}_{name}", values)
        self.state.epoch, self.state.step, self.state.seconds = self.state.epoch + 1, 0, seconds()
        return self.position()

    def record(self, record: Mapping[str, Any]) -> None:
        """Nothing is written down before the cohort is done."""

    def after_epoch(self) -> None:
        """Nothing follows an epoch but the next one."""

    def stopped(self) -> str:
        """What someone reads who stopped the build."""
        return self._stopped

    def save(self) -> None:
        """Writes a checkpoint."""
        if self.file is None:
            return
        place = self.state
        state = {
            "indices": self.indices,
            "place": [place.epoch, place.step, place.seconds],
            "many": self.many.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "streams": [stream.state_dict() for stream in self.streams],
            "generators": [generator.get_state() for generator in (*self.orders, *self.augments)],
            "columns": self.columns,
            "losses": [self.losses, self.seen],
        }
        checkpoint.save(self.file, state)

    def _restore(self, state: Any, file: Path) -> None:
        if not isinstance(state, dict) or state.get("indices") != self.indices:
            return  # of cohorts of another size: these begin from the start
        try:
            self._take_up(state)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise RunError(f"{file} is not of this table ({reason}): remove it, and these networks begin again.") from error

    def _take_up(self, state: Mapping[str, Any]) -> None:
        self._place = Place(*state["place"])
        self.many.load_state_dict(state["many"])
        self.optimiser.load_state_dict(state["optimiser"])
        for stream, saved in zip(self.streams, state["streams"], strict=True):
            stream.load_state_dict(saved)
        for generator, saved in zip((*self.orders, *self.augments), state["generators"], strict=True):
            generator.set_state(saved)
        self.columns, (losses, self.seen) = state["columns"], state["losses"]
        self.losses = losses.to(self.losses.device)

    def _keep(self, name: str, values: Tensor) -> None:
        self.columns.setdefault(name, []).append(values.cpu())

    @torch.no_grad()
    def measure(self, split: Part) -> dict[str, Tensor]:
        """The task's measures of every network ``(G,)`` by name, float64; NaN where one is not a number."""
        self.many.eval()
        totals = [self.data.task.totals() for _ in range(self.many.count)]
        first = torch.zeros_like(self.whose)
        for batch in self.data.sweep(split, EVALUATION_BATCH):
            outputs = self.many(side_by_side(batch.x[None].to(self.dtype), first))
            for number, total in enumerate(totals):
                total.add(outputs[:, number], batch.y)
        values = [total.value() for total in totals]
        found = {measure.name: [value[measure.name] for value in values] for measure in self.data.task.measures}
        nan = float("nan")
        return {
            name: torch.tensor([nan if v is None else v for v in each], dtype=torch.float64) for name, each in found.items()
        }

    def found(self) -> dict[str, np.ndarray]:
        """What was measured, architecture by architecture.

        Returns:
            ``train_loss`` and for each measure ``valid_NAME`` and ``test_NAME`` ``(n, seeds, kept)``, and ``seconds`` ``(n,)``
            of one run's share.
        """
        shape = (len(self.indices), self.how.seeds, len(self.how.kept))
        found = {name: torch.stack(values, dim=1).reshape(shape).numpy() for name, values in self.columns.items()}
        found["train_loss"] = found["train_loss"].astype(np.float32)
        return {**found, "seconds": np.full(len(self.indices), self.state.seconds / self.many.count, np.float32)}


def initial(index: int, seed: int) -> Generator:
    """The generator of a network's initial weights, seeded by its number in the space and its seed."""
    return Generator().manual_seed((seed << 40) + index)


def losses_of(many: Many, task: Task, x: Tensor, y: Tensor, whose: Tensor) -> Tensor:
    """The mean loss of every network ``(G,)``.

    Args:
        many: the networks.
        task: what they are for.
        x: batches ``(S, B, ...)``.
        y: targets ``(S, B, ...)``.
        whose: number of each network's batch ``(G,)``.
    """
    outputs = many(side_by_side(x, whose))
    return torch.stack([task.loss(outputs[:, number], y[batch]) for number, batch in enumerate(whose.tolist())])
