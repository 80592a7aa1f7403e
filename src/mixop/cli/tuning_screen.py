"""The last screen of ``mixop tune``: the best trials, and their settings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from mixop.cli.live import Screen
from mixop.cli.screens import places, program, sentence
from mixop.cli.words import count

if TYPE_CHECKING:
    from mixop.comparison.tuned import TuneResult

MOST = 10
"""Trials that the screen shows."""


def tuned(result: "TuneResult", flags: Sequence[str]) -> None:
    """After `mixop tune`: how many trials ended in which way, the best ones, and the settings of the best as flags.

    Args:
        result: all trials.
        flags: of the best.
    """
    from mixop.comparison.tuned import short_names, written

    console = Screen()
    ways = {"scored": "complete", "pruned": "pruned", "failed": "failed", "still at work, or left behind": "running"}
    counts = {words: result.count(state) for words, state in ways.items()}  # type: ignore[arg-type]
    told = ", ".join(f"{number} {words}" for words, number in counts.items() if number)
    console.print(Text(f"{count(len(result.trials), 'trial')}: {told}", style="bold"))
    if not result.complete:
        sentence(console, "None has a score yet: the same command shows the result when they are done.")
        return
    front = {trial.number for trial in result.front}
    names = short_names(list(dict.fromkeys(name for trial in result.trials for name in trial.settings)))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("trial", result.measure.title, *([result.cost] if result.cost else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("settings")
    shown = result.complete[:MOST] if result.cost is None else result.front[:MOST]
    for trial in shown:
        table.add_row(
            str(trial.number),
            result.measure.digits(trial.score),
            *([f"{trial.cost:,.6g}"] if trial.cost is not None else []),
            ", ".join(f"{names[name]} {written(value)}" for name, value in trial.settings.items()),
            style="bold" if trial.number in front and result.cost is None else "",
        )
    if result.cost is not None:
        sentence(console, f"Trials that no other one beats in both score and {result.cost}:")
    console.print(table)
    program(f"The settings of trial {result.best.number}:", flags)
    console.print()
    best = result.best.path
    places({"Directory": result.out, "Best": best, "Next": f"mixop retrain {best}"})
