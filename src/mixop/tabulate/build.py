"""Builds your own table: trains every architecture of a small space from scratch with several seeds, and can be resumed.

What a network learns depends only on its architecture, its seed and the settings, never on the networks trained beside it.
"""

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator

from mixop.core.door import door
from mixop.core.errors import RecipeError, RunError, SpaceError
from mixop.core.files import read_file
from mixop.core.outside import as_json
from mixop.core.values import to_plain
from mixop.data.core import Data, Source
from mixop.data.given import MapStyle, given
from mixop.data.portable import Portable
from mixop.engine.driver import Driver
from mixop.engine.settings import Settings
from mixop.evaluate.score import multiply_adds, parameters
from mixop.nets.discrete import build
from mixop.runs.files import DATA, SETTINGS, WORKERS
from mixop.runs.identity import essence
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.runs.load import read_object
from mixop.runs.local import Local, check_workers
from mixop.runs.lock import Lock
from mixop.runs.runner import Assignment, Runner
from mixop.runs.write import write_bytes
from mixop.spaces.core import Architecture, Choice, Space
from mixop.spaces.describe import describe_space
from mixop.tabulate.cohort import Cohort
from mixop.tabulate.group import checkpoint_of, drive, keep, train_group, write_arrays
from mixop.tabulate.how import Tabulation
from mixop.tabulate.pace import fastest, paced

LARGEST = 20_000
"""A space with more architectures than this is too large to tabulate."""

GROUP = 81
"""Networks that other machines train together, where nothing was timed."""

GROUP_FILE = "group.json"
"""The file that says how many networks are trained together, in the folder of the parts."""

Teller = Callable[[float, int], None]
"""Called with how many architectures are done (those in training count in part), and with their number."""


def architectures_of(space: Space) -> list[Architecture]:
    """Every architecture of a space, in the space's order.

    Raises:
        SpaceError: if there are too many to train, or they are drawn as a whole.
    """
    if space.whole:
        raise SpaceError(f"Architectures of {space.name} are drawn as a whole, but a table holds all that decisions allow.")
    count = space.size()
    if count > LARGEST:
        raise SpaceError(
            f"{space.name} has {count:,} architectures, but a table can have at most {LARGEST:,}: leave operations out."
        )
    decisions = [(group.name, e, d.options) for group in space.groups for e, d in enumerate(group.decisions)]
    if math.prod(len(options) for _, _, options in decisions) != count:
        raise SpaceError(f"{space.name} keeps only some edges or inputs, but a table needs an operation on every edge.")
    found = []
    for options in product(*(options for _, _, options in decisions)):
        chosen = [(name, Choice(e, option)) for (name, e, _), option in zip(decisions, options, strict=True)]
        cells = tuple((g.name, tuple(choice for name, choice in chosen if name == g.name)) for g in space.groups)
        found.append(Architecture(space.name, cells))
    return found


@door()
def tabulate(
    space: Space,
    data: Data | Source | MapStyle,
    how: Tabulation,
    out: str | Path,
    *,
    group: int | None = None,
    limit: int | None = None,
    checkpoint_seconds: float = 30.0,
    jobs: int | None = None,
    runner: Runner | None = None,
    device: str | torch.device = "cpu",
    tell: Teller = lambda done, total: None,
) -> Path:
    """Trains every architecture of a space and writes the scores.

    Called again, it continues where it stopped, inside the group that was in training.

    Args:
        space: a small space; sizes left open are taken from the data.
        data: examples of any task, trained on the training split, scored on the validation split and the test set.
        how: how every network is trained.
        out: the file to write, ``.npz``; parts lie beside it in ``OUT.parts`` until all are done.
        group: networks that are trained together, >= 1; None for as many as a few timed steps show to be fastest, and for those
            of before where a build goes on.
        limit: train only this many architectures, the first ones; None for all.
        checkpoint_seconds: least time between two checkpoints of the group in training, in seconds.
        jobs: groups at a time; default as many as the runner has room for: of the local one on the CPU 1, in this process.
        runner: who trains the groups; default `mixop.runs.local.Local`. All machines must see ``out`` under the same path.
        device: where torch computes; the numbers of another kind of device differ by rounding.
        tell: called with the progress after every step.

    Returns:
        The file: ``arch`` names; ``measures`` of the task as JSON, the ranking one first; for each of them ``valid_NAME`` and
        ``test_NAME`` ``(n, seeds, kept)`` in its unit, NaN where it is not a number; ``train_loss`` of the same shape (mean
        over the epoch); ``epochs``, ``seeds``, ``valid_examples``, ``test_examples``, ``params``, ``flops`` (multiply-adds of
        an example), ``seconds`` of one run's share of its group, and ``settings`` as JSON.

    Raises:
        RecipeError: if a number is out of range, or the examples follow each other as tokens do.
        RunError: if the parts have other settings, or a file cannot be written.
        InterruptedRunError: after SIGINT, SIGTERM or SIGHUP; the group in training has saved its state.
    """
    out, data = Path(out), given(data)
    if jobs is not None and jobs < 1:
        raise RecipeError(f"At least 1 group must be trained at a time, got jobs={jobs}.")
    if out.suffix != ".npz":
        raise RecipeError(f"The table's file must end in .npz, got {out.name!r}.")
    space, everything = _planned(space, data, group, limit)
    settings = _settings(space, data, how)
    runner, device = runner or Local(), str(device)
    if runner.one_machine:
        Settings(device=device)  # refuses one that is not here
    parts = out.with_name(out.name + ".parts")
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot make {parts} ({error.strerror or error}): remove it, or write to another file.") from error
    lock = Lock(parts)
    try:
        done = _begin(parts, settings, how, len(everything))
        group = _kept_group(parts) if group is None else group
        if group is None and runner.one_machine:
            group = fastest(everything, space, data, how, device).architectures * how.seeds
        group = GROUP if group is None else group
        write_bytes(parts / GROUP_FILE, json.dumps({"group": group}).encode())
        each = max(1, group // how.seeds)
        left = [index for index in range(len(everything)) if index not in done]
        groups = [left[k : k + each] for k in range(0, len(left), each)]
        jobs = 1 if jobs is None and runner.one_machine and device == "cpu" else jobs
        tell(len(done), len(everything))
        if groups and runner.leaves(device, jobs):
            _send(space, everything, groups, data, how, device, lock, checkpoint_seconds, jobs, runner, done, tell)
        elif groups:
            _train_here(space, everything, groups, data.to(device), how, lock, checkpoint_seconds, done, tell)
        joined = _joined(parts, how, len(everything))
        lock.check()
        write_arrays(out, {**joined, **_facts(everything, space, data, how, settings)})
    finally:
        lock.release()
    return out


def _train_here(
    space: Space,
    everything: Sequence[Architecture],
    groups: Sequence[Sequence[int]],
    data: Data,
    how: Tabulation,
    lock: Lock,
    checkpoint_seconds: float,
    done: set[int],
    tell: Teller,
) -> None:
    """Trains groups in this process, one after the other."""

    def cohort(some: Sequence[int]) -> Cohort:
        stopped = _stopped(lock.folder, len(done), len(everything))
        kept = {"device": str(data.device), "file": checkpoint_of(lock.folder, some), "stopped": stopped}
        return Cohort([everything[i] for i in some], some, space, data, how, **kept)

    job = cohort(groups[0])
    with Driver(job, checkpoint_seconds, lambda _: tell(len(done) + job.done * len(job.indices), len(everything))) as driver:
        for number, some in enumerate(groups):
            job = job if number == 0 else cohort(some)
            found = drive(driver, job)
            lock.check()
            keep(lock.folder, job.indices, found)
            done.update(job.indices)
            tell(len(done), len(everything))


def _send(
    space: Space,
    everything: Sequence[Architecture],
    groups: Sequence[Sequence[int]],
    data: Data,
    how: Tabulation,
    device: str,
    lock: Lock,
    checkpoint_seconds: float,
    jobs: int | None,
    runner: Runner,
    done: set[int],
    tell: Teller,
) -> None:
    """Has groups trained by workers.

    Raises:
        RunError: if one could not be trained.
        InterruptedRunError: after a signal; all workers have saved their states.
    """
    shared = {
        "space": space,
        "data": Portable.of(data),
        "how": how,
        "device": device,
        "parts": lock.folder.resolve(),
        "checkpoint_seconds": checkpoint_seconds,
    }
    check_workers(shared)
    named = {f"group-{some[0]:06d}": some for some in groups}
    tasks = [
        Assignment(name, train_group, {"architectures": [everything[i] for i in some], "indices": some, **shared})
        for name, some in named.items()
    ]
    total = len(everything)
    shares: dict[str, float] = {}

    def told(name: str, record: Mapping[str, Any]) -> None:
        if record.get("event") == "step":
            shares[name] = record["share"] * len(named[name])
        elif record.get("event") == "done":
            shares.pop(name, None)
            done.update(named[name])
        tell(len(done) + sum(shares.values()), total)

    with listening() as stop:
        failures = runner.work(tasks, folder=lock.folder / WORKERS, device=device, jobs=jobs, tell=told, stop=stop)
        if stop.signum is not None:
            raise InterruptedRunError(_stopped(lock.folder, len(done), total), stop.signum)
    if failures:
        name, sentence = next(iter(failures.items()))
        raise RunError(
            f"{len(failures)} of {len(tasks)} groups could not be trained, for example {name}: {sentence.rstrip('.')}; the "
            f"others are kept in {lock.folder}, and the same command tries the rest again."
        )


def _stopped(parts: Path, done: int, total: int) -> str:
    return (
        f"Stopped with {done} of {total} architectures done and all progress kept in {parts}: the same command continues from "
        "there."
    )


def _planned(space: Space, data: Data, group: int | None, limit: int | None) -> tuple[Space, list[Architecture]]:
    """The space with its sizes, and the architectures to train."""
    if group is not None and group < 1:
        raise RecipeError(f"At least 1 network must be trained at a time, got {group}.")
    if limit is not None and limit < 1:
        raise RecipeError(f"At least 1 architecture must be trained, got a limit of {limit}.")
    if data.tokens:
        raise RecipeError(
            f"The windows of {data.name} follow each other, but the networks of a table read examples in any order: a "
            "table cannot be built from token streams."
        )
    space = space.fit(data)
    return space, architectures_of(space)[:limit]


@dataclass(frozen=True)
class Estimate:
    """What `tabulate` will take with one group at a time.

    Args:
        group: networks that are trained together.
        seconds: of all of it.
    """

    group: int
    seconds: float


@door()
def estimate(
    space: Space,
    data: Data,
    how: Tabulation,
    *,
    group: int | None = None,
    limit: int | None = None,
    device: str | torch.device = "cpu",
) -> Estimate:
    """What `tabulate` will take, by three steps and one scoring of some of the networks.

    Args:
        space: as in `tabulate`.
        data: examples of a task.
        how: how every network is trained.
        group: networks that are trained together; None for as many as are fastest.
        limit: train only this many architectures; None for all.
        device: where torch computes.

    Raises:
        RecipeError: if a number is out of range.
        SpaceError: if there are too many architectures.
    """
    space, everything = _planned(space, data, group, limit)
    device = Settings(device=str(device)).device
    if group is None:
        pace = fastest(everything, space, data, how, device)
        group = pace.architectures * how.seeds
    else:
        pace = paced(everything[: max(1, group // how.seeds)], space, data, how, device)
    steps = how.epochs * data.stream(("train",), how.batch_size, Generator()).batches
    return Estimate(group, pace.seconds(len(everything), steps, len(how.kept)))


@door()
def train(
    architectures: Sequence[Architecture], indices: Sequence[int], space: Space, data: Data, how: Tabulation
) -> dict[str, np.ndarray]:
    """Trains architectures with all seeds side by side; what `Cohort.found` gives.

    Args:
        architectures: which ones.
        indices: their numbers in the space, which seed their initial weights.
        space: their space.
        data: examples of a task.
        how: how they are trained.

    Raises:
        InterruptedRunError: after SIGINT, SIGTERM or SIGHUP.
    """
    job = Cohort(architectures, indices, space, data, how)
    with Driver(job, math.inf, lambda record: None) as driver:
        return drive(driver, job)


def _settings(space: Space, data: Data, how: Tabulation) -> dict[str, Any]:
    return {"space": describe_space(space), "data": data.describe(), "training": to_plain(how)}


def _begin(parts: Path, settings: Mapping[str, Any], how: Tabulation, count: int) -> set[int]:
    """Makes the folder of the parts this table's own, or reads which architectures are done.

    A part that is torn is removed, and its architectures are trained again.
    """
    file = parts / SETTINGS
    if not file.exists():
        write_bytes(file, json.dumps(settings).encode())
    before, now = read_object(file), as_json(settings)
    if essence(DATA, before.get("data")) == essence(DATA, now["data"]):
        now["data"] = before.get("data")  # the same examples, from another place perhaps
    if before != now:
        raise RunError(f"{parts} has parts of a table with other settings: remove it, or write to another file.")
    done: set[int] = set()
    for path in sorted(parts.glob("[0-9]*.npz")):
        part = _read(path, how)
        if part is None:
            path.unlink()
        else:
            done.update(part["index"].tolist())
    return {index for index in done if index < count}


def _kept_group(parts: Path) -> int | None:
    """How many networks were trained together before; None if nobody wrote it down."""
    if not (parts / GROUP_FILE).exists():
        return None
    group = read_object(parts / GROUP_FILE).get("group")
    return group if isinstance(group, int) and group >= 1 else None


def _read(path: Path, how: Tabulation) -> dict[str, np.ndarray] | None:
    """The arrays of a part; None if it is torn or holds something else.

    Raises:
        RunError: if it cannot be read.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise RunError(f"Cannot read {path} ({error.strerror or error}): change its permissions.") from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception:  # a damaged zip file provokes a dozen kinds of errors
        return None
    index, count = arrays.get("index"), 0
    if index is not None and index.ndim == 1 and index.dtype.kind in "iu":
        count = len(index)
    whole = {name: value.shape == (count, how.seeds, len(how.kept)) for name, value in arrays.items()}
    whole |= {name: arrays[name].shape == (count,) for name in ("index", "seconds") if name in arrays}
    numbers = all(value.dtype.kind in "iuf" for value in arrays.values())
    named = {"index", "seconds", "train_loss"} <= arrays.keys()
    return arrays if count and named and numbers and all(whole.values()) and index is not None and index.min() >= 0 else None


def _joined(parts: Path, how: Tabulation, count: int) -> dict[str, np.ndarray]:
    """All parts, architecture by architecture; of one that is in several parts the first.

    Raises:
        RunError: if one was damaged while others were trained.
    """
    found = [part for path in sorted(parts.glob("[0-9]*.npz")) if (part := _read(path, how)) is not None]
    names = set.intersection(*(set(part) for part in found)) if found else set()
    there, order = np.unique(np.concatenate([part["index"] for part in found]), return_index=True) if found else ([], [])
    if list(there[:count]) != list(range(count)):
        raise RunError(f"Parts in {parts} were damaged while others were trained: give the same command again.")
    return {name: np.concatenate([part[name] for part in found])[order[:count]] for name in sorted(names - {"index"})}


def _facts(
    architectures: Sequence[Architecture], space: Space, data: Data, how: Tabulation, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    natives = [space.to_native(architecture).encode() for architecture in architectures]
    example = data.batch(data.train[:1]).x
    params, flops = [], []
    for architecture in architectures:
        net = build(architecture, space, norm=how.norm, generator=Generator())  # which leaves torch's own as it is
        params.append(parameters(net))
        flops.append(multiply_adds(net, example))
    return {
        "arch": np.array(natives),
        "epochs": np.array(how.kept, np.uint16),
        "seeds": np.arange(how.seeds, dtype=np.uint16),
        "measures": np.array(json.dumps([measure.to_json() for measure in data.task.measures])),
        "valid_examples": np.array(len(data.valid), np.uint32),
        "test_examples": np.array(len(data.test), np.uint32),
        "params": np.array(params, np.uint32),
        "flops": np.array(flops, np.uint64),
        "settings": np.array(json.dumps(settings)),
    }
