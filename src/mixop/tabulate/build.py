"""Builds your own table: trains every architecture of a small space from scratch with several seeds, and can be resumed.

What a network learns depends only on its architecture, its seed and the settings, never on the networks trained beside it.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from mixop.core.errors import MixopError, RecipeError, RunError, SpaceError
from mixop.core.optim import SGD, set_rate
from mixop.core.schedules import Cosine, Progress, check_range
from mixop.core.types import Batch
from mixop.core.values import to_plain
from mixop.data.core import Data
from mixop.data.images.lazy import pick
from mixop.evaluate.score import multiply_adds
from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm
from mixop.runs.files import SETTINGS
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.spaces.core import Architecture, Choice, Space
from mixop.spaces.describe import describe_space
from mixop.tabulate.many import Many, side_by_side

LARGEST = 20_000
"""A space with more architectures than this is too large to tabulate."""

Teller = Callable[[float, int], None]
"""Called with how many architectures are done (those in training count in part), and with their number."""


@dataclass(frozen=True, kw_only=True)
class Tabulation:
    """How every network is trained.

    Args:
        epochs: passes over the training split, >= 1.
        batch_size: images in a batch, >= 2.
        seeds: runs of every architecture, with seeds 0, 1, 2 and so on: initial weights, data order, augmentation.
        keep: the epochs after which the network is scored, counted from 1; empty for the last one.
        optimiser: of the weights.
        norm: batch norm settings.
    """

    epochs: int = 12
    batch_size: int = 64
    seeds: int = 3
    keep: tuple[int, ...] = ()
    optimiser: SGD = field(default_factory=lambda: SGD(lr=Cosine(0.1, 0.0), momentum=0.9, nesterov=True, weight_decay=5e-4))
    norm: BatchNorm = field(default_factory=BatchNorm)

    def __post_init__(self) -> None:
        check_range("epochs", self.epochs, at_least=1)
        check_range("batch size", self.batch_size, at_least=2)
        check_range("number of seeds", self.seeds, at_least=1)
        if any(not 1 <= epoch <= self.epochs for epoch in self.keep) or list(self.keep) != sorted(set(self.keep)):
            raise RecipeError(f"The epochs to keep must ascend from 1 to {self.epochs}, got {list(self.keep)}.")

    @property
    def kept(self) -> tuple[int, ...]:
        """The epochs after which networks are scored."""
        return self.keep or (self.epochs,)


def architectures_of(space: Space) -> list[Architecture]:
    """Every architecture of a space, in the space's order.

    Raises:
        SpaceError: if there are too many to train.
    """
    count = space.size()
    if count > LARGEST:
        raise SpaceError(
            f"{space.name} has {count:,} architectures, and a table can have at most {LARGEST:,}: leave operations out."
        )
    decisions = [(group.name, e, d.options) for group in space.groups for e, d in enumerate(group.decisions)]
    if math.prod(len(options) for _, _, options in decisions) != count:
        raise SpaceError(f"{space.name} keeps some edges only, but a table needs a space with an operation on every edge.")
    found = []
    for options in product(*(options for _, _, options in decisions)):
        chosen = [(name, Choice(e, option)) for (name, e, _), option in zip(decisions, options, strict=True)]
        cells = tuple((g.name, tuple(choice for name, choice in chosen if name == g.name)) for g in space.groups)
        found.append(Architecture(space.name, cells))
    return found


def tabulate(
    space: Space,
    data: Data,
    how: Tabulation,
    out: str | Path,
    *,
    group: int = 81,
    limit: int | None = None,
    tell: Teller = lambda done, total: None,
) -> Path:
    """Trains every architecture of a space and writes the scores.

    Called again, it continues where it stopped; the group that was in training is trained again.

    Args:
        space: a small space; sizes left open are taken from the data.
        data: trained on the training split, scored on the validation split and the test set.
        how: how every network is trained.
        out: the file to write, ``.npz``; parts lie beside it in ``OUT.parts`` until all are done.
        group: networks that are trained together, >= 1.
        limit: train only this many architectures, the first ones; None for all.
        tell: called with the progress after every epoch.

    Returns:
        The file: ``arch`` names, ``valid_correct`` and ``test_correct`` ``(n, seeds, kept)``, ``train_loss`` of the same shape
        (nats, mean over the epoch), ``epochs``, ``seeds``, ``valid_images``, ``test_images``, ``params``, ``flops``
        (multiply-adds of an image), ``seconds`` of one run's share of its group, and ``settings`` as JSON.

    Raises:
        RecipeError: if a number is out of range.
        RunError: if the parts have other settings, or a file cannot be written.
        InterruptedRunError: after SIGINT or SIGTERM.
    """
    out = Path(out)
    if out.suffix != ".npz":
        raise RecipeError(f"The table's file must end in .npz, got {out.name!r}.")
    space, everything = _planned(space, data, group, limit)
    settings = _settings(space, data, how)
    parts = out.with_name(out.name + ".parts")
    done = _begin(parts, settings)
    left = [index for index in range(len(everything)) if index not in done]
    each = max(1, group // how.seeds)
    tell(len(done), len(everything))
    with listening() as stop:
        while left:
            some, left = left[:each], left[each:]

            def watch(share: float, before: int = len(done), count: int = len(some)) -> None:
                tell(before + share * count, len(everything))
                if stop.signum is not None:
                    raise InterruptedRunError(
                        f"Stopped with {before} of {len(everything)} architectures done and kept in {parts}: the same command "
                        "continues from there.",
                        stop.signum,
                    )

            found = train([everything[i] for i in some], some, space, data, how, watch=watch)
            _write(parts / f"{some[0]:06d}.npz", {"index": np.array(some), **found})
            done.update(some)
            tell(len(done), len(everything))
    _write(out, {**_joined(parts, len(everything)), **_facts(everything, space, data, how, settings)})
    return out


def _planned(space: Space, data: Data, group: int, limit: int | None) -> tuple[Space, list[Architecture]]:
    """The space with its sizes, and the architectures to train."""
    if group < 1:
        raise RecipeError(f"At least 1 network must be trained at a time, got {group}.")
    if limit is not None and limit < 1:
        raise RecipeError(f"At least 1 architecture is trained, got a limit of {limit}.")
    space = space.fit(data)
    return space, architectures_of(space)[:limit]


def seconds_of(space: Space, data: Data, how: Tabulation, *, group: int = 81, limit: int | None = None) -> float:
    """How long `tabulate` will take, in seconds, from two steps and one evaluation of the first group.

    Args:
        space: as in `tabulate`.
        data: images and labels.
        how: how every network is trained.
        group: networks that are trained together.
        limit: train only this many architectures; None for all.

    Raises:
        RecipeError: if a number is out of range.
        SpaceError: if there are too many architectures.
    """
    space, everything = _planned(space, data, group, limit)
    some = everything[: max(1, group // how.seeds)]
    marks: list[float] = []

    def watch(_: float) -> None:
        marks.append(time.monotonic())

    few = data.train[: 3 * how.batch_size]
    train(some, range(len(some)), space, replace(data, train=few), replace(how, epochs=1, keep=()), watch=watch)
    *steps, last = marks
    steps_of_epoch = max(1, len(steps) - 1)
    step = (steps[-1] - steps[0]) / steps_of_epoch if len(steps) > 1 else last - steps[0]
    per_group = how.epochs * math.ceil(len(data.train) / how.batch_size) * step + len(how.kept) * (last - steps[-1])
    return per_group * len(everything) / len(some)


def train(
    architectures: Sequence[Architecture],
    indices: Sequence[int],
    space: Space,
    data: Data,
    how: Tabulation,
    *,
    watch: Callable[[float], None] = lambda share: None,
) -> dict[str, np.ndarray]:
    """Trains architectures with all seeds side by side.

    Args:
        architectures: which ones.
        indices: their numbers in the space, which seed their initial weights.
        space: their space.
        data: images and labels.
        how: how they are trained.
        watch: called after every step and every evaluation with the share of the training that is done.

    Returns:
        ``valid_correct``, ``test_correct``, ``train_loss`` ``(n, seeds, kept)`` and ``seconds`` ``(n,)``.
    """
    begun = time.monotonic()
    networks = [
        build(architecture, space, norm=how.norm, generator=initial(index, seed))
        for architecture, index in zip(architectures, indices, strict=True)
        for seed in range(how.seeds)
    ]
    dtype = next(networks[0].parameters()).dtype
    many = Many(networks)
    whose = torch.arange(how.seeds).repeat(len(architectures))
    optimiser = how.optimiser.build(many.parameters())
    streams = [_Order(data, how, seed) for seed in range(how.seeds)]
    tests = Batch(data.augment.plain(pick(data.test_x, torch.arange(len(data.test_x)))), data.test_y)
    columns: dict[str, list[Tensor]] = {"valid_correct": [], "test_correct": [], "train_loss": []}
    step, steps = 0, how.epochs * math.ceil(len(data.train) / how.batch_size)
    for epoch in range(how.epochs):
        set_rate(optimiser, how.optimiser.lr(Progress(epoch, how.epochs)))
        many.train()
        total, seen = torch.zeros(many.count, dtype=dtype), 0
        for batches in zip(*(stream.epoch() for stream in streams), strict=True):
            x, y = torch.stack([b.x for b in batches]).to(dtype), torch.stack([b.y for b in batches])
            losses = losses_of(many, x, y, whose)
            optimiser.zero_grad(set_to_none=True)
            losses.sum().backward()
            optimiser.step()
            step += 1
            watch(step / steps)
            total, seen = total + losses.detach() * y.shape[1], seen + y.shape[1]
        if epoch + 1 in how.kept:
            columns["train_loss"].append(total / seen)
            columns["valid_correct"].append(_correct(many, data.batch(data.valid)))
            columns["test_correct"].append(_correct(many, tests))
            watch(min(1.0, step / steps))
    shape = (len(architectures), how.seeds, len(how.kept))
    found = {name: torch.stack(values, dim=1).reshape(shape).numpy() for name, values in columns.items()}
    seconds = (time.monotonic() - begun) / len(networks)
    return {
        "valid_correct": found["valid_correct"].astype(np.int32),
        "test_correct": found["test_correct"].astype(np.int32),
        "train_loss": found["train_loss"].astype(np.float32),
        "seconds": np.full(len(architectures), seconds, np.float32),
    }


def initial(index: int, seed: int) -> Generator:
    """The generator of a network's initial weights, seeded by its number in the space and its seed."""
    return Generator().manual_seed((seed << 40) + index)


def losses_of(many: Many, x: Tensor, y: Tensor, whose: Tensor) -> Tensor:
    """The mean cross-entropy of every network ``(G,)``, in nats.

    Args:
        many: the networks.
        x: batches ``(S, B, C, H, W)``.
        y: labels ``(S, B)``.
        whose: number of each network's batch ``(G,)``.
    """
    logits = many(side_by_side(x, whose))
    each = cross_entropy(logits.flatten(0, 1), y[whose].T.flatten(), reduction="none")
    return each.view(logits.shape[:2]).mean(0)


class _Order:
    """The batches of a seed, the same for every architecture."""

    def __init__(self, data: Data, how: Tabulation, seed: int) -> None:
        self.data, self.size = data, how.batch_size
        self.order, self.augment = (Generator().manual_seed(2 * seed + k) for k in range(2))

    def epoch(self) -> Iterable[Batch]:
        order = self.data.train[torch.randperm(len(self.data.train), generator=self.order)]
        for at in order.split(self.size):
            if len(at) > 1:  # one image has no batch statistics
                yield self.data.augmented(at, self.data.augment, self.augment)


@torch.no_grad()
def _correct(many: Many, batch: Batch) -> Tensor:
    """Right answers of every network ``(G,)``."""
    many.eval()
    right = torch.zeros(many.count, dtype=torch.int64)
    dtype = next(many.parameters()).dtype
    for x, y in zip(batch.x.split(256), batch.y.split(256), strict=True):
        answers = many(side_by_side(x[None].to(dtype), torch.zeros(many.count, dtype=torch.int64))).argmax(-1)
        right += (answers == y[:, None]).sum(0)
    return right


def _settings(space: Space, data: Data, how: Tabulation) -> dict[str, Any]:
    return {"space": describe_space(space), "data": data.describe(), "training": to_plain(how)}


def _begin(parts: Path, settings: Mapping[str, Any]) -> set[int]:
    """Makes the folder of the parts, or reads which ones are done."""
    file = parts / SETTINGS
    try:
        parts.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(json.dumps(settings))
        if json.loads(file.read_text()) != json.loads(json.dumps(settings)):
            raise RunError(f"{parts} has parts of a table with other settings: remove it, or write to another file.")
        done: set[int] = set()
        for path in parts.glob("[0-9]*.npz"):
            done.update(int(i) for i in _read(path)["index"])
        return done
    except (OSError, ValueError) as error:
        if isinstance(error, MixopError):
            raise
        raise RunError(f"Cannot use {parts} ({error}): remove it, or write to another file.") from error


def _read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    beside = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    try:
        np.savez_compressed(beside, allow_pickle=False, **arrays)  # type: ignore[arg-type]
        beside.replace(path)
    except OSError as error:
        raise RunError(f"Cannot write {path} ({error.strerror or error}): free some space, then repeat the command.") from error


def _joined(parts: Path, count: int) -> dict[str, np.ndarray]:
    """All parts, architecture by architecture."""
    found = [_read(path) for path in sorted(parts.glob("[0-9]*.npz"))]
    order = np.concatenate([part["index"] for part in found]).argsort()[:count]
    return {name: np.concatenate([part[name] for part in found])[order] for name in found[0] if name != "index"}


def _facts(
    architectures: Sequence[Architecture], space: Space, data: Data, how: Tabulation, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    natives = [space.to_native(architecture).encode() for architecture in architectures]
    x = data.augment.plain(pick(data.x, data.train[:1]))
    params, flops = [], []
    for architecture in architectures:
        net = build(architecture, space, norm=how.norm)
        params.append(sum(p.numel() for p in net.parameters()))
        flops.append(multiply_adds(net, x))
    return {
        "arch": np.array(natives),
        "epochs": np.array(how.kept, np.uint16),
        "seeds": np.arange(how.seeds, dtype=np.uint16),
        "valid_images": np.array(len(data.valid), np.uint32),
        "test_images": np.array(len(data.test_x), np.uint32),
        "params": np.array(params, np.uint32),
        "flops": np.array(flops, np.uint64),
        "settings": np.array(json.dumps(settings)),
    }
