"""One run in one tracker: what is new in its directory is sent, whenever somebody asks for it."""

from pathlib import Path

from mixop.core.errors import RunError
from mixop.core.outside import MalformedError
from mixop.runs.files import METRICS
from mixop.runs.load import parse_record
from mixop.runs.tail import Tail
from mixop.runs.trackers.base import Ending, Tracker
from mixop.runs.trackers.logged import Row, Told, config, files, is_finished, row, scores, told

_MOST = 4 << 20
"""Bytes of metrics that are read at once."""


class View:
    """A run in a tracker, opened when there is something to send.

    Args:
        path: the run directory.
        kind: of tracker.
        group: of runs that belong together; empty for none.
    """

    def __init__(self, path: Path, kind: type[Tracker], group: str = "") -> None:
        self.path, self.kind, self.group = path, kind, group
        self._tail = Tail(path / METRICS)
        self._run: Told | None = None
        self._tracker: Tracker | None = None
        self._waiting: list[tuple[int, Row]] = []
        self._read = 0

    @property
    def place(self) -> str:
        """Where to see it, for people; empty before it is opened."""
        return "" if self._tracker is None else self._tracker.place

    def send(self) -> None:
        """Sends the epochs that are new. What could not be sent is sent by the next call.

        Raises:
            RunError: if a file of the run is damaged, or the tracker refuses it so.
            Exception: whatever the tracker's package raises.
        """
        if self._run is None or self._tracker is None:
            self._run = told(self.path, self.group)
            self._tracker = self.kind.open(self._run)
        more = True
        while more:
            read = self._tail.read(_MOST)
            if read.again:
                self._read, self._waiting = 0, []
            for line in read.lines:
                self._read += 1
                where = f"Line {self._read} of {self.path / METRICS}"
                try:
                    self._waiting.append((self._read, row(parse_record(line, where), self._run)))
                except MalformedError as error:
                    raise RunError(f"{where} is torn or damaged ({error}): remove it, or start the run again.") from error
            self._log()
            more = read.more

    def close(self, ending: Ending | None = None) -> None:
        """Sends the rest, with scores and artefacts, and ends the view for now.

        Args:
            ending: how it stands with the run; None for what its files say.

        Raises:
            Exception: as `send`.
        """
        self.send()
        assert self._run is not None
        assert self._tracker is not None
        # Nothing is added to the metrics of a run that is scored, so its scores are the rows behind them.
        self._waiting += enumerate(scores(self._run), start=self._read + 1)
        self._log()
        kept = [] if ending in ("stopped", "failed") else files(self.path)
        known = "finished" if is_finished(self.path) else "running"
        self._tracker.close(ending or known, config(self.path), kept)
        self._tracker = None

    def _log(self) -> None:
        """Sends what waits; what is there from before is left out."""
        assert self._tracker is not None
        while self._waiting:
            number, waiting = self._waiting[0]
            if number > self._tracker.sent:
                self._tracker.log(number, waiting)
                self._tracker.sent = number
            self._waiting.pop(0)
