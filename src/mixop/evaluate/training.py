"""All that changes while one network is trained, and the gradient of one batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mixop.core.rng import draws_unseen, fenced, generators, watched
from mixop.core.types import Batch, detached, in_float32
from mixop.data.core import Data, Part
from mixop.data.stream import Stream
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import Protocol
from mixop.evaluate.start import TrainedSupernet, settle_statistics
from mixop.nets.discrete import build
from mixop.nets.training import carries, freeze, frozen_norms, set_drop_path, trained, training_outputs
from mixop.spaces.core import Architecture, Space
from mixop.tasks.base import Task, Totals

GENERATORS = ("init", "order", "augment", "forward")


@dataclass
class TrainingState:
    """All that changes while one network is trained."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    generators: dict[str, Generator]
    stream: Stream
    task: Task
    train: Totals
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    frozen: list[nn.Module] = field(default_factory=list)

    @cached_property
    def unseen(self) -> bool:
        """Whether a pass may draw what only a fence that watches can seed."""
        return draws_unseen(self.net)

    @classmethod
    def fresh(
        cls,
        architecture: Architecture,
        space: Space,
        data: Data,
        protocol: Protocol,
        settings: Settings,
        parts: Sequence[Part] = ("train", "valid"),
        supernet: TrainedSupernet | None = None,
    ) -> "TrainingState":
        """The state before the first step; the random numbers depend on the seed alone, so they are every network's.

        With a supernet, the weights are those of the architecture's path in it, and the statistics of batch norms those of the
        first training batches.
        """
        random = generators(settings.seed, GENERATORS)
        net = cls.network(architecture, space, protocol, settings, random["init"])
        if supernet is not None:
            supernet.begin(net, architecture)
            settle_statistics(net, data, protocol.batch_size)
        return cls(
            net=net,
            optimiser=protocol.optimiser.build(trained(net)),
            generators=random,
            stream=data.stream(parts, protocol.batch_size, random["order"]),
            task=data.task.smoothed(protocol.label_smoothing),
            train=data.task.totals(),
            frozen=frozen_norms(net, protocol.freeze),
        )

    @staticmethod
    def network(
        architecture: Architecture, space: Space, protocol: Protocol, settings: Settings, generator: Generator
    ) -> nn.Module:
        """A network as the protocol trains it, freshly initialised, on the run's device."""
        net = build(
            architecture,
            protocol.sized(space),
            generator=generator,
            norm=protocol.norm,
            auxiliary=protocol.auxiliary > 0,
        ).to(settings.device)
        freeze(net, protocol.freeze)
        return net

    def backward(self, batch: Batch, protocol: Protocol) -> Tensor:
        """Accumulates the gradient of a batch, piece by piece, and adds the batch to the epoch's totals.

        Args:
            batch: inputs, augmented, and targets.
            protocol: smoothing, pieces and precision.

        Returns:
            The loss, a mean over the batch, with the auxiliary head's; on the device.
        """
        self.net.train()
        for norm in self.frozen:
            norm.eval()
        set_drop_path(self.net, protocol.drop_path * self.epoch / protocol.epochs, deeper=protocol.drop_deeper)
        self.optimiser.zero_grad(set_to_none=True)
        total, state = torch.zeros((), device=batch.y.device), batch.state
        count = max(1, min(protocol.accumulate, len(batch.y) // 2))  # batch norm needs two examples; a last batch may be short
        pieces = zip(batch.x.tensor_split(count), batch.y.tensor_split(count), strict=True)
        carried = () if carries(self.net) and batch.state is None else batch.state
        with fenced(self.generators["forward"], watch=self.unseen) as source:  # drop path and noise
            for x, y in pieces:
                with torch.autocast(x.device.type, torch.bfloat16, enabled=protocol.precision == "bfloat16"):
                    outputs, auxiliary, state = training_outputs(self.net, x, carried)
                with watched(source, self.task.draws):
                    loss = self.task.loss(in_float32(outputs), y)
                    if auxiliary is not None:
                        loss = loss + protocol.auxiliary * self.task.loss(auxiliary.float(), y)
                loss = loss * (len(y) / len(batch.y))
                loss.backward()
                total = total + loss.detach()
                self.train.add(detached(outputs), y)
        self.stream.state = detached(state) if carries(self.net) else None
        return total

    def state_dict(self) -> dict[str, Any]:
        """Everything, as tensors and numbers."""
        return {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "stream": self.stream.state_dict(),
            "train": self.train.state_dict(),
            "at": [self.epoch, self.step, self.seconds],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from where `state_dict` was taken."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, value in state["generators"].items():
            self.generators[name].set_state(value)
        self.stream.load_state_dict(state["stream"])
        self.train.load_state_dict(state["train"])
        self.epoch, self.step, self.seconds = state["at"]
