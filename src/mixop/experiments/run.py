"""Runs an experiment and judges it by its rules; the same call again continues it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mixop.core.door import door
from mixop.core.errors import RecipeError, unknown
from mixop.experiments.base import Experiment, Findings, Judged, Request, ScaleName
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.page import written
from mixop.runs.directory import RunDirectory
from mixop.runs.files import EXPERIMENT
from mixop.runs.runner import Runner, Teller


@dataclass(frozen=True)
class Outcome:
    """What came out of an experiment.

    Args:
        experiment: what was run.
        findings: what it measured.
        judged: what the rules say, pattern by pattern.
        out: its directory.
        page: its page.
    """

    experiment: Experiment
    findings: Findings
    judged: tuple[Judged, ...]
    out: Path
    page: Path

    def __str__(self) -> str:
        pairs = zip(self.experiment.patterns, self.judged, strict=True)
        return "\n".join(f"{judged.verdict}: {pattern.claim} {judged.why}" for pattern, judged in pairs)


@door()
def run_experiment(
    name: str,
    out: str | Path,
    *,
    scale: ScaleName = "small",
    data: str | Path | None = None,
    table: str | None = None,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    runner: Runner | None = None,
    device: str | torch.device = "cpu",
    observe: Teller | None = None,
) -> Outcome:
    """Runs an experiment of `CATALOGUE` and writes its page; the same call continues what was stopped.

    Args:
        name: of the experiment.
        out: the directory of its runs and of its page.
        scale: how large it is, one of its scales.
        data: a folder with CIFAR-10 and with the benchmark's table, where the scale needs them.
        table: a table in place of the folder's.
        seeds: of the runs; None for those of the scale.
        jobs: workers at a time; None for as many as the runner has room for.
        runner: who computes the runs, as in `mixop.compare`.
        device: where torch computes.
        observe: called with what happens in each run.

    Raises:
        RecipeError: if there is no such experiment or scale.
        DataError: if images or table are missing.
    """
    if name not in CATALOGUE:
        raise RecipeError(unknown("experiment", name, CATALOGUE))
    experiment = CATALOGUE[name]
    request = Request(
        scale=scale,
        out=Path(out),
        folder=None if data is None else Path(data),
        table=table,
        seeds=seeds,
        jobs=jobs,
        runner=runner,
        device=str(device),
        observe=observe,
    )
    experiment.check(request)
    before, begin = RunDirectory(out), time.monotonic()
    known = before.read_json(EXPERIMENT).get("seconds") if before.has(EXPERIMENT) else None
    findings = experiment.run(request)
    spent = time.monotonic() - begin if known is None else known
    seconds = spent if findings.seconds is None else findings.seconds
    page = written(experiment, request, findings, seconds)
    return Outcome(experiment, findings, experiment.judged(findings), request.out, page)
