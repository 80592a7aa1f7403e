"""What the trainings from scratch of a comparison share; none of them sees the test set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mixop import api
from mixop.data.core import Data
from mixop.engine.loop import Observer
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.evaluate.score import evaluate_network
from mixop.evaluate.trained import load_network
from mixop.spaces.core import Architecture, Space

SHORT = replace(PROTOCOLS["quick"], name="short", epochs=10)
"""The training from scratch of a comparison, unless told otherwise."""


def _silent(record: Mapping[str, Any]) -> None:
    """Tells nobody."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the runs of one seed of a comparison share.

    Args:
        space: the search space, its sizes fitting the data.
        data: images, labels and splits.
        seed: of the search, and of the trainings that score it.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        observe: is told every step and record.
    """

    space: Space
    data: Data
    seed: int = 0
    device: str = "cpu"
    checkpoint_seconds: float = 30.0
    observe: Observer = _silent

    def train(self, architecture: Architecture, protocol: Protocol, folder: Path) -> dict[str, float]:
        """Trains an architecture on the weight split and scores it on the validation split; done before, it is read.

        Returns:
            ``valid_accuracy`` in [0, 1] and ``seconds`` of the training.
        """
        data = held_out(self.data)
        options = {"device": self.device, "checkpoint_seconds": self.checkpoint_seconds, "observe": self.observe}
        result = api.retrain(architecture, self.space, data, folder, protocol=protocol, seed=self.seed, **options)
        return {"valid_accuracy": result.accuracy, "seconds": result.score["networks"][0]["seconds"]}

    def test(self, folder: Path) -> float:
        """Accuracy on the test set, in [0, 1], of the network that `train` trained in a folder."""
        return evaluate_network(load_network(folder).to(self.device), self.data.to(self.device))["accuracy"]


def held_out(data: Data) -> Data:
    """A set for trainings that must not see the test set: it holds the weight split, and the validation split as its test.

    A retraining uses both parts of the split that is made here, so all of the weight split is trained on.

    Raises:
        DataError: if a class has fewer than two examples in the weight split.
    """
    x, y = data.x[data.train], data.y[data.train]
    first = torch.stack([(y == label).nonzero()[0, 0] for label in y.unique()])  # one of each class, for form's sake
    rest = torch.ones(len(y), dtype=torch.bool, device=y.device)
    rest[first] = False
    return replace(
        data,
        name=f"{data.name} (weight split; tested on the validation split)",
        x=x,
        y=y,
        test_x=data.x[data.valid],
        test_y=data.y[data.valid],
        train=rest.nonzero()[:, 0],
        valid=first.sort().values,
        source=None,
        record={"held out of": data.fingerprint},
    )
