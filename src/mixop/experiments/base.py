"""What an experiment is: something to run at a scale, figures of it, and patterns that are judged by rules stated before."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from mixop.core.errors import RecipeError, unknown
from mixop.runs.runner import Runner, Teller

Verdict = Literal["shows", "does not show", "cannot show"]
"""Of a pattern: it shows; its opposite does; or this scale cannot tell."""

ScaleName = Literal["full", "medium", "small", "tiny"]
"""How large an experiment is: the published settings, tens of minutes, minutes, seconds."""


@dataclass(frozen=True)
class Panel:
    """One figure: curves of several variants, each with several runs.

    Args:
        title: what is measured.
        x: the T places that it was measured at.
        series: by variant, ``(S, T)`` for S runs in the order of the seeds, NaN where nothing was measured.
        percent: whether values are shares in [0, 1], shown in percent.
        along: what ``x`` is.
        log: whether the axis of values is logarithmic.
        names: what the places are called, where numbers say nothing; empty for their numbers.
        unit: of the values that have one and are no shares.
    """

    title: str
    x: tuple[float, ...]
    series: Mapping[str, np.ndarray]
    percent: bool = False
    along: str = "epoch"
    log: bool = False
    names: tuple[str, ...] = ()
    unit: str = ""

    def at_end(self, variant: str) -> np.ndarray:
        """The last known value of every run ``(S,)``, NaN for a run without any."""
        values = self.series[variant]
        known = np.isfinite(values)
        last = np.where(known.any(1), values.shape[1] - 1 - known[:, ::-1].argmax(1), 0)
        return np.where(known.any(1), values[np.arange(len(values)), last], np.nan)

    def within(self, variant: str, first: float, last: float) -> np.ndarray:
        """The mean of every run ``(S,)`` over a part of the places.

        Args:
            variant: whose.
            first: where the part begins, as a share of all places, in [0, 1).
            last: where it ends, in (0, 1].
        """
        count = len(self.x)
        part = self.series[variant][:, int(first * count) : max(int(first * count) + 1, round(last * count))]
        known = np.isfinite(part)
        return np.where(known.any(1), np.where(known, part, 0).sum(1) / np.maximum(known.sum(1), 1), np.nan)


@dataclass(frozen=True)
class Surface:
    """One figure: a number on a square grid, of several variants.

    Args:
        title: what is measured.
        axis: the P places along both sides.
        series: by variant ``(P, P)``, the mean over its runs; NaN where nothing was measured.
        along: what the sides are.
        percent: whether values are shares, shown in percent.
        unit: of the values that have one and are no shares.
    """

    title: str
    axis: tuple[float, ...]
    series: Mapping[str, np.ndarray]
    along: str
    percent: bool = False
    unit: str = ""


@dataclass(frozen=True)
class Findings:
    """What an experiment measured.

    Args:
        panels: by title.
        settings: what it was measured with, in words, by name.
        notes: sentences that a reader should know.
        tells: whether the scale is large enough for the rules to mean anything.
        seconds: that its searches took together, however often it was stopped; None for the time of the call.
        surfaces: by title.
    """

    panels: Mapping[str, Panel]
    settings: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tells: bool = True
    seconds: float | None = None
    surfaces: Mapping[str, Surface] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """What the rule of a pattern says.

    Args:
        verdict: the word.
        why: a sentence with the numbers.
    """

    verdict: Verdict
    why: str


@dataclass(frozen=True)
class Pattern:
    """Something that a document reports.

    Args:
        claim: what is reported.
        rule: when it shows, in words.
        judge: the rule.
    """

    claim: str
    rule: str
    judge: Callable[[Findings], Judged]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of an experiment.

    Args:
        scale: how large it is.
        out: the directory of its runs.
        folder: has CIFAR-10 and the benchmark's table, where the scale needs them; None for none.
        table: a table in place of the folder's.
        seeds: of the runs; None for as many as the scale has.
        jobs: workers at a time; None for as many as the runner has room for.
        runner: who computes the runs; None for this machine.
        device: where torch computes.
        observe: called with what happens in each run.
    """

    scale: ScaleName
    out: Path
    folder: Path | None = None
    table: str | None = None
    seeds: Sequence[int] | None = None
    jobs: int | None = None
    runner: Runner | None = None
    device: str = "cpu"
    observe: Teller | None = None


@dataclass(frozen=True, kw_only=True)
class Experiment(ABC):
    """Something that a document reports, to be run again.

    Args:
        name: on the command line.
        question: what it asks, in a sentence.
        source: the document, and where in it.
        patterns: what is reported, each with its rule.
    """

    name: str
    question: str
    source: str
    patterns: tuple[Pattern, ...]

    @property
    @abstractmethod
    def scales(self) -> Mapping[str, str]:
        """The scales it can be run at, from the largest, each in words."""

    @abstractmethod
    def run(self, request: Request) -> Findings:
        """Runs it; the same request continues what was stopped.

        Raises:
            MixopError: in one sentence, before anything is computed where that is possible.
        """

    def check(self, request: Request) -> None:
        """Refuses a scale that it does not have.

        Raises:
            RecipeError: naming those that it has.
        """
        if request.scale not in self.scales:
            raise RecipeError(unknown(f"scale of {self.name}", request.scale, self.scales))

    def judged(self, findings: Findings) -> tuple[Judged, ...]:
        """What the rules say, pattern by pattern; a scale that only shows that it runs tells nothing."""
        judged = tuple(pattern.judge(findings) for pattern in self.patterns)
        return judged if findings.tells else tuple(replace(one, verdict="cannot show") for one in judged)
