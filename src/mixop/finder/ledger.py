"""What was decided, and the time that is spent: all that makes a run of `find` go on as it began."""

import time
from collections.abc import Callable
from typing import Any

from mixop.runs.directory import RunDirectory
from mixop.runs.files import DECISIONS


class Ledger:
    """Decisions by name, each made once. Those that depend on the clock are read back after an interruption, not made again.

    Args:
        run: the directory; its owner holds the lock.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        known = run.read_json(DECISIONS) if run.has(DECISIONS) else {}
        self._made: dict[str, Any] = dict(known.get("decisions", {}))
        self._before, self._start = float(known.get("seconds", 0.0)), time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds that this and earlier processes worked."""
        return self._before + time.monotonic() - self._start

    def known(self, name: str, default: Any) -> Any:
        """The decision of that name; the default where it is not there yet. Nothing is written."""
        return self._made.get(name, default)

    def decide(self, name: str, make: Callable[[], Any]) -> Any:
        """The decision of that name; made, and written down, where it is not there yet.

        Args:
            name: what is decided.
            make: gives JSON data.
        """
        if name not in self._made:
            self._made[name] = make()
            self.keep()
        return self._made[name]

    def keep(self) -> None:
        """Writes down how much time is spent, with what was decided."""
        self._run.write_json(DECISIONS, {"seconds": round(self.seconds, 3), "decisions": self._made})
