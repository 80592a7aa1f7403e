"""What one sees while a run runs: a live panel in a terminal, a plain line for each epoch elsewhere. It only watches."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.table import Table

from mixop.cli.live import LivePanel
from mixop.report.progress import Position, duration, percent, short, worded

if TYPE_CHECKING:
    from mixop.core.measure import Measure

TRACE = 40
"""Epochs that a trace shows."""

_BLOCKS = "▁▂▃▄▅▆▇█"


class ProgressView(Position, LivePanel):
    """An observer of a run, used as a context manager.

    Args:
        title: what is being done.
        measures: of the task; the first one ranks, and the loss is shown beside it.
        labels: the networks of a retraining in order; empty for a search.
        quiet: whether to show nothing.
        console: where to show it; default standard output.
    """

    def __init__(
        self,
        title: str,
        measures: Sequence["Measure"],
        labels: Sequence[str] = (),
        *,
        quiet: bool = False,
        console: Console | None = None,
    ) -> None:
        Position.__init__(self, measures, labels)
        self.traces: dict[str, list[float]] = {}
        LivePanel.__init__(self, title, quiet=quiet, console=console)

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Takes what the engine tells: a step, or the record of an epoch."""
        before = self.step.get("label")
        if not self.take(record):
            if self.step.get("label") != before:
                self.traces.clear()  # those of another network
            return
        for measure in self.shown:
            self._keep(measure.name, record.get("valid", {}).get(measure.name))
        self._keep("entropy", record.get("entropy"))
        if not self.live:
            self.say(self.line())

    def _keep(self, name: str, value: float | None) -> None:
        if value is not None:
            self.traces.setdefault(name, []).append(value)

    def panel(self) -> RenderableType:
        """All that is known now, for a terminal."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True, min_width=10)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for name, text in self._rows():
            table.add_row(name, text)
        done, total = self.done()
        left = "" if self.left is None else f"about {duration(self.left)} left"
        seconds = self.step.get("seconds")
        spent = "starting" if seconds is None else f"{duration(seconds)} done"
        return self.framed(table, done, total, "  ".join(word for word in (spent, left) if word))

    def _rows(self) -> list[tuple[str, str]]:
        step, epoch = self.step, self.epoch
        rows = []
        if self.labels:
            label = str(step.get("label", self.labels[0]))
            rows.append(("network", f"{label} ({self.position() + 1} of {len(self.labels)})"))
        rows.append(("epoch", f"{step['epoch']} of {step['epochs']}, step {step['step']} of {step['steps']}" if step else "-"))
        for measure in self.shown:
            parts = [
                f"{part} {short(measure, value)}"
                for part, record in (("train", step), ("valid", epoch))
                if (value := record.get(part, {}).get(measure.name)) is not None
            ]
            traced = self._trace(measure.name) if measure is self.shown[-1] else ""
            rows.append((worded(measure), "   ".join([*parts, traced]).strip() or "-"))
        if self.labels:
            return rows
        if epoch.get("entropy") is not None:
            most = most_entropy(epoch.get("mix", {}))
            rows.append(("entropy", f"{epoch['entropy']:.3f} of at most {most:.3f} nats   {self._trace('entropy')}"))
        else:
            rows.append(("entropy", "-"))
        skip = epoch.get("skip_share")
        rows.append(("skip share", "-" if skip is None else percent(skip)))
        rows.append(("so far", str(epoch.get("architecture", "-"))))
        columns = epoch.get("columns", {})
        if "warning" in columns:  # a monitor watches
            rows.append(("warning", columns["warning"] or "-"))
        return rows

    def _trace(self, name: str) -> str:
        return trace(self.traces.get(name, [])[-TRACE:])


def trace(values: Sequence[float]) -> str:
    """Numbers as a row of small bars, the lowest and the highest of them filling the range; empty for fewer than two."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    return "".join(_BLOCKS[round((value - low) / ((high - low) or 1) * (len(_BLOCKS) - 1))] for value in values)


def most_entropy(mix: Mapping[str, Sequence[Sequence[float]]]) -> float:
    """Entropy in nats of uniform mixing weights: the mean of log O over all decisions."""
    sizes = [len(row) for rows in mix.values() for row in rows]
    return sum(math.log(size) for size in sizes) / len(sizes) if sizes else 0.0
