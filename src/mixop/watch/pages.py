"""The parts of the page: of one run, with the sections of its report, or of several runs together."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import escape

from mixop.core.errors import MixopError
from mixop.core.measure import Measure
from mixop.report import sections
from mixop.report.comparison import Comparison
from mixop.report.comparison_files import read_comparison
from mixop.report.comparison_page import verdict as verdict_of
from mixop.report.palette import ABSENT, KINDS
from mixop.report.run_sections import section
from mixop.report.templating import template, unique_ids
from mixop.report.verdict import beside_known, verdict
from mixop.report.words import capital, count, duration, word, written
from mixop.runs.files import COMPARISON
from mixop.watch.costs import against_cost, scored_by
from mixop.watch.derived import as_derived
from mixop.watch.follow import Followed, Follower
from mixop.watch.overlay import Key, key, method, overlays, reached, score_of
from mixop.watch.signs import signs
from mixop.watch.standing import Standing, standing

Parts = Mapping[str, str]
"""HTML by the name of its part, in the order of the page."""

KEPT = 32
"""Pages of different choices that are kept until something changes."""

SHOWN = 40
"""Spans of epochs in a table, at most: a long search changes its architecture hundreds of times."""


def page(follower: Follower, query: str) -> str:
    """The page without its parts, which it asks for.

    Args:
        follower: of the directory.
        query: what the parts are asked for with: ``?run=0``, or nothing.
    """
    return _template("page").render(name=follower.name, folder=str(follower.folder), query=query)


def style() -> str:
    """The style sheet: that of the report, and what this page has besides."""
    return template("style.css.jinja").render(kinds=KINDS)


@dataclass
class Pages:
    """Makes the parts anew where something has changed.

    Args:
        follower: of the directory; whoever calls here has looked before, and is the only one who does.
    """

    follower: Follower
    _made: dict[Hashable, tuple[Hashable, Parts]] = field(default_factory=dict)
    _read: "tuple[int, _Compared] | None" = None

    def parts(self, chosen: Sequence[int] = ()) -> Parts:
        """The parts of the page.

        Args:
            chosen: numbers of runs: one is shown alone, several together; none, and unknown ones alone, are all.
        """
        runs = self.follower.runs
        shown = [run for run in runs if run.number in chosen] or list(runs)
        if len(shown) == 1:
            return self._alone(shown[0], several=len(runs) > 1)
        return self._together(runs, shown, selected=len(shown) < len(runs))

    def _cached(self, name: Hashable, version: Hashable, make: Callable[[], Parts]) -> Parts:
        known = self._made.get(name)
        if known is None or known[0] != version:
            self._made.pop(name, None)
            if len(self._made) >= KEPT:
                del self._made[next(iter(self._made))]
            known = self._made[name] = (version, _made(make))
        return known[1]

    def _alone(self, run: Followed, *, several: bool) -> Parts:
        found = self._cached(run.number, run.version, lambda: _sections(run))
        head = _template("run").render(
            several=several, run=run, standing=standing(run), signs=_signs(run), verdict=_verdict(run), links=_links(found)
        )
        return {"head": head, **found}

    def _together(self, runs: Sequence[Followed], shown: Sequence[Followed], *, selected: bool) -> Parts:
        stands = {run.number: standing(run) for run in runs}
        running = [number for number, stand in stands.items() if stand.state == "running"]
        readable = [run for run in shown if run.contents is not None]
        compared = self._compared()
        comparison = compared.comparison
        scored = scored_by(self.follower.folder, comparison)
        colours = key(readable, running, scored)
        found = self._cached(
            ("together", *(run.number for run in shown)) if selected else "all",
            (self.follower.version, *running),
            lambda: _figures(self.follower, readable, colours, comparison),
        )
        if runs:
            found = {**found, "runs": _table(runs, shown, stands, colours.of, scored, selected=selected)}
        head = _template("overview").render(
            name=self.follower.name,
            words=f"{_words(list(stands.values()))} {compared.words}".strip(),
            errors=[*compared.errors, *(run.error for run in runs if run.error)],
            links=_links(found),
        )
        return {"head": head, **found}

    def _compared(self) -> "_Compared":
        if self._read is None or self._read[0] != self.follower.version:
            self._read = (self.follower.version, _compared(self.follower.folder))
        return self._read[1]


@dataclass(frozen=True)
class _Compared:
    """What a directory says of the comparison that it is: nothing where it is none."""

    comparison: Comparison | None = None
    words: str = ""
    errors: tuple[str, ...] = ()


def _compared(folder: Path) -> _Compared:
    if not (folder / COMPARISON).is_file():
        return _Compared()
    try:
        read = read_comparison(folder)
        done = f"{read.done} of {read.planned} runs of the comparison are done."
        return _Compared(read, done if read.done < read.planned else verdict_of(read))
    except MixopError as error:
        return _Compared(errors=(str(error),))


def _made(make: Callable[[], Parts]) -> Parts:
    """The parts, or a sentence in their place: a file that nobody foresaw must not end the page for all other runs."""
    try:
        return make()
    except MixopError as error:
        said = str(error)
    except Exception as error:
        said = f"This is a bug in mixop ({type(error).__name__}: {error}): please report it, with the run if you can."
    return {"fault": f'<p class="remark"><b>Look out.</b> {escape(said)}</p>'}


TITLES = {
    "search": "Curves",
    "cell": "Architecture",
    "weights": "Weights",
    "changes": "Changes",
    "comparison": "Comparison",
    "retraining": "Retraining",
    "table": "Table",
    "overlay": "Curves",
    "cost": "Score against cost",
    "runs": "Runs",
}
"""What leads to a section, by its part."""


def _links(names: Iterable[str]) -> list[tuple[str, str]]:
    """The sections that are there, with what leads to them."""
    return [(name, TITLES[name]) for name in names if name in TITLES]


def _template(name: str) -> Any:
    return template(f"{name}.html.jinja", "mixop.watch")


def _sections(run: Followed) -> Parts:
    """The sections of the report that say something of the run as far as it is."""
    contents = run.contents
    if contents is None:
        return {}
    searched = contents.search is not None
    found = as_derived(contents)
    names = ["search"] if searched else []
    names += ["cell"] if found.native is not None else []
    names += ["weights", "changes"] if searched else []
    names += ["comparison"] if contents.score is not None else []
    names += ["retraining"] if contents.retrainings else []
    now = contents.search.epochs[-1] if contents.search is not None and contents.native is None else None
    facts = template("sections/facts.html.jinja").render(facts=sections.facts(contents), cards=sections.cards(contents))
    of = {"cell": found, "weights": found}
    made = {name: section(name, of.get(name, contents), now=now, most=SHOWN) for name in names}
    return {"facts": facts, **{name: unique_ids(text, f"{name}-") for name, text in made.items()}}


def _signs(run: Followed) -> list[str]:
    return [] if run.contents is None else signs(run.contents)


def _verdict(run: Followed) -> str:
    """What a finished run found out; empty before."""
    contents = run.contents
    if contents is None or contents.native is None:
        return ""
    return " ".join([verdict(contents), *beside_known(contents)])


def _figures(follower: Follower, runs: Sequence[Followed], colours: Key, comparison: Comparison | None) -> Parts:
    parts = {}
    if comparison is not None:
        rows = list(zip(comparison.rows, comparison.cells(), strict=True))
        parts["table"] = template("sections/table.html.jinja").render(
            head=comparison.columns(), rows=rows, notes=comparison.notes()
        )
    figures = overlays(runs, colours.of)
    if figures:
        parts["overlay"] = _template("overlay").render(figures=figures, key=colours.entries, count=count(len(runs), "run"))
    cost = against_cost(follower.folder, runs, comparison)
    if cost is not None:
        parts["cost"] = _template("cost").render(item=cost)
    return {name: unique_ids(text, f"{name}-") for name, text in parts.items()}


def _words(stands: Sequence[Standing]) -> str:
    """One or two sentences on all runs."""
    if not stands:
        return "There is no run here yet; it appears as soon as one begins."
    states = {state: sum(stand.state == state for stand in stands) for state in dict.fromkeys(s.state for s in stands)}
    told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    lefts = [stand.left for stand in stands if stand.left is not None]
    left = f" The longest of those at work has about {duration(max(lefts))} left." if lefts else ""
    return f"{count(len(stands), 'run')}: {told}.{left}"


def _table(
    runs: Sequence[Followed],
    shown: Sequence[Followed],
    stands: Mapping[int, Standing],
    colours: Mapping[int, str],
    scored: Measure | None,
    *,
    selected: bool,
) -> str:
    measures = list(dict.fromkeys(run.contents.first for run in runs if run.contents is not None))
    rows = []
    for run in runs:
        stand, contents = stands[run.number], run.contents
        value = None if contents is None else reached(contents)
        warned = _signs(run)
        rows.append(
            {
                "number": run.number,
                "name": run.name,
                "method": method(run),
                "state": stand.state,
                "epochs": f"{stand.done:,} of {stand.total:,}" if stand.total else ABSENT,
                "left": ABSENT if stand.left is None else duration(stand.left),
                "values": [
                    written(measure, value) if contents is not None and contents.first == measure else ABSENT
                    for measure in measures
                ],
                "score": "" if scored is None else written(scored, score_of(run)),
                "colour": colours.get(run.number, ""),
                "chosen": selected and run in shown,
                "warnings": stand.reason or run.error or " ".join(warned),
            }
        )
    return _template("runs").render(
        rows=rows, heads=[capital(word(measure)) for measure in measures], scored=scored, selected=selected
    )
