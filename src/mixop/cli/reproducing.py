"""``mixop reproduce``: repeats a published experiment, and shows what it reports and what came out here."""

import textwrap
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mixop.cli.arguments import Command, Parsed
from mixop.cli.output import print_json
from mixop.cli.running import runner_and_settings, runner_tree
from mixop.cli.tree import first_line
from mixop.core.errors import RecipeError, unknown
from mixop.runs.directory import RunDirectory
from mixop.runs.files import COMPARISON_REPORT, EXPERIMENT

if TYPE_CHECKING:
    from mixop.comparison.reproduce import Reproduction
    from mixop.experiments.run import Outcome

WIDTH = 80
"""Columns of what is listed."""


@dataclass(frozen=True)
class ReproduceOptions:
    """Repeat a published experiment, and show what it reports and what came out here.

    METHOD-nasbench201 is a search on CIFAR-10 in that space, looked up in the benchmark's table, with the paper's numbers and
    ours side by side; every difference from the published setting is marked. METHOD-nasbench201-cifar100 and -imagenet16
    search on CIFAR-100 and ImageNet16-120. The others are experiments whose pattern shows, does not show, or cannot show at
    the scale, by a rule that the page states. If the command is stopped, the same command continues it.

    Args:
        name: the experiment: a name that --list shows.
        list: show all experiments.
        about: show where the experiment is reported, what is reported, by which rule it shows, and its scales; run nothing.
        data: a folder with the images, in their official form or, for CIFAR-10, as sheets, and with the benchmark's table.
            [needed by most]
        scale: full is the published setting and takes hours on a GPU; small takes minutes for a run on one core, with fewer
            and smaller images, fewer channels and cells, and a scaled learning rate of the architecture; medium has twice the
            images and channels, and takes DrNAS five times as long; tiny takes seconds and its results mean nothing.
        table: the table of the benchmark, made by mixop table convert. [that of NAS-Bench-201 in the folder of the data]
        seeds: number of runs. [the scale's; at full scale the paper's]
        runner: who computes the runs: local for processes of this machine, slurm for jobs of a cluster (needs the extra
            slurm), ray for tasks of one (needs the extra ray).
        jobs: runs at a time. [local: as many as cores, or GPUs; else no limit]
        out: the directory of the runs, new or of this same experiment. [runs/NAME-SCALE]
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        debug: after an error, show where it came from.
    """

    name: str | None = None
    _: KW_ONLY
    list: bool = False
    about: bool = False
    data: str | None = None
    scale: Literal["full", "medium", "small", "tiny"] = "small"
    table: str | None = None
    seeds: int | None = None
    runner: str = "local"
    jobs: int | None = None
    out: str | None = None
    quiet: bool = False
    json: bool = False
    debug: bool = False


def reproduce(parsed: Parsed) -> None:
    """``mixop reproduce``"""
    from mixop.cli.comparing import Comparing
    from mixop.comparison.reproduce import EXPERIMENTS, SETS
    from mixop.comparison.reproduce import reproduce as side_by_side
    from mixop.experiments.catalogue import CATALOGUE
    from mixop.experiments.run import Outcome, run_experiment

    options = parsed.options
    if options.list:
        return _list(as_json=options.json)
    if options.name is None:
        raise RecipeError("mixop reproduce needs a NAME: mixop reproduce --list shows all experiments.")
    if options.name not in EXPERIMENTS and options.name not in CATALOGUE:
        raise RecipeError(unknown("experiment", options.name, [*EXPERIMENTS, *CATALOGUE]))
    if options.about:
        return _about(options.name, as_json=options.json)
    if options.seeds is not None and not 1 <= options.seeds <= 1000:
        raise RecipeError(f"--seeds must be a number of runs from 1 to 1000, got {options.seeds}.")
    if options.name in EXPERIMENTS and options.data is None:
        title = SETS[EXPERIMENTS[options.name].dataset].title
        raise RecipeError(f"mixop reproduce needs --data FOLDER, with {title} and the table of NAS-Bench-201.")
    out = options.out or str(Path("runs", f"{options.name}-{options.scale}"))
    title = f"Reproducing {options.name} at scale {options.scale}, into {out}"
    runner, _, device = runner_and_settings(parsed)
    kept = {"scale": options.scale, "table": options.table, "jobs": options.jobs, "runner": runner, "device": device}
    with Comparing(title, quiet=options.quiet or options.json) as progress:
        if options.name in EXPERIMENTS:
            found = side_by_side(options.name, options.data, out, seeds=options.seeds, observe=progress, **kept)
        else:
            seeds = None if options.seeds is None else range(options.seeds)
            found = run_experiment(options.name, out, data=options.data, seeds=seeds, observe=progress, **kept)
    if options.json:
        return print_json(_plain(found))
    return _show_patterns(found) if isinstance(found, Outcome) else _show(found)


def _list(*, as_json: bool) -> None:
    """Every experiment with its question; for people a method a line, none wider than a terminal of 80 columns."""
    from rich.text import Text

    from mixop.cli.listing import TOPICS
    from mixop.cli.live import Screen
    from mixop.comparison.reproduce import EXPERIMENTS
    from mixop.experiments.catalogue import CATALOGUE

    if as_json:
        print_json({"experiments": {name: _question(name) for name in (*EXPERIMENTS, *CATALOGUE)}})
        return
    console, lines = Screen(), TOPICS["experiments"]()
    parts = {
        "Published searches in NAS-Bench-201": [name for name in lines if name in EXPERIMENTS],
        "Other experiments": [name for name in lines if name not in EXPERIMENTS],
    }
    widest = max(map(len, lines))
    for title, names in parts.items():
        console.print(Text(title, style="bold"))
        for name in names:
            indent = " " * (widest + 2)
            text = _filled(lines[name], f"{name:<{widest}}  ", indent)
            console.print(Text(text), soft_wrap=True)
        console.print()
    last = (
        "The searches are on CIFAR-10; METHOD-nasbench201-cifar100 and -imagenet16 are on CIFAR-100 and ImageNet16-120. "
        "Where an experiment is reported, and its rules: mixop reproduce NAME --about"
    )
    console.print(Text(_filled(last)), soft_wrap=True)


def _question(name: str) -> str:
    """What an experiment asks, or which search it is."""
    from mixop.comparison.reproduce import EXPERIMENTS, SETS
    from mixop.experiments.catalogue import CATALOGUE
    from mixop.recipes import RECIPES

    if name in CATALOGUE:
        return CATALOGUE[name].question
    search = EXPERIMENTS[name]
    return f"{first_line(RECIPES[search.method]).partition(':')[0]}, on {SETS[search.dataset].title} in NAS-Bench-201"


def _about(name: str, *, as_json: bool) -> None:
    """Where an experiment is reported, its patterns with their rules, and its scales."""
    from rich.text import Text

    from mixop.cli.live import Screen
    from mixop.comparison.reproduce import EXPERIMENTS, SCALES
    from mixop.experiments.catalogue import CATALOGUE

    if name in CATALOGUE:
        experiment, found = CATALOGUE[name], None
        source, scales, patterns = experiment.source, dict(experiment.scales), experiment.patterns
    else:
        found, patterns = EXPERIMENTS[name].reported, ()
        source, scales = found.source, {scale: size.about for scale, size in SCALES.items()}
    about: dict[str, Any] = {"name": name, "question": _question(name), "source": source, "scales": scales}
    if as_json:
        told = {"patterns": [{"claim": pattern.claim, "rule": pattern.rule} for pattern in patterns]}
        print_json(about | told | ({} if found is None else {"paper": asdict(found)}))
        return
    console = Screen()
    facts = [("", about["question"]), ("reported in", source)]
    if found is not None:
        facts.append(("paper", f"test accuracy {found.test:.2f} %; ours stands beside it"))
    for number, pattern in enumerate(patterns, start=1):
        facts += [(f"pattern {number}", pattern.claim), ("by the rule", pattern.rule)]
    facts += scales.items()
    for title, text in facts:
        start, rest = (f"{title:<12}", " " * 12) if title else ("", "")
        lines = _filled(text, start, rest)
        console.print(Text(lines), soft_wrap=True)


def _filled(text: str, first: str = "", rest: str = "") -> str:
    """A text in lines of `WIDTH`, behind an indent of the first and one of the others; names stay whole."""
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _show_patterns(outcome: "Outcome") -> None:
    """Each pattern with its verdict, and where the page is."""
    from rich.text import Text

    from mixop.cli import screens
    from mixop.cli.live import Screen

    console = Screen()
    screens.sentence(console, outcome.experiment.question)
    for pattern, judged in zip(outcome.experiment.patterns, outcome.judged, strict=True):
        console.print()
        console.print(Text(judged.verdict, style="bold"))
        screens.sentence(console, f"{pattern.claim} {judged.why}")
    console.print()
    screens.sentence(console, f"Reported in {outcome.experiment.source}. The rule of each pattern is on the page.")
    console.print()
    screens.places({"Directory": outcome.out, "Report": outcome.page})


def _plain(found: "Reproduction | Outcome") -> dict[str, Any]:
    """The results as JSON data."""
    from mixop.experiments.run import Outcome

    if isinstance(found, Outcome):
        return RunDirectory(found.out).read_json(EXPERIMENT)
    lines = [{**asdict(line), "differs": line.differs} for line in found.lines]
    about = {"experiment": found.name, "scale": found.scale, "runs": str(found.comparison.path), "source": found.source}
    return {**about, "lines": lines}


def _show(found: "Reproduction") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from mixop.cli import screens
    from mixop.cli.live import Screen

    console = Screen()
    console.print(Text(f"{found.name}, scale {found.scale}:", style="bold"))
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    grid.add_column("", no_wrap=True)
    for name in ("paper", "ours"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for index, line in enumerate(found.lines):
        if index and line.result != found.lines[index - 1].result:
            grid.add_section()
        grid.add_row(line.what, line.paper, line.ours, "differs" if line.differs else "", style="bold" if line.result else "")
    console.print(grid)
    console.print()
    different = sum(line.differs for line in found.lines)
    words = f"Accuracies in %, mean and standard deviation over {len(found.comparison.seeds)} runs; paper: {found.source}."
    more = f" {different} settings differ from the published ones, so the accuracies need not agree." if different else ""
    screens.sentence(console, words + more)
    console.print()
    path = found.comparison.path
    screens.places({"Directory": path, "Report": Path(path) / COMPARISON_REPORT})


REPRODUCE = Command(
    "reproduce",
    ReproduceOptions,
    reproduce,
    values={"runner": runner_tree},
    settings=("device",),
    rare=("runner",),
    examples=("mixop reproduce --list", "mixop reproduce drnas-nasbench201 --scale small --data data"),
)
"""The command."""
