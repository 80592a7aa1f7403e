"""All that changes while one network is trained, and the gradient of one batch."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mixop.core.ranks import ALONE, Ranks
from mixop.core.rng import draws_unseen, fenced, generators, watched
from mixop.core.types import Batch, detached, in_float32
from mixop.data.core import Data, Part
from mixop.data.stream import Stream
from mixop.engine.settings import Settings
from mixop.evaluate.averaging import Averaging, MovingAverage, average, put, with_weights
from mixop.evaluate.protocol import Protocol
from mixop.evaluate.start import TrainedSupernet, settle_statistics
from mixop.nets.added import added_losses, total_loss
from mixop.nets.discrete import DiscreteNetwork, build
from mixop.nets.training import carries, channels_last, freeze, frozen_norms, set_drop_path, trained, training_outputs
from mixop.spaces.core import Architecture, Space
from mixop.supernet.divided import divided
from mixop.tasks.base import Task, Totals

GENERATORS = ("init", "order", "augment", "forward")


@dataclass
class TrainingState:
    """All that changes while one network is trained.

    Of a protocol that averages or validates: the ``losses`` of the epochs before its average began, whether it has
    (``averaging``), the steps that are in it and the mean itself; and of the ``best`` network so far its weights, buffers and
    optimiser.
    """

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
    losses: list[float] = field(default_factory=list)
    averaging: bool = False
    averaged: int = 0
    averages: dict[str, Tensor] = field(default_factory=dict)
    best_rank: float = -math.inf
    best: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def learnt(self) -> list[nn.Parameter]:
        """The parameters that learn."""
        return trained(self.net)

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
            stream=data.stream(parts, protocol.batch_size, random["order"], protocol.windows),
            task=data.task.smoothed(protocol.label_smoothing),
            train=data.task.totals(),
            frozen=frozen_norms(net, protocol.freeze),
            averaging=isinstance(protocol.averaging, MovingAverage),
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
        net = channels_last(net, space)
        if isinstance(net, DiscreteNetwork):
            net.nodewise = settings.executor != "plain"
        freeze(net, protocol.freeze)
        return net

    def backward(self, batch: Batch, protocol: Protocol, ranks: Ranks = ALONE) -> Tensor:
        """Accumulates the gradient of a batch, piece by piece, and adds the batch to the epoch's totals.

        Args:
            batch: inputs, augmented, and targets.
            protocol: smoothing, pieces and precision.
            ranks: the processes that divide every piece among them; each gets the gradient of the whole batch.

        Returns:
            The loss, a mean over the batch, with the auxiliary head's and what the network adds; on the device.
        """
        if not self.net.training or any(norm.training for norm in self.frozen):  # a walk through all modules
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
                bfloat16 = torch.autocast(x.device.type, torch.bfloat16, enabled=protocol.precision == "bfloat16")
                with bfloat16, added_losses() as terms:
                    if not ranks.divide(len(x)):
                        outputs, auxiliary, state = training_outputs(self.net, x, carried)
                    else:
                        run = partial(training_outputs, self.net)
                        (outputs, auxiliary, state), share = divided(ranks, x, run, carried)
                        terms = [ranks.total(term * share.part) for term in terms]
                with watched(source, self.task.draws):
                    loss = self.task.loss(in_float32(outputs), y)
                    if auxiliary is not None:
                        loss = loss + protocol.auxiliary * self.task.loss(auxiliary.float(), y)
                    loss = total_loss(loss, terms)
                loss = loss * (len(y) / len(batch.y))
                # The gradients of all processes are added up: of a piece that each computes whole, only the first one's counts.
                (loss if ranks.leads or ranks.divide(len(x)) else 0 * loss).backward()
                total = total + loss.detach()
                self.train.add(detached(outputs), y)
        if not ranks.alone:
            learnt = [weight for weight in self.learnt if weight.grad is not None]
            for weight, grad in zip(learnt, ranks.add_together([weight.grad for weight in learnt]), strict=True):  # type: ignore[misc]
                weight.grad = grad
        self.stream.state = detached(state) if carries(self.net) else None
        return total

    @torch.no_grad()
    def clip(self, largest: float) -> Tensor:
        """Scales the gradient so that its global norm is no larger; the norm before, on the device.

        Args:
            largest: norm, > 0; 0 leaves the gradient as it is.
        """
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in self.learnt if weight.grad is not None])
        if largest:
            torch.nn.utils.clip_grads_with_norm_(self.learnt, largest, norm)
        return norm

    def move(self, protocol: Protocol) -> None:
        """Moves the weights by their gradient, and their average with them.

        Args:
            protocol: says how they are averaged.
        """
        self.optimiser.step()
        if self.averaging and protocol.averaging is not None:
            self.averaged += 1
            share, statistics = protocol.averaging.share(self.averaged), not protocol.averaging.watches
            average(self.averages, self.net, share, statistics=statistics)

    def validated(self) -> AbstractContextManager[None]:
        """Inside, the network has the weights that are validated and scored: the average, once it has begun."""
        return with_weights(self.net, self.averages) if self.averaged else nullcontext()

    def look(self, loss: float, rank: float, protocol: Protocol) -> None:
        """Takes in what an epoch's validation found: keeps the best network, and begins the average where that is due.

        Args:
            loss: on the validation part.
            rank: of the task's first measure there, larger is better.
            protocol: says when.
        """
        if protocol.keep == "best" and rank > self.best_rank:
            self.best_rank = rank
            with self.validated():
                net = {name: value.clone() for name, value in self.net.state_dict().items()}
            self.best = {"net": net, "optimiser": deepcopy(self.optimiser.state_dict()), "averaged": self.averaged}
        if isinstance(protocol.averaging, Averaging) and not self.averaging:
            self.losses.append(loss)
            self.averaging = protocol.averaging.begins(self.losses)

    def go_back(self, task: Task) -> bool:
        """Returns to the best network so far; the order of the data and all generators go on. False if there is none.

        An average goes on from the averaged weights, as the published code does.
        """
        if not self.best:
            return False
        self.net.load_state_dict(self.best["net"])
        self.optimiser.load_state_dict(deepcopy(self.best["optimiser"]))
        self.averaged = self.best["averaged"]
        self.averages = {name: p.detach().clone() for name, p in self.net.named_parameters()} if self.averaged else {}
        self.stream.state = None
        self.train = task.totals()
        return True

    def settle(self) -> None:
        """Gives the network the weights that are scored: those of the best epoch where it is kept, or the average."""
        if self.best:
            self.net.load_state_dict(self.best["net"])
        else:
            put(self.net, self.averages)

    def state_dict(self) -> dict[str, Any]:
        """Everything, as tensors and numbers."""
        return {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "stream": self.stream.state_dict(),
            "train": self.train.state_dict(),
            "at": [self.epoch, self.step, self.seconds],
            "losses": list(self.losses),
            "average": [self.averaging, self.averaged, dict(self.averages)],
            "best": [self.best_rank, dict(self.best)],
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
        self.losses = list(state["losses"])
        self.averaging, self.averaged, self.averages = state["average"]
        self.best_rank, self.best = state["best"]
