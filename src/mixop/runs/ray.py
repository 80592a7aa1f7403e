"""Runs as tasks of a Ray cluster."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mixop.core.errors import RunError
from mixop.core.extras import package
from mixop.runs.interrupt import SIGNALS
from mixop.runs.remote import Ended, Errand, LostError, Remote, Sent


@dataclass(frozen=True, kw_only=True)
class Ray(Remote):
    """Tasks of a Ray cluster, one for each run.

    Args:
        address: of the cluster: ``auto`` for the one that this machine belongs to, ``HOST:6379`` of its head, ``ray://HOST:10001``
            from outside of it, or ``local`` for one on this machine alone, which ends with the command.
    """

    words: ClassVar[str] = "tasks of Ray"

    address: str = "auto"

    @contextmanager
    def reached(self) -> Iterator[None]:
        ray = package("ray", "--runner ray")
        own = not ray.is_initialized()
        if own:
            _connect(ray, self.address)
        try:
            yield
        finally:
            if own:
                ray.shutdown()

    @contextmanager
    def sending(self, folder: Path, gpus: int, jobs: int | None) -> Iterator[Callable[[Sequence[Errand]], list[Sent]]]:
        ray = package("ray", "--runner ray")
        # What is lost is sent again by mixop: Ray would also repeat what was asked to stop, and would tell nobody.
        remote = ray.remote(num_cpus=self.cores or 1, num_gpus=gpus, max_retries=0)(_do)
        with self.reached():
            yield lambda errands: [_Task(ray, remote.remote(errand)) for errand in errands]


def _do(errand: Errand) -> Ended:
    return errand()


def _connect(ray: Any, address: str) -> None:
    """Joins a cluster, and keeps the handlers of signals, which Ray replaces."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise RunError(
            f"There is no Ray cluster at {address!r} ({first}): start one with `ray start --head`, or give --runner.address."
        ) from error
    finally:
        for number, handler in before.items():
            if main and handler is not None:
                signal.signal(number, handler)


class _Task:
    """A task of Ray."""

    def __init__(self, ray: Any, reference: Any) -> None:
        self.ray, self.reference = ray, reference

    def ended(self) -> bool:
        return bool(self.ray.wait([self.reference], timeout=0)[0])

    def result(self) -> Ended:
        errors = self.ray.exceptions
        try:
            return self.ray.get(self.reference)
        except errors.TaskCancelledError:
            return Ended(stopped=True)
        except errors.RayTaskError as error:  # an error of Python outside of the task, which another try would meet again
            return Ended(f"The worker could not do its task ({str(error).strip().splitlines()[-1]}).")
        except errors.RayError as error:
            raise LostError(type(error).__name__) from error

    def cancel(self) -> None:
        self.ray.cancel(self.reference)
