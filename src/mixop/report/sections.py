"""The sections of the report: from a run to the numbers, words and figures that its template lays out."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from mixop.report import plots, verdict
from mixop.report.palette import ABSENT, KINDS, kind_of
from mixop.runs.read import Decision, Run, Score

TABLE_CLASSES = 20  # a confusion matrix of more classes is drawn, not written
SHOWN_CHANGES = 8  # more changes of the architecture are folded away
SHOWN_MISTAKES = 6

NOTES = {
    "Losses": "Cross-entropy of the supernet. Network weights learn from the training part, architecture weights from the "
    "validation part; a widening gap means that the network weights overfit and tell the architecture less.",
    "Accuracies": "Of the supernet, where all operations run at once. The found network is trained anew, so these are no "
    "forecast of its accuracy.",
    "Entropy of the mixing weights": "How undecided the search is, in nats, averaged over the decisions. It falls as "
    "operations drop out of the race; at the dashed line all weigh the same, at 0 one of them has everything. Near the line to "
    "the end: nothing was decided. A plunge in the first epochs: decided before the network weights could tell.",
    "Skip share": "Mixing weight on skip connections where they are offered. A steady climb above one half warns of collapse: "
    "skips ease the supernet's training and so win, and the found network is too shallow.",
    "Dominant eigenvalue": "How sharp the validation loss is in the architecture: the largest eigenvalue of its Hessian, on "
    "one fixed batch. Only its growth says something; in searches that collapse it tends to rise before skips take over.",
    "Gap to the derived network": "Validation accuracy of the supernet minus that of the derived network with the same "
    "weights, in points of percent. It starts large and shrinks as operations drop out; still large at the end, the supernet's "
    "accuracy says little about the architecture.",
    "Training loss": "Every network from scratch, by the same protocol.",
    "Training accuracy": "On the images that it learns from; test accuracies stand further up.",
}
"""How to read each figure, by its title."""


def duration(seconds: float | None) -> str:
    """A time for people: ``3 min 20 s``."""
    if seconds is None:
        return ABSENT
    if seconds < 1:
        return "< 1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def large(number: int | None) -> str:
    """A large number for people: ``1.29 M``."""
    if number is None:
        return ABSENT
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}" if number < 1000 * size else f"{number / size:,.0f} {letter}"
    return str(number)


def scalar(value: Any) -> str:
    """A plain JSON value for people."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def facts(run: Run) -> list[tuple[str, str]]:
    """What a run is, in a line under its title."""
    facts = [
        ("recipe", run.recipe.get("name") or run.recipe.get("type")),
        ("space", _nested(run.space, "space", "type")),
        ("data", run.data.get("name")),
        ("seed", run.environment.get("seed", run.settings.get("seed"))),
        ("device", run.environment.get("device")),
        ("started", str(run.environment.get("started") or "").replace("T", " ")[:16]),
    ]
    return [(name, scalar(value)) for name, value in facts if value not in (None, "")]


def _nested(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def commands(run: Run) -> list[str]:
    """The commands that made the run, in order; continuations of one that was interrupted say nothing new."""
    resumed = run.environment.get("resumed")
    sessions = [run.environment, *(resumed if isinstance(resumed, list) else [])]
    given = [session.get("command") for session in sessions if isinstance(session, Mapping)]
    continued = verdict.command(run, "resume").split()[:2]
    return list(dict.fromkeys(str(command) for command in given if command and command.split()[:2] != continued))


def cards(run: Run) -> list[tuple[str, str, str]]:
    """Key numbers: name, number, a few words on it."""
    cards = []
    found = run.score.found if run.score else None
    if run.score and found:
        images = run.score.images
        low, high = verdict.interval(found.test_accuracy, images)
        spread = f"95 % interval {100 * low:.1f} to {100 * high:.1f} %" if images else ""
        cards.append(("Test accuracy", verdict.percent(found.test_accuracy, images), spread))
        if run.score.rivals:
            place = verdict.rank(found, run.score.rivals)
            cards.append(("Place", f"{place} of {len(run.score.rivals) + 1}", "beside random architectures"))
        if found.parameters is not None:
            note = f"{large(found.flops)} multiply-adds for one image" if found.flops is not None else ""
            cards.append(("Parameters", large(found.parameters), note))
    if run.search:
        series, done = run.search.series, len(run.search.epochs)
        planned = f" of {run.search.planned}" if run.search.planned else ""
        seconds = verdict.last(series["seconds"])
        cards.append(("Epochs of the search", f"{done}{planned}", f"in {duration(seconds)}" if seconds is not None else ""))
        valid = verdict.last(series["valid_accuracy"])
        if valid is not None:
            cards.append(("Validation accuracy", verdict.percent(valid), "of the supernet, at the end"))
        entropy = verdict.last(series["entropy"])
        if entropy is not None:
            note = f"nats of {run.max_entropy:.2f} at most" if run.max_entropy else "nats"
            cards.append(("Entropy", f"{entropy:.2f}", note))
        skip = verdict.last(series["skip_share"])
        if skip is not None:
            cards.append(("Skip share", verdict.percent(skip), "of the mixing weight, at the end"))
    if found and found.seconds is not None:
        cards.append(("Retraining", duration(found.seconds), f"{found.epochs} epochs" if found.epochs else ""))
    return cards


def used_kinds(run: Run) -> list[str]:
    """The kinds of operation that the space offers or the cells use, in the order of the palette."""
    names = {option for decisions in run.decisions.values() for decision in decisions for option in decision.options}
    names |= {str(edge["operation"]) for cell in run.cells.values() for edge in cell["edges"]}
    used = {kind_of(name) for name in names}
    return [kind for kind in KINDS if kind in used]


def _chosen(run: Run, group: str) -> dict[int, str] | None:
    """Decision -> operation in the found cell of a group; None if nothing is found yet or edges name no decision."""
    edges = run.cells[group]["edges"] if group in run.cells else None
    if not edges or not all(isinstance(edge.get("decision"), int) for edge in edges):
        return None
    return {edge["decision"]: str(edge["operation"]) for edge in edges}


def heatmaps(run: Run) -> list[tuple[str, list[dict[str, Any]]]]:
    """For every group a panel for every decision."""
    if run.search is None:
        return []
    groups = []
    for group, mix in run.search.mix.items():
        chosen = _chosen(run, group)
        panels = []
        for index, decision in enumerate(run.decisions[group]):
            operation = chosen.get(index) if chosen is not None else None
            weights = mix[:, index]
            svg = plots.heatmap(
                weights,
                run.search.epochs,
                decision.options,
                description=_describe_weights(group, decision, run.search.epochs[-1], weights[-1]),
                chosen=operation,
            )
            dropped = chosen is not None and operation is None
            panels.append({"edge": f"{decision.source} → {decision.target}", "dropped": dropped, "svg": Markup(svg)})
        groups.append((group, panels))
    return groups


def _describe_weights(group: str, decision: Decision, epoch: int, weights: np.ndarray) -> str:
    values = ", ".join(
        f"{option} {weight:.2f}" if math.isfinite(weight) else f"{option} unknown"
        for option, weight in zip(decision.options, weights, strict=True)
    )
    return f"{group}, edge {decision.source} to {decision.target}: mixing weights over the epochs; at epoch {epoch}: {values}"


def _figure(title: str, svg: str) -> dict[str, Any]:
    return {"title": title, "note": NOTES[title], "svg": Markup(svg)}


def search_figures(run: Run) -> list[dict[str, Any]]:
    if run.search is None:
        return []
    series, epochs = run.search.series, run.search.epochs
    figures = []

    def pair(name: str) -> list[plots.Line]:
        named = (("training", f"train_{name}", "accent"), ("validation", f"valid_{name}", "second"))
        return [plots.Line(label, epochs, series[key], colour) for label, key, colour in named if _any(series[key])]

    if curves := pair("loss"):
        figures.append(_figure("Losses", plots.lines(curves, description=_describe("Loss", curves))))
    if curves := pair("accuracy"):
        text = _describe("Accuracy", curves, percent=True)
        figures.append(_figure("Accuracies", plots.lines(curves, percent=True, description=text)))
    if _any(series["entropy"]):
        curves = [plots.Line(None, epochs, series["entropy"])]
        reference = (run.max_entropy, f"uniform: {run.max_entropy:.2f}") if run.max_entropy else None
        svg = plots.lines(curves, description=_describe("Entropy in nats", curves), reference=reference)
        figures.append(_figure("Entropy of the mixing weights", svg))
    if _any(series["skip_share"]):
        curves = [plots.Line(None, epochs, series["skip_share"], "op-skip")]
        text = _describe("Skip share", curves, percent=True)
        figures.append(_figure("Skip share", plots.lines(curves, percent=True, description=text)))
    for key, title, scale in (("eigenvalue", "Dominant eigenvalue", 1.0), ("gap", "Gap to the derived network", 100.0)):
        known = np.isfinite(series[key])  # a monitor may measure every so many epochs
        if known.any():
            at = [epoch for epoch, is_known in zip(epochs, known, strict=True) if is_known]
            curves = [plots.Line(None, at, scale * series[key][known], "second")]
            figures.append(_figure(title, plots.lines(curves, description=_describe(title, curves))))
    return figures


def warnings(run: Run) -> list[tuple[str, str]]:
    """What monitors warned of, with the epochs; sentences that differ in their numbers alone count as one, told as last."""
    if run.search is None:
        return []
    spans: list[tuple[str, int, int, str]] = []  # the sentence without numbers, first and last epoch, the sentence
    for epoch, text in zip(run.search.epochs, run.search.warnings, strict=False):
        if text is None:
            continue
        kind = re.sub(r"[\d.]+", "#", text)
        begun = epoch
        if spans and spans[-1][0] == kind and spans[-1][2] == epoch - 1:
            begun = spans.pop()[1]
        spans.append((kind, begun, epoch, text))
    return [(str(first) if first == last else f"{first} to {last}", text) for _, first, last, text in spans]


def retraining_figures(run: Run) -> list[dict[str, Any]]:
    figures = []
    for key, title in (("train_loss", "Training loss"), ("train_accuracy", "Training accuracy")):
        curves, rivals = [], sum(r.label != "found" for r in run.retrainings)
        for retraining in sorted(run.retrainings, key=lambda r: r.label == "found"):
            if not _any(retraining.series[key]):
                continue
            if retraining.label == "found":
                curves.append(plots.Line("found", retraining.epochs, retraining.series[key], width=2.4))
            else:
                label = None if any(c.colour == "rival" for c in curves) else f"random ({rivals})"
                curves.append(plots.Line(label, retraining.epochs, retraining.series[key], "rival", width=1.2))
        if curves:
            percent = key == "train_accuracy"
            svg = plots.lines(curves, percent=percent, description=_describe(title, curves, percent=percent))
            figures.append(_figure(title, svg))
    return figures


def _any(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any())


def _describe(what: str, curves: Sequence[plots.Line], *, percent: bool = False) -> str:
    """A line plot in words: where every curve begins and ends."""
    parts = []
    for curve in curves:
        known = np.flatnonzero(np.isfinite(curve.values))
        first, last = known[0], known[-1]
        values = [
            verdict.percent(v) if percent else f"{v:.3f}" for v in (float(curve.values[first]), float(curve.values[last]))
        ]
        name = f"{curve.label}: " if curve.label else ""
        parts.append(f"{name}{values[0]} at epoch {curve.epochs[first]}, {values[1]} at epoch {curve.epochs[last]}")
    return f"{what} over the epochs. {'; '.join(parts)}."


def ranking(score: Score | None) -> Markup | None:
    if score is None or len(score.networks) < 2:
        return None
    ordered = sorted(score.networks, key=lambda n: -n.test_accuracy)
    return Markup(
        plots.ranking(
            [network.label for network in score.networks],
            [network.test_accuracy for network in score.networks],
            [verdict.interval(network.test_accuracy, score.images) for network in score.networks],
            description="Test accuracies: " + ", ".join(f"{n.label} {verdict.percent(n.test_accuracy)}" for n in ordered),
        )
    )


def networks(score: Score | None) -> list[dict[str, Any]]:
    """Rows of the table of networks, the best first."""
    if score is None:
        return []
    return [
        {"network": network, "place": verdict.rank(network, score.networks)}
        for network in sorted(score.networks, key=lambda n: -n.test_accuracy)
    ]


def confusion(score: Score | None) -> dict[str, Any] | None:
    """The confusion matrix as rows of cells, or drawn where it is large, and the mistakes made most often."""
    if score is None or score.confusion is None:
        return None
    counts, classes = score.confusion, score.classes
    totals = counts.sum(axis=1)
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    most = max(int(wrong.max()), 1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:SHOWN_MISTAKES]
    pairs = [divmod(int(index), len(counts)) for index in order]
    result: dict[str, Any] = {
        "classes": classes,
        "errors": int(wrong.sum()),
        "images": int(counts.sum()),
        "mistakes": [(classes[i], classes[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]],
        "rows": None,
        "svg": None,
    }
    if len(classes) > TABLE_CLASSES:
        text = f"Confusion matrix of {len(classes)} classes; {result['errors']} of {result['images']} images are wrong."
        result["svg"] = Markup(plots.confusion(counts, description=text))
        return result
    result["rows"] = [
        {
            "name": classes[i],
            "recall": verdict.percent(counts[i, i] / totals[i]) if totals[i] else ABSENT,
            "cells": [
                {
                    "count": int(count),
                    "right": i == j,
                    # a single mistake must be seen beside dozens of right answers, so the two have scales of their own
                    "shade": round(float(count / totals[i] if i == j else 0.2 + 0.6 * count / most), 3) if count else 0,
                }
                for j, count in enumerate(counts[i])
            ],
        }
        for i in range(len(classes))
    ]
    return result


def changes(run: Run) -> dict[str, Any] | None:
    """How the derived architecture changed: spans of epochs with the same one, and what is new in each."""
    if run.search is None or not any(run.search.architectures):
        return None
    spans: list[dict[str, Any]] = []
    for epoch, native in zip(run.search.epochs, run.search.architectures, strict=True):
        if native is None:
            continue
        if spans and spans[-1]["native"] == native:
            spans[-1]["last"] = epoch
            continue
        tokens, changed = _difference(spans[-1]["native"] if spans else native, native)
        spans.append({"native": native, "first": epoch, "last": epoch, "tokens": tokens, "changed": changed})
    kept = next((span["last"] for span in reversed(spans) if span["native"] == run.native), None)
    return {"spans": spans, "count": len(spans) - 1, "last": run.search.epochs[-1], "kept": kept}


def _difference(before: str, after: str) -> tuple[list[tuple[str, bool]], int | None]:
    """The words of a native string, each with whether it is new at its place, and their number (None if incomparable)."""
    old, new = (re.split(r"([\w.]+(?:~\d+)?)", text) for text in (before, after))
    if len(old) != len(new):
        return [(after, False)], None
    marked = [(word, word != other) for other, word in zip(old, new, strict=True)]
    return marked, sum(is_new for _, is_new in marked)
