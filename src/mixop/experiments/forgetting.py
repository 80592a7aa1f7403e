"""Forgetting: how much the loss of an architecture rises while others train the weights that they share.

Source: Zhang 2022, Neural Architecture Search (slides), on pitfalls of parameter sharing, which names Zhang et al. 2020,
"Overcoming multi-model forgetting in one-shot NAS with diversity maximization" (CVPR). How it is measured is ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from mixop.analysis.diversity import diversity
from mixop.comparison.reproduce import SCALES
from mixop.core.errors import DivergedError, RunError
from mixop.core.optim import SGD
from mixop.core.rng import generators
from mixop.core.schedules import Constant
from mixop.data.portable import Portable
from mixop.engine.driver import Observer
from mixop.engine.score import one_path, score
from mixop.experiments.base import Experiment, Findings, Judged, Panel, Pattern, Request
from mixop.experiments.bench import ABOUT, EPOCHS, images, seeds_of
from mixop.experiments.rules import RULE, above
from mixop.experiments.workers import in_workers
from mixop.nets.ops import BatchNorm
from mixop.nets.training import trained
from mixop.runs.directory import RunDirectory
from mixop.runs.files import FORGETTING
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.runs.runner import Assignment
from mixop.spaces.core import Architecture, Choice, Space
from mixop.spaces.describe import describe_space
from mixop.supernet.executors import make_supernet

SLIDES = "Zhang 2022, Neural Architecture Search (slides)"

CHANGED: Mapping[str, float] = {"narrow": 0.2, "half": 0.5, "uniform": 1.0}
"""Ways to draw the architectures that are trained: each decision of one architecture is drawn again with this probability."""

AFTER = (1, 2, 4, 8, 16)
"""Steps of other architectures, after which the loss is measured again."""

BATCHES = 4
"""Of the validation images, on which a loss is measured, with each batch's own statistics."""

OPTIMISER = SGD(lr=Constant(0.025), momentum=0.9, weight_decay=5e-4)
"""The first rate of the benchmark's searches, kept: one that falls would make less of later steps."""

RISE = "rise of the loss after others were trained"
DIVERSITY = "decisions in which two architectures differ"
LOSS = "loss of an architecture when it was just trained"


def drawn(space: Space, base: Architecture, changed: float, rng: Random) -> Architecture:
    """An architecture like another one, each of whose decisions is drawn again, uniformly, with some probability.

    Args:
        space: whose architectures have an option for every decision.
        base: the other one.
        changed: the probability, in [0, 1].
        rng: source of the choices.
    """
    choices = []
    for group in space.groups:
        options = {choice.decision: choice.option for choice in base.of(group.name)}
        for number, decision in enumerate(group.decisions):
            if rng.random() < changed:
                options[number] = rng.choice(decision.options)
        choices.append((group.name, tuple(Choice(number, options[number]) for number in range(len(group.decisions)))))
    return Architecture(space.name, tuple(choices))


def measure(
    *,
    data: Portable,
    space: Space,
    changed: float,
    epochs: int,
    batch: int,
    seed: int,
    device: str,
    folder: Path,
    observe: Observer,
) -> None:
    """Trains a supernet path by path, and writes what its architectures forget in the second half into ``forgetting.json``.

    In the second half, the path that was just trained is scored at once, and after as many steps of others as `AFTER` says.

    Args:
        data: images.
        space: whose architectures have an option for every decision.
        changed: how far paths differ, see `drawn`.
        epochs: passes over the weight split.
        batch: images in a batch.
        seed: of everything.
        device: where torch computes.
        folder: for the file.
        observe: called after every epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    loaded, rng, random = data.load().to(device), Random(seed), generators(seed, ("init", "order", "augment"))
    base = space.random(rng)
    net = make_supernet("plain", space, norm=BatchNorm(affine=False, track=False), generator=random["init"]).to(device)
    optimiser, stream = OPTIMISER.build(trained(net)), loaded.stream(("train",), batch, random["order"])
    like = {group.name: torch.zeros(group.shape, device=device) for group in net.groups}

    def loss_of(architecture: Architecture) -> float:
        path = one_path(space, architecture, like)
        loss = score(net, loaded, *path, batch_size=batch, batches=BATCHES, norm="batch")["loss"]
        if loss is None or not math.isfinite(loss):
            raise DivergedError(f"The loss of {space.to_native(architecture)} became {loss} in {folder}: take other images.")
        return loss

    steps, paths, rises, losses = epochs * stream.batches, [], [], []
    begun, probe = steps // 2, None
    with listening() as stop:
        for step in range(steps):
            if stop.signum is not None:
                raise InterruptedRunError(f"Stopped in step {step + 1} of {steps}: {folder} begins again.", stop.signum)
            paths.append(drawn(space, base, changed, rng))
            mix, active = one_path(space, paths[-1], like)
            examples = loaded.augmented(stream.next(), random["augment"])
            net.train()
            optimiser.zero_grad(set_to_none=True)
            loaded.task.loss(net(examples.x, mix, active, progress=0.0), examples.y).backward()
            torch.nn.utils.clip_grad_norm_(trained(net), 5.0)
            optimiser.step()
            if probe is None and step >= begun:
                probe = (step, paths[-1])
                losses.append(loss_of(paths[-1]))
                rises.append([])
            elif probe is not None and step - probe[0] in AFTER:
                rises[-1].append(loss_of(probe[1]) - losses[-1])
                probe = None if step - probe[0] == AFTER[-1] else probe
            if (step + 1) % stream.batches == 0:
                epoch = (step + 1) // stream.batches
                observe({"event": "step", "epoch": epoch, "epochs": epochs})
    whole = [rise for rise in rises if len(rise) == len(AFTER)]
    if not whole:
        raise RunError(f"{steps} steps are too few to measure what is forgotten in: train for longer.")
    found = {
        "rise": np.mean(whole, axis=0).tolist(),
        "loss": float(np.mean(losses)),
        "diversity": diversity([options_of(path) for path in paths[begun:]]),
        "probes": len(whole),
    }
    RunDirectory(folder).write_json(FORGETTING, found)


def options_of(architecture: Architecture) -> tuple[str, ...]:
    """The option of every decision."""
    return tuple(architecture.options())


@dataclass(frozen=True, kw_only=True)
class Forgetting(Experiment):
    """Supernets that are trained on architectures of more and less diversity."""

    @property
    def scales(self) -> Mapping[str, str]:
        return ABOUT

    def run(self, request: Request) -> Findings:
        self.check(request)
        size, seeds = SCALES[request.scale], seeds_of(request)
        space, data = images(request)
        epochs, batch = size.epochs or EPOCHS, 8 if request.scale == "tiny" else size.batch or 64
        options: dict[str, Any] = {"space": space, "epochs": epochs, "batch": batch, "device": request.device}
        packed = Portable.of(data)
        tasks = [
            Assignment(f"{name}-{seed}", measure, {**options, "data": packed, "changed": changed, "seed": seed})
            for seed in seeds
            for name, changed in CHANGED.items()
        ]
        plan = {
            "experiment": self.name,
            "space": describe_space(space),
            "data": data.fingerprint,
            "epochs": epochs,
            "batch": batch,
        }
        in_workers(request, plan, tasks, done=FORGETTING, measure=data.task.first)
        found = {
            name: [RunDirectory(request.out / f"{name}-{seed}").read_json(FORGETTING) for seed in seeds] for name in CHANGED
        }
        panels = (
            Panel(
                RISE,
                AFTER,
                {name: np.array([one["rise"] for one in of]) for name, of in found.items()},
                along="steps",
                unit="nats",
            ),
            _one(DIVERSITY, "diversity", found, percent=True),
            _one(LOSS, "loss", found, unit="nats"),
        )
        settings = {
            "space": space.name,
            "images": f"{len(data.train):,} + {len(data.valid):,} of {data.name}",
            "epochs": str(epochs),
            "images a batch": str(batch),
            "weights": "SGD of rate 0.025, momentum 0.9, weight decay 5e-4",
            "drawn again": "; ".join(f"{name} {changed:g}" for name, changed in CHANGED.items()),
            "seeds": ", ".join(map(str, seeds)),
        }
        note = "A rise below 0 says that training others helps an architecture: what all learn outweighs what each forgets."
        return Findings({panel.title: panel for panel in panels}, settings, (note,), tells=request.scale != "tiny")


def _one(title: str, key: str, found: Mapping[str, list[dict[str, Any]]], *, percent: bool = False, unit: str = "") -> Panel:
    """Something with one value for each run."""
    series = {name: np.array([[one[key]] for one in of]) for name, of in found.items()}
    return Panel(title, (1.0,), series, percent=percent, names=("second half of the training",), unit=unit)


def _forgets(findings: Findings) -> Judged:
    of = findings.panels[RISE]
    return above(of.at_end("uniform"), f"rise of the loss after {AFTER[-1]} steps, uniform paths")


def _diverse_forgets_less(findings: Findings) -> Judged:
    of = findings.panels[RISE]
    return above(of.at_end("narrow") - of.at_end("uniform"), f"rise of the loss after {AFTER[-1]} steps, narrow less uniform")


EXPERIMENTS = (
    Forgetting(
        name="forgetting",
        question="Do shared weights forget an architecture while others are trained, and less so where these are diverse?",
        source=f"{SLIDES}, pitfalls in parameter sharing, after Zhang et al. 2020 (CVPR)",
        patterns=(
            Pattern(
                "Shared weights forget: the loss of an architecture rises while others are trained.",
                f"validation loss after {AFTER[-1]} steps of others less that when it was just trained, uniform paths, "
                f"over the second half of the training, seed by seed: {RULE}.",
                _forgets,
            ),
            Pattern(
                "The more diverse the architectures, the less is forgotten.",
                f"that rise, paths near one architecture less uniform paths, seed by seed: {RULE}. The slides name a method "
                "that maximises diversity; which paths are drawn stands in for it here.",
                _diverse_forgets_less,
            ),
        ),
    ),
)
"""Diversity against forgetting."""
