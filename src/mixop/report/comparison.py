"""A comparison of several methods: its table, and what can honestly be said of it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from mixop.core.errors import RunError
from mixop.core.measure import Measure, Number
from mixop.core.names import from_file
from mixop.core.schedules import SCHEDULES, Schedule, schedule
from mixop.core.values import from_plain
from mixop.report.methods import RANDOM, Row
from mixop.report.paired import Paired, compared
from mixop.report.palette import ABSENT
from mixop.report.verdict import interval
from mixop.report.words import count, digits, direction
from mixop.runs.files import COMPARISON

NAMED = 12
"""As many runs that are not done are named."""


@dataclass(frozen=True)
class Comparison:
    """A comparison as its files tell it.

    Args:
        path: its directory.
        identity: the content of ``comparison.json``.
        measure: what the scores are, and which of two is better.
        rows: the methods and random search, the best first.
        budgets: mean seconds of a search, by recipe.
    """

    path: Path
    identity: Mapping[str, Any]
    measure: Measure
    rows: tuple[Row, ...]
    budgets: Mapping[str, float]

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<comparison of {count(len(self.rows), 'method')} in {str(self.path)!r}>"

    @property
    def seeds(self) -> list[int]:
        """Seeds of the runs of every method."""
        return self.identity["seeds"]

    @property
    def evaluator(self) -> str:
        """Class of the evaluator: ``Optimum``, ``Retrain``, ``Supernet``, ``Tabular``."""
        return self.identity["evaluator"]["type"]

    @property
    def score(self) -> str:
        """What the score is, in words."""
        return self.identity["score"]

    @property
    def planned(self) -> int:
        """Runs in all, those of random search included."""
        return (len(self.methods) + 1) * len(self.seeds)

    @property
    def methods(self) -> list[str]:
        """Recipes, searchers and known networks, by name; random search aside."""
        return [*self.identity["recipes"], *self.identity.get("searchers", ()), *self.known]

    @property
    def known(self) -> list[str]:
        """Networks that are known without a search."""
        return list(self.identity.get("known", ()))

    @property
    def done(self) -> int:
        """Runs that are finished, or have failed for good."""
        return sum(len(row.runs) for row in self.rows)

    @property
    def missing(self) -> list[str]:
        """The runs that are not done, by the names of their directories."""
        there = {row.name: {run.seed for run in row.runs} for row in self.rows}
        return [f"{name}-{seed}" for seed in self.seeds for name in (*self.methods, RANDOM) if seed not in there.get(name, ())]

    @property
    def knows_optimum(self) -> bool:
        """Whether runs were scored against a known optimum."""
        return any(row.hits is not None for row in self.rows)

    def row(self, name: str) -> Row:
        """The row of a method.

        Raises:
            RunError: if there is none of that name.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise RunError(f"The comparison in {self.path} has no method {name!r}: it has {', '.join(r.name for r in self.rows)}.")

    @property
    def paper(self) -> Mapping[str, Mapping[str, Any]]:
        """What papers report, by method: ``mean`` and ``deviation`` in percent, ``source``; empty where nothing fits."""
        return self.identity.get("paper", {}).get("reported", {})

    @property
    def tabular(self) -> bool:
        """Whether scores were looked up in a table."""
        return self.evaluator == "Tabular"

    def paired(self, name: str, other: str) -> Paired | None:
        """One method against another by the seeds that both have a score for; None if there are none.

        Raises:
            RunError: if there is no such method.
        """
        scores = [{run.seed: run.score for run in self.row(n).runs if run.score is not None} for n in (name, other)]
        differences = [scores[0][seed] - scores[1][seed] for seed in scores[0] if seed in scores[1]]
        return compared(differences, self.measure) if differences else None

    def columns(self) -> list[str]:
        """Heads of the table."""
        optimum = ["found", "95 % interval"] if self.knows_optimum else []
        skips = ["skips"] if any(row.skips is not None for row in self.rows) and self.tabular else []
        middle = ["mean +- sd", *(["paper"] if self.paper else ["best"]), *skips]
        return [
            "method",
            "n",
            "lr",
            *optimum,
            *middle,
            "seconds",
            "random, same time",
            *(["failed"] if self._failures() else []),
        ]

    def learning_rate(self, name: str) -> float | None:
        """The architecture's learning rate in a method's searches, the largest of its schedule; None for searchers.

        Raises:
            RecipeError: if the file of the comparison holds something else, naming it.
        """
        recipe = self.identity["recipes"].get(name)
        optimiser = recipe.get("architecture_optimiser") if isinstance(recipe, Mapping) else None
        if not isinstance(optimiser, Mapping) or "lr" not in optimiser:
            return None
        with from_file(self.path / COMPARISON):
            return schedule(from_plain(optimiser["lr"], Schedule, SCHEDULES, "lr")).bounds[1]

    def cells(self) -> list[list[str]]:
        """Cells of the table, a list for each row."""
        return [self._cells(row) for row in self.rows]

    def table(self) -> str:
        """The table as plain text, with the notes below it."""
        lines = [self.columns(), *self.cells()]
        widths = [max(len(line[c]) for line in lines) for c in range(len(lines[0]))]
        text = ["  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
                for line in lines]  # fmt: skip
        text.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([line.rstrip() for line in text] + ["", *self.notes()]) + "\n"

    def summary(self) -> list[dict[str, Any]]:
        """The rows as JSON data, the best first: scores in the unit of the measure, shares in [0, 1], times in seconds."""
        return [
            {
                "method": row.name,
                "n": row.n,
                "learning_rate": self.learning_rate(row.name),
                "failed": row.failed,
                "found": row.hits,
                "rate": row.rate,
                "mean": row.mean,
                "deviation": row.deviation,
                "best": row.best,
                "skips": row.skips,
                "paper": self.paper.get(row.name),
                "seconds": row.seconds,
                "against_random": None if (pair := self._against_random(row)) is None else asdict(pair),
                "random_same_time": None if row.rival is None else {"rate": row.rival.rate, "mean": row.rival.mean},
                "scores": row.scores,
            }
            for row in self.rows
        ]

    def lines(self) -> list[dict[str, Any]]:
        """Every run as JSON data, those of random search with the time of its own row."""
        return [
            {"method": row.name, **{k: v for k, v in asdict(run).items() if k != "path"}, "path": run.path.name}
            for row in self.rows
            for run in row.runs
        ]

    @property
    def space(self) -> str:
        """What the space is called: its class, or what makes the model whose choices it is."""
        plain = self.identity["space"]["space"]
        factory = str(plain.get("factory") or "")
        return factory.rpartition(":")[2].partition("@")[0] or str(plain["type"])

    def notes(self) -> list[str]:
        """What was done, and how much the numbers can bear, in sentences."""
        n = len(self.seeds)
        data, space = self.identity["data"]["name"], self.space
        notes = [
            f"{count(n, 'seed')} for each method on {space}, data {data}. Score{self._unit()}: {self.score}{self._lower()}; "
            "sd is the standard deviation over seeds (n - 1), seconds the mean time of one search, lr the largest rate "
            "of the architecture's optimiser."
        ]
        if self.identity["note"]:
            notes.append(self.identity["note"])
        trained = next((row.trained for row in self.rows if row.name == RANDOM), None)
        if trained is not None:
            what, time = "rate" if self.knows_optimum else "mean score", self.identity.get("budget_seconds")
            whose = "the median method's time" if time is None else "the time that was given"
            time = median(self.budgets.values() or [0]) if time is None else time
            how = "looks up architectures drawn uniformly, none twice, each as one run of the table,"
            if not self.tabular:
                how = "trains architectures drawn uniformly, none twice, from scratch on the weight split"
                if protocol := self.identity["evaluator"].get("protocol"):
                    how += f" ({count(protocol['epochs'], 'epoch')} of protocol {protocol['name']})"
            notes.append(
                f"Random search {how} and takes the one that is best on the validation split. Its row has {whose}, "
                f"{of_seconds(time, '.2g')} s: as many as fit, {trained:.1f} on average, at least one. “random, same time” is "
                f"its {what} within the mean time of the method in that row. Only time spent searching counts; scoring what "
                "was found does not."
            )
            if self.tabular:
                notes.append("Seconds of black-box searches are those that the table's trainings took, where it was made.")
        searchers = [row for row in self.rows if row.name in self.identity.get("searchers", ()) and row.trained is not None]
        if searchers:
            counts = ", ".join(f"{row.name} {row.trained:.1f}" for row in searchers)
            notes.append(
                "Black-box searchers score their trials in the same way and had the time of the row of random search; "
                f"trials on average: {counts}."
            )
        if self.known:
            equal = (
                "as what the median recipe found, and trained in the same way for as long as its search and its training took "
                "together."
                if self.identity["recipes"]
                else "as what random search took, and trained in the same way for as long as random search had."
            )
            notes.append(f"{' and '.join(self.known)}: known without a search, with at most as many parameters {equal}")
        notes += self._about_paper()
        pairs = [(row.name, pair) for row in self.rows if (pair := self._against_random(row)) is not None]
        if pairs:
            words = ", ".join(f"{name} {self.signed(pair.difference)} (p {pair.p:.2g})" for name, pair in pairs)
            least = min(2 / 2**pair.n for _, pair in pairs)
            notes.append(
                f"Against random search's own row, paired by seed (exact test of signs{self._lower('; below 0 is better')}): "
                f"{words}. {count(n, 'pair')} can show no p below {least:.2g}."
            )
        if n < 10:
            width = interval(0.5, n)
            reach = (
                f": one half found has a 95 % interval of {100 * width[0]:.0f} to {100 * width[1]:.0f} %"
                if self.knows_optimum
                else ""
            )
            notes.append(f"{count(n, 'run')} of a method can show large differences only{reach}.")
        for row in self.rows:
            failed = [run for run in row.runs if run.error]
            if failed:
                words = " Seed ".join(f"{run.seed}: {run.error}" for run in failed)
                notes.append(f"{row.name}: {len(failed)} of {count(len(row.runs), 'run')} failed, seed {words}")
        if self.done < self.planned:
            names = f" Still to do: {', '.join(self.missing)}." if len(self.missing) <= NAMED else ""
            notes.append(f"Not finished: {self.done} of {count(self.planned, 'run')} are done.{names}")
        return notes

    def _unit(self) -> str:
        """The unit of the scores as the notes say it."""
        unit = self.measure.suffix.strip()
        return f", in {unit}" if unit else ""

    def _lower(self, words: str = "") -> str:
        """Words for scores that are better when lower; nothing for others."""
        which = direction(self.measure)
        return (words or f" ({which})") if which else ""

    def _against_random(self, row: Row) -> Paired | None:
        known = any(other.name == RANDOM for other in self.rows)
        return self.paired(row.name, RANDOM) if known and row.name != RANDOM else None

    def _about_paper(self) -> list[str]:
        """Where reported numbers are from, and what was different there."""
        if not self.paper:
            return []
        sources: dict[str, list[str]] = {}
        for name, reported in self.paper.items():
            sources.setdefault(reported["source"], []).append(name)
        words = "; ".join(f"{', '.join(names)}: {source}" for source, names in sources.items())
        differences = self.identity["paper"]["differences"]
        return [
            f"“paper” is what is reported ({words}).",
            *([f"Different here, in brackets what was published: {differences}."] if differences else []),
        ]

    def _failures(self) -> bool:
        return any(row.failed for row in self.rows)

    def _cells(self, row: Row) -> list[str]:
        rate = self.learning_rate(row.name)
        cells = [row.name, str(row.n), ABSENT if rate is None else f"{rate:.2g}"]
        if self.knows_optimum:
            low, high = row.rate_interval or (math.nan, math.nan)
            cells += [ABSENT, ABSENT] if row.rate is None else [_rate(row), f"{100 * low:.0f} - {100 * high:.0f} %"]
        cells.append(self.spread(row, " +- "))
        if self.paper:
            reported = self.paper.get(row.name, {})
            deviation = "" if reported.get("deviation") is None else f" +- {reported['deviation']:4.1f}"
            cells.append(f"{reported['mean']:.1f}{deviation}" if reported else ABSENT)
        else:
            cells.append(self.plain(row.best))
        if "skips" in self.columns():
            cells.append(ABSENT if row.skips is None else f"{row.skips:.1f}")
        cells.append(ABSENT if row.seconds is None else of_seconds(row.seconds))
        rival = row.rival
        if self.knows_optimum:
            cells.append(ABSENT if rival is None or rival.rate is None else f"{100 * rival.rate:.0f} %")
        else:
            cells.append(self.plain(None if rival is None else rival.mean))
        return [*cells, str(row.failed)] if self._failures() else cells

    @property
    def digits(self) -> int:
        """Digits after the point of a score: as many as tell the methods apart."""
        return digits(self.measure, [row.mean for row in self.rows])

    def plain(self, value: Number) -> str:
        """A score without its unit: ``93.4``."""
        return ABSENT if value is None else self.measure.digits(value, self.digits)

    def written(self, value: Number) -> str:
        """A score with its unit: ``93.4 %``."""
        return ABSENT if value is None else self.measure.written(value, self.digits)

    def signed(self, difference: float) -> str:
        """A difference of two scores with its sign, without its unit: ``+1.2``."""
        return f"{'-' if difference < 0 else '+'}{self.plain(abs(difference))}"

    def spread(self, row: Row, between: str) -> str:
        """Mean and standard deviation of a method's scores, without their unit: ``93.4 +-  0.2``."""
        return self.plain(row.mean) + ("" if row.deviation is None else f"{between}{self.plain(row.deviation):>4}")


def of_seconds(value: float, digits: str = ".1f") -> str:
    """A number of seconds: from a hundred on whole, with commas."""
    return format(value, ",.0f" if value >= 100 else digits)


def _rate(row: Row) -> str:
    return f"{row.hits} of {len(row.runs)} = {100 * (row.rate or 0):3.0f} %"
