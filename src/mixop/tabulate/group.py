"""A group of a table's architectures, trained side by side: by whoever builds the table, or by a worker."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mixop.data.portable import Portable
from mixop.engine.driver import Driver, Observer
from mixop.runs.lock import Lock
from mixop.runs.write import previous, write_bytes
from mixop.spaces.core import Architecture, Space
from mixop.tabulate.cohort import Cohort
from mixop.tabulate.how import Tabulation


def train_group(
    *,
    architectures: Sequence[Architecture],
    indices: Sequence[int],
    space: Space,
    data: Portable,
    how: Tabulation,
    device: str,
    parts: Path,
    checkpoint_seconds: float,
    observe: Observer,
) -> None:
    """Trains a group and writes its part; goes on from its checkpoint, and leaves alone what is written already.

    Args:
        architectures: which ones.
        indices: their numbers in the space.
        space: its sizes fit the data.
        data: examples of a task.
        how: every network is trained.
        device: where torch computes.
        parts: the folder of the parts.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        observe: called after every step, with the ``share`` of the training that is done.

    Raises:
        RunError: if another process trains this group.
        InterruptedRunError: after SIGINT, SIGTERM or SIGHUP; the state is saved.
    """
    lock = Lock(parts, f"{indices[0]:06d}.lock")
    try:
        if part_of(parts, indices).exists():  # by a worker of a call that has died
            return
        job = Cohort(architectures, indices, space, data.load(), how, device=device, file=checkpoint_of(parts, indices))

        def told(record: Mapping[str, object]) -> None:
            observe({**record, "share": job.done})

        with Driver(job, checkpoint_seconds, told) as driver:
            found = drive(driver, job)
        lock.check()
        keep(parts, indices, found)
    finally:
        lock.release(remove=True)


def drive(driver: Driver, job: Cohort) -> dict[str, np.ndarray]:
    """Trains a cohort to its end; what `Cohort.found` gives.

    Args:
        driver: in whose context this is called.
        job: the cohort.

    Raises:
        InterruptedRunError: after SIGINT, SIGTERM or SIGHUP; the state is saved.
    """
    driver.job = job
    driver.start()
    driver.pause()  # a signal may have come between two cohorts
    driver.run(lambda: job.state.epoch < job.how.epochs)
    driver.pause()  # or in the evaluation of the last epoch
    return job.found()


def part_of(parts: Path, indices: Sequence[int]) -> Path:
    """The file of what a group scored.

    Args:
        parts: the folder of the parts.
        indices: numbers of the group's architectures.
    """
    return parts / f"{indices[0]:06d}.npz"


def checkpoint_of(parts: Path, indices: Sequence[int]) -> Path:
    """The file of the state of a group in training."""
    return parts / f"{indices[0]:06d}.pt"


def keep(parts: Path, indices: Sequence[int], found: Mapping[str, np.ndarray]) -> None:
    """Writes what a group scored; its checkpoint goes.

    Args:
        parts: the folder of the parts.
        indices: numbers of the group's architectures.
        found: what `Cohort.found` gave.
    """
    write_arrays(part_of(parts, indices), {"index": np.array(indices), **found})
    file = checkpoint_of(parts, indices)
    for path in (file, previous(file)):
        path.unlink(missing_ok=True)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an ``.npz`` file so that a crash leaves the old one or the new one, whole."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())
