"""How far a run is: what its records say in one line, and that line kept up to date where somebody looks."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self, TextIO

if TYPE_CHECKING:
    from mixop.core.measure import Measure

SECONDS = 0.25
"""Between two renewals of a line."""

WIDEST = 79
"""Columns of a line; a longer one would wrap in a terminal, and could not be taken back."""


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


class Position:
    """Where a run is, by what the engine tells of it.

    Args:
        measures: of the task; the first one ranks, and the loss is shown beside it.
        labels: the networks of a retraining in order; empty for a search.
    """

    def __init__(self, measures: Sequence["Measure"], labels: Sequence[str] = ()) -> None:
        self.labels = labels
        losses = [measure for measure in measures if measure.name == "loss"]
        self.shown = tuple(dict.fromkeys([*losses, *measures[:1]]))
        self.clock = Clock()
        self.step: Mapping[str, Any] = {}
        self.epoch: Mapping[str, Any] = {}
        self.left: float | None = None

    def take(self, record: Mapping[str, Any]) -> bool:
        """Takes a step, or the record of an epoch; whether it was an epoch."""
        if record.get("event") != "step":
            self.epoch = record
            return True
        if record.get("label") != self.step.get("label"):
            self.epoch = {}
        self.step = record
        self.left = self.clock.left(*self.done())
        return False

    def position(self) -> int:
        """Which of the networks is trained."""
        label = self.step.get("label")
        return self.labels.index(label) if label in self.labels else 0

    def done(self) -> tuple[int, int]:
        """Steps done and steps in all."""
        step = self.step
        if not step:
            return 0, 1
        one = step["epochs"] * step["steps"]
        done = self.position() * one + (step["epoch"] - 1) * step["steps"] + step["step"]
        return done, max(len(self.labels), 1) * one

    def line(self) -> str:
        """The last epoch on one line."""
        record = self.epoch
        words = [f"{record['label']:<10}"] if "label" in record else []
        words.append(f"epoch {record['epoch']:>{len(str(record['epochs']))}}/{record['epochs']}")
        words += [f"{part} {values}" for part in ("train", "valid") if (values := self.measured(record.get(part, {})))]
        if record.get("entropy") is not None:
            words.append(f"entropy {record['entropy']:.3f}")
        if record.get("skip_share") is not None:
            words.append(f"skip {percent(record['skip_share'])}")
        if self.left is not None:
            words.append(f"{duration(self.left)} left")
        if warning := record.get("columns", {}).get("warning"):
            words.append(f"WARNING: {warning}")
        return "  ".join(words)

    def now(self) -> str:
        """Where it is at this moment, on one short line."""
        step = self.step
        words = [str(step["label"])] if step.get("label") and len(self.labels) > 1 else []
        words.append(f"epoch {step['epoch']} of {step['epochs']}, step {step['step']} of {step['steps']}")
        if self.epoch:
            values = self.measured({**self.epoch.get("train", {}), **self.epoch.get("valid", {})})
            words += [values] if values else []
        if self.left is not None:
            words.append(f"about {duration(self.left)} left")
        return "  ".join(words)

    def measured(self, values: Mapping[str, float | None]) -> str:
        """What was measured on one part: ``loss 1.250, accuracy 50.0 %``; empty for nothing."""
        known = [measure for measure in self.shown if values.get(measure.name) is not None]
        return ", ".join(f"{worded(measure)} {short(measure, values[measure.name])}" for measure in known)


class _Renewed:
    """A line on a stream that is written over again and again.

    Args:
        wanted: whether to show it; None where somebody looks: in a terminal or a notebook.
    """

    def __init__(self, wanted: bool | None) -> None:
        self.stream = where_one_looks() if wanted is None else sys.stderr if wanted else None
        self.renewed, self.width = -1.0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def renew(self, text: Callable[[], str]) -> None:
        """Writes what ``text`` gives, if the last time is long enough ago."""
        now = time.monotonic()
        if self.stream is not None and now - self.renewed >= SECONDS:
            self.renewed = now
            self._write(text()[:WIDEST])

    def _write(self, text: str) -> None:
        if self.stream is not None and (text or self.width):
            with suppress(OSError, ValueError):  # nobody looks any more: the run goes on
                self.stream.write("\r" + text.ljust(self.width) + ("" if text else "\r"))
                self.stream.flush()
            self.width = len(text)


class Line(_Renewed):
    """A line that says where a run is, as long as it is entered: an observer for programs and notebooks.

    Args:
        title: what is being done, in a word or two.
        measures: of the task.
        labels: the networks of a retraining in order; empty for a search.
        wanted: whether to show it; None where somebody looks: in a terminal or a notebook.
    """

    def __init__(
        self, title: str, measures: Sequence["Measure"], labels: Sequence[str] = (), *, wanted: bool | None = None
    ) -> None:
        super().__init__(wanted)
        self.title, self.at = title, Position(measures, labels)

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Takes what the engine tells."""
        self.at.take(record)
        if self.at.step:
            self.renew(lambda: f"{self.title}  {self.at.now()}")


class RunsLine(_Renewed):
    """The same for a comparison of many runs."""

    def __init__(self, wanted: bool | None = None, doing: str = "comparing") -> None:
        super().__init__(wanted)
        self.doing, self.done, self.total = doing, 0, 0

    def __call__(self, name: str, record: Mapping[str, Any]) -> None:
        """Takes what a comparison tells of a run."""
        event = record.get("event")
        if event == "plan":
            self.total, self.done = record["total"], record["done"]
        elif event in ("done", "failed"):
            self.done += 1
        elif event == "step":
            at = f"{name} epoch {record['epoch']} of {record['epochs']}"
            self.renew(lambda: f"{self.doing}  {self.done} of {self.total} runs done, {at}")


@contextmanager
def watched(
    title: str,
    measures: Sequence["Measure"],
    labels: Sequence[str],
    observe: Callable[[Mapping[str, Any]], None] | None,
    wanted: bool | None,
) -> Iterator[Callable[[Mapping[str, Any]], None] | None]:
    """An observer that shows a line beside what another one does.

    Args:
        title: what is being done.
        measures: of the task.
        labels: the networks of a retraining in order; empty for a search.
        observe: the other one; None for none.
        wanted: whether to show the line; None where somebody looks and there is no other observer.
    """
    with Line(title, measures, labels, wanted=wanted if observe is None else bool(wanted)) as line:
        if line.stream is None:
            yield observe
        elif observe is None:
            yield line
        else:

            def both(record: Mapping[str, Any]) -> None:
                line(record)
                observe(record)

            yield both


def where_one_looks() -> TextIO | None:
    """The stream that somebody reads while a program runs: standard output in a notebook, else standard error in a terminal."""
    shell = sys.modules.get("IPython")
    shell = shell.get_ipython() if shell is not None else None
    if getattr(shell, "kernel", None) is not None:
        return sys.stdout
    error = sys.stderr  # None in a program without a console
    return error if error is not None and error.isatty() else None


def tell_there(sentence: str) -> None:
    """Writes a sentence on a line of its own, where somebody looks or else as an error."""
    stream = where_one_looks() or sys.stderr
    with suppress(OSError, ValueError):
        stream.write(f"{sentence}\n")
        stream.flush()


def worded(measure: "Measure") -> str:
    """The name of a measure as words."""
    return measure.name.replace("_", " ")


def short(measure: "Measure", value: float | None) -> str:
    """A value without its unit, but for percent."""
    return measure.written(value) if measure.style == "percent" else measure.digits(value)


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
