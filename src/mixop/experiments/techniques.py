"""Techniques against architectures: the same networks trained with and without what papers train theirs with.

Source: Zhang 2022, Neural Architecture Search (slides), on the need for a unified benchmark, which asks how much of a
performance is due to the architecture and how much to techniques. The protocol and its techniques are those of Liu et al. 2019
(arXiv:1806.09055); which networks and sizes is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from mixop.analysis.variance import two_way
from mixop.comparison.conditions import Conditions
from mixop.comparison.reproduce import Scale, images_of
from mixop.core.errors import DivergedError
from mixop.core.values import to_plain
from mixop.data.arrays import from_arrays
from mixop.data.core import Data
from mixop.data.images.augment import Augment
from mixop.data.images.digits import Digits
from mixop.data.portable import Portable
from mixop.engine.driver import Observer
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.experiments.base import Experiment, Findings, Judged, Panel, Pattern, Request
from mixop.experiments.bench import folder_of
from mixop.experiments.rules import RULE, above
from mixop.experiments.workers import in_workers
from mixop.runs.files import SCORE
from mixop.runs.load import read_score
from mixop.runs.runner import Assignment
from mixop.spaces.core import Architecture, Space
from mixop.spaces.darts import Darts
from mixop.spaces.describe import describe_space
from mixop.spaces.published import DARTS_V2, PC_DARTS_CIFAR

SLIDES = "Zhang 2022, Neural Architecture Search (slides)"

TECHNIQUES: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "cutout": ("cutout",),
    "drop path": ("drop_path",),
    "auxiliary head": ("auxiliary",),
    "all three": ("cutout", "drop_path", "auxiliary"),
}
"""Trainings by name, each with the fields of the protocol that it keeps; the others are 0."""

FOUND, RANDOM, HAND = KINDS = ("found", "random", "hand-made")

RESNET = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 2), ('skip_connect', 1), ('sep_conv_3x3', 3), "
    "('skip_connect', 2), ('sep_conv_3x3', 4), ('skip_connect', 3)], normal_concat=range(2, 6), reduce=[('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_3x3', 2), ('skip_connect', 1), ('sep_conv_3x3', 3), ('skip_connect', 2), "
    "('sep_conv_3x3', 4), ('skip_connect', 3)], reduce_concat=range(2, 6))"
)
"""Every node adds a convolution of the node before it to what that node began from: ResNet's edges (He et al. 2016)."""

DENSE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2), ('sep_conv_3x3', 2), "
    "('sep_conv_3x3', 3), ('sep_conv_3x3', 3), ('sep_conv_3x3', 4)], normal_concat=range(2, 6), reduce=[('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2), ('sep_conv_3x3', 2), ('sep_conv_3x3', 3), "
    "('sep_conv_3x3', 3), ('sep_conv_3x3', 4)], reduce_concat=range(2, 6))"
)
"""Every node convolves the two before it, and all are joined: as much of DenseNet (Huang et al. 2017) as the space has."""

KIND_ACCURACY = "accuracy of each kind of network"
ACCURACY = "accuracy of each network"
SHARES = "share of the variance"


@dataclass(frozen=True)
class Size:
    """How large it is at a scale.

    Args:
        about: in words.
        images: that are trained and scored on, in halves; None for all.
        channels: of a node in the first cells.
        cells: of a network.
        epochs: of a training.
        batch: images in a batch.
        seeds: runs.
        networks: of each kind.
    """

    about: str
    images: int | None
    channels: int
    cells: int
    epochs: int
    batch: int
    seeds: int
    networks: int = 2


SIZES: Mapping[str, Size] = {
    "full": Size("the published protocol: 600 epochs of 20 cells of 36 channels, days on a GPU", None, 36, 20, 600, 96, 4),
    "medium": Size(
        "5,000 + 5,000 images, 5 cells of 16 channels, 15 epochs; 90 trainings of about ten minutes on one core",
        10_000,
        16,
        5,
        15,
        64,
        3,
    ),
    "small": Size(
        "1,000 + 1,000 images, 4 cells of 8 channels, 6 epochs; 90 trainings of half a minute on one core", 2000, 8, 4, 6, 64, 3
    ),
    "tiny": Size(
        "60 + 60 enlarged digits, 2 cells of 2 channels, 3 epochs; seconds, to see that it runs", 120, 2, 2, 3, 10, 2, 1
    ),
}
"""By the names of all scales."""


def networks(space: Space, count: int) -> dict[str, Architecture]:
    """So many networks of each kind, by their kind and name."""
    by_hand = {"residual": space.from_native(RESNET), "dense": space.from_native(DENSE)}
    kinds = {
        FOUND: {"DARTS": DARTS_V2, "PC-DARTS": PC_DARTS_CIFAR},
        RANDOM: {str(seed): space.random(Random(seed)) for seed in range(2)},
        HAND: by_hand,
    }
    return {f"{kind} {name}": one for kind, of in kinds.items() for name, one in [*of.items()][:count]}


def protocol(training: str, size: Size) -> Protocol:
    """A training with its techniques: the published protocol, as long and as large as the scale has it."""
    full = PROTOCOLS["darts-cifar10"]
    left_out = {name: 0 for name in ("cutout", "drop_path", "auxiliary") if name not in TECHNIQUES[training]}
    shape = {"epochs": size.epochs, "batch_size": size.batch, "cells": size.cells, "channels": size.channels}
    return replace(full, name=f"{full.name}, {training}", **shape, **left_out)


def train(
    *,
    data: Portable,
    space: Space,
    architecture: Architecture,
    protocol: Protocol,
    seed: int,
    device: str,
    folder: Path,
    observe: Observer,
) -> None:
    """Trains a network on half of the images and scores it on the other half; one that diverges is left without a score."""
    conditions = Conditions(space=space, data=data.load(), seed=seed, device=device, observe=observe)
    try:
        conditions.train(architecture, protocol, folder)
    except DivergedError:
        return


@dataclass(frozen=True, kw_only=True)
class Techniques(Experiment):
    """Every network trained in every way."""

    @property
    def scales(self) -> Mapping[str, str]:
        return {name: size.about for name, size in SIZES.items()}

    def run(self, request: Request) -> Findings:
        self.check(request)
        size, data = SIZES[request.scale], _images(request)
        seeds = tuple(range(size.seeds)) if request.seeds is None else tuple(request.seeds)
        space = Darts(cells=size.cells, channels=size.channels).fit(data)
        nets, protocols = networks(space, size.networks), {name: protocol(name, size) for name in TECHNIQUES}
        packed = Portable.of(data)
        names = [(net, training, seed) for seed in seeds for net in nets for training in protocols]
        tasks = [
            Assignment(
                _folder(net, training, seed),
                train,
                {
                    "data": packed,
                    "space": space,
                    "architecture": nets[net],
                    "protocol": protocols[training],
                    "seed": seed,
                    "device": request.device,
                },
            )
            for net, training, seed in names
        ]
        plan = {
            "experiment": self.name,
            "space": describe_space(space),
            "data": data.fingerprint,
            "protocols": {name: to_plain(one) for name, one in protocols.items()},
            "networks": {name: space.to_native(one) for name, one in nets.items()},
        }
        in_workers(request, plan, tasks, done=SCORE, measure=data.task.first)
        scores = {place: read_score(request.out / _folder(*place) / SCORE) for place in names}
        measured = np.array(
            [
                [[_value(scores[net, training, seed], data.task.first.name) for training in protocols] for seed in seeds]
                for net in nets
            ]
        )
        known = [score.networks[0].seconds for score in scores.values() if score is not None]
        return Findings(
            {panel.title: panel for panel in _panels(measured, list(nets))},
            self._settings(size, data, seeds),
            (_whole(measured), *[f"{name}: {space.to_native(one)}" for name, one in nets.items()]),
            tells=request.scale != "tiny",
            seconds=sum(second or 0.0 for second in known),
        )

    def _settings(self, size: Size, data: Data, seeds: Sequence[int]) -> dict[str, str]:
        full, pixels = PROTOCOLS["darts-cifar10"], " x ".join(map(str, data.shape[1:]))
        return {
            "trainings": ", ".join(TECHNIQUES),
            "cutout": f"a square of {full.cutout} pixels",
            "drop path": f"rising to {full.drop_path:g}",
            "auxiliary head": f"weight {full.auxiliary:g}",
            "networks": f"{size.cells} cells of {size.channels} channels, in the space of DARTS",
            "images": f"{len(data.train):,} + {len(data.valid):,} of {data.name}, {pixels} pixels",
            "epochs": str(size.epochs),
            "images a batch": str(size.batch),
            "seeds": ", ".join(map(str, seeds)),
        }


def _images(request: Request) -> Data:
    """CIFAR-10 at its own size: smaller images leave no room for the auxiliary head."""
    if request.scale == "tiny":
        digits = Digits().load().examples.read(torch.arange(240))
        large = np.kron(digits.x.numpy(), np.ones((1, 1, 3, 3), np.uint8))
        return from_arrays(large, digits.y.numpy(), test_share=120, name="enlarged digits", augment=Augment(crop=2))
    folder = folder_of(request, "CIFAR-10")
    return images_of(folder, Scale(about="", images=SIZES[request.scale].images))


def _folder(net: str, training: str, seed: int) -> str:
    return f"{net}-{training}-{seed}".replace(" ", "-")


def _value(score: Any, measure: str) -> float:
    value = None if score is None else score.networks[0].measures[measure]
    return np.nan if value is None else value


def _panels(measured: np.ndarray, nets: Sequence[str]) -> tuple[Panel, ...]:
    """Of values ``(networks, seeds, trainings)``."""
    x = tuple(map(float, range(1, len(TECHNIQUES) + 1)))
    by_training: dict[str, Any] = {"percent": True, "along": "technique", "names": tuple(TECHNIQUES)}
    kinds = {kind: measured[[name.startswith(kind) for name in nets]].mean(0) for kind in KINDS}
    shares = [_shares(measured[:, seed]) for seed in range(measured.shape[1])]
    by_factor = {name: np.array([[one[name]] for one in shares]) for name in ("training", "architecture", "both together")}
    return (
        Panel(KIND_ACCURACY, x, kinds, **by_training),
        Panel(ACCURACY, x, dict(zip(nets, measured, strict=True)), **by_training),
        Panel(SHARES, (1.0,), by_factor, percent=True, along="all networks and trainings", names=("",)),
    )


def _shares(table: np.ndarray) -> dict[str, float]:
    """Of one seed's values ``(networks, trainings)``; NaN where a training diverged."""
    if not np.isfinite(table).all():
        return dict.fromkeys(("training", "architecture", "both together"), np.nan)
    shares = two_way(table[:, :, None]).shares
    return {"training": shares.second, "architecture": shares.first, "both together": shares.both}


def _whole(measured: np.ndarray) -> str:
    """The analysis over all seeds, in a sentence."""
    values = np.moveaxis(measured, 1, 2)
    if not np.isfinite(values).all():
        return "Some trainings diverged, so the variance over all seeds is not divided."
    of = two_way(values).shares
    return (
        f"Of the variance of all accuracies, {of.first:.0%} is between architectures, {of.second:.0%} between trainings, "
        f"{of.both:.0%} what both do together, and {of.within:.0%} between seeds."
    )


def _training_counts(findings: Findings) -> Judged:
    of = findings.panels[SHARES]
    return above(
        of.at_end("training") - of.at_end("architecture"), "share of the variance, training less architecture", percent=True
    )


def _found_beats(rival: str) -> Pattern:
    def judge(findings: Findings) -> Judged:
        of = findings.panels[KIND_ACCURACY]
        return above(
            of.series[FOUND].mean(1) - of.series[rival].mean(1), f"accuracy, {FOUND} less {rival} networks", percent=True
        )

    return Pattern(
        f"Found networks are better than {rival} ones that are trained alike.",
        f"mean accuracy over all trainings, {FOUND} less {rival}, seed by seed: {RULE}.",
        judge,
    )


EXPERIMENTS = (
    Techniques(
        name="techniques",
        question="How much of a network's accuracy is its architecture, and how much is the way it is trained?",
        source=f"{SLIDES}, need for a unified benchmark; protocol: Liu et al. 2019 (arXiv:1806.09055)",
        patterns=(
            Pattern(
                "How a network is trained counts for more than which network it is.",
                "shares of the variance by a two-way analysis of networks and trainings, training less architecture, seed by "
                f"seed: {RULE}. The slides ask how much; this answer is ours to test.",
                _training_counts,
            ),
            _found_beats(RANDOM),
            _found_beats(HAND),
        ),
    ),
)
"""Techniques against architectures."""
