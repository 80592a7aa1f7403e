"""Runs in trackers while they work: a thread sends what directories have, so that no tracker keeps a run waiting."""

import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixop.core.errors import MixopError, RecipeError, RunError, TrackerWarning, unknown
from mixop.runs.interrupt import InterruptedRunError
from mixop.runs.trackers import TRACKERS
from mixop.runs.trackers.base import Ending, Tracker
from mixop.runs.trackers.view import View

PATIENCE = 60.0
"""Seconds that trackers have to send the rest when a run has ended."""


def chosen(names: str | Sequence[str]) -> tuple[str, ...]:
    """The trackers of these names, each once, after a look whether they can work here.

    Args:
        names: one, or several.

    Raises:
        RecipeError: for a name of none.
        MissingExtraError: if a package is not installed.
        RunError: if a tracker needs to be told something first.
    """
    names = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
    for name in names:
        if name not in TRACKERS:
            raise RecipeError(unknown("tracker", name, TRACKERS))
        with _muted(threading.get_ident()):
            TRACKERS[name].check()
    return names


def track(paths: Iterable[str | Path], to: str | Sequence[str], *, group: str = "") -> dict[str, list[str]]:
    """Sends runs to trackers as far as they have come. What is there already stays and is not repeated.

    Args:
        paths: run directories.
        to: words of `TRACKERS`.
        group: the name of what the runs belong to; empty for none.

    Returns:
        For each tracker the places where to see the runs.

    Raises:
        RecipeError: for a tracker that there is not.
        MissingExtraError: if a package is not installed.
        RunError: if a file is damaged, or a tracker cannot be reached.
    """
    places: dict[str, list[str]] = {name: [] for name in chosen(to)}
    with _muted(threading.get_ident()):
        for path in paths:
            for name, seen in places.items():
                view = View(Path(path), TRACKERS[name], group)
                try:
                    view.send()
                    seen.append(view.place)
                    view.close()
                except MixopError:
                    raise
                except Exception as error:
                    raise RunError(_sentence(TRACKERS[name], view.path, error)) from error
    return places


class Tracking:
    """Follows runs, as long as it is entered, and sends them to trackers from a thread of its own.

    What a tracker cannot take is told once as a `TrackerWarning`, by the caller's thread, and tried again with the next epoch.

    Args:
        names: of trackers, which `chosen` has checked; with none, nothing is done.
        group: of the runs; empty for none.
        patience: seconds for what is left at the end.
    """

    def __init__(self, names: Sequence[str], *, group: str = "", patience: float = PATIENCE) -> None:
        self.names, self.group, self.patience = tuple(names), group, patience
        self._views: dict[Path, list[View]] = {}
        self._ended: dict[Path, Ending | None] = {}
        self._told: set[tuple[str, Path]] = set()
        self._sentences: list[str] = []
        self._wake, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="mixop-trackers", daemon=True)

    def __enter__(self) -> "Tracking":
        if self.names:
            self._mute = _muted(self._thread)
            self._mute.__enter__()
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self.names:
            return
        ending = None if kind is None else "stopped" if issubclass(kind, InterruptedRunError | KeyboardInterrupt) else "failed"
        for path in list(self._views):
            self.end(path, ending)
        self._over = True
        self._wake.set()
        self._thread.join(self.patience)
        self._mute.__exit__(None, None, None)
        if self._thread.is_alive():
            self._sentences.append(
                f"Trackers ({', '.join(self.names)}) were not done {self.patience:.0f} s after the end: "
                f"{_later(self.names, list(self._views))}."
            )
        self._warn()

    def follow(self, path: Path) -> None:
        """Says that there is something new in a run directory. Returns at once."""
        if self.names:
            if path not in self._views:
                self._views[path] = [View(path, TRACKERS[name], self.group) for name in self.names]
            self._wake.set()
            self._warn()

    def end(self, path: Path, ending: Ending | None = None) -> None:
        """Says that a run has ended; None for as its files say."""
        if path in self._views:
            self._ended.setdefault(path, ending)
            self._wake.set()

    def _warn(self) -> None:
        while self._sentences:
            warnings.warn(self._sentences.pop(0), TrackerWarning, stacklevel=3)

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            over = self._over  # before the look: what is told after it is not lost
            for path, views in list(self._views.items()):
                ended = path in self._ended
                for view in views:
                    self._try(view, (lambda view=view: view.close(self._ended[view.path])) if ended else view.send)
                if ended:
                    del self._views[path]
            if over:
                return

    def _try(self, view: View, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # whatever it is, the run goes on
            key = view.kind.label, view.path
            if key not in self._told:
                self._told.add(key)
                self._sentences.append(_sentence(view.kind, view.path, error))


@contextmanager
def tracked(
    path: Path, names: Sequence[str], observe: Callable[[Mapping[str, Any]], None] | None
) -> Iterator[Callable[[Mapping[str, Any]], None] | None]:
    """An observer of one run that is sent to trackers beside what another observer does.

    Args:
        path: the run directory.
        names: of trackers, which `chosen` has checked.
        observe: the other one; None for none.
    """
    if not names:
        yield observe
        return
    with Tracking(names) as tracking:
        begun = False

        def both(record: Mapping[str, Any]) -> None:
            nonlocal begun
            if not begun or record.get("event") != "step":
                begun = True
                tracking.follow(path)
            if observe is not None:
                observe(record)

        yield both
        tracking.follow(path)  # also where all was finished before


def _sentence(kind: type[Tracker], path: Path, error: Exception) -> str:
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    name = next(name for name, known in TRACKERS.items() if known is kind)
    said = said if len(said) <= 200 else f"{said[:197]}..."
    return f"{kind.label} could not take all of {path} ({said}): {_later([name], [path])}."


def _later(names: Sequence[str], paths: Sequence[Path]) -> str:
    run = paths[0] if len(paths) == 1 else "RUN"
    return f"the run directory has everything, and `mixop track {run} --to {','.join(names)}` sends it later"


class _Muted:
    """A stream that what one thread prints does not reach: packages say where they have put things, in the midst of a result.

    Args:
        stream: the one behind it.
        thread: whose words are dropped, or its number.
    """

    def __init__(self, stream: Any, thread: threading.Thread | int) -> None:
        self._stream, self._thread = stream, thread

    def write(self, text: str) -> int:
        muted = self._thread if isinstance(self._thread, int) else self._thread.ident
        return len(text) if threading.get_ident() == muted else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _muted(thread: threading.Thread | int) -> Iterator[None]:
    before = sys.stdout
    sys.stdout = _Muted(before, thread)
    try:
        yield
    finally:
        sys.stdout = before
