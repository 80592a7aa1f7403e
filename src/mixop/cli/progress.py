"""What one sees while a run runs: a live panel in a terminal, a plain line for each epoch elsewhere. It only watches."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mixop.cli.interrupt import heed, on_screen

if TYPE_CHECKING:
    from rich.progress import Progress

    from mixop.core.measure import Measure

TRACE = 40
"""Epochs that a trace shows."""

_BLOCKS = "▁▂▃▄▅▆▇█"
WIDEST = 100
"""Columns of a panel at most."""


class Screen(Console):
    """Standard output as rich writes it, colours only where they are due."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False)

    def on_broken_pipe(self) -> None:
        """Leaves it to `mixop.cli.main` to end quietly, in place of rich's own exit."""
        raise BrokenPipeError


def show(display: "Live | Progress") -> None:
    """Starts a live display."""
    on_screen(True)
    display.start()


def hide(display: "Live | Progress") -> None:
    """Stops a live display, also where the terminal has gone: what ended the run is told, not that."""
    with suppress(OSError):
        display.stop()
    on_screen(False)


class Clock:
    """How long what is left will take, judged by the steps done since this process began."""

    def __init__(self) -> None:
        self.began: tuple[float, float] | None = None

    def left(self, done: float, total: float) -> float | None:
        """Seconds left, or None while that is unknown.

        Args:
            done: steps done of the whole run.
            total: steps of the whole run.
        """
        now = time.monotonic()
        if self.began is None:
            self.began = now, done
        start, before = self.began
        if done >= total:
            return 0.0
        return (now - start) / (done - before) * (total - done) if done > before else None


class ProgressView:
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
        self.title, self.labels, self.quiet = title, labels, quiet
        losses = [measure for measure in measures if measure.name == "loss"]
        self.shown = tuple(dict.fromkeys([*losses, *measures[:1]]))
        self.console = console or Screen()
        self.clock = Clock()
        self.step: Mapping[str, Any] = {}
        self.epoch: Mapping[str, Any] = {}
        self.traces: dict[str, list[float]] = {}
        self.left: float | None = None
        lively = self.console.is_terminal and not self.console.is_dumb_terminal
        self.live = (
            Live(get_renderable=self.panel, console=self.console, refresh_per_second=8, transient=True) if lively else None
        )

    def __enter__(self) -> Self:
        heed()
        if self.quiet:
            return self
        if self.live:
            show(self.live)
        else:
            self._print(f"{self.title}.")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.live and not self.quiet:
            hide(self.live)

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Takes what the engine tells: a step, or the record of an epoch."""
        if record.get("event") == "step":
            if record.get("label") != self.step.get("label"):
                self.epoch = {}
            self.step = record
            self.left = self.clock.left(*self._done())
            return
        self.epoch = record
        for measure in self.shown:
            self._keep(measure.name, record.get("valid", {}).get(measure.name))
        self._keep("entropy", record.get("entropy"))
        if not self.quiet and not self.live:
            self._print(self.line())

    def _keep(self, name: str, value: float | None) -> None:
        if value is not None:
            self.traces.setdefault(name, []).append(value)

    def line(self) -> str:
        """The last epoch on one line."""
        record = self.epoch
        words = [f"{record['label']:<10}"] if "label" in record else []
        words.append(f"epoch {record['epoch']:>{len(str(record['epochs']))}}/{record['epochs']}")
        words += [f"{part} {values}" for part in ("train", "valid") if (values := self._measured(record.get(part, {})))]
        if record.get("entropy") is not None:
            words.append(f"entropy {record['entropy']:.3f}")
        if record.get("skip_share") is not None:
            words.append(f"skip {percent(record['skip_share'])}")
        if self.left is not None:
            words.append(f"{duration(self.left)} left")
        if warning := record.get("columns", {}).get("warning"):
            words.append(f"WARNING: {warning}")
        return "  ".join(words)

    def _measured(self, values: Mapping[str, float | None]) -> str:
        """What was measured on one part: ``loss 1.250, accuracy 50.0 %``; empty for nothing."""
        known = [measure for measure in self.shown if values.get(measure.name) is not None]
        return ", ".join(f"{_name(measure)} {_short(measure, values[measure.name])}" for measure in known)

    def panel(self) -> RenderableType:
        """All that is known now, for a terminal."""
        width = min(self.console.width - 4, WIDEST)  # room for the ^C that a terminal echoes, which would wrap
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True, min_width=10)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for name, text in self._rows():
            table.add_row(name, text)
        done, total = self._done()
        bar = Table.grid(padding=(0, 2), expand=True)
        bar.add_column(ratio=1, no_wrap=True)
        bar.add_column(justify="right", no_wrap=True)
        left = "" if self.left is None else f"about {duration(self.left)} left"
        seconds = self.step.get("seconds")
        spent = "starting" if seconds is None else f"{duration(seconds)} done"
        bar.add_row(ProgressBar(total=max(total, 1), completed=done), "  ".join(word for word in (spent, left) if word))
        return Panel(Group(table, Text(), bar), title=Text(self.title), title_align="left", width=width, border_style="cyan")

    def _rows(self) -> list[tuple[str, str]]:
        step, epoch = self.step, self.epoch
        rows = []
        if self.labels:
            label = str(step.get("label", self.labels[0]))
            rows.append(("network", f"{label} ({self._position() + 1} of {len(self.labels)})"))
        rows.append(("epoch", f"{step['epoch']} of {step['epochs']}, step {step['step']} of {step['steps']}" if step else "-"))
        for measure in self.shown:
            parts = [
                f"{part} {_short(measure, value)}"
                for part, record in (("train", step), ("valid", epoch))
                if (value := record.get(part, {}).get(measure.name)) is not None
            ]
            traced = self._trace(measure.name) if measure is self.shown[-1] else ""
            rows.append((_name(measure), "   ".join([*parts, traced]).strip() or "-"))
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

    def _position(self) -> int:
        label = self.step.get("label")
        return self.labels.index(label) if label in self.labels else 0

    def _done(self) -> tuple[int, int]:
        """Steps done and steps in all."""
        step = self.step
        if not step:
            return 0, 1
        one = step["epochs"] * step["steps"]
        done = self._position() * one + (step["epoch"] - 1) * step["steps"] + step["step"]
        return done, max(len(self.labels), 1) * one

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, markup=False)


def _name(measure: "Measure") -> str:
    return measure.name.replace("_", " ")


def _short(measure: "Measure", value: float | None) -> str:
    """A value without its unit, but for percent."""
    return measure.written(value) if measure.style == "percent" else measure.digits(value)


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


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """A time: ``45 s``, ``3:05 min``, ``2:03 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"
