"""The last screen of ``mixop find``: who took part, and who won."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mixop.cli.live import Screen
from mixop.cli.screens import places, sentence
from mixop.report.progress import duration

if TYPE_CHECKING:
    from mixop.core.measure import Measure
    from mixop.finder.contender import Trial
    from mixop.finder.result import FindResult
    from mixop.tasks.base import Task


def found(result: "FindResult", task: "Task", valid: int, page: Path) -> None:
    """After `mixop find`: the short trainings, the verdict and the winner.

    Args:
        result: what it gave.
        task: whose measures rank.
        valid: validation examples.
        page: the winner's report.
    """
    from mixop.report.verdict import interval
    from mixop.report.words import said

    console, first, score = Screen(), task.first, result.score
    last = max((trial.round for trial in result.trials), default=0)
    for number in range(1, last + 1):
        trials = [trial for trial in result.trials if trial.round == number]
        how = "trained briefly" if number < 3 else "the winner, trained for longer"
        head = f"Round {number}: {how}, scored on {valid:,} validation examples"
        console.print(Text(head, style="bold"))
        _table(console, trials, first, result.winner if number > 1 else "")
        console.print()
    for line in result.verdict:
        sentence(console, line)
    network = score.networks[0]
    value = score.value(network)
    text = (
        f"{result.winner}, trained on all training examples: {said(first, value)} on {score.scored_on.examples:,} test examples"
    )
    if score.counted and value is not None:
        low, high = interval(value, score.counted)
        text += f" (95 % interval {first.digits(low)} to {first.written(high)})"
    console.print()
    console.print(Text(f"{text}.", style="bold"), soft_wrap=not console.is_terminal)
    console.print()
    final = result.final
    places({"Directory": result.out, "Report": page, "Next": f"mixop export {final}"})


def _table(console: Console, trials: Sequence["Trial"], first: "Measure", winner: str) -> None:
    timed = any(trial.latency_ms is not None for trial in trials)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("network", no_wrap=True)
    # All of a round have about the same time; with milliseconds there is no room for it in 80 columns.
    names = (first.title, "epochs", *([] if timed else ["time"]), "parameters", "multiply-adds", *(["ms"] if timed else []))
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for trial in trials:
        table.add_row(
            trial.label,
            first.digits(trial.measures[first.name]),
            str(trial.epochs),
            *([] if timed else [duration(trial.seconds)]),
            f"{trial.parameters:,}",
            f"{trial.flops:,}",
            *([f"{trial.latency_ms:.2f}"] if trial.latency_ms is not None else []),
            style="bold" if trial.label == winner else "",
        )
    console.print(table)
