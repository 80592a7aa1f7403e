"""What every tracker can do: a view of one run that rows are added to. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from mixop.core.extras import package
from mixop.runs.trackers.logged import Row, Told

Ending = Literal["finished", "stopped", "failed", "running"]
"""How it stands with a run when its view is closed: ``stopped`` goes on some day, ``running`` is at work elsewhere."""


class Tracker(ABC):
    """One run, open in a tracker.

    ``sent`` is the number of rows that are there from before: of a run that is resumed or sent again, they are not repeated.
    ``place`` says where to see it, for people.
    """

    label: ClassVar[str]
    """What it is called."""

    module: ClassVar[str]
    """Of its package, one of `mixop.core.extras.PACKAGES`."""

    sent: int = 0
    place: str = ""

    @classmethod
    def check(cls) -> None:
        """Refuses what cannot work here, before anything long begins.

        Raises:
            MissingExtraError: if the package is not installed.
            RunError: if the tracker needs to be told something first.
        """
        package(cls.module, f"Tracking with {cls.label}")

    @classmethod
    @abstractmethod
    def open(cls, run: Told) -> Self:
        """Begins the view of a run, or goes on with the one that is there.

        Args:
            run: what does not change of it, and its settings.
        """

    @abstractmethod
    def log(self, number: int, row: Row) -> None:
        """Adds a row.

        Args:
            number: of the row in its run, counted from 1; always larger than ``sent`` and than those before.
            row: what is added.
        """

    @abstractmethod
    def close(self, ending: Ending, config: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Ends the view for now.

        Args:
            ending: how it stands with the run.
            config: its settings as they are now: a retraining has some of its own.
            files: artefacts.
        """
