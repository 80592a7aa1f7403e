"""Training architectures from scratch, one after the other by one protocol."""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from mixop.core.errors import DivergedError, RecipeError, RunError
from mixop.core.optim import set_rate
from mixop.core.schedules import Progress
from mixop.core.values import to_plain
from mixop.data.core import Data
from mixop.data.images.lazy import AHEAD
from mixop.engine.estimate import Estimate, enough_memory, estimate
from mixop.engine.loop import Observer
from mixop.engine.settings import Settings
from mixop.engine.state import Sums
from mixop.evaluate.protocol import Protocol, protocol_from_json, protocol_to_json
from mixop.evaluate.score import evaluate_network, multiply_adds, parameters
from mixop.evaluate.training import TrainingState
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.interrupt import InterruptedRunError, StopRequest, listening
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
    complete = all(len(choices) == len(space.group(name).decisions) for name, choices in but.choices)
    others = space.size() - complete
    if not 0 <= count <= others:
        raise RecipeError(f"The number of random architectures must be 0 to {others} in this space, got {count}.")
    rng = Random(seed)
    drawn = {but: None}  # a dictionary keeps the order
    while len(drawn) <= count:
        drawn[space.random(rng)] = None
    return [architecture for architecture in drawn if architecture != but]


class Retraining:
    """Networks trained from scratch, one after the other, in one run directory: a search's own or a new one.

    Every network sees the same batches, augmented alike, so that only the architecture differs. The test set is looked at
    once for each network, after its last epoch.

    Args:
        networks: label and architecture of each; ``found`` is the one whose weights are kept.
        space: the space with the sizes that the networks shall have; those left open are taken from the data.
        data: images and labels; both splits are trained on.
        protocol: how to train.
        run: the run directory; its owner holds the lock while `run` runs.
        settings: seed, device, checkpoints.
        observe: is told every step and record.

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
    ) -> None:
        labels = [label for label, _ in networks]
        if FOUND not in labels or len(set(labels)) != len(labels):
            raise RecipeError(f"A retraining needs networks of different labels, one of them {FOUND!r}, got {labels}.")
        self.space = space.fit(data)
        self.networks, self.protocol = networks, protocol
        self.run_directory, self.settings = run, settings
        self.observe = observe or (lambda record: None)
        protocol.sized(self.space)
        self.augment = protocol.augment(data)
        self.data = data.to(settings.device)
        self.scores: list[dict[str, Any]] = []
        self.confusion: list[list[int]] = []
        self.weights_digest = ""
        self.state = self._fresh()

    @classmethod
    def of(
        cls, run: RunDirectory, space: Space, data: Data, settings: Settings, observe: Observer | None = None
    ) -> "Retraining":
        """The retraining that a run directory holds; of the settings, the seed is the directory's.

        Raises:
            RunError: if the directory holds none, or its ``retrain.json`` is damaged.
        """
        plan = run.read_json("retrain.json")
        try:
            protocol, seed = protocol_from_json(plan["protocol"]), plan["seed"]
            networks = [(str(label), space.from_native(native)) for label, native in plan["networks"]]
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{run / 'retrain.json'} is damaged ({error}): restore it, or retrain into another --out."
            ) from error
        return cls(networks, space, data, protocol, run, replace(settings, seed=seed), observe)

    def estimate(self) -> Estimate:
        """What all networks will take, measured on the first one: afterwards the job is of no other use.

        Raises:
            MemoryLimitError: if a batch does not fit into the memory.
        """
        state = self.state

        def forward(images: int) -> Tensor:
            batch = self.data.batch(self.data.train[:images])
            with torch.autocast(batch.x.device.type, torch.bfloat16, enabled=self.protocol.precision == "bfloat16"):
                logits, auxiliary = state.net.train().logits(batch.x)
            return logits.sum() if auxiliary is None else logits.sum() + auxiliary.sum()

        return estimate(
            forward=forward,
            step=self._step,
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
            "augment": to_plain(self.augment),
            "data": self.data.fingerprint,
        }

    def claim(self) -> bool:
        """Makes the directory this retraining's own, or finds that it already is.

        Returns:
            True if the directory already holds this very retraining.

        Raises:
            RunError: if it cannot be written, or holds another retraining, another search's result, or something else.
        """
        run = self.run_directory
        files = {
            "retrain.json": self.identity(),
            "space.json": describe_space(self.space),
            "architecture.json": describe_architecture(self.space, dict(self.networks)[FOUND]),
        }
        if not (run / "recipe.json").exists():
            files["settings.json"] = {"seed": self.settings.seed}
        elif not (run / "architecture.json").exists():
            raise RunError(f"The search of {run.path} is not finished: mixop resume {run.path} first, or choose another --out.")
        if not (run / "data.json").exists():
            files["data.json"] = self.data.describe()
        elif run.read_json("data.json").get("fingerprint") != self.data.fingerprint:
            raise RunError(f"{run.path} is a run on other data than {self.data.name} now: choose another --out.")
        return run.claim(files, markers=("recipe.json", "retrain.json"))

    def run(self) -> dict[str, Any]:
        """Trains to the end, or goes on to it; a finished retraining is not repeated.

        Writes ``weights.safetensors`` when the found network is done, and ``score.json`` when all are.

        Returns:
            The content of ``score.json``.

        Raises:
            DivergedError: if a loss or gradient is not finite; the last good checkpoint stays.
            InterruptedRunError: after SIGINT or SIGTERM; the state is saved.
            RunError: if a file cannot be written, or the checkpoint is torn.
        """
        run = self.run_directory
        if (run / "score.json").exists():
            return run.read_json("score.json")
        if checkpoint.exists(self._checkpoint):
            self._restore()
        else:
            self._save()
        with listening() as stop:
            while len(self.scores) < len(self.networks):
                self._train(stop)
                self._finish()
                self._save()
        run.write_json("score.json", self._score())
        return run.read_json("score.json")

    @property
    def _checkpoint(self) -> Path:
        return self.run_directory / "retrain.pt"

    def _fresh(self) -> TrainingState:
        """The state of the network whose turn it is."""
        _, architecture = self.networks[len(self.scores)]
        return TrainingState.fresh(architecture, self.space, self.data, self.protocol, self.settings)

    def _save(self) -> None:
        done = len(self.scores) == len(self.networks)
        state = {
            "scores": self.scores,
            "confusion": self.confusion,
            "weights_digest": self.weights_digest,
            "training": None if done else self.state.state_dict(),
            "metrics": self.run_directory.position(),
        }
        checkpoint.save(self._checkpoint, state)

    def _restore(self) -> None:
        saved = checkpoint.load(self._checkpoint)
        try:
            self.scores, self.confusion = saved["scores"], saved["confusion"]
            self.weights_digest = saved["weights_digest"]
            if len(self.scores) < len(self.networks):
                self.state = self._fresh()
                self.state.load_state_dict(saved["training"])
            position = saved["metrics"]
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise RunError(
                f"Checkpoint {self._checkpoint} does not fit this retraining ({str(error).splitlines()[0]}): "
                "it is of another version of mixop, or was moved here; retrain into another --out."
            ) from error
        self.run_directory.truncate(position)

    def _train(self, stop: StopRequest) -> None:
        """All epochs that are left of the network whose turn it is."""
        state, epochs = self.state, self.protocol.epochs
        started = time.monotonic() - state.seconds
        saved_at = time.monotonic()
        while state.epoch < epochs:
            if state.step == 0:
                state.train = Sums()
            rate = self.protocol.optimiser.lr(Progress(state.epoch, epochs))
            set_rate(state.optimiser, rate)
            while state.step < state.stream.batches:
                self._step()
                state.step += 1
                state.seconds = time.monotonic() - started
                self.observe({"event": "step", **self._record(), "step": state.step, "steps": state.stream.batches})
                self._stop_if_asked(stop)
                if time.monotonic() - saved_at >= self.settings.checkpoint_seconds:
                    self._save()
                    saved_at = time.monotonic()
            record = {**self._record(), "learning_rate": rate}
            state.epoch, state.step = state.epoch + 1, 0
            self.run_directory.append(record)
            self.observe(record)

    def _step(self) -> None:
        state = self.state
        at = state.stream.next()
        batch = self.data.augmented(at, self.augment, state.generators["augment"], then=state.stream.upcoming(AHEAD))
        with enough_memory(self.protocol.batch_size, "retraining"):
            loss, right = state.backward(batch, self.protocol)
        value = loss.item()
        # Checked before the step is taken: what a checkpoint holds has always had a finite loss and gradient.
        self._finite(value, "loss")
        norm = torch.nn.utils.clip_grad_norm_(state.net.parameters(), self.protocol.clip or math.inf)
        self._finite(norm.item(), "gradient")
        state.optimiser.step()
        state.train.add(value, int(right), len(batch.y))

    def _record(self) -> dict[str, Any]:
        state = self.state
        return {
            "phase": "retrain",
            "label": self.networks[len(self.scores)][0],
            "epoch": state.epoch + 1,
            "epochs": self.protocol.epochs,
            "seconds": state.seconds,
            "train_loss": state.train.mean_loss,
            "train_accuracy": state.train.accuracy,
        }

    def _finish(self) -> None:
        """Scores the trained network, keeps its weights if it is the found one, and turns to the next."""
        label, architecture = self.networks[len(self.scores)]
        net = self.state.net
        measured = evaluate_network(net, self.data)
        self._finite(measured["loss"], "loss on the test set")
        if label == FOUND:
            content = safetensors.torch.save({k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()})
            checkpoint.write_bytes(self.run_directory / "weights.safetensors", content)
            self.weights_digest = hashlib.sha256(content).hexdigest()
            self.confusion = measured["confusion"]
        self.scores.append(
            {
                "label": label,
                "architecture": self.space.to_native(architecture),
                "test_accuracy": measured["accuracy"],
                "test_loss": measured["loss"],
                "parameters": parameters(net),
                "flops": multiply_adds(net, self.data.augment.plain(self.data.test_x[:1])),
                "seconds": self.state.seconds,
                "epochs": self.protocol.epochs,
                "seed": self.settings.seed,
            }
        )
        if len(self.scores) < len(self.networks):
            self.state = self._fresh()

    def _score(self) -> dict[str, Any]:
        augment = self.augment
        return {
            "networks": self.scores,
            "confusion": self.confusion,
            "classes": list(self.data.classes),
            "protocol": protocol_to_json(self.protocol),
            "input": {
                "channels": self.data.channels,
                "size": self.data.size,
                "mean": list(augment.mean),
                "std": list(augment.std),
            },
            "weights_sha256": self.weights_digest,
        }

    def _finite(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            epoch = min(self.state.epoch + 1, self.protocol.epochs)
            raise DivergedError(
                f"The {what} of network {self.networks[len(self.scores)][0]!r} became {value} in epoch {epoch}: "
                "try a smaller learning rate or a smaller clip in another --out; "
                f"the last good state is kept in {self._checkpoint}."
            )

    def _stop_if_asked(self, stop: StopRequest) -> None:
        if stop.signum is not None:
            self._save()
            raise InterruptedRunError(
                f"Stopped in epoch {self.state.epoch + 1} of {self.protocol.epochs} of network "
                f"{self.networks[len(self.scores)][0]!r} with all progress saved: mixop resume {self.run_directory.path}",
                stop.signum,
            )
