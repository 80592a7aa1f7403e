"""What the trainings from scratch of a comparison share; none of them sees the test set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixop import api
from mixop.core.measure import Measure, Number
from mixop.data.core import Data
from mixop.engine.driver import Observer
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.evaluate.score import evaluate_network
from mixop.evaluate.trained import load_network
from mixop.runs.records import NetworkScore
from mixop.spaces.core import Architecture, Space

SHORT = replace(PROTOCOLS["quick"], name="short", epochs=10)
"""The default training from scratch of a comparison."""


def _silent(record: Mapping[str, Any]) -> None:
    """Tells nobody."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the runs of one seed of a comparison share.

    Args:
        space: the search space, its sizes fitting the data.
        data: examples, their task and their parts.
        seed: of the search, and of the trainings that score it.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        observe: called with every step and record.
        pace: how many times slower this machine is than the one whose seconds count; see `mixop.comparison.pace`.
    """

    space: Space
    data: Data
    seed: int = 0
    device: str = "cpu"
    checkpoint_seconds: float = 30.0
    observe: Observer = _silent
    pace: float = 1.0

    @property
    def measure(self) -> Measure:
        """What trainings are ranked by: the task's first measure."""
        return self.data.task.first

    def train(self, architecture: Architecture, protocol: Protocol, folder: Path) -> NetworkScore:
        """Trains an architecture on the weight split and scores it on the validation split; done before, it is read.

        Args:
            architecture: what to train.
            protocol: how.
            folder: the run directory of the training.
        """
        options = {"device": self.device, "checkpoint_seconds": self.checkpoint_seconds, "observe": self.observe}
        parts: dict[str, Any] = {"train_on": ("train",), "score_on": "valid"}
        result = api.retrain(architecture, self.space, self.data, folder, protocol=protocol, seed=self.seed, **parts, **options)
        return result.score.networks[0]

    def test(self, folder: Path) -> Number:
        """The first measure on the test set of the network that `train` trained in a folder."""
        net = load_network(folder).to(self.device)
        return evaluate_network(net, self.data.to(self.device), "test").measures[self.measure.name]
