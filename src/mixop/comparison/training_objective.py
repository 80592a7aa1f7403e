"""What a black-box search asks, answered by training: each architecture from scratch, scored on the validation split."""

import hashlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from mixop.comparison.conditions import SHORT, Conditions
from mixop.core.errors import DivergedError
from mixop.core.measure import Number
from mixop.evaluate.protocol import Protocol
from mixop.spaces.core import Architecture


@dataclass(frozen=True, kw_only=True)
class TrainingObjective(Conditions):
    """Trains on the weight split and scores on the validation split; never looks at the test set.

    Each training is an ordinary run directory, so a killed search continues inside the training that it was in. An
    architecture that was already trained for as long is read back, and costs what its training did: with the same seed it would
    be the same training. A training that diverges has no value.

    Args:
        space: the search space, its sizes fitting the data.
        data: examples, their task and their parts.
        folder: for the run directories.
        protocol: how to train; its number of epochs gives way to the trial's.
        seed: of initial weights, data order and augmentation, the same for every architecture.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        observe: called with every step and record.
        pace: how many times slower this machine is than the one whose seconds count.

    Example:
        >>> objective = TrainingObjective(space=space, data=data, folder=Path("runs/mine"))  # doctest: +SKIP
        >>> run_search(Evolution(epochs=5), space, objective, budget_seconds=600)  # doctest: +SKIP
    """

    folder: Path
    protocol: Protocol = field(default=SHORT)

    def __call__(self, architecture: Architecture, epochs: int) -> tuple[Number, float]:
        """The task's first measure on the validation split, None if the training diverged, and the seconds of the training.

        Args:
            architecture: what to train.
            epochs: for how long, >= 1.

        Raises:
            MixopError: if it cannot be trained: the space does not fit the data, the folder cannot be written.
            InterruptedRunError: after SIGINT, SIGTERM or SIGHUP; the training has saved its state.
        """
        begun = time.monotonic()
        try:
            trained = self.train(architecture, replace(self.protocol, epochs=epochs), self.place(architecture, epochs))
        except DivergedError:
            return None, (time.monotonic() - begun) / self.pace
        return trained.measures[self.measure.name], trained.seconds / self.pace

    def place(self, architecture: Architecture, epochs: int) -> Path:
        """The run directory of a training."""
        digest = hashlib.sha256(self.space.to_native(architecture).encode()).hexdigest()
        return self.folder / f"{digest[:16]}-{epochs}"
