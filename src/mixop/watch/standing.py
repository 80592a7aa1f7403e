"""How far a run is, and how long what is left will take, by its records alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

from mixop.report.words import count, duration
from mixop.runs.load import Record
from mixop.runs.records import RetrainingRecord, SearchRecord
from mixop.watch.follow import Followed

LATEST = 10
"""Epochs whose pace counts: those before may belong to another stage."""

SILENCE = 60.0
"""Seconds without a word after which a run no longer counts as running, where its epochs do not take longer."""

BEGINNING = 900.0
"""The same before the first epoch, of which nobody knows how long it takes."""

PATIENCE = 4.0
"""The same in epochs."""

State = Literal["reading", "running", "finished", "pruned", "failed", "silent"]
"""``reading``: its files hold more than has been read. ``silent``: neither finished nor heard of; it was stopped, or killed, or
an epoch takes far longer than those before."""


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Args:
        state: whether it goes on.
        done: epochs, of all networks of a retraining.
        total: epochs planned; 0 where none is recorded yet.
        of: what they are epochs of, in words: ``the search``.
        left: seconds, about; None where that is not known, or nothing is left.
        silent: seconds since its last word; None without one.
        now: which network is trained, in words; else empty.
        reason: why it failed, or where it was pruned; else empty.
    """

    state: State
    done: int = 0
    total: int = 0
    of: str = "the search"
    left: float | None = None
    silent: float | None = None
    now: str = ""
    reason: str = ""

    @property
    def words(self) -> str:
        """It in a sentence or two."""
        at = f"{self.done:,} of {count(self.total, 'epoch')} of {self.of}" if self.total else "no epoch is finished yet"
        if self.state == "reading":
            return f"Reading what is there: {at} so far."
        if self.state == "running":
            left = "" if self.left is None or self.left < 1 else f", about {duration(self.left)} left"
            return f"Running: {at}{self.now}{left}."
        if self.state == "silent":
            return f"Not finished, and nothing new for {duration(self.silent)}: {at}."
        return f"{self.state.capitalize()}: {at}. {self.reason}".rstrip()


def pace(records: Sequence[Record]) -> float | None:
    """Seconds of an epoch, the median of the latest ones; None where there are none.

    Args:
        records: in the order in which they were written, all of the search or of one network.
    """
    latest = records[-LATEST - 1 :]
    steps = [after.seconds - before.seconds for before, after in pairwise(latest) if after.seconds > before.seconds]
    if steps:
        return median(steps)
    return latest[-1].seconds / latest[-1].epoch if latest else None


def standing(run: Followed, now: float | None = None) -> Standing:
    """How far a run is.

    Args:
        run: as it was read last.
        now: seconds since 1970; default the clock's.
    """
    now = time.time() if now is None else now
    silent = None if run.changed is None else max(now - run.changed, 0.0)
    place, step = _trained(run) if run.networks else _searched(run)
    contents, trial = run.contents, run.trial
    if run.more:
        return Standing("reading", **place, silent=silent)
    if isinstance(trial.get("error"), str):
        return Standing("failed", **place, silent=silent, reason=trial["error"])
    if isinstance(trial.get("pruned"), int):
        return Standing("pruned", **place, silent=silent, reason="It was behind the other trials.")
    if contents is not None and (contents.score if run.networks else contents.native) is not None:
        return Standing("finished", **place, silent=silent)
    patience = BEGINNING if step is None else max(SILENCE, PATIENCE * step)
    if silent is not None and silent > patience:
        return Standing("silent", **place, silent=silent)
    left = None if step is None else max((place["total"] - place["done"]) * step - min(silent or 0.0, step), 0.0)
    return Standing("running", **place, left=left, silent=silent)


def _searched(run: Followed) -> tuple[dict[str, Any], float | None]:
    """Where a search is, and the seconds of an epoch."""
    records = [record for record in run.records if isinstance(record, SearchRecord)]
    if not records:
        return {}, None
    return {"done": records[-1].epoch, "total": records[-1].epochs}, pace(records)


def _trained(run: Followed) -> tuple[dict[str, Any], float | None]:
    """Where a retraining is, and the seconds of an epoch."""
    of = f"the training of {count(run.networks, 'network')}"
    records = [record for record in run.records if isinstance(record, RetrainingRecord)]
    if not records:
        return {"of": of}, None
    last, labels = records[-1], list(dict.fromkeys(record.label for record in records))
    place = {
        "done": (len(labels) - 1) * last.epochs + last.epoch,
        "total": run.networks * last.epochs,
        "of": of,
        "now": f", now {last.label}" if run.networks > 1 else "",
    }
    return place, pace([record for record in records if record.label == last.label])
