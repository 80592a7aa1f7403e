"""Experiments that are many small tasks: in workers, each in a directory of its own, and continued where they were stopped."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixop.core.errors import RunError
from mixop.core.measure import Measure
from mixop.experiments.base import Request
from mixop.runs.directory import RunDirectory
from mixop.runs.files import PLANNED, WORKERS
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.runs.local import Local, check_workers
from mixop.runs.runner import Assignment


def in_workers(request: Request, plan: Mapping[str, Any], tasks: Sequence[Assignment], *, done: str, measure: Measure) -> None:
    """Does those tasks of an experiment that are not done; each is called with its ``folder`` and with ``observe``.

    Args:
        request: where, by whom, and how many at a time.
        plan: what makes the experiment this one, as JSON data: its directory is continued by the same only.
        tasks: named after their directories.
        done: the file that a finished task leaves in its directory.
        measure: of what they tell.

    Raises:
        RunError: if the directory holds something else, or a task failed.
        InterruptedRunError: after SIGINT, SIGTERM or SIGHUP.
    """
    directory = RunDirectory(request.out)
    placed = [Assignment(task.name, task.run, {**task.arguments, "folder": request.out / task.name}) for task in tasks]
    runner = request.runner or Local()
    if runner.leaves(request.device, request.jobs):
        check_workers(placed)
    with directory.locked(), listening() as stop:
        directory.claim({PLANNED: dict(plan)}, markers=(PLANNED,))
        left = [task for task in placed if not (request.out / task.name / done).exists()]
        tell = request.observe or _silent
        tell("", {"event": "plan", "total": len(placed), "done": len(placed) - len(left), "measure": measure.to_json()})
        failures = runner.work(left, folder=directory / WORKERS, device=request.device, jobs=request.jobs, tell=tell, stop=stop)
        if stop.signum is not None:
            told = f"Stopped with all progress saved in {request.out}: the same command continues from there."
            raise InterruptedRunError(told, stop.signum)
    if failures:
        name, sentence = next(iter(failures.items()))
        raise RunError(
            f"{len(failures)} of {len(placed)} tasks could not be finished, for example {name}: {sentence.rstrip('.')}; the "
            "same command tries them again."
        )


def _silent(name: str, record: Mapping[str, Any]) -> None:
    """Tells nobody."""
