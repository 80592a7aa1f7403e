"""The sections of the report: from a run to the numbers and words that its template lays out."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from mixop.report import plots, verdict
from mixop.report.choices import changed_words, has_choices
from mixop.report.palette import ABSENT
from mixop.report.words import capital, column, count, digits, direction, duration, head, large, percent, scalar, word, written
from mixop.runs.read import RunContents
from mixop.runs.records import Score

TABLE_CLASSES = 20  # a confusion matrix of more classes is drawn, not written
SHOWN_CHANGES = 8  # more changes of the architecture are folded away
SHOWN_MISTAKES = 6


def facts(run: RunContents) -> list[tuple[str, str]]:
    """What a run is, in a line under its title."""
    facts = [
        ("recipe", run.recipe.get("name") or run.recipe.get("type")),
        ("space", run.factory.rpartition(":")[2].partition("@")[0] or _nested(run.space, "space", "type")),
        ("task", _spaced(_nested(run.data, "task", "type"))),
        ("data", run.data.get("name")),
        ("input", _shape(run.data)),
        ("examples", _counts(run.data)),
        ("seed", run.environment.get("seed", run.settings.get("seed"))),
        ("device", run.environment.get("device")),
        ("started", str(run.environment.get("started") or "").replace("T", " ")[:16]),
    ]
    return [(name, scalar(value)) for name, value in facts if value not in (None, "")]


def _nested(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _spaced(name: Any) -> str | None:
    """A class's name as words: ``language model``; of ``package.module:Name`` the last part."""
    if not isinstance(name, str):
        return None
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.rpartition(":")[2]).lower()


def _shape(data: Mapping[str, Any]) -> str | None:
    """One input in words: ``1 x 8 x 8 image``, ``12 x 128 signal``, ``30 features``, ``64 tokens of a vocabulary of 1,000``."""
    shape = data.get("shape")
    if not isinstance(shape, list) or not shape:
        return None
    if data.get("tokens") and len(shape) == 2:
        vocabulary = f"{shape[0]:,}" if isinstance(shape[0], int) else shape[0]
        return f"{shape[1]} tokens of a vocabulary of {vocabulary}"
    kinds = {1: "features", 2: "signal", 3: "image"}
    sizes = " \u00d7 ".join(map(str, shape))
    return f"{sizes} {kinds.get(len(shape), 'array')}"


def _read_at_once(run: RunContents) -> str:
    """What multiply-adds are counted for: one example, but a whole window of a text."""
    return "window" if run.data.get("tokens") else run.noun


def _counts(data: Mapping[str, Any]) -> str | None:
    """How many examples each part has: ``719 for the weights, 719 validation, 359 test``."""
    counts = data.get("counts")
    if not isinstance(counts, Mapping):
        return None
    names = {"train": "for the weights", "valid": "validation", "test": "test"}
    known = {part: counts.get(part) for part in names}
    return ", ".join(f"{n:,} {names[part]}" for part, n in known.items() if isinstance(n, int)) or None


def commands(run: RunContents) -> list[str]:
    """The commands that made the run, in order; continuations of one that was interrupted say nothing new."""
    resumed = run.environment.get("resumed")
    sessions = [run.environment, *(resumed if isinstance(resumed, list) else [])]
    given = [session.get("command") for session in sessions if isinstance(session, Mapping)]
    continued = verdict.command(run, "resume").split()[:2]
    return list(dict.fromkeys(str(command) for command in given if command and command.split()[:2] != continued))


def cards(run: RunContents) -> list[tuple[str, str, str]]:
    """Key numbers: name, number, a few words on it."""
    return [*_score_cards(run), *_search_cards(run), *_time_cards(run)]


def _score_cards(run: RunContents) -> list[tuple[str, str, str]]:
    score = run.score
    found = score.found if score else None
    if score is None or found is None:
        return []
    value, examples = score.value(found), score.counted
    note = direction(score.first)
    if value is not None and examples:
        low, high = verdict.interval(value, examples)
        note = f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
    cards = [(capital(f"{score.scored_on.word} {word(score.first)}"), written(score.first, value, examples), note)]
    if score.rivals:
        place = verdict.rank(found, score.rivals, score.first)
        cards.append(("Place", f"{place} of {len(score.rivals) + 1}", f"beside {verdict.others(score)}s"))
    cards.append(("Parameters", large(found.parameters), f"{large(found.flops)} multiply-adds for one {_read_at_once(run)}"))
    return cards


def _search_cards(run: RunContents) -> list[tuple[str, str, str]]:
    search, cards = run.search, []
    if search is None:
        return []
    seconds = verdict.last(search.seconds)
    when = "so far" if run.native is None else "at the end"
    cards.append(("Epochs of the search", f"{len(search.epochs)} of {search.planned}", f"in {duration(seconds)}"))
    valid = verdict.last(search.valid.get(run.first.name))
    if valid is not None:
        name = f"Supernet's {word(run.first)}"
        cards.append((name, written(run.first, valid), f"on validation examples, {when}"))
    entropy = verdict.last(search.entropy)
    if entropy is not None:
        cards.append(("Entropy", f"{entropy:.2f}", f"nats of {run.max_entropy:.2f} at most" if run.max_entropy else "nats"))
    skip = verdict.last(search.skip_share)
    if skip is not None:
        cards.append(("Skip share", percent(skip), f"of the mixing weight, {when}"))
    return cards


def _time_cards(run: RunContents) -> list[tuple[str, str, str]]:
    found = run.score.found if run.score else None
    return [("Retraining", duration(found.seconds), count(found.epochs, "epoch"))] if found else []


def notes(run: RunContents) -> list[dict[str, Any]]:
    """What monitors wrote and did: for each column of texts a title, how to read it, and the texts with their epochs."""
    if run.search is None:
        return []
    lists = []
    for name, texts in sorted(run.search.texts.items(), key=lambda item: item[0] != "warning"):  # what matters comes first
        words = column(name)
        lists.append({"title": words.title, "note": words.note, "rows": _spans(run.search.epochs, texts)})
    done = tuple(action or None for action in run.search.actions)
    if any(done):
        note = "What a monitor did to the search: it stopped it, or sent it back to an earlier epoch."
        lists.append({"title": "Interventions", "note": note, "rows": _spans(run.search.epochs, done)})
    return lists


def _spans(epochs: tuple[int, ...], texts: tuple[str | None, ...]) -> list[tuple[str, str]]:
    """Texts with their epochs; sentences that differ in their numbers alone count as one, given as it was last."""
    spans: list[tuple[str, int, int, str]] = []  # the sentence without numbers, first and last epoch, the sentence
    for epoch, text in zip(epochs, texts, strict=True):
        if text is None:
            continue
        kind = re.sub(r"[\d.]+", "#", text)
        begun = epoch
        if spans and spans[-1][0] == kind and spans[-1][2] == epoch - 1:
            begun = spans.pop()[1]
        spans.append((kind, begun, epoch, text))
    return [(str(first) if first == last else f"{first} to {last}", text) for _, first, last, text in spans]


def scope(run: RunContents) -> str:
    """What the networks were trained and measured on, and which of their measures are better when lower."""
    score = run.score
    if score is None:
        return ""
    text = f"Trained on {score.trained_on.of(run.noun)}, measured on {score.scored_on.of(run.noun)}."
    if score.start is not None:
        text = f"{text} Each network began from the supernet's weights of its own path, with statistics measured again."
    lower = [word(measure) for measure in score.measures if measure.better == "lower"]
    return f"{text} Lower is better: {', '.join(lower)}." if lower else text


def heads(score: Score | None) -> list[str]:
    """Heads of the table's columns of measures."""
    return [] if score is None else [head(measure, score.scored_on.word) for measure in score.measures]


def networks(score: Score | None) -> list[dict[str, Any]]:
    """Rows of the table of networks, the best first."""
    if score is None:
        return []
    places = {
        measure.name: digits(measure, (n.measures.get(measure.name) for n in score.networks), score.counted)
        for measure in score.measures
    }
    return [
        {
            "network": network,
            "place": verdict.rank(network, score.networks, score.first),
            "values": [_cell(measure.written(network.measures.get(measure.name), places[measure.name]), measure.unit)
                       for measure in score.measures],
        }
        for network in score.ranked
    ]  # fmt: skip


def known(run: RunContents) -> list[dict[str, Any]]:
    """Rows of known networks, which had as much time as the search and the training took together."""
    score = run.score
    if score is None or run.known is None:
        return []
    return [
        {
            "network": network,
            "place": "",
            "values": [_cell(written(measure, network.measures.get(measure.name), score.counted), measure.unit)
                       for measure in score.measures],
        }
        for network in run.known.networks
    ]  # fmt: skip


def _cell(text: str, unit: str) -> str:
    """A value in a column whose head has the unit."""
    return ABSENT if text == "-" else text.removesuffix(f" {unit}") if unit else text


def has_classes(run: RunContents) -> bool:
    """Whether a confusion of classes is there, or is still to come: not where examples have no class each."""
    return bool(run.score.confusion) if run.score else "class_counts" in run.data


def confusion(run: RunContents) -> dict[str, Any] | None:
    """The confusion matrix as rows of cells, or drawn where it is large, and the mistakes made most often."""
    score = run.score
    if score is None or not score.confusion:
        return None
    counts, classes = np.array(score.confusion, dtype=np.int64), score.classes
    totals = counts.sum(axis=1)
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:SHOWN_MISTAKES]
    pairs = [divmod(int(index), len(counts)) for index in order]
    whole = int(counts.sum()) == score.scored_on.examples  # else positions are counted, many in an example
    of = score.scored_on.of(run.noun)
    result: dict[str, Any] = {
        "classes": classes,
        "errors": f"{int(wrong.sum()):,} of {of if whole else f'{int(counts.sum()):,} positions in {of}'}",
        "caption": "Rows: the true class. Columns: what the network says." + ("" if whole else " In % of the row."),
        "mistakes": [(classes[i], classes[j], f"{int(wrong[i, j]):,}") for i, j in pairs if wrong[i, j]],
        "rows": None,
        "svg": None,
    }
    if len(classes) > TABLE_CLASSES:
        text = f"Confusion matrix of {len(classes)} classes; {result['errors']} are wrong."
        result["svg"] = Markup(plots.confusion(counts, description=text))
        return result
    result["rows"] = [
        {
            "name": classes[i],
            "recall": percent(counts[i, i] / totals[i]) if totals[i] else ABSENT,
            "cells": _confused(counts[i], i, int(wrong.max()), whole=whole),
        }
        for i in range(len(classes))
    ]
    return result


def _confused(counts: np.ndarray, true: int, most: int, *, whole: bool) -> list[dict[str, Any]]:
    """The cells of one row: counts of examples, or percent of the row's positions.

    Args:
        counts: of the row, ``(K,)``.
        true: its class.
        most: largest number of mistakes in any cell.
        whole: whether examples are counted.
    """
    total = max(int(counts.sum()), 1)
    cells = []
    for given, number in enumerate(counts):
        count, right = int(number), given == true
        # a single mistake must be seen beside dozens of right answers, so the two have scales of their own
        shade = count / total if right else 0.2 + 0.6 * count / max(most, 1)
        text = str(count) if whole else f"{100 * count / total:.0f}"
        cells.append({"text": text if count else "·", "count": count, "right": right, "shade": round(shade, 3) if count else 0})
    return cells


def changes(run: RunContents) -> dict[str, Any] | None:
    """How the derived architecture changed: spans of epochs with the same one, and what is new in each."""
    if run.search is None or not any(run.search.architectures):
        return None
    spans: list[dict[str, Any]] = []
    for epoch, native in zip(run.search.epochs, run.search.architectures, strict=True):
        if spans and spans[-1]["native"] == native:
            spans[-1]["last"] = epoch
            continue
        difference = changed_words if has_choices(run) else _difference
        tokens, changed = difference(spans[-1]["native"] if spans else native, native)
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
