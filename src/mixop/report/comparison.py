"""Reads the directory of a comparison: its runs, and what can honestly be said of each method from so many of them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from mixop.core.errors import RunError
from mixop.report.paired import Paired, sign_flip
from mixop.report.palette import ABSENT
from mixop.report.verdict import interval

COMPARISON, TRIAL = "comparison.json", "trial.json"
RANDOM = "random"
"""Name of random search among the methods."""


@dataclass(frozen=True)
class Trial:
    """One run of a method.

    Args:
        seed: its seed.
        path: its run directory.
        architecture: what it found, in its community's notation; None if it failed.
        seconds: that the search took.
        score: in [0, 1], larger is better; None if it failed.
        hit: whether it found the optimum; None where that is not known.
        distance: number of decisions that differ from the optimum's.
        trained: architectures that a black-box search trained or looked up; None for others.
        skips: edges of the architecture that are skip connections; None where that was not counted.
        entropy: of the mixing weights at the end of the search, in nats; None where there are none.
        curve: ``(epoch, seconds, score)`` of what the search would have given after each epoch, where a table knows it.
        error: why it failed.
    """

    seed: int
    path: Path
    architecture: str | None = None
    seconds: float | None = None
    score: float | None = None
    hit: bool | None = None
    distance: int | None = None
    trained: int | None = None
    skips: int | None = None
    entropy: float | None = None
    curve: tuple[tuple[int, float, float], ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Row:
    """All runs of a method; statistics are of those that were scored.

    Args:
        name: of the method.
        trials: its runs, by seed; those not yet done are not among them.
        rival: random search with as much time as a run of the method takes on average, or had; None for random search itself.
    """

    name: str
    trials: tuple[Trial, ...]
    rival: "Row | None" = None

    @property
    def scores(self) -> list[float]:
        """Scores of the runs that have one."""
        return [trial.score for trial in self.trials if trial.score is not None]

    @property
    def n(self) -> int:
        """Number of scores."""
        return len(self.scores)

    @property
    def failed(self) -> int:
        """Runs that failed."""
        return sum(trial.error is not None for trial in self.trials)

    @property
    def mean(self) -> float | None:
        """Mean score."""
        return fmean(self.scores) if self.scores else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the scores over the runs, of the sample (divided by n - 1); None for fewer than two."""
        return stdev(self.scores) if self.n > 1 else None

    @property
    def best(self) -> float | None:
        """Largest score."""
        return max(self.scores, default=None)

    @property
    def seconds(self) -> float | None:
        """Mean time of a search."""
        known = [trial.seconds for trial in self.trials if trial.seconds is not None]
        return fmean(known) if known else None

    @property
    def trained(self) -> float | None:
        """Mean number of architectures that a black-box search trained."""
        known = [trial.trained for trial in self.trials if trial.trained is not None]
        return fmean(known) if known else None

    @property
    def skips(self) -> float | None:
        """Mean number of skip connections of what was found."""
        known = [trial.skips for trial in self.trials if trial.skips is not None]
        return fmean(known) if known else None

    @property
    def hits(self) -> int | None:
        """Runs that found the optimum; None where it is not known. A run that failed has not found it."""
        return sum(trial.hit is True for trial in self.trials) if any(t.hit is not None for t in self.trials) else None

    @property
    def rate(self) -> float | None:
        """Share of all runs, failed ones included, that found the optimum."""
        return None if self.hits is None else self.hits / len(self.trials)

    @property
    def rate_interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the rate."""
        return None if self.rate is None else interval(self.rate, len(self.trials))

    @property
    def found(self) -> dict[str, int]:
        """How often each architecture was found, the most frequent first."""
        counts: dict[str, int] = {}
        for trial in self.trials:
            if trial.architecture is not None:
                counts[trial.architecture] = counts.get(trial.architecture, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class Comparison:
    """A comparison as its files tell it.

    Args:
        path: its directory.
        identity: the content of ``comparison.json``.
        rows: the methods and random search, the best first.
        budgets: mean seconds of a search, by recipe.
    """

    path: Path
    identity: Mapping[str, Any]
    rows: tuple[Row, ...]
    budgets: Mapping[str, float]

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
        """Recipes and searchers, by name; random search aside."""
        return [*self.identity["recipes"], *self.identity.get("searchers", ())]

    @property
    def done(self) -> int:
        """Runs that are finished, or have failed for good."""
        return sum(len(row.trials) for row in self.rows)

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
        scores = [{t.seed: t.score for t in self.row(n).trials if t.score is not None} for n in (name, other)]
        differences = [scores[0][seed] - scores[1][seed] for seed in scores[0] if seed in scores[1]]
        return Paired(fmean(differences), len(differences), sign_flip(differences)) if differences else None

    def columns(self) -> list[str]:
        """Heads of the table."""
        optimum = ["found", "95 % interval"] if self.knows_optimum else []
        skips = ["skips"] if any(row.skips is not None for row in self.rows) and self.tabular else []
        middle = ["mean +- sd", *(["paper"] if self.paper else ["best"]), *skips]
        return ["method", "n", *optimum, *middle, "seconds", "random, same time", *(["failed"] if self._failures() else [])]

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
        """The rows as JSON data, the best first; shares in [0, 1], times in seconds, None where not known."""
        return [
            {
                "method": row.name,
                "n": row.n,
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
            {"method": row.name, **{k: v for k, v in asdict(trial).items() if k != "path"}, "path": trial.path.name}
            for row in self.rows
            for trial in row.trials
        ]

    def notes(self) -> list[str]:
        """What was done, and how much the numbers can bear, in sentences."""
        n = len(self.seeds)
        data, space = self.identity["data"]["name"], self.identity["space"]["space"]["type"]
        notes = [
            f"{_count(n, 'seed')} for each method on {space}, data {data}. Score, in %: {self.score}; sd is the standard "
            "deviation over seeds (n - 1), seconds the mean time of one search."
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
                protocol = self.identity["evaluator"]["protocol"]
                how = (
                    "trains architectures drawn uniformly, none twice, from scratch on the weight split "
                    f"({_count(protocol['epochs'], 'epoch')} of protocol {protocol['name']})"
                )
            notes.append(
                f"Random search {how} and takes the one that is best on the validation split. Its row has {whose}, "
                f"{_of_seconds(time, '.2g')} s: as many as fit, {trained:.1f} on average, at least one. “random, same time” is "
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
        notes += self._about_paper()
        pairs = [(row.name, pair) for row in self.rows if (pair := self._against_random(row)) is not None]
        if pairs:
            words = ", ".join(f"{name} {100 * pair.difference:+.1f} (p {pair.p:.2g})" for name, pair in pairs)
            least = min(2 / 2**pair.n for _, pair in pairs)
            notes.append(
                f"Against random search's own row, paired by seed (exact test of signs): {words}. {_count(n, 'pair')} can show "
                f"no p below {least:.2g}."
            )
        if n < 10:
            width = interval(0.5, n)
            reach = f": one half found has a 95 % interval of {width[0]:.0%} to {width[1]:.0%}" if self.knows_optimum else ""
            notes.append(f"{_count(n, 'run')} of a method can show large differences only{reach}.")
        for row in self.rows:
            errors = [(trial.seed, trial.error) for trial in row.trials if trial.error]
            if errors:
                seed, sentence = errors[0]
                notes.append(f"{row.name}: {len(errors)} of {_count(len(row.trials), 'run')} failed, seed {seed}: {sentence}")
        if self.done < self.planned:
            notes.append(f"Not finished: {self.done} of {_count(self.planned, 'run')} are done.")
        return notes

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
        cells = [row.name, str(row.n)]
        if self.knows_optimum:
            low, high = row.rate_interval or (math.nan, math.nan)
            cells += [ABSENT, ABSENT] if row.rate is None else [_rate(row), f"{low:.0%} - {high:.0%}"]
        deviation = "" if row.deviation is None else f" +- {100 * row.deviation:4.1f}"
        cells.append(ABSENT if row.mean is None else f"{100 * row.mean:.1f}{deviation}")
        if self.paper:
            reported = self.paper.get(row.name, {})
            deviation = "" if reported.get("deviation") is None else f" +- {reported['deviation']:4.1f}"
            cells.append(f"{reported['mean']:.1f}{deviation}" if reported else ABSENT)
        else:
            cells.append(share(row.best))
        if "skips" in self.columns():
            cells.append(ABSENT if row.skips is None else f"{row.skips:.1f}")
        cells.append(ABSENT if row.seconds is None else _of_seconds(row.seconds))
        rival = row.rival
        known = None if rival is None else rival.rate if self.knows_optimum else rival.mean
        cells.append(share(known, digits=0 if self.knows_optimum else 1))
        return [*cells, str(row.failed)] if self._failures() else cells


def share(value: float | None, digits: int = 1) -> str:
    """A share in percent, without the sign."""
    return ABSENT if value is None else f"{100 * value:.{digits}f}" + (" %" if digits == 0 else "")


def chosen(candidates: Sequence[Mapping[str, Any]], budget: float) -> int:
    """Which architecture random search takes when its time is up.

    Args:
        candidates: what it trained in order, with ``seconds`` and ``valid_accuracy``.
        budget: seconds; the first one counts in any case.

    Returns:
        Index of the best one on the validation split, of equals the first.
    """
    within = candidates[: fitting(candidates, budget)]
    return max(range(len(within)), key=lambda index: within[index]["valid_accuracy"])


def fitting(candidates: Sequence[Mapping[str, Any]], budget: float) -> int:
    """How many of the trainings fit into the time, at least 1."""
    spent, count = 0.0, 0
    for candidate in candidates:
        spent += candidate["seconds"]
        if spent > budget:
            break
        count += 1
    return max(count, 1)


def read_comparison(path: str | Path) -> Comparison:
    """Reads the directory of a comparison, finished or not.

    Raises:
        RunError: if it is none, or a file is torn.
    """
    path = Path(path)
    if not (path / COMPARISON).is_file():
        raise RunError(f"{path} is no comparison (it has no {COMPARISON}): give the --out of mixop compare.")
    identity = _read(path / COMPARISON)
    try:
        return _comparison(path, identity)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"A file of the comparison {path} is damaged ({type(error).__name__}: {error}): "
            f"remove the {TRIAL} of the run concerned and give the same command again."
        ) from error


def _comparison(path: Path, identity: Mapping[str, Any]) -> Comparison:
    seeds = identity["seeds"]
    trials = {
        name: tuple(t for t in (_trial(path / f"{name}-{seed}", seed) for seed in seeds) if t is not None)
        for name in (*identity["recipes"], *identity.get("searchers", ()))
    }
    budgets = mean_seconds({name: trials[name] for name in identity["recipes"]})
    drawn = [(seed, found) for seed in seeds if (found := _read(path / f"{RANDOM}-{seed}" / TRIAL, missing=True))]

    def at(name: str) -> Row:
        own = tuple(_random_trial(path / f"{RANDOM}-{seed}", seed, found, found["budgets"][name]) for seed, found in drawn)
        return Row(RANDOM, own)

    searchers = identity.get("searchers", ())  # they have the time of random search's own row
    time_of = {n: "median" if n in searchers else n for n in trials}
    rows = [
        Row(n, own, at(time_of[n]) if drawn and time_of[n] in drawn[0][1]["budgets"] else None) for n, own in trials.items()
    ]
    if drawn:
        rows.append(at("median"))
    order = sorted(rows, key=lambda r: (-(r.rate or 0), -(-1 if r.mean is None else r.mean), r.seconds or math.inf))
    return Comparison(path, identity, tuple(order), budgets)


def _of_seconds(value: float, digits: str = ".1f") -> str:
    """A number of seconds: from a hundred on whole, with commas."""
    return format(value, ",.0f" if value >= 100 else digits)


def mean_seconds(trials: Mapping[str, Sequence[Trial]]) -> dict[str, float]:
    """Mean time of a search, by recipe, of those that have finished one."""
    means = {name: Row(name, tuple(own)).seconds for name, own in trials.items()}
    return {name: seconds for name, seconds in means.items() if seconds is not None}


def _trial(folder: Path, seed: int) -> Trial | None:
    found = _read(folder / TRIAL, missing=True)
    if found is None:
        return None
    return Trial(
        seed=seed,
        path=folder,
        architecture=found.get("architecture"),
        seconds=found.get("search_seconds"),
        score=found.get("score"),
        hit=found.get("hit"),
        distance=found.get("distance"),
        trained=found.get("trained"),
        skips=found.get("skips"),
        entropy=found.get("entropy"),
        curve=tuple((epoch, seconds, score) for epoch, seconds, score in found.get("curve", ())),
        error=found.get("error"),
    )


def _random_trial(folder: Path, seed: int, found: Mapping[str, Any], budget: float) -> Trial:
    candidates = found["candidates"]
    taken, count = candidates[chosen(candidates, budget)], fitting(candidates, budget)
    return Trial(
        seed=seed,
        path=folder,
        architecture=taken["architecture"],
        seconds=sum(candidate["seconds"] for candidate in candidates[:count]),
        score=taken["score"],
        hit=taken.get("hit"),
        distance=taken.get("distance"),
        trained=count,
        skips=taken.get("skips"),
    )


def _read(path: Path, *, missing: bool = False) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing:
            return None
        raise
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is torn or unreadable ({error}): remove it and give the same command again.") from error


def _rate(row: Row) -> str:
    return f"{row.hits} of {len(row.trials)} = {row.rate:4.0%}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
