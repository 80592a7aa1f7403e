"""Where many runs are computed: what is done, and who does it. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mixop.core.schedules import check_range
from mixop.runs.interrupt import StopRequest

Teller = Callable[[str, Mapping[str, Any]], None]
"""Called with the name of a task and what it tells: records of its run, and ``{"event": "begun" | "done" | "failed"}``."""


@dataclass(frozen=True)
class Assignment:
    """A function of a module and its arguments; it is called with ``observe`` besides.

    It works in a directory of its own and goes on from what it finds there: whoever is given it a second time continues it.

    Args:
        name: what it is called.
        run: the function.
        arguments: its keyword arguments, which can be pickled.
    """

    name: str
    run: Callable[..., None]
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Runner(ABC):
    """Who computes many runs.

    Args:
        cores: of the CPU that a run has, >= 1; None for the runner's own rule.
        gpus: GPUs that a run has where it computes on "cuda", >= 1.
    """

    asked: ClassVar[str] = "mixop.runs.local.Local()"
    words: ClassVar[str]
    """Who that is, for people: processes of this machine, jobs of Slurm."""

    cores: int | None = None
    gpus: int = 1

    def __post_init__(self) -> None:
        if self.cores is not None:
            check_range("number of cores of a run", self.cores, at_least=1)
        check_range("number of GPUs of a run", self.gpus, at_least=1)

    @property
    @abstractmethod
    def one_machine(self) -> bool:
        """Whether all runs are computed on this machine, so that their seconds can be compared as they are."""

    @abstractmethod
    def leaves(self, device: str, jobs: int | None) -> bool:
        """Whether tasks leave this process, so that all that they are made of must be sent.

        Args:
            device: where torch computes.
            jobs: as in `work`.
        """

    def reached(self) -> AbstractContextManager[None]:
        """A context in which workers stay within reach from one `work` to the next, where reaching them takes time.

        Raises:
            RunError: if they cannot be reached.
        """
        return nullcontext()

    @abstractmethod
    def work(
        self,
        tasks: Sequence[Assignment],
        *,
        folder: Path,
        device: str,
        jobs: int | None,
        tell: Teller,
        stop: StopRequest,
    ) -> dict[str, str]:
        """Does tasks.

        Asked to stop, it asks its workers to, waits until they have saved, and returns.

        Args:
            tasks: what to do, in this order.
            folder: where workers leave their logs; all of them see it.
            device: where torch computes.
            jobs: tasks at a time, >= 1; None for as many as there is room for.
            tell: called with what happens in each task.
            stop: whether to stop.

        Returns:
            Name of each task that failed, and the sentence why.

        Raises:
            RunError: if workers cannot be given the tasks.
        """
