"""The last screen of a command: what came of it, and where it is."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mixop.cli.live import Screen
from mixop.report.progress import duration
from mixop.runs.files import COMPARISON_REPORT, COMPARISON_TABLE, WEIGHTS

NARROW = 78
"""Columns of a screen of 80 beside the indent."""

if TYPE_CHECKING:
    from mixop.comparison.select import Selection
    from mixop.core.measure import Measure
    from mixop.evaluate.score import Evaluated
    from mixop.measure.retraining import TrainingResult
    from mixop.measure.speed import Result
    from mixop.nets.latency import LatencyTable
    from mixop.report.comparison import Comparison
    from mixop.runs.records import NetworkScore


def found(recipe: str, out: Path, page: Path) -> None:
    """After a search: the architecture, and what to do with it.

    Args:
        recipe: name of the method.
        out: the run directory.
        page: the report.
    """
    from mixop.report.verdict import command, last, remarks
    from mixop.report.words import said
    from mixop.runs.read import read_run

    run, console = read_run(out), Screen()
    spent = ""
    if run.search is not None:
        spent = f" in {_count(run.search.planned, 'epoch')} and {duration(run.search.seconds[-1])}"
    console.print(Text(f"{recipe} found{spent}:", style="bold"))
    _architecture(console, run.native or "", of_choices=run.choices is not None)
    valid = None if run.search is None else last(run.search.valid.get(run.first.name))
    if valid is not None:
        sentence(
            console,
            f"\nThe supernet ended with {said(run.first, valid)} on the validation split; "
            "what the architecture is worth alone shows when it is trained from scratch.",
        )
    for remark in remarks(run):
        sentence(console, f"\n{remark}")
    console.print()
    places({"Run directory": out, "Report": page, "Next": command(run, "retrain")})


def compared(out: Path, page: Path) -> None:
    """After a retraining: the found architecture beside others.

    Args:
        out: the run directory.
        page: the report.
    """
    from mixop.report.verdict import beside_known, command, interval, others, verdict
    from mixop.report.words import digits, word
    from mixop.runs.read import read_run

    run = read_run(out)
    score = run.score
    assert score is not None
    assert score.found is not None
    console, measure, examples, rivals = Screen(), score.first, score.counted, score.rivals
    rows: list[tuple[str, NetworkScore]] = [("found", score.found)]
    if rivals:
        ranked = [network for network in score.ranked if network is not score.found]
        family = others(score).split()[0]
        rows.append((f"{'a' if family == 'random' else 'an'} {others(score)}", rivals[0]))
        if len(rivals) > 1:
            rows += [(f"best of {len(rivals)} {family}", ranked[0]), (f"worst of {len(rivals)} {family}", ranked[-1])]
    rows += [(network.label, network) for network in (run.known.networks if run.known else ())]
    console.print(Text("The architecture:", style="bold"))
    _architecture(console, score.found.architecture, of_choices=run.choices is not None)
    console.print()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    intervals = ["95 % interval"] if examples else []
    how = f"trained {score.began}".removesuffix("'s weights")  # a column
    for name in (how, f"{score.scored_on.word} {word(measure)}", *intervals, "parameters", "time"):
        table.add_column(name, justify="left" if name.startswith("trained") else "right", no_wrap=True)
    resolved = digits(measure, map(score.value, score.networks), examples)
    for name, network in rows:
        value = score.value(network)
        low, high = interval(value or 0.0, examples)
        table.add_row(
            name,
            measure.written(value, resolved),
            *([f"{measure.digits(low)} to {measure.written(high)}"] if examples else []),
            f"{network.parameters:,}",
            duration(network.seconds),
            style="bold" if name == "found" else "",
        )
    console.print(table)
    console.print()
    for said_of_it in (verdict(run), *beside_known(run)):
        sentence(console, said_of_it)
    console.print()
    places({"Run directory": out, "Report": page, "Weights": out / WEIGHTS, "Next": command(run, "export")})


def comparison(result: "Comparison") -> None:
    """After a comparison: its table and where it is."""
    console = Screen()
    head, *rest = result.table().split("\n\n")
    _long(console, head)
    console.print()
    for note in "\n\n".join(rest).strip().splitlines():
        sentence(console, note)
    console.print()
    places({"Directory": result.path, "Table": result.path / COMPARISON_TABLE, "Report": result.path / COMPARISON_REPORT})


def evaluation(name: str, scored: "Evaluated", measures: Sequence["Measure"], noun: str, *, counted: bool = False) -> None:
    """After an evaluation.

    Args:
        name: the data set.
        scored: what the network scored, and on which examples.
        measures: of the task.
        noun: for one example.
        counted: whether the first measure is the share of examples that came out right, so that it has an interval.
    """
    from mixop.report.verdict import interval
    from mixop.report.words import capital, said, word, written
    from mixop.runs.records import Scope

    (first, *rest), values = measures, scored.measures
    scope = Scope(parts=(scored.part,), examples=scored.examples)
    value = values.get(first.name)
    text = f"{capital(said(first, value))} on {scope.of(noun)} of {name}"
    if counted and value is not None:
        low, high = interval(value, scored.examples)
        text += f" (95 % interval {first.digits(low)} to {first.written(high)})"
    sentence(Screen(), "; ".join([text, *(f"{word(m)} {written(m, values.get(m.name))}" for m in rest)]) + ".")


def selected(selection: "Selection") -> None:
    """After several searches: what a short training of each architecture scored, and which one is kept.

    Args:
        selection: what it found out.
    """
    from mixop.report.words import capital, word

    console, first = Screen(), selection.measures[0]
    scope = selection.scored_on.words
    head = f"{capital(word(first))} on {scope}, after {_count(selection.epochs, 'epoch')} of training from scratch:"
    console.print(Text(head, style="bold"))
    for number, candidate in enumerate(selection.candidates):
        kept = number == selection.selected
        line = f"  {candidate.run}  {first.written(candidate.measures.get(first.name))}{'  kept' if kept else ''}"
        console.print(Text(line, style="bold" if kept else ""), soft_wrap=True)
    console.print()


def predictions(rows: Sequence[Mapping[str, Any]]) -> None:
    """After a prediction: a line for each input, with its label and how probable it is, or its value."""
    console = Screen()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="left" if name in ("input", "label") else "right", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:.1%}" if name == "probability" else _short(cell) for name, cell in row.items()))
    console.print(table)


def _short(cell: object) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


@contextmanager
def telling(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Gives a function that shows what is being done in one line, which is gone at the end; nothing where nobody looks."""
    console = Screen()
    if quiet or not console.is_terminal:
        yield lambda what: None
        return
    with console.status("") as status:
        yield lambda what: status.update(Text(f"Measuring: {what}"))


@contextmanager
def telling_lines(*, quiet: bool) -> Iterator[tuple[Callable[[str], None], Callable[[Mapping[str, Any]], None] | None]]:
    """Gives two functions: one prints a sentence, one shows the running training in a line that is gone at the end."""
    console = Screen()
    if quiet:
        yield (lambda _: None), None
        return
    if not console.is_terminal:
        yield (lambda text: sentence(console, text)), None
        return
    with console.status("Looking at the data") as status:

        def observe(record: Mapping[str, Any]) -> None:
            if record.get("event") == "step":
                what = record.get("run") or ("Training" if "label" in record else "Searching")
                at = f"epoch {record['epoch']} of {record['epochs']}, step {record['step']} of {record['steps']}"
                status.update(Text(f"{what}: {at}"))

        yield (lambda text: sentence(console, text)), observe


def speed(result: "Result", what: str) -> None:
    """After a measurement: executors beside each other, and what the machine can do.

    Args:
        result: all figures.
        what: was measured.
    """
    console = Screen()
    console.print(Text(f"One search step of {what}:", style="bold"))
    timings = result.timings
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("", no_wrap=True)
    for timing in timings:
        table.add_column(timing.executor, justify="right", no_wrap=True)

    def row(name: str, cells: Iterable[str], style: str = "") -> None:
        table.add_row(name, *cells, style=style)

    row("whole step, median", (f"{_figures(median(t.step))} s" for t in timings), "bold")
    row("least to most, s", (f"{_figures(min(t.step))} to {_figures(max(t.step))}" for t in timings))
    for name, part in (("architecture", "architecture"), ("weights", "weights"), ("forward, backward", "pass_")):
        if all(max(getattr(t, part)) for t in timings):
            row(f"  {name}", (f"{_figures(median(getattr(t, part)))} s" for t in timings))
    for name in {part: None for t in timings for part in t.shares}:
        row(f"  {name}", (f"{t.shares[name]:.0%}" if name in t.shares else "" for t in timings))
    one = "column" if result.tokens else "image"
    if result.tokens:
        row("tokens a second", (f"{result.rate(t):,.0f}" for t in timings), "bold")
    row("times as fast", (f"{result.ratio(t):.2f}" for t in timings), "bold")
    row("times the limit", (f"{median(t.step) / result.limit:.1f}" for t in timings))
    counted = [t.counts for t in timings]
    if any(counted):
        row("operations on a GPU", (f"{c.launched:,}" if c else "-" for c in counted))
        row("  waits of the host", (f"{c.waited:,}" if c else "-" for c in counted))
    remembered = [t.memory for t in timings if t.memory is not None]
    if len(remembered) == len(timings):
        row("memory of a step", (_mebibytes(m.peak) for m in remembered))
        row(f"  for each {one}", (_mebibytes(m.image) for m in remembered), "bold")
        row("  kept for gradient", (_mebibytes(m.saved) for m in remembered))
    console.print(table)
    console.print()
    products = "linear maps" if result.tokens else "convolutions and linear maps, counted by hand"
    roof = result.roofline
    sentence(
        console,
        f"{_count(len(timings[0].step), 'step')} of each, in turns, {_count(roof.threads, 'thread')}. A step has "
        f"{result.flops / 1e9:.1f} GFLOP of {products}. The machine reached "
        f"{roof.gemm / 1e9:.0f} GFLOP/s at a matrix product, {roof.convolution / 1e9:.0f} at a 3x3 convolution, and copied "
        f"{roof.copy / 1e9:.1f} GB/s: at the convolution's rate a step takes {result.limit:.3f} s, the limit.",
    )
    if any(counted):
        sentence(
            console, "What a step does on a GPU is counted on a simulated one, at two examples; nothing ran on a GPU for it."
        )
    if remembered:
        sentence(
            console,
            f"Memory is what a step adds to the program, the data and the weights, in a process of its own; for each {one}, "
            "the difference between two batch sizes, and what a forward pass keeps.",
        )


def training_speed(result: "TrainingResult", what: str) -> None:
    """After a measurement of training steps: executors beside each other, and what the machine can do.

    Args:
        result: all figures.
        what: was measured.
    """
    console = Screen()
    console.print(Text(f"One training step of {what}:", style="bold"))
    timings = result.timings
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("", *(timing.executor for timing in timings)):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    table.add_row("steps a second", *(f"{1 / median(t.step):.2f}" for t in timings), style="bold")
    table.add_row("a step, median", *(f"{_figures(median(t.step))} s" for t in timings))
    table.add_row("least to most, s", *(f"{_figures(min(t.step))} to {_figures(max(t.step))}" for t in timings))
    shares = [t.shares() for t in timings]
    for name in shares[0]:
        table.add_row(f"  {name}", *(f"{share[name]:.1%}" for share in shares))
    table.add_row("times as fast", *(f"{result.ratio(t):.2f}" for t in timings), style="bold")
    table.add_row("times the limit", *(f"{median(t.step) / result.limit:.1f}" for t in timings))
    console.print(table)
    console.print()
    roof = result.roofline
    sentence(
        console,
        f"{_count(len(timings[0].step), 'step')} of each, in turns, {_count(roof.threads, 'thread')}. A step has "
        f"{result.flops / 1e9:.1f} GFLOP of convolutions and linear maps, counted by hand. The machine reached "
        f"{roof.gemm / 1e9:.0f} GFLOP/s at a matrix product and {roof.convolution / 1e9:.0f} at a 3x3 convolution: at the "
        f"latter rate a step takes {result.limit:.3f} s, the limit.",
    )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def lists(tables: Mapping[str, Mapping[str, str]]) -> None:
    """Names and what they are, a line each."""
    console = Screen()
    widest = max(len(name) for table in tables.values() for name in table)
    for number, (topic, table) in enumerate(tables.items()):
        if len(tables) > 1:
            console.print(Text(f"{chr(10) if number else ''}{topic}", style="bold"))
        for name, about in table.items():
            line = f"{name:<{widest}}  {about}"
            _long(console, f"  {line}" if len(tables) > 1 else line)


def places(lines: Mapping[str, object]) -> None:
    """Names and the paths or commands that belong to them, one below the other."""
    console = Screen()
    widest = max(map(len, lines))
    for name, value in lines.items():
        console.print(Text(f"{name:<{widest}}  ", style="dim"), end="")
        _long(console, str(value))


def program(title: str, lines: Sequence[str]) -> None:
    """Prints a program under a line that says what it is for; its lines stay whole, so that they can be copied."""
    console = Screen()
    console.print()
    console.print(Text(title, style="dim"))
    console.print()
    for line in lines:
        console.print(Text(f"    {line}"), soft_wrap=True)


def sentence(console: Console, text: str) -> None:
    """Prints prose, broken into lines where a person reads it."""
    console.print(text, soft_wrap=not console.is_terminal)


def _architecture(console: Console, text: str, *, of_choices: bool) -> None:
    """Prints an architecture; choices in a model one below the other where they are too many for a line of 80 columns.

    Any other is one line where it goes into a file. A person sees it broken between its words, which makes no difference to
    whoever reads it again.
    """
    if of_choices and len(text) > NARROW:
        *pieces, last = text.split(", ")
        lines = [*(f"{piece}," for piece in pieces), last]
    elif console.is_terminal:
        lines = wrap(text, max(console.width - 3, 20), break_long_words=False, break_on_hyphens=False)
    else:
        lines = [text]
    for line in lines:
        _long(console, f"  {line}")


def _long(console: Console, text: str) -> None:
    """Prints a line without breaking it, so that it can be copied."""
    console.print(text, soft_wrap=True)


def _figures(value: float) -> str:
    """A number of at least 0 with three figures: ``5.12``, ``0.0205``."""
    return f"{value:.{max(2 - math.floor(math.log10(value)), 0)}f}" if value > 0 else "0"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def latency(table: "LatencyTable", file: str) -> None:
    """After a measurement of layers: the slowest of them, and how well they predict whole networks.

    Args:
        table: what was measured.
        file: where it is.
    """
    console = Screen()
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    shown.add_column("ms", justify="right", no_wrap=True)
    shown.add_column("the slowest layers")
    for layer in sorted(table.layers, key=table.layers.__getitem__, reverse=True)[:10]:
        shown.add_row(f"{table.layers[layer]:.3g}", layer)
    console.print(shown)
    console.print()
    checked = (
        f"Of {_count(table.networks, 'whole network')}, half gave the correction {table.fixed:.3g} ms + {table.scale:.3g} "
        f"times the sum of the layers; for the others it is off by {100 * table.error:.0f} %, and the sum alone by "
        f"{100 * table.uncorrected:.0f} %. "
        if table.networks
        else "There are too few networks to check the sum of the layers against. "
    )
    sentence(console, f"{_count(len(table.layers), 'layer')} on {table.device}, one example at a time. {checked}")
    console.print()
    places({"Table": file, "Next": f"mixop find DATA --max-latency-ms MS --latency {file}"})
