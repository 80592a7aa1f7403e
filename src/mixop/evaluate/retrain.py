"""Training architectures, from scratch or from a supernet's weights, one after the other by one protocol."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import safetensors.torch
import torch
from torch import Generator, Tensor
from torch.utils._pytree import tree_leaves

from mixop.core.errors import DivergedError, RecipeError, RunError, unknown
from mixop.core.later import Later
from mixop.core.names import from_file
from mixop.core.optim import set_rate
from mixop.core.ranks import ALONE, Ranks
from mixop.core.rng import fenced
from mixop.core.schedules import Progress
from mixop.core.types import in_float32
from mixop.core.values import to_plain
from mixop.data.core import PARTS, Data, Part
from mixop.data.examples import AHEAD
from mixop.engine.driver import Driver, Observer
from mixop.engine.estimate import Estimate, enough_memory, estimate
from mixop.engine.finite import diverged, first_not_finite
from mixop.engine.fit import check_divided
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import Protocol, protocol_from_json, protocol_to_json
from mixop.evaluate.score import evaluate_network, multiply_adds, parameters
from mixop.evaluate.start import TrainedSupernet, trained_supernet
from mixop.evaluate.training import TrainingState
from mixop.nets.training import freeze, trained, training_outputs, without_auxiliary
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.files import ARCHITECTURE, DATA, RECIPE, RETRAINING, RETRAINING_STATE, SCORE, SETTINGS, SPACE, WEIGHTS
from mixop.runs.identity import (
    BOUND_TO,
    RETRAINING_FILES,
    SEARCH_FILES,
    binding,
    check_binding,
)
from mixop.runs.load import damaged
from mixop.runs.records import NetworkScore, RetrainingPlan, RetrainingRecord, Scope, Score, Values, from_record, to_record
from mixop.spaces.core import Architecture, Space
from mixop.spaces.describe import describe_architecture, describe_space

FOUND = "found"
"""Label of the network whose weights are kept."""


def random_architectures(space: Space, count: int, seed: int, *, but: Architecture) -> list[Architecture]:
    """Draws architectures to compare one with: uniform, distinct from one another and from it.

    Args:
        space: the space to draw from.
        count: how many, >= 0.
        seed: of the draws.
        but: the architecture to leave out.

    Raises:
        RecipeError: if the space has fewer.
    """
    others = space.size() - _may_be_drawn(space, but)
    if not 0 <= count <= others:
        raise RecipeError(f"The number of random architectures must be 0 to {others} in this space, got {count}.")
    rng = Random(seed)
    drawn = {but: None}  # a dictionary keeps the order
    while len(drawn) <= count:
        drawn[space.random(rng)] = None
    return [architecture for architecture in drawn if architecture != but]


def _may_be_drawn(space: Space, architecture: Architecture) -> bool:
    """Whether a random architecture may be this one: it drops no decision that it could decide, and none twice."""
    if space.whole:
        return True
    for name, choices in architecture.choices:
        group = space.group(name)
        decisions = {choice.decision for choice in choices}
        if len(decisions) < len(choices) or any(c.option not in group.eligible(c.decision) for c in choices):
            return False
        if not group.keep and len(choices) < len(group.decisions) and space.reaches(architecture, name):
            return False
    return True


class Retraining:
    """Networks trained one after the other, in one run directory: a search's own or a new one.

    Every network sees the same batches, augmented alike, so that only the architecture differs. What they are scored on is
    looked at once for each network, after its last epoch.

    Args:
        networks: label and architecture of each; ``found`` is the one whose weights are kept.
        space: the space with the sizes of the networks; sizes left open are taken from the data.
        data: examples and parts.
        protocol: how to train.
        run: the run directory; its owner holds the lock while `run` runs.
        settings: seed, device, checkpoints.
        observe: called with every step and record.
        ranks: the processes that train together, each with the same arguments; one of them owns the directory.
        train_on: the parts that are trained on; None for those of the protocol.
        score_on: the part that is scored; none of those.
        supernet: whose weights the networks begin with, each with those of its own path; None where they are drawn.

    Raises:
        MixopError: if these do not fit together.
    """

    def __init__(
        self,
        networks: Sequence[tuple[str, Architecture]],
        space: Space,
        data: Data,
        protocol: Protocol,
        run: RunDirectory,
        settings: Settings,
        observe: Observer | None = None,
        ranks: Ranks = ALONE,
        *,
        train_on: Sequence[Part] | None = None,
        score_on: Part = "test",
        supernet: TrainedSupernet | None = None,
    ) -> None:
        train_on = protocol.train_on if train_on is None else train_on
        labels = [label for label, _ in networks]
        if FOUND not in labels or len(set(labels)) != len(labels):
            raise RecipeError(f"A retraining needs networks with different labels, one of them {FOUND!r}, got {labels}.")
        if not train_on or score_on in train_on or not {*train_on, score_on} <= set(PARTS):
            raise RecipeError(
                f"A retraining trains on some of {', '.join(PARTS)} and scores on another, got {list(train_on)} and "
                f"{score_on!r}."
            )
        if protocol.validates and "valid" in train_on:
            raise RecipeError(
                f"{protocol.name} looks at the validation part after every epoch, so it cannot train on it too: train on "
                f"{list(protocol.train_on)}, or set keep to 'last' and leave out averaging."
            )
        self.space = space.fit(data)
        self.train_on: tuple[Part, ...] = tuple(train_on)
        self.score_on: Part = score_on
        self.networks, self.protocol, self.ranks = networks, protocol, ranks
        self.run_directory, self.settings = run, settings
        self.observe = observe or (lambda record: None)
        protocol.sized(self.space)
        self.supernet = supernet
        if data.tokens and protocol.accumulate > 1:
            raise RecipeError("Windows of a token stream follow each other, so a batch cannot be divided: set accumulate to 1.")
        self.augment = protocol.augment(data)
        self.data = data.to(settings.device)
        self.scores: list[NetworkScore] = []
        self.confusion: list[list[int]] = []
        self.weights_digest = ""
        self._largest = torch.zeros(2, device=settings.device)  # loss and gradient of the steps since they were looked at
        self._state = self._fresh()
        if not ranks.alone:
            check_divided(self._state.net, data, protocol.batch_size, ranks)
        self.driver = Driver(self, settings.checkpoint_seconds, lambda record: self.observe(record), ranks)

    @property
    def state(self) -> TrainingState:
        """The training of the network whose turn it is."""
        return self._state

    @classmethod
    def of(
        cls,
        run: RunDirectory,
        space: Space,
        data: Data,
        settings: Settings,
        observe: Observer | None = None,
        ranks: Ranks = ALONE,
    ) -> "Retraining":
        """The retraining that a run directory holds, with the seed it began with; the other settings are as given.

        Raises:
            RunError: if the directory holds none, or its ``retrain.json`` is damaged.
        """
        plan = from_record(RetrainingPlan, run.read_json(RETRAINING), str(run / RETRAINING))
        with from_file(run / RETRAINING):
            protocol = protocol_from_json(plan.protocol)
            networks = [(label, space.from_native(native)) for label, native in plan.networks]
        if not networks:
            raise damaged(run / RETRAINING, "at least one network in 'networks'", [])
        supernet = None
        if plan.start is not None and (run / SCORE).exists():  # what is done needs no weights to begin with
            supernet = TrainedSupernet(plan.start, space, space, {}, {})
        elif plan.start is not None:
            supernet = trained_supernet(RunDirectory(plan.start.run))
            if supernet.start.weights_sha256 != plan.start.weights_sha256:
                raise RunError(
                    f"The supernet of {plan.start.run} is not the one that the retraining of {run.path} began from: restore "
                    "its checkpoint, or retrain into another --out."
                )
        scope = {"train_on": plan.train_on, "score_on": plan.score_on, "supernet": supernet}
        return cls(networks, space, data, protocol, run, replace(settings, seed=plan.seed), observe, ranks, **scope)

    def estimate(self) -> Estimate:
        """What all networks will take, measured on the first one; the job cannot be used otherwise afterwards.

        Raises:
            MemoryLimitError: if a batch does not fit into the memory.
        """
        state = self.state

        def forward(examples: int) -> Tensor:
            batch = self.data.batch(state.stream.peek()[:examples])
            with torch.autocast(batch.x.device.type, torch.bfloat16, enabled=self.protocol.precision == "bfloat16"):
                outputs, auxiliary, _ = training_outputs(state.net.train(), batch.x)
            leaves = [leaf for leaf in tree_leaves((outputs, auxiliary)) if isinstance(leaf, Tensor) and leaf.requires_grad]
            return torch.stack([leaf.float().sum() for leaf in leaves]).sum()

        return estimate(
            forward=forward,
            step=self.take_step,
            weights=sum(p.numel() * p.element_size() for p in state.net.parameters()),
            batch_size=-(-self.protocol.batch_size // self.protocol.accumulate),
            steps=len(self.networks) * self.protocol.epochs * state.stream.batches,
            device=self.settings.device,
        )

    def identity(self) -> dict[str, Any]:
        """What makes this retraining what it is: the content of ``retrain.json``."""
        return {
            "protocol": protocol_to_json(self.protocol),
            "networks": [[label, self.space.to_native(architecture)] for label, architecture in self.networks],
            "seed": self.settings.seed,
            "train_on": list(self.train_on),
            "score_on": self.score_on,
            "augment": to_plain(self.augment),
            "data": self.data.fingerprint,
            **({} if self.supernet is None else {"start": to_record(self.supernet.start)}),
        }

    @cached_property
    def bound(self) -> dict[str, str]:
        """What its checkpoints and its score carry."""
        architecture = describe_architecture(self.space, dict(self.networks)[FOUND])
        contents = (self.identity(), describe_space(self.space), architecture)
        return binding(dict(zip(RETRAINING_FILES, contents, strict=True)))

    def claim(self) -> bool:
        """Makes the directory this retraining's own, or finds that it already is.

        Returns:
            True if the directory already holds this retraining.

        Raises:
            RunError: if it cannot be written, or holds another retraining, another search's result, or something else.
        """
        run = self.run_directory
        files = {
            RETRAINING: self.identity(),
            SPACE: describe_space(self.space),
            ARCHITECTURE: describe_architecture(self.space, dict(self.networks)[FOUND]),
        }
        if not (run / RECIPE).exists():
            files |= {SETTINGS: {"seed": self.settings.seed}, DATA: self.data.describe()}
        elif not (run / ARCHITECTURE).exists():
            raise RunError(f"The search of {run.path} is not finished: mixop resume {run.path} first, or choose another --out.")
        else:
            run.check_binding(run.read_json(ARCHITECTURE).get(BOUND_TO), SEARCH_FILES, ARCHITECTURE)
            searched = run.read_json(DATA)
            # The search may have augmented otherwise; how this training does is in its plan.
            files[DATA] = searched if searched.get("fingerprint") == self.data.fingerprint else self.data.describe()
        # A plan whose training has not reached a checkpoint binds nobody.
        begun = checkpoint.exists(self._checkpoint) or any((run / name).exists() for name in (SCORE, WEIGHTS))
        unused = () if begun or run.retrained() else (RETRAINING,)
        markers = (RECIPE, RETRAINING)
        if not run.holds(files, markers, unused=unused):
            self.try_out()
        self.ranks.wait()  # all have looked before one of them writes
        return run.claim(files, markers, unused=unused)

    def try_out(self) -> None:
        """Passes two examples through every network and the task, so that a misfit is found before anything is written.

        Raises:
            MixopError: if network, data and task do not fit together.
        """
        batch = self.data.augmented(self.state.stream.peek()[:2], Generator().manual_seed(0), self.augment)
        for _, architecture in self.networks:
            net = TrainingState.network(architecture, self.space, self.protocol, self.settings, Generator().manual_seed(0))
            if self.supernet is not None:
                self.supernet.begin(net, architecture)
            with torch.no_grad(), fenced(Generator().manual_seed(0)):
                outputs, auxiliary, _ = training_outputs(net.train(), batch.x)
            for output in (outputs, auxiliary):
                if output is not None:
                    self.data.task.loss(in_float32(output), batch.y)

    def run(self) -> Score:
        """Trains to the end, from wherever it stands; a finished retraining is not repeated.

        Writes ``weights.safetensors`` when the found network is done, and ``score.json`` when all are.

        Returns:
            What they scored.

        Raises:
            DivergedError: if a loss or gradient is not finite; the last good checkpoint stays.
            InterruptedRunError: after SIGINT, SIGTERM or SIGHUP; the state is saved.
            RunError: if a file cannot be written, or the checkpoint is torn.
        """
        run = self.run_directory
        if (run / SCORE).exists():
            score = run.score()
            check_binding(score.bound_to, self.bound, run / SCORE)
            return score
        saved = checkpoint.exists(self._checkpoint)
        if saved:
            self._restore()
        elif run.retrained():
            raise RunError(
                f"{run.path} has metrics of a retraining but no {RETRAINING_STATE}: restore the checkpoint, or retrain into "
                "another --out; starting over would mix two trainings."
            )
        with self.driver:
            while len(self.scores) < len(self.networks):
                self.driver.start(saved=saved)
                saved = True
                self.driver.run(lambda: self.state.epoch < self.protocol.epochs)
                self._finish()
                self.save()
        score = self._score()
        run.write_json(SCORE, to_record(score))
        return score

    @property
    def _checkpoint(self) -> Path:
        return self.run_directory / RETRAINING_STATE

    def _fresh(self) -> TrainingState:
        """The state of the network whose turn it is."""
        label, architecture = self.networks[len(self.scores)]
        if label == FOUND:
            self._check_freeze(architecture)
        supernet = self.supernet if self.supernet is not None and self.supernet.tensors else None
        return TrainingState.fresh(architecture, self.space, self.data, self.protocol, self.settings, self.train_on, supernet)

    def _check_freeze(self, architecture: Architecture) -> None:
        """Refuses names to freeze that the found network does not have, or that leave nothing to train."""
        if not self.protocol.freeze:
            return
        net = TrainingState.network(architecture, self.space, self.protocol, self.settings, Generator().manual_seed(0))
        unmatched = freeze(net, self.protocol.freeze)
        if unmatched:
            names = (name for name, _ in net.named_parameters())
            raise RecipeError(unknown("weight to freeze in this network", unmatched[0], names))
        if not trained(net):
            raise RecipeError(f"Freezing {', '.join(self.protocol.freeze)} leaves nothing to train: freeze fewer weights.")

    def save(self) -> None:
        """Writes the checkpoint.

        Raises:
            DivergedError: if a weight is not finite; the checkpoint that is there stays.
        """
        done = len(self.scores) == len(self.networks)
        if not done:
            self._look()
            self._finite_state()
        if not self.run_directory.owned:
            return
        self.run_directory.check_lock()
        state = {
            BOUND_TO: self.bound,
            "executor": self.settings.executor,
            "scores": [to_record(score) for score in self.scores],
            "confusion": self.confusion,
            "weights_digest": self.weights_digest,
            "training": None if done else self.state.state_dict(),
            "metrics": self.run_directory.position(),
        }
        checkpoint.save(self._checkpoint, state)

    def _restore(self) -> None:
        saved = checkpoint.load(self._checkpoint)
        bound = saved.get(BOUND_TO) if isinstance(saved, dict) else None
        check_binding(bound, self.bound, self._checkpoint)
        # A run goes on as it began, bit for bit; those of older versions computed the plain modules.
        self.settings = replace(self.settings, executor=saved.get("executor", "plain"))
        try:
            self.scores = [from_record(NetworkScore, score, str(self._checkpoint)) for score in saved["scores"]]
            self.confusion = saved["confusion"]
            self.weights_digest = saved["weights_digest"]
            if len(self.scores) < len(self.networks):
                self._state = self._fresh()
                self.state.load_state_dict(saved["training"])
            position = saved["metrics"]
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise RunError(
                f"Checkpoint {self._checkpoint} does not fit this retraining ({str(error).splitlines()[0]}): "
                "it comes from another version of mixop, or was moved here; retrain into another --out."
            ) from error
        self.run_directory.truncate(position)

    def begin_epoch(self) -> int:
        """The rate of the epoch that is due; its number of steps."""
        state = self.state
        if state.step == 0:
            state.train = self.data.task.totals()
        set_rate(state.optimiser, self._rate)
        # In the middle of an epoch, even behind its last step, the pass is the one that was begun.
        return state.stream.batches if state.step else state.stream.begin()

    @property
    def _rate(self) -> float:
        return self.protocol.optimiser.lr(Progress(self.state.epoch, self.protocol.epochs))

    def take_step(self) -> None:
        """One step of the network whose turn it is."""
        state = self.state
        at = state.stream.next()
        batch = self.data.augmented(at, state.generators["augment"], self.augment, then=state.stream.upcoming(AHEAD))
        set_rate(state.optimiser, self._rate * state.stream.scale)
        with enough_memory(self.protocol.batch_size, "retraining"):
            loss = state.backward(batch._replace(state=state.stream.state), self.protocol, self.ranks)
        norm = state.clip(self.protocol.clip)
        # Whether they are finite is asked before anything is written down, not at every step: a GPU would be waited for.
        self._largest = torch.maximum(self._largest, torch.stack([loss.detach(), norm]).abs().to(self._largest))
        if self.protocol.keep == "best":  # which may go back, and then does so before the step
            finite = bool(self._largest.isfinite().all())
            if not finite and state.go_back(self.data.task):
                self._largest.zero_()
                return
        state.move(self.protocol)

    def _look(self) -> None:
        """Asks whether the loss and the gradient of all steps until now were finite.

        Raises:
            DivergedError: if one was not.
        """
        for value, what in zip(self._largest.tolist(), ("loss", "gradient"), strict=True):
            self._finite(value, what)

    def position(self) -> dict[str, Any]:
        """Where the training stands, as steps and records tell it."""
        state = self.state
        return {
            "phase": "retrain",
            "label": self.networks[len(self.scores)][0],
            "epoch": state.epoch + 1,
            "epochs": self.protocol.epochs,
            "seconds": state.seconds,
            "train": Later(state.train.value),
        }

    def finish_epoch(self, seconds: Callable[[], float]) -> Mapping[str, Any]:
        """The record of the epoch; the state then stands at the start of the next one."""
        self._look()
        valid = self._validate() if self.protocol.validates else {}
        if valid:
            self.state.seconds = seconds()  # validation is part of such a training
        position = {**self.position(), "train": self.state.train.value()}
        record = RetrainingRecord(**position, learning_rate=self._rate, valid=valid)
        self.state.epoch, self.state.step = self.state.epoch + 1, 0
        return to_record(record)

    def _validate(self) -> Values:
        """What the network measures on the validation part, with its averaged weights once there are some."""
        self._finite_state()
        state, first = self.state, self.data.task.first
        with state.validated():
            measures = evaluate_network(state.net, self.data, "valid").measures
        finite = all(value is None or math.isfinite(value) for value in measures.values())
        if not finite and state.go_back(self.data.task):
            return dict.fromkeys(measures)
        self._finite(measures["loss"] or 0.0, "loss on the validation part")
        state.look(measures["loss"] or 0.0, first.rank(measures[first.name]), self.protocol)
        return measures

    def record(self, record: Mapping[str, Any]) -> None:
        """Adds the record of an epoch to the metrics."""
        self.run_directory.append(record)

    def after_epoch(self) -> None:
        """Nothing follows an epoch but the next one."""

    def stopped(self) -> str:
        """What someone reads who stopped the training."""
        return (
            f"Stopped in epoch {self.state.epoch + 1} of {self.protocol.epochs} of network "
            f"{self.networks[len(self.scores)][0]!r} with all progress saved: mixop resume {self.run_directory.path}"
        )

    def _finish(self) -> None:
        """Scores the trained network, keeps its weights if it is the found one, and turns to the next."""
        label, architecture = self.networks[len(self.scores)]
        net = self.state.net
        self.state.settle()
        scored = evaluate_network(net, self.data, self.score_on, columns=self.protocol.score_columns)
        self._finite(scored.measures["loss"] or 0.0, f"loss on the {self.score_on} part")
        if label == FOUND:
            kept = {name: v.detach().cpu().contiguous() for name, v in without_auxiliary(net).items()}
            content = safetensors.torch.save(kept)
            self.run_directory.save(WEIGHTS, content)
            self.weights_digest = hashlib.sha256(content).hexdigest()
            self.confusion = scored.details.get("confusion", [])
        self.scores.append(
            NetworkScore(
                label=label,
                architecture=self.space.to_native(architecture),
                measures=scored.measures,
                parameters=parameters(net),
                flops=multiply_adds(net, self.data.batch(self.state.stream.peek()[:1]).x),
                seconds=self.state.seconds,
                epochs=self.protocol.epochs,
                seed=self.settings.seed,
            )
        )
        if len(self.scores) < len(self.networks):
            self._state = self._fresh()

    def _score(self) -> Score:
        data = self.data
        return Score(
            networks=tuple(self.scores),
            trained_on=Scope(parts=self.train_on, examples=len(data.at(*self.train_on))),
            scored_on=Scope(parts=(self.score_on,), examples=len(data.at(self.score_on))),
            task=to_plain(data.task),
            measures=data.task.measures,
            protocol=protocol_to_json(self.protocol),
            input={
                "shape": list(data.shape),
                "tokens": data.tokens,
                "mean": list(self.augment.mean),
                "std": list(self.augment.std),
            },
            weights_sha256=self.weights_digest,
            bound_to=self.bound,
            classes=data.task.classes,
            confusion=tuple(tuple(row) for row in self.confusion),
            start=None if self.supernet is None else self.supernet.start,
        )

    def _finite_state(self) -> None:
        name = first_not_finite({"weights": self.state.net, "moments of the optimiser": self.state.optimiser})
        if name and not self.state.go_back(self.data.task):
            raise self._diverged(f"The {name} of network {self._label!r} are no longer finite")

    def _finite(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            raise self._diverged(f"The {what} of network {self._label!r} became {value}")

    def _diverged(self, what: str) -> DivergedError:
        epoch = min(self.state.epoch + 1, self.protocol.epochs)
        return diverged(f"{what} in epoch {epoch}", self._checkpoint)

    @property
    def _label(self) -> str:
        return self.networks[len(self.scores)][0]
