"""``mixop track``: runs in trackers, and what is said when a tracker fails. What needs torch is imported where it is used."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixop.cli.arguments import Command, Parsed
from mixop.cli.options import TrackOptions
from mixop.core.errors import MixopError, RecipeError, RunError, TrackerWarning
from mixop.runs.files import REPORT


def track(parsed: Parsed) -> None:
    """``mixop track``"""
    from mixop.cli import screens
    from mixop.report.html import write_report
    from mixop.runs.trackers import TRACKERS
    from mixop.runs.trackers.live import chosen
    from mixop.runs.trackers.live import track as send
    from mixop.watch.follow import runs_below

    options = parsed.options
    if not options.to:
        raise RecipeError(f"mixop track needs a tracker: add --to and one of {', '.join(TRACKERS)}.")
    chosen(options.to)
    folder = Path(options.run)
    runs = list(runs_below(folder))
    if runs[:1] == [folder]:
        runs = [folder]  # without those that belong to it, whose scores it has
    if not runs:
        raise RunError(f"There is no run in {folder}: give the --out of a search, or a directory with several runs.")
    for run in runs:
        if not (run / REPORT).exists():
            write_report(run)
    places = send(runs, options.to, group="" if runs == [folder] else folder.resolve().name)
    lines: dict[str, object] = {"Sent": folder if len(runs) == 1 else f"{len(runs)} runs"}
    screens.places(lines | {TRACKERS[name].label: seen[-1] for name, seen in places.items()})


def check_trackers(options: Any) -> None:
    """Refuses trackers that cannot work here, before anything is loaded."""
    if options.track:
        from mixop.runs.trackers.live import chosen

        chosen(options.track)


def send_again(out: Path, names: Sequence[str]) -> None:
    """Sends what came to a run after it had ended: known networks beside it. What fails is said, and no more."""
    from mixop.runs.trackers.live import track as send

    try:
        send([out], names)
    except MixopError as error:
        print(error, file=sys.stderr)  # noqa: T201


@contextmanager
def trackers_told() -> Iterator[None]:
    """Inside, what a tracker could not take is one line on standard error, not a warning of Python with a line of code."""
    before = warnings.showwarning

    def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, TrackerWarning):
            print(message, file=sys.stderr)  # noqa: T201
        else:
            before(message, category, *rest, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


TRACK = Command(
    "track",
    TrackOptions,
    track,
    examples=("mixop track runs/x --to mlflow", "mixop track runs --to tensorboard,wandb"),
)
