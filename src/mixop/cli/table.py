"""``mixop table ...``: tables of trained architectures."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mixop.cli import kinds
from mixop.cli.arguments import Command, Parsed, Shortcut
from mixop.cli.interrupt import heed
from mixop.cli.loading import loaded
from mixop.cli.output import print_json
from mixop.cli.running import runner_and_settings, runner_tree
from mixop.core.errors import RecipeError

if TYPE_CHECKING:
    from mixop.cli.tree import Tree
    from mixop.core.measure import Measure
    from mixop.tables.table import Table


@dataclass(frozen=True)
class BuildOptions:
    """Make your own table: train every architecture of a small space, several times each.

    Many networks train side by side. What each one learns depends only on its architecture, its seed and the settings. If the
    build is stopped, the same command continues it.

    Args:
        target: the table to write, NAME.table. The counts behind it are written beside it, as NAME.npz.
        space: the search space, of at most 20,000 architectures; fewer operations make it smaller. Sizes that it leaves open
            are taken from the data.
        data: the data set, as in mixop search.
        group: number of networks that train together; more need more memory. [as many as are fastest, by a few steps of each]
        runner: who trains the groups: local for processes of this machine, slurm for jobs of a cluster (needs the extra
            slurm), ray for tasks of one (needs the extra ray).
        jobs: groups at a time. [local: 1, or as many as GPUs; else no limit]
        limit: train only this many architectures, the first ones, to try it out. [all]
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        config: a .toml or .json file of settings, as in --help-all.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    target: str
    _: KW_ONLY
    space: str = "nasbench201-digits"
    data: str = "digits"
    group: int | None = None
    runner: str = "local"
    jobs: int | None = None
    limit: int | None = None
    config: str | None = None
    quiet: bool = False
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


@dataclass(frozen=True)
class ConvertOptions:
    """Make a table of trained architectures from a benchmark's files.

    No code in the files is run. The table is one file, which opens at once, however large it is.

    Args:
        source: a .npz or .csv file of plain columns; an official file of NAS-Bench-201 or NATS-Bench (.pth, .pickle.pbz2); the
            directory of NATS-Bench's simple files; a directory of files of single architectures (000123-FULL.pth); or a file of
            NAS-Bench-101 (.tfrecord, or .json).
        target: the table to write, usually NAME.table.
        name: the name of the table. [the source's]
        curves: keep every epoch of official files, not only the end of each training (of NAS-Bench-101 its half); the table
            becomes large.
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        debug: after an error, show where it came from.
    """

    source: str
    target: str
    _: KW_ONLY
    name: str | None = None
    curves: bool = False
    quiet: bool = False
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class ShowOptions:
    """Show what a table holds, check that it is undamaged, and name its best architectures by validation.

    Args:
        table: a table, or the name of one that comes with mixop.
        best: how many architectures to show for each data set.
        reveal_test: show their test scores as well.
        json: print one JSON object, and nothing else.
        debug: after an error, show where it came from.
    """

    table: str
    _: KW_ONLY
    best: int = 3
    reveal_test: bool = False
    json: bool = False
    debug: bool = False


class Converting:
    """A bar in a terminal, a plain line elsewhere; an observer of a conversion, used as a context manager.

    Args:
        title: what is being done.
        quiet: whether to show nothing.
    """

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        from mixop.cli.live import Screen

        self.title, self.quiet = title, quiet
        self.console = Screen()
        lively = self.console.is_terminal and not self.console.is_dumb_terminal and not quiet
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=self.console, transient=True) if lively else None
        self.task = self.bar.add_task(title, total=None) if self.bar else None

    def __enter__(self) -> Self:
        heed()
        if self.bar is not None:
            from mixop.cli.live import show

            show(self.bar)
        elif not self.quiet:
            self.console.print(f"{self.title}.", soft_wrap=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar is not None:
            from mixop.cli.live import hide

            hide(self.bar)

    def __call__(self, done: int, total: int) -> None:
        """Takes how much is done, and how much there is."""
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=done, total=total)


class Building(Converting):
    """The same for a build, which takes long: without a terminal, a line for every twentieth of it, with the time left."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        super().__init__(title, quiet=quiet)
        from mixop.report.progress import Clock

        self.clock, self.shown = Clock(), 0

    def __call__(self, done: float, total: int) -> None:
        """Takes how many architectures are done, counting those in training in part, and how many there are."""
        left = self.clock.left(done, total)
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=done, total=total)
        elif not self.quiet and (twentieth := int(20 * done / total)) > self.shown:
            from mixop.report.progress import duration

            self.shown = twentieth
            more = "" if left is None or done >= total else f"  {duration(left)} left"
            self.console.print(f"{done / total:4.0%} of {total:,} architectures{more}", soft_wrap=True)


def build(parsed: Parsed) -> None:
    """``mixop table build``"""
    from mixop.cli import screens
    from mixop.core.surroundings import using
    from mixop.report.progress import duration
    from mixop.report.words import word
    from mixop.tables.built import convert_built
    from mixop.tables.table import Table
    from mixop.tabulate.build import architectures_of, estimate, tabulate

    options = parsed.options
    target = Path(options.target)
    if target.suffix != ".table":
        raise RecipeError(f"The table to write must be called NAME.table, got {options.target!r}.")
    space, data, how = parsed.build("space"), loaded(parsed.build("data").load), parsed.build("training")
    space = space.fit(data)
    silent, counts = options.quiet or options.json, target.with_suffix(".npz")
    group = options.group
    runner, settings, device = runner_and_settings(parsed)
    with using(settings.threads):
        number = len(architectures_of(space)[: options.limit])
        if not silent and runner.one_machine and not counts.with_name(counts.name + ".parts").exists():
            found = estimate(space, data, how, device=device, group=group, limit=options.limit)
            group = found.group
            each = f"{number:,} architectures x {how.seeds} seeds x {how.epochs} epochs on {data.name}, {group} at a time"
            screens.places({"Plan": each, "Estimate": f"{duration(found.seconds)} by two steps"})
        title = f"Training {number:,} architectures of {space.name} {how.seeds} times each on {data.name}, into {target}"
        with Building(title, quiet=silent) as progress:
            limits = {"group": group, "limit": options.limit}
            tabulate(space, data, how, counts, tell=progress, jobs=options.jobs, runner=runner, device=device, **limits)
    convert_built(counts, target, space=space, dataset=data.name)
    table = Table.open(target)
    about = worth(table, data.name, how.epochs)
    if options.json:
        return print_json({"table": str(target), "counts": str(counts), "architectures": len(table), **about})
    measure = table.measure()
    lines = {
        "Table": f"{target} ({target.stat().st_size:,} bytes)",
        "Holds": f"{len(table):,} architectures of {space.name}, {how.seeds} runs each",
    }
    if about["deviation"] is not None:
        low, high = (in_table(measure, about[name], 1) for name in ("least", "largest"))
        spread = in_table(measure, about["deviation"], 2)
        lines["Validation"] = f"{word(measure)} {low} to {high}{measure.suffix}, standard deviation {spread} over architectures"
    if about["noise"] is not None:
        noise = in_table(measure, about["noise"], 2)
        lines["Noise"] = f"standard deviation {noise} over the runs of an architecture"
    lines["Counts"] = f"{counts}; {counts.name}.parts beside it is no longer needed"
    lines["Next"] = f"mixop table show {shlex.quote(str(target))}"
    return screens.places(lines)


def in_table(measure: "Measure", value: float | None, digits: int) -> str:
    """A value as a person reads it, of a table, which keeps shares in percent.

    Args:
        measure: what it is.
        value: the value; None for an unknown one.
        digits: after the point, of a share; other values have as many as their measure says.
    """
    if value is None or measure.style != "percent":
        return measure.digits(value)
    return f"{value:.{digits}f}"


def worth(table: "Table", dataset: str, epochs: int) -> dict[str, float | None]:
    """What the validation values of a table can tell apart, in its own unit: percent for shares such as accuracies.

    Returns:
        ``least`` and ``largest`` mean over runs; ``deviation`` of those means over architectures; ``noise``, the root of the
        mean variance over the runs of an architecture. None where there are too few.
    """
    import numpy as np

    what: dict[str, Any] = {"dataset": dataset, "split": "valid", "epochs": epochs}
    runs = np.stack([table.column(**what, seed=seed) for seed in table.seeds(dataset, "valid", epochs=epochs)])
    means = runs.mean(axis=0)
    several = len(runs) > 1
    return {
        "least": float(means.min()),
        "largest": float(means.max()),
        "deviation": float(means.std(ddof=1)) if len(means) > 1 else None,
        "noise": float(np.sqrt(runs.var(axis=0, ddof=1).mean())) if several else None,
    }


def _training(_: str | None) -> "Tree":
    """How a table's networks are trained."""
    from mixop.cli.tree import Tree
    from mixop.core.values import defaults
    from mixop.evaluate.protocol import PARTS as PROTOCOL_PARTS
    from mixop.tabulate.how import Tabulation

    return Tree("training", Tabulation, {**PROTOCOL_PARTS, "Tabulation": Tabulation}, defaults(Tabulation))


def convert(parsed: Parsed) -> None:
    """``mixop table convert``"""
    from mixop.tables.conversion import convert as run
    from mixop.tables.table import Table

    options = parsed.options
    began = time.monotonic()
    with Converting(f"Converting {options.source} to {options.target}", quiet=options.quiet or options.json) as progress:
        target = run(options.source, options.target, name=options.name, curves=options.curves, observe=progress)
    table = Table.open(target)
    seconds, size = time.monotonic() - began, target.stat().st_size
    if options.json:
        written = {"table": str(target), "architectures": len(table), "columns": len(table.columns), "bytes": size}
        return print_json({**written, "seconds": round(seconds, 3), "source": table.header.source})
    from mixop.cli import screens
    from mixop.report.progress import duration

    return screens.places(
        {
            "Written": f"{target} ({size:,} bytes, in {duration(seconds)})",
            "Holds": f"{len(table):,} architectures of {table.header.space_name}, {len(table.columns)} columns",
            "Next": f"mixop table show {shlex.quote(str(target))}",
        }
    )


def show(parsed: Parsed) -> None:
    """``mixop table show``"""
    from mixop.tables.catalogue import open_table

    options = parsed.options
    if options.best < 0:
        raise RecipeError(f"--best must be a number of architectures of at least 0, got {options.best}.")
    began = time.perf_counter()
    table = open_table(options.table)
    opened = time.perf_counter() - began
    table.verify()
    best = _best(table, options.best, options.reveal_test)
    if options.json:
        columns = [
            {name: getattr(c, name) for name in ("metric", "dataset", "split", "epochs", "seeds", "after", "note")}
            for c in table.columns
        ]
        about = {"table": table.name, "space": table.header.space_name, "architectures": len(table)}
        return print_json({**about, "source": table.header.source, "columns": columns, "best": best})
    return _show(table, opened, best)


def _best(table: "Table", count: int, reveal_test: bool) -> dict[str, list[dict[str, Any]]]:
    """For each data set with validation values its best architectures after the longest training."""
    best, name = {}, table.measure().name
    named = [name for name in table.datasets if name not in {to for by in table.header.redirect.values() for to in by.values()}]
    for dataset in named:
        if "valid" not in table.splits(dataset) or not (lengths := table.lengths(dataset, "valid")):
            continue
        rows = []
        for found in table.best(count, dataset=dataset, split="valid", epochs=lengths[-1]):
            row = {"index": found.index, "architecture": found.native, f"valid_{name}": found.value}
            if reveal_test and table.has(dataset, "test", None, lengths[-1]):
                what: dict[str, Any] = {"dataset": dataset, "split": "test", "epochs": lengths[-1], "reveal_test": True}
                row[f"test_{name}"] = table.query(found.index, **what)
            rows.append(row)
        best[f"{dataset}, {lengths[-1]} epochs"] = rows
    return best


def _show(table: "Table", opened: float, best: Mapping[str, list[dict[str, Any]]]) -> None:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    from mixop.cli import screens
    from mixop.cli.live import Screen
    from mixop.report.words import word

    console, measure = Screen(), table.measure()
    source = table.header.source
    origin = source.get("file") or source.get("directory")
    lines = {
        "Table": f"{table.name}: {len(table):,} architectures of {table.header.space_name}",
        "File": f"{table.path} ({Path(table.path).stat().st_size:,} bytes)",
        "Opened in": f"{1000 * opened:.1f} ms",
        "Checksum": f"right (SHA-256 {table.header.sha256[:16]})",
    }
    if origin:
        lines["Made of"] = f"{origin} (SHA-256 {source.get('sha256', '')[:16]})"
    screens.places(lines)
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("data set", "split", "quantity", "epochs", "runs", "curve"):
        grid.add_column(name, no_wrap=True, justify="right" if name == "epochs" else "left")
    for c in table.columns:
        runs = "mean" if c.seeds is None else ", ".join(map(str, c.seeds))
        curve = "" if c.after is None else f"{len(c.after)} points"
        about = (c.dataset or "", c.split or "", c.metric, str(c.epochs or ""), runs if c.split else "", curve)
        grid.add_row(*about)
    console.print()
    console.print(grid)
    for what, rows in best.items():
        if rows:
            console.print(Text(f"\nBest by validation {word(measure)}, {what}:", style="bold"))
        for row in rows:
            valid, test = (row.get(f"{split}_{measure.name}") for split in ("valid", "test"))
            value = f"{in_table(measure, valid, 2)}{measure.suffix}"
            tested = "" if test is None else f", test {in_table(measure, test, 2)}"
            console.print(f"  {value}{tested}  {row['architecture']} ({row['index']})", soft_wrap=True)


TABLE = (
    Command(
        "table build",
        BuildOptions,
        build,
        values={"training": _training, "space": kinds.space, "data": kinds.data, "runner": runner_tree},
        settings=("threads", "device"),
        shortcuts={
            "epochs": Shortcut(("training", "epochs"), "passes over the training split.", "12"),
            "batch_size": Shortcut(("training", "batch_size"), "examples in a batch.", "64"),
            "seeds": Shortcut(("training", "seeds"), "runs of every architecture, with seeds 0, 1, 2 and so on.", "3"),
            "keep": Shortcut(
                ("training", "keep"),
                "epochs after which to score, counted from 1; none scores after the last one only.",
                "none",
                "INT,...",
            ),
        },
        rare=("trust", "runner", "jobs", "threads"),
        examples=(
            "mixop table build digits.table --limit 9 --epochs 2",
            "mixop table build faces.table --data npz --data.path faces.npz --space.cells 2",
            "mixop table build large.table --space nasbench201 --data cifar10 --data.path data --device cuda",
        ),
    ),
    Command(
        "table convert",
        ConvertOptions,
        convert,
        examples=(
            "mixop table convert nasbench201.npz nasbench201.table",
            "mixop table convert NATS-tss-v1_0-3ffb9.pickle.pbz2 nats.table --curves",
            "mixop table convert nasbench_only108.tfrecord nasbench101.table",
        ),
    ),
    Command("table show", ShowOptions, show, examples=("mixop table show nasbench201.table --best 5",)),
)
"""The commands of the group."""
