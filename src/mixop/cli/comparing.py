"""What one sees while a comparison runs: a line for each worker, or a plain line for each finished run."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from mixop.cli.live import LivePanel
from mixop.core.measure import Measure, measure_from_json
from mixop.report.progress import Clock, duration, percent

PARTS = 1000
"""Steps of the whole that a run counts as."""


class Comparing(LivePanel):
    """An observer of a comparison, used as a context manager.

    Args:
        title: what is being done.
        quiet: whether to show nothing.
        console: where to show it; default standard output.
    """

    def __init__(self, title: str, *, quiet: bool = False, console: Console | None = None) -> None:
        self.clock = Clock()
        self.total, self.done, self.failed = 0, 0, 0
        self.measure: Measure | None = None
        self.steps: dict[str, Mapping[str, Any]] = {}
        self.epochs: dict[str, Mapping[str, Any]] = {}
        self.left: float | None = None
        super().__init__(title, quiet=quiet, console=console)

    def __call__(self, name: str, record: Mapping[str, Any]) -> None:
        """Takes what a comparison tells of a run."""
        event = record.get("event")
        if event == "plan":
            self.total, self.done = record["total"], record["done"]
            self.measure = measure_from_json(record["measure"])
        elif event == "begun":
            self.steps[name] = {}
        elif event in ("done", "failed"):
            self._end(name, record)
        else:
            target = self.steps if event == "step" else self.epochs
            target[name] = record
        self.left = self.clock.left(*self._parts())

    def panel(self) -> RenderableType:
        """All that is known now, for a terminal."""
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=10)
        table.add_column(style="dim", no_wrap=True, overflow="ellipsis")
        for name in self.steps:
            table.add_row(name, Text("  ".join(self._words(name)) or "starting"))
            if warning := self.epochs.get(name, {}).get("columns", {}).get("warning"):
                table.add_row("", Text(warning, style="yellow"))
        done, total = self._parts()
        words = [f"{self.done} of {self.total} runs", *([f"{self.failed} failed"] if self.failed else [])]
        if self.left is not None:
            words.append(f"about {duration(self.left)} left")
        return self.framed(table, done, total, "  ".join(words))

    def _end(self, name: str, record: Mapping[str, Any]) -> None:
        self.done += 1
        failed = record["event"] == "failed"
        self.failed += failed
        if failed or not self.live:
            words = [f"failed: {record['sentence']}"] if failed else self._words(name)
            left = self.clock.left(*self._parts())
            more = "" if left is None or failed else f"  {duration(left)} left"
            self.say(f"{self.done:>{len(str(self.total))}}/{self.total}  {name}  {'  '.join(words)}{more}")
        self.steps.pop(name, None)
        self.epochs.pop(name, None)

    def _words(self, name: str) -> list[str]:
        """How a run stands."""
        step, epoch = self.steps.get(name, {}), self.epochs.get(name, {})
        latest = max((record for record in (step, epoch) if record), key=_position, default=None)
        if not latest:
            return []
        network = f"network {latest['network']}, " if "network" in latest else ""
        scoring = "scoring, " if latest.get("phase") == "retrain" and not network else ""
        words = [f"{network}{scoring}epoch {latest['epoch']}/{latest['epochs']}"]
        for part, record in (("train", latest), ("valid", epoch)):
            if self.measure is not None and (value := record.get(part, {}).get(self.measure.name)) is not None:
                words.append(f"{part} {self.measure.written(value)}")
        if epoch.get("entropy") is not None:
            words.append(f"entropy {epoch['entropy']:.2f}")
        if epoch.get("skip_share") is not None:
            words.append(f"skip {percent(epoch['skip_share'])}")
        return words

    def _parts(self) -> tuple[int, int]:
        """How much is done, and of how much; running runs count in part."""
        running = sum(int(PARTS * share_of(step)) for step in self.steps.values())
        return PARTS * self.done + running, PARTS * max(self.total, 1)


def _position(record: Mapping[str, Any]) -> tuple[int, bool, int]:
    """Orders what a run told by when: networks of random search, retrainings after searches, epochs."""
    return record.get("network", 0), record.get("phase") == "retrain", record.get("epoch", 0)


def share_of(step: Mapping[str, Any]) -> float:
    """How much of a run is done, in [0, 1], by what it last told."""
    if "share" in step:
        return step["share"]
    if step.get("phase") != "search":
        return 1.0 if step else 0.0
    return ((step["epoch"] - 1) * step["steps"] + step["step"]) / (step["epochs"] * step["steps"])
