"""Writes ``comparison.html``: one file that needs nothing else, made from the files of a comparison and nothing else."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from mixop.report import comparison_plots
from mixop.report.comparison import Comparison
from mixop.report.comparison_files import read_comparison
from mixop.report.html import write_page
from mixop.report.methods import RANDOM, Row
from mixop.report.palette import KINDS
from mixop.report.templating import template, unique_ids
from mixop.report.words import count as number
from mixop.report.words import direction, duration, head, percent
from mixop.runs.files import COMPARISON_REPORT, ENVIRONMENT, REPORT
from mixop.runs.read import read_run


def write_comparison(path: str | Path) -> Path:
    """Writes the report of a comparison, ``comparison.html``, atomically.

    Args:
        path: the directory of the comparison, finished or not.

    Returns:
        Path of the report.

    Raises:
        RunError: if it is no comparison, a file in it is torn, or the report cannot be written.
    """
    return write_page(Path(path) / COMPARISON_REPORT, render(read_comparison(path)))


def render(comparison: Comparison) -> str:
    """The report of a comparison as the text of an HTML page."""
    page = template("comparison.html.jinja").render(
        comparison=comparison,
        name=comparison.path.resolve().name,
        kinds=KINDS,
        verdict=verdict(comparison),
        facts=facts(comparison),
        head=comparison.columns(),
        rows=list(zip(comparison.rows, comparison.cells(), strict=True)),
        notes=comparison.notes(),
        dots=_dots(comparison),
        panels=_panels(comparison),
        curves=_curves(comparison),
        pairs=_pairs(comparison),
        found=_found(comparison),
        runs=_runs(comparison),
        differences=_differences(comparison),
        worsening="rises" if comparison.measure.better == "lower" else "falls",
        command=f"mixop report {shlex.quote(str(comparison.path))}",
    )
    return unique_ids(page)


def verdict(comparison: Comparison) -> str:
    """One sentence: what came out first, and where random search stands."""
    if comparison.done < comparison.planned:
        return f"{comparison.done} of {comparison.planned} runs are done; the same command continues."
    best = comparison.rows[0]
    if best.mean is None:
        return "No run could be scored; the reasons are below."
    equal = [row for row in comparison.rows if (row.rate, row.mean) == (best.rate, best.mean)]
    if len(equal) > 1:
        place = f"{len(equal)} of {len(comparison.rows)} methods share the first place, {_result(comparison, best)}"
    else:
        place = f"{_title(best)} comes first of {len(comparison.rows)}: {_result(comparison, best)}"
    if not comparison.identity["recipes"] and not comparison.identity.get("searchers"):
        return f"{place}." if len(comparison.rows) > 1 else f"Random search: {_result(comparison, best)}."
    if RANDOM in [row.name for row in equal]:
        return (
            f"{place}. Random search is among the first: nothing shows here that a recipe beats picking at random for as long."
        )
    if any(row.name in comparison.known for row in equal):
        place = f"{place}. So nothing shows here that a recipe beats a network that is known without a search"
    rival = _result(comparison, comparison.row(RANDOM))
    return f"{place}. Random search with the time of the median method: {rival}."


def _title(row: Row) -> str:
    return "Random search" if row.name == RANDOM else row.name


def _result(comparison: Comparison, row: Row) -> str:
    if comparison.knows_optimum:
        return f"the optimum found in {row.hits} of {number(len(row.runs), 'run')}"
    if row.mean is None:
        return "no score"
    return f"{comparison.spread(row, ' ± ')}{comparison.measure.suffix} in {number(row.n, 'run')}"


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """What is compared, in a line under the title."""
    identity = comparison.identity
    return [
        ("space", comparison.space),
        ("data", str(identity["data"]["name"])),
        ("methods", str(len(comparison.methods) + 1)),
        ("seeds", ", ".join(map(str, comparison.seeds))),
        ("scored by", comparison.evaluator),
        ("score", ", ".join(filter(None, (head(comparison.measure), direction(comparison.measure))))),
        ("runs", f"{comparison.done} of {comparison.planned}"),
    ]


def _dots(comparison: Comparison) -> list[Markup]:
    """The figures of all runs; none where no run has a score."""
    rows = [
        comparison_plots.Dots(
            row.name, row.scores, [run.seconds for run in row.runs if run.seconds is not None], random=row.name == RANDOM
        )
        for row in comparison.rows
        if row.runs
    ]
    if not any(row.scores for row in rows):
        return []
    words = ", ".join(f"{row.name} {comparison.written(float(np.mean(row.scores)))}" for row in rows if row.scores)
    figures = [comparison_plots.dots(rows, comparison.measure, description=f"Scores of all runs; means: {words}")]
    if any(row.seconds for row in rows):
        taken = ", ".join(f"{row.name} {duration(float(np.mean(row.seconds)))}" for row in rows if row.seconds)
        figures.append(comparison_plots.times(rows, description=f"Times of all searches; means: {taken}"))
    return [Markup(figure) for figure in figures]


def _panels(comparison: Comparison) -> list[dict[str, Any]]:
    """Entropy and skip share of every recipe's searches."""
    panels = []
    for row in comparison.rows:
        if row.name == RANDOM:
            continue
        searches = []
        for run in row.runs:
            if (run.path / ENVIRONMENT).is_file():  # a run may have failed before it began
                found = read_run(run.path)
                if found.search is not None:
                    searches.append((found.search, found.max_entropy or 1.0))
        if not searches:
            continue
        epochs = sorted({epoch for search, _ in searches for epoch in search.epochs})
        entropy, skips = (np.full((len(searches), len(epochs)), np.nan) for _ in range(2))
        for index, (search, most) in enumerate(searches):
            at = np.searchsorted(epochs, search.epochs)
            entropy[index, at] = search.entropy / most
            skips[index, at] = search.skip_share
        ends = [comparison_plots.mean_over_runs(values)[-1] for values in (entropy, skips)]
        words = ", ".join(
            f"{name} {percent(float(end))}"
            for name, end in zip(("entropy", "skip share"), ends, strict=True)
            if np.isfinite(end)
        )
        svg = comparison_plots.inside(
            epochs, entropy, skips, description=f"{row.name}, mean of {len(searches)} at the end: {words}"
        )
        panels.append({"name": row.name, "svg": Markup(svg)})
    return panels


def _curves(comparison: Comparison) -> list[dict[str, Any]]:
    """What every recipe's searches would have given after each epoch, where a table knows it."""
    known = [(row, [run for run in row.runs if run.curve]) for row in comparison.rows]
    known = [(row, runs) for row, runs in known if runs]
    if not known:
        return []
    everything = [score for _, runs in known for run in runs for _, _, score in run.curve]
    limits = (min(everything), max(everything))
    rival = next((row.mean for row in comparison.rows if row.name == RANDOM), None)
    panels = []
    for row, runs in known:
        epochs = sorted({epoch for run in runs for epoch, _, _ in run.curve})
        scores = np.full((len(runs), len(epochs)), np.nan)
        for index, run in enumerate(runs):
            scores[index, np.searchsorted(epochs, [epoch for epoch, _, _ in run.curve])] = [s for *_, s in run.curve]
        means = comparison_plots.mean_over_runs(scores)
        first, last = (comparison.written(float(means[at])) for at in (0, -1))
        words = f"{row.name}: {first} after epoch {epochs[0]}, {last} at the end"
        svg = comparison_plots.anytime(epochs, scores, limits, rival, comparison.measure, description=words)
        panels.append({"name": row.name, "svg": Markup(svg)})
    return panels


def _pairs(comparison: Comparison) -> list[tuple[str, list[tuple[str, str]]]]:
    """Method against method: difference of the means and p, by shared seeds; rows against columns."""
    rows = [row for row in comparison.rows if row.n]
    if len(rows) < 2 or max(row.n for row in rows) < 2:
        return []
    table = []
    for row in rows:
        cells = []
        for other in rows:
            pair = None if other is row else comparison.paired(row.name, other.name)
            words = ("", "") if pair is None else (comparison.signed(pair.difference), f"p {pair.p:.2g}, {pair.n} seeds")
            cells.append(words)
        table.append((row.name, cells))
    return table


def _differences(comparison: Comparison) -> str:
    """What a difference in the table of pairs is in, and how to read its sign."""
    measure = comparison.measure
    unit = "percentage points" if measure.style == "percent" else measure.unit
    less = "; below 0 the method in the row is better" if measure.better == "lower" else ""
    return f"{f' in {unit}' if unit else ''} of the method in the row less the one in the column{less}"


def _found(comparison: Comparison) -> list[tuple[str, int, list[tuple[str, int]]]]:
    """Architectures by how often they were found, with the methods that found them."""
    by: dict[str, list[tuple[str, int]]] = {}
    for row in comparison.rows:
        for native, count in row.found.items():
            by.setdefault(native, []).append((row.name, count))
    table = [(native, sum(count for _, count in methods), methods) for native, methods in by.items()]
    return sorted(table, key=lambda line: -line[1])


def _runs(comparison: Comparison) -> list[dict[str, Any]]:
    """Every run on a line."""
    return [
        {
            "method": row.name,
            "seed": run.seed,
            "score": comparison.written(run.score),
            "seconds": duration(run.seconds),
            "architecture": run.architecture or "",
            "hit": run.hit,
            "error": run.error or "",
            "report": f"{run.path.name}/{REPORT}" if (run.path / REPORT).is_file() else None,
        }
        for row in comparison.rows
        for run in row.runs
    ]
