"""The one driver under every loop: it takes steps, tells observers, saves, listens to signals, and finishes epochs.

A search, a retraining and the building of a table differ in what a step is and in what they keep. They are a `Job`; when to
save, when to stop and what to say meanwhile is the driver's.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol, Self

from mixop.core.ranks import ALONE, Ranks
from mixop.runs.interrupt import InterruptedRunError, StopRequest, listening

Observer = Callable[[Mapping[str, Any]], None]
"""Called with every record of the metrics, and with ``{"event": "step", ...}`` after every step."""


class Position(Protocol):
    """Where a job stands; the driver counts its steps and its seconds, the job its epochs.

    Attributes:
        epoch: epochs that are finished.
        step: steps of the present epoch that are done.
        seconds: time spent, over all processes that worked on it.
    """

    epoch: int
    step: int
    seconds: float


class Job(Protocol):
    """A loop, to be driven."""

    @property
    def state(self) -> Position:
        """Where it stands."""
        ...

    def begin_epoch(self) -> int:
        """Prepares the epoch that is due, from its start or from where it was left.

        Returns:
            Its number of steps.
        """
        ...

    def take_step(self) -> None:
        """Takes one step; the position is moved by the driver."""
        ...

    def position(self) -> Mapping[str, Any]:
        """What observers receive at every step."""
        ...

    def finish_epoch(self, seconds: Callable[[], float]) -> Mapping[str, Any]:
        """Measures the epoch whose steps are done and moves on to the next one.

        Args:
            seconds: the time spent until now.

        Returns:
            The record of the epoch.
        """
        ...

    def record(self, record: Mapping[str, Any]) -> None:
        """Writes the record of an epoch down."""
        ...

    def after_epoch(self) -> None:
        """What follows once the epoch is written down: going back, another stage."""
        ...

    def save(self) -> None:
        """Writes a checkpoint."""
        ...

    def stopped(self) -> str:
        """The sentence for someone who stopped it: where it stands, and how to continue."""
        ...


class Driver:
    """Drives a job; a context in which SIGINT, SIGTERM and SIGHUP are requests to save and stop.

    Args:
        job: what is driven.
        checkpoint_seconds: least time between two checkpoints, in seconds; 0 saves after every step.
        observe: called with every step and record.
        ranks: the processes that do the job together. They save, and leave, at the same step: when the first one's clock says
            so, and when any of them was asked to.
    """

    def __init__(self, job: Job, checkpoint_seconds: float, observe: Observer, ranks: Ranks = ALONE) -> None:
        self.job, self.checkpoint_seconds, self.observe, self.ranks = job, checkpoint_seconds, observe, ranks
        self._stop = StopRequest()
        self._context = ExitStack()
        self.start()

    def start(self, *, saved: bool = True) -> None:
        """Starts the clock, from the seconds that the job has behind it.

        Args:
            saved: whether there is a checkpoint; if not, the first step is saved, whatever the time between two.
        """
        now = time.monotonic()
        self._saved_at = now if saved else -math.inf
        self._started = now - self.job.state.seconds

    def seconds(self) -> float:
        """The time that the job has taken until now, earlier processes included."""
        return time.monotonic() - self._started

    def __enter__(self) -> Self:
        self._stop = self._context.enter_context(listening())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._context.__exit__(kind, error, trace)

    def run(self, going: Callable[[], bool]) -> None:
        """Drives epoch after epoch.

        Args:
            going: whether another epoch is due.

        Raises:
            InterruptedRunError: after SIGINT, SIGTERM or SIGHUP; the state is saved.
        """
        job = self.job
        while going():
            self._heed()  # it may have come in the evaluation of the last epoch, or between two jobs
            steps = job.begin_epoch()
            while job.state.step < steps:
                job.take_step()
                job.state.step += 1
                job.state.seconds = self.seconds()
                self._tell({"event": "step", **job.position(), "step": job.state.step, "steps": steps})
                self.pause()
            record = job.finish_epoch(self.seconds)
            job.record(record)
            self._tell(record)
            job.after_epoch()

    def _tell(self, record: Mapping[str, Any]) -> None:
        try:
            self.observe(record)
        except OSError:
            # The terminal, or whoever reads, has gone; SIGHUP comes with it, or in a moment. What is done is kept.
            self._heed()
            self.job.save()
            raise

    def pause(self) -> None:
        """Saves when it is time to; leaves the job, saved, if it was asked to stop.

        Raises:
            InterruptedRunError: if it was.
        """
        due = time.monotonic() - self._saved_at >= self.checkpoint_seconds
        if self._heed(due=due):
            self.job.save()
            self._saved_at = time.monotonic()

    def _heed(self, *, due: bool = False) -> bool:
        """Leaves the job, saved, if it was asked to stop.

        Returns:
            Whether a checkpoint is due, by the clock of the process that leads.
        """
        asked, due_now = self.ranks.largest(self._stop.signum or 0, due and self.ranks.leads)
        if asked:
            self.job.save()
            raise InterruptedRunError(self.job.stopped(), int(asked))
        return bool(due_now)
