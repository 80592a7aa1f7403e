"""All that changes while one network is trained from scratch, and the gradient of one batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from mixop.core.rng import fenced, generators
from mixop.core.types import Batch
from mixop.data.core import Data
from mixop.data.stream import Stream
from mixop.engine.settings import Settings
from mixop.engine.state import Sums
from mixop.evaluate.protocol import Protocol
from mixop.nets.discrete import DiscreteNetwork, build
from mixop.spaces.core import Architecture, Space

GENERATORS = ("init", "order", "augment", "forward")


@dataclass
class TrainingState:
    """All that changes while one network is trained."""

    net: DiscreteNetwork
    optimiser: torch.optim.Optimizer
    generators: dict[str, Generator]
    stream: Stream
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    train: Sums = field(default_factory=Sums)

    @classmethod
    def fresh(
        cls, architecture: Architecture, space: Space, data: Data, protocol: Protocol, settings: Settings
    ) -> "TrainingState":
        """The state before the first step; the random numbers depend on the seed alone, so they are every network's."""
        random = generators(settings.seed, GENERATORS)
        net = build(
            architecture,
            protocol.sized(space),
            generator=random["init"],
            norm=protocol.norm,
            auxiliary=protocol.auxiliary > 0,
        ).to(settings.device)
        everything = torch.cat([data.train, data.valid]).cpu()
        return cls(
            net=net,
            optimiser=protocol.optimiser.build(net.parameters()),
            generators=random,
            stream=Stream(everything, protocol.batch_size, random["order"], "training"),
        )

    def backward(self, batch: Batch, protocol: Protocol) -> tuple[Tensor, Tensor]:
        """Accumulates the gradient of a batch, piece by piece.

        Args:
            batch: images, augmented, and labels.
            protocol: loss, pieces and precision.

        Returns:
            Mean cross-entropy (nats, with the auxiliary head's) and number of right answers, on the device.
        """
        self.net.train()
        self.net.drop_path = protocol.drop_path * self.epoch / protocol.epochs
        self.optimiser.zero_grad(set_to_none=True)
        total = right = torch.zeros((), device=batch.y.device)
        count = max(1, min(protocol.accumulate, len(batch.y) // 2))  # batch norm needs two images; a last batch may be short
        pieces = zip(batch.x.tensor_split(count), batch.y.tensor_split(count), strict=True)
        with fenced(self.generators["forward"]):  # drop path and noise
            for x, y in pieces:
                with torch.autocast(x.device.type, torch.bfloat16, enabled=protocol.precision == "bfloat16"):
                    logits, auxiliary = self.net.logits(x)
                loss = cross_entropy(logits.float(), y, label_smoothing=protocol.label_smoothing)
                if auxiliary is not None:
                    own = cross_entropy(auxiliary.float(), y, label_smoothing=protocol.label_smoothing)
                    loss = loss + protocol.auxiliary * own
                loss = loss * (len(y) / len(batch.y))
                loss.backward()
                total = total + loss.detach()
                right = right + (logits.detach().argmax(-1) == y).sum()
        return total, right

    def state_dict(self) -> dict[str, Any]:
        """Everything, as tensors and numbers."""
        return {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "stream": self.stream.state_dict(),
            "train": [self.train.loss, self.train.right, self.train.count],
            "at": [self.epoch, self.step, self.seconds],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, value in state["generators"].items():
            self.generators[name].set_state(value)
        self.stream.load_state_dict(state["stream"])
        self.train = Sums(*state["train"])
        self.epoch, self.step, self.seconds = state["at"]
