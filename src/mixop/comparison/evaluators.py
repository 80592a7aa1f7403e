"""How the runs of a comparison are scored: against a known optimum, by a short training, or by the supernet itself."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from mixop import api
from mixop.data.core import Data
from mixop.engine.loop import Observer
from mixop.errors import RecipeError
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.evaluate.score import evaluate_network
from mixop.evaluate.trained import load_network
from mixop.spaces.core import Architecture, Space

SHORT = replace(PROTOCOLS["quick"], name="short", epochs=10)
"""The training from scratch of a comparison, unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Bench:
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
    seed: int
    device: str
    checkpoint_seconds: float
    observe: Observer

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


@dataclass(frozen=True, kw_only=True)
class Evaluator(ABC):
    """How the architecture of a run is scored, as a value.

    Random search, which is part of every comparison, always trains its architectures from scratch by `protocol`, on the
    weight split, and takes the one that is best on the validation split; the evaluator scores what it took.

    Args:
        protocol: of the trainings from scratch.
    """

    protocol: Protocol = field(default=SHORT)

    @property
    @abstractmethod
    def score(self) -> str:
        """What the score is, in words; it is in [0, 1], larger is better."""

    def check(self, space: Space) -> None:  # noqa: B027
        """Refuses a space that cannot be scored in this way.

        Raises:
            RecipeError: naming the evaluator that can.
        """

    @abstractmethod
    def of_search(self, found: api.SearchResult, bench: Bench) -> dict[str, Any]:
        """Scores what a search found.

        Returns:
            ``score`` in [0, 1], and what else was measured.
        """

    @abstractmethod
    def of_trained(self, architecture: Architecture, folder: Path, valid_accuracy: float, bench: Bench) -> dict[str, Any]:
        """Scores what random search took.

        Args:
            architecture: what it took.
            folder: where `Bench.train` trained it.
            valid_accuracy: its accuracy on the validation split.
            bench: the rest.
        """


@dataclass(frozen=True, kw_only=True)
class Optimum(Evaluator):
    """Against the known optimum of a space such as `mixop.spaces.toy`: found or not, and how many decisions are right."""

    @property
    def score(self) -> str:
        return "share of decisions that are those of the optimum"

    def check(self, space: Space) -> None:
        if not isinstance(getattr(space, "optimum", None), Architecture):
            raise RecipeError(f"The best architecture of {space.name} is not known: score its runs by retrain or supernet.")

    def of_search(self, found: api.SearchResult, bench: Bench) -> dict[str, Any]:
        return against(found.architecture, bench.space)

    def of_trained(self, architecture: Architecture, folder: Path, valid_accuracy: float, bench: Bench) -> dict[str, Any]:
        return against(architecture, bench.space)


@dataclass(frozen=True, kw_only=True)
class Retrain(Evaluator):
    """By training what was found from scratch on the weight split, and scoring it on the validation split.

    Args:
        test: score on the test set in place of the validation split, once for each run. Off, a comparison never looks at it.
    """

    test: bool = False

    @property
    def score(self) -> str:
        return f"accuracy on the {'test set' if self.test else 'validation split'} after a training from scratch"

    def of_search(self, found: api.SearchResult, bench: Bench) -> dict[str, Any]:
        folder = found.out / "trained"
        measured = bench.train(found.architecture, self.protocol, folder)
        scored = self.of_trained(found.architecture, folder, measured["valid_accuracy"], bench)
        return {**scored, "scoring_seconds": measured["seconds"]}

    def of_trained(self, architecture: Architecture, folder: Path, valid_accuracy: float, bench: Bench) -> dict[str, Any]:
        if not self.test:
            return {"score": valid_accuracy}
        accuracy = bench.test(folder) if (folder / "score.json").exists() else 0.0  # a training that diverged has no network
        return {"score": accuracy, "test_accuracy": accuracy, "valid_accuracy": valid_accuracy}


@dataclass(frozen=True, kw_only=True)
class Supernet(Evaluator):
    """By the supernet's accuracy on the validation split after the last epoch: costs nothing, and says the least.

    It is no forecast of what the architecture is worth alone, and random search, which has no supernet, is scored by the
    accuracy of the network that it trained: compare it with other recipes only.
    """

    @property
    def score(self) -> str:
        return "validation accuracy of the supernet (of random search, of the network that it trained)"

    def of_search(self, found: api.SearchResult, bench: Bench) -> dict[str, Any]:
        accuracy = found.history[-1]["valid_accuracy"]
        if accuracy is None:
            raise RecipeError(
                f"{found.recipe.name} trains on both splits, so its supernet has no validation accuracy: "
                "score it by retrain or by a known optimum."
            )
        return {"score": accuracy}

    def of_trained(self, architecture: Architecture, folder: Path, valid_accuracy: float, bench: Bench) -> dict[str, Any]:
        return {"score": valid_accuracy}


EVALUATORS: dict[str, type[Evaluator]] = {"optimum": Optimum, "retrain": Retrain, "supernet": Supernet}
"""Every evaluator by its word on the command line."""


def default_evaluator(space: Space) -> Evaluator:
    """`Optimum` where it is known, else `Retrain`."""
    return Optimum() if hasattr(space, "optimum") else Retrain()


def against(architecture: Architecture, space: Space) -> dict[str, Any]:
    """An architecture beside the optimum of its space.

    Returns:
        ``hit``: whether they are the same; ``distance``: decisions that differ; ``score``: share of those that do not.
    """
    chosen, best = (
        {(group.name, choice.decision): choice.option for group in space.groups for choice in a.of(group.name)}
        for a in (architecture, space.optimum)  # type: ignore[attr-defined]
    )
    decisions = [(group.name, e) for group in space.groups for e in range(len(group.decisions))]
    distance = sum(chosen.get(place) != best.get(place) for place in decisions)
    return {"hit": distance == 0, "distance": distance, "score": 1 - distance / len(decisions)}


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
