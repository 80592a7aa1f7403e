"""The figures of the report: from a run to drawn curves, weights and scores, each with a note on how to read it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from mixop.core.measure import Measure
from mixop.report import choices, plots
from mixop.report.palette import KINDS, kind_of
from mixop.report.switches import draw_switches
from mixop.report.verdict import interval
from mixop.report.words import column, head, word, written
from mixop.runs.cells import operations_of
from mixop.runs.read import Curves, EdgeOptions, RunContents
from mixop.runs.records import FOUND

Item = dict[str, Any]
"""A figure with its ``title``, its ``note`` on how to read it, and its ``svg``."""

VALIDATED = "found, validation"
"""The line of what a training measures on the validation part, where its protocol does."""

ENTROPY = (
    "How undecided the search is, averaged over the decisions. It falls as operations drop out of the race; at the "
    "dashed line all weigh the same, at 0 one of them has everything. Near the line to the end: nothing was decided. A plunge "
    "in the first epochs: decided before the network weights could tell."
)
SKIPS = (
    "Mixing weight on skip connections where they are offered. A steady climb above one half warns of collapse: skips ease the "
    "supernet's training and so win, and the found network is too shallow."
)


def used_kinds(run: RunContents) -> list[str]:
    """The kinds of operation that the space offers or the cells use, in the order of the palette."""
    decisions = (decision for decisions in run.decisions.values() for decision in decisions if not decision.reads)
    names = {option for decision in decisions for option in decision.options}
    names |= {name for cell in run.cells.values() for name in operations_of(cell)}
    used = {kind_of(name) for name in names}
    return [kind for kind in KINDS if kind in used]


def _chosen(run: RunContents, group: str) -> dict[int, tuple[str, ...]] | None:
    """Decision -> options in the found cell of a group; None if nothing is found yet or edges name no decision."""
    for cell in run.cells.values():
        if group in cell.get("chosen", ()):
            return {e: tuple(map(str, taken)) for e, taken in enumerate(cell["chosen"][group])}
    edges = run.cells[group]["edges"] if group in run.cells else None
    if edges is None:  # several groups decide about one cell, and its edges say which
        edges = [edge for cell in run.cells.values() for edge in cell["edges"] if edge.get("group") == group]
    if not edges or not all(isinstance(edge.get("decision"), int) for edge in edges):
        return None
    return {edge["decision"]: (str(edge["operation"]),) for edge in edges}


ROWS = 14
"""Strips in one picture; more go beside or below it. More switches than that are drawn in one picture, too."""


def heatmaps(run: RunContents) -> list[tuple[str, list[dict[str, Any]]]]:
    """For every group a panel for every decision."""
    if run.search is None:
        return []
    groups = []
    for group, mix in run.search.mix.items():
        chosen = _chosen(run, group)
        if len(run.decisions[group]) > ROWS and _are_switches(run.decisions[group]):
            groups.append((group, [_switches(run, group, mix[-1, :, 1], chosen)]))
            continue
        panels = []
        for index, decision in enumerate(run.decisions[group]):
            taken = chosen.get(index, ()) if chosen is not None else ()
            weights = mix[:, index]
            svg = plots.heatmap(
                weights,
                run.search.epochs,
                decision.options,
                description=_describe_weights(group, decision, run.search.epochs[-1], weights[-1]),
                chosen=taken,
            )
            place = decision.place or f"node {decision.source} → {decision.target}"
            panels.append({"edge": place, "dropped": chosen is not None and not taken, "svg": Markup(svg)})
        groups.append((group, panels))
    return groups


def _are_switches(decisions: Sequence[EdgeOptions]) -> bool:
    return all([kind_of(option) for option in decision.options] == ["none", "skip"] for decision in decisions)


def _switches(run: RunContents, group: str, weights: np.ndarray, chosen: dict[int, tuple[str, ...]] | None) -> dict[str, Any]:
    """One panel for all skips of a network: their weights at the end."""
    pairs = [(decision.source, decision.target) for decision in run.decisions[group]]
    known = {pair: float(w) if math.isfinite(w) else None for pair, w in zip(pairs, weights, strict=True)}
    taken = {pair for index, pair in enumerate(pairs) if chosen is not None and "skip" in map(kind_of, chosen.get(index, ()))}
    likely = sum(weight is not None and weight > 0.5 for weight in known.values())
    description = f"{group}: weights of {len(pairs)} skips at the end of the search; {likely} of them above one half"
    return {"edge": "", "dropped": False, "svg": Markup(draw_switches(known, taken, description))}


def strips(run: RunContents) -> list[Markup]:
    """Of a space of choices the weights of every decision over time, in pictures of some decisions each."""
    if run.search is None:
        return []
    found = [_strip(run, decision) for decision in run.search.mix]
    pictures = []
    count = -(-len(found) // ROWS)
    size = -(-len(found) // max(count, 1))
    for start in range(0, len(found), max(size, 1)):
        part = found[start : start + size]
        words = "; ".join(f"{strip.name}: {strip.taken}" for strip in part)
        text = f"Mixing weights over the epochs; at epoch {run.search.epochs[-1]}: {words}"
        pictures.append(Markup(plots.strips(part, run.search.epochs, description=text)))
    return pictures


def _strip(run: RunContents, decision: str) -> plots.Strip:
    names, weights, taken = choices.names_of(run, decision), choices.weights_of(run, decision), choices.taken_by(run, decision)
    assert weights is not None  # there are some, or this figure is not drawn
    last = np.nan_to_num(weights[-1])
    first = [names.index(name) for name in taken or () if name in names]
    if run.choices is None:  # nothing is found yet: the heaviest stands for it
        first = [int(last.argmax())]
    order = [*first, *(index for index in np.argsort(-last, kind="stable").tolist() if index not in first)]
    if taken is None and run.choices is not None:
        words = "not reached"
    else:
        words = " + ".join(f"{names[index]} {last[index]:.2f}" for index in first) or "none"
    name, text = _shortened(decision, 50 - min(len(words), 30), tail=True), _shortened(words, 30)
    return plots.Strip(name, text, weights[:, order], len(first))


def _shortened(text: str, most: int, *, tail: bool = False) -> str:
    if len(text) <= most:
        return text
    return f"…{text[1 - most :]}" if tail else f"{text[: most - 1]}…"


def _describe_weights(group: str, decision: EdgeOptions, epoch: int, weights: np.ndarray) -> str:
    values = ", ".join(
        f"{option} {weight:.2f}" if math.isfinite(weight) else f"{option} unknown"
        for option, weight in zip(decision.options, weights, strict=True)
    )
    place = decision.place or f"edge {decision.source} to {decision.target}"
    return f"{group}, {place}: mixing weights over the epochs; at epoch {epoch}: {values}"


def _item(title: str, note: str, svg: str) -> Item:
    return {"title": title, "note": note, "svg": Markup(svg)}


def search_figures(run: RunContents) -> list[Item]:
    """Curves of every measure, of the mixing weights, and of every number that a monitor added."""
    if run.search is None:
        return []
    search, epochs = run.search, run.search.epochs
    # The loss comes first: it is what both kinds of weights learn from.
    ordered = sorted(run.measures, key=lambda measure: measure.name != "loss")
    figures = [figure for measure in ordered if (figure := _measured(run, measure)) is not None]
    if _any(search.entropy):
        curves = [plots.Curve(None, epochs, search.entropy)]
        reference = (run.max_entropy, f"uniform: {run.max_entropy:.2f}") if run.max_entropy else None
        svg = plots.lines(curves, description=_describe("Entropy in nats", curves), reference=reference)
        figures.append(_item("Entropy of the mixing weights (nats)", ENTROPY, svg))
    if _any(search.skip_share):
        curves = [plots.Curve(None, epochs, search.skip_share, "op-skip")]
        text = _describe("Skip share", curves, percent=True)
        figures.append(_item("Skip share", SKIPS, plots.lines(curves, percent=True, description=text)))
    return figures + [_column(run, name) for name, values in search.columns.items() if _any(values)]


def _measured(run: RunContents, measure: Measure) -> Item | None:
    """A measure of the supernet, over the training batches and on the validation part."""
    assert run.search is not None
    curves = [
        plots.Curve(label, run.search.epochs, given[measure.name], colour)
        for label, given, colour in (("training", run.search.train, "accent"), ("validation", run.search.valid, "second"))
        if measure.name in given and _any(given[measure.name])
    ]
    if not curves:
        return None
    return _drawn(curves, measure, head(measure), _note(run.search.valid, measure))


def _note(valid: Curves, measure: Measure) -> str:
    if measure.name == "loss" and valid:
        return (
            "Of the supernet. Network weights learn from the training part, architecture weights from the validation part; a "
            "widening gap means that the network weights overfit and tell the architecture less."
        )
    better = "higher" if measure.better == "higher" else "lower"
    held = "" if valid else " The search learns from all training examples, so none are left to validate on."
    return (
        f"Of the supernet, where all operations run at once; {better} is better. The found network is trained from scratch, so "
        f"this is no forecast of its {word(measure)}.{held}"
    )


def _drawn(curves: Sequence[plots.Curve], measure: Measure, title: str, note: str) -> Item:
    share = measure.style == "percent"
    return _item(title, note, plots.lines(curves, percent=share, description=_describe(title, curves, measure=measure)))


def _column(run: RunContents, name: str) -> Item:
    """What a monitor added under a name."""
    assert run.search is not None
    words, values = column(name), run.search.columns[name]
    known = np.isfinite(values)  # a monitor may measure every few epochs
    at = [epoch for epoch, is_known in zip(run.search.epochs, known, strict=True) if is_known]
    note, share = words.note, words.style == "percent"
    scale = 1.0
    if words.style == "difference":
        scale = run.first.scale
        unit = "points of percent" if run.first.style == "percent" else run.first.unit
        note = f"{note} In {unit} of {word(run.first)}." if unit else f"{note} In units of {word(run.first)}."
    curves = [plots.Curve(None, at, scale * values[known], "second")]
    svg = plots.lines(curves, percent=share, description=_describe(words.title, curves, percent=share))
    return _item(words.title, note, svg)


def retraining_figures(run: RunContents) -> list[Item]:
    """Training curves of every measure, the found network's above the others'."""
    figures, others = [], sum(r.label != FOUND for r in run.retrainings)
    family = "random" if all(r.label == FOUND or r.label.startswith("random") for r in run.retrainings) else "others"
    for measure in sorted(run.measures, key=lambda measure: measure.name != "loss"):
        curves = []
        for retraining in sorted(run.retrainings, key=lambda r: r.label == FOUND):
            values = retraining.train.get(measure.name)
            if values is None or not _any(values):
                continue
            if retraining.label == FOUND:
                seen = retraining.valid.get(measure.name)
                if seen is not None and _any(seen):
                    curves.append(plots.Curve(VALIDATED, retraining.epochs, seen, "second", width=2.4))
                curves.append(plots.Curve("found", retraining.epochs, values, width=2.4))
            else:
                label = None if any(c.colour == "rival" for c in curves) else f"{family} ({others})"
                curves.append(plots.Curve(label, retraining.epochs, values, "rival", width=1.2))
        began = run.score.began if run.score else "trained"
        note = f"Every network {began}, by the same protocol, on the examples that it learns from."
        if any(curve.label == VALIDATED for curve in curves):
            note += " The other line is the validation part, with averaged weights once there are some."
        if curves:
            figures.append(_drawn(curves, measure, head(measure, "training"), note))
    return figures


def _any(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any())


def _describe(what: str, curves: Sequence[plots.Curve], *, percent: bool = False, measure: Measure | None = None) -> str:
    """A line plot in words: where every curve begins and ends."""

    def text(value: float) -> str:
        if measure is not None:
            return written(measure, value)
        return f"{100 * value:.1f} %" if percent else f"{value:.3f}"

    parts = []
    for curve in curves:
        known = np.flatnonzero(np.isfinite(curve.values))
        first, last = known[0], known[-1]
        begin, end = text(float(curve.values[first])), text(float(curve.values[last]))
        name = f"{curve.label}: " if curve.label else ""
        parts.append(f"{name}{begin} at epoch {curve.epochs[first]}, {end} at epoch {curve.epochs[last]}")
    return f"{what} over the epochs. {'; '.join(parts)}."


def ranking(run: RunContents) -> Item | None:
    """All networks by the first measure, with intervals where their examples give some."""
    score = run.score
    if score is None or len(score.networks) < 2:
        return None
    measure, examples = score.first, score.counted
    ordered = [(network.label, value) for network in score.ranked if (value := score.value(network)) is not None]
    if not ordered:
        return None
    title = head(measure, score.scored_on.word)
    values = [value for _, value in ordered]
    svg = plots.ranking(
        [label for label, _ in ordered],
        values,
        [interval(value, examples) if examples else (value, value) for value in values],
        measure=measure,
        description=f"{title}: " + ", ".join(f"{label} {written(measure, value, examples)}" for label, value in ordered),
        examples=examples,
    )
    if examples:
        note = (
            f"Bars are 95 % intervals (Wilson) for {score.scored_on.of(run.noun)}: they show what these cannot tell apart. "
            "Training again with another seed moves the dots as well."
        )
    else:
        note = "Training again with another seed moves the dots; one training of each does not show by how much."
    if measure.better == "lower":
        note = f"Lower is better, and the best is on top. {note}"
    return _item(title, note, svg)
