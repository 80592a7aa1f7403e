"""Numbers and names as a person reads them: measures, times, sizes, and what monitors add to a record."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mixop.core.measure import Measure
from mixop.report.palette import ABSENT

MANY = 2000
"""Examples from which a share of them is given in hundredths of a percent: fewer do not resolve it."""

LONGEST, BEGINNING = 100, 20
"""Values of a list that are all written, and those of a longer one that are."""

_SPOKEN = {
    "auc": "AUC",
    "exact": "exact matches",
    "f1": "F1",
    "iou": "IoU",
    "mae": "MAE",
    "map": "mAP",
    "mean_iou": "mean IoU",
    "mse": "MSE",
    "r2": "R²",
    "rmse": "RMSE",
}
"""Names of measures that people write otherwise than a record does."""


def word(measure: Measure) -> str:
    """A measure's name for people: ``accuracy``, ``mean IoU``, ``RMSE``."""
    return _SPOKEN.get(measure.name, measure.name.replace("_", " "))


def capital(text: str) -> str:
    """The text with its first letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def head(measure: Measure, before: str = "", after: str = "") -> str:
    """A measure as the head of a column or figure: ``Test accuracy``, ``Loss of the supernet (nats)``.

    Args:
        measure: the measure; percent stands with its values and not here.
        before: a word that goes before its name.
        after: words that follow it.
    """
    unit = f" ({measure.unit})" if measure.unit and measure.style != "percent" else ""
    return capital(f"{before} {word(measure)} {after}".strip()) + unit


def digits(measure: Measure, values: Iterable[float | None], examples: int | None = None) -> int:
    """Digits after the point that tell values apart, and no more than their number of examples resolves.

    Args:
        measure: what was measured.
        values: all that stand beside each other.
        examples: of which a share is taken; None where it is not known.
    """
    if measure.style == "percent":
        return 1 if examples is None or examples < MANY else 2
    known = [value for value in values if value is not None and math.isfinite(value)]
    largest = max(map(abs, known), default=0.0)
    if largest == 0:
        return 3
    three = 2 - math.floor(math.log10(largest))  # three significant digits of the largest
    spread = max(known) - min(known)
    two = 1 - math.floor(math.log10(spread)) if spread else 0  # two of the largest difference
    return min(max(three, two, 0), 8)


def written(measure: Measure, value: float | None, examples: int | None = None) -> str:
    """A value with its unit: ``93.4 %``, ``0.420 nats``.

    Args:
        measure: what was measured.
        value: in the measure's own scale.
        examples: of which a share is taken.
    """
    return ABSENT if value is None else measure.written(value, digits(measure, [value], examples))


def said(measure: Measure, value: float | None, examples: int | None = None) -> str:
    """A value with the measure's name, inside a sentence: ``93.4 % accuracy``, ``an RMSE of 3.20 mm``."""
    name, text = word(measure), written(measure, value, examples)
    return f"{text} {name}" if measure.style == "percent" else f"{_article(name)} {name} of {text}"


def _article(name: str) -> str:
    initials = name[:2].isupper() or name[:2] == "R²" or (name[:1].isupper() and name[1:2].isdigit())
    return "an" if name[:1] in ("AEFHILMNORSX" if initials else "AEIOaeio") else "a"


def direction(measure: Measure) -> str:
    """Words for a measure of which less is better, else nothing."""
    return "lower is better" if measure.better == "lower" else ""


def percent(share: float, examples: int | None = None) -> str:
    """A share in percent, with as many digits as a number of examples resolves."""
    return f"{100 * share:.{1 if examples is None or examples < MANY else 2}f} %"


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


def listed(values: Sequence[Any]) -> str:
    """Plain JSON values of a list for people; the beginning of a very long one, such as the words of a vocabulary."""
    shown = values if len(values) <= LONGEST else values[:BEGINNING]
    rest = [f"and {len(values) - len(shown):,} more"] if len(shown) < len(values) else []
    text = ", ".join(map(scalar, shown))
    return " ".join([text, *rest])


def count(number: float, noun: str) -> str:
    """How many of something: ``1 epoch``, ``1,200 epochs``, ``0.5 minutes``."""
    shown = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{shown} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class ColumnWords:
    """How the page shows what a monitor adds to the records.

    Args:
        title: of its figure, or of its list of texts.
        note: how to read it.
        style: of numbers: a share shown in percent, a difference of two values of the first measure, or a number as it is.
    """

    title: str
    note: str
    style: Literal["percent", "difference", "number"] = "number"


_COLUMNS = {
    "eigenvalue": ColumnWords(
        "Dominant eigenvalue",
        "How sharp the validation loss is in the architecture: the largest eigenvalue of its Hessian, on "
        "one fixed batch. Only its growth says something; in searches that collapse it tends to rise before skips take over.",
    ),
    "gap": ColumnWords(
        "Gap to the derived network",
        "How much better the supernet is on the validation part than the derived network with the same weights. It starts "
        "large and shrinks as operations drop out; while it is large, what the supernet reaches says little about the "
        "architecture.",
        "difference",
    ),
    "chosen_skip_share": ColumnWords(
        "Skips in the derived architecture",
        "The share of its decisions that are skip connections. Many of them while their weight climbs are a sign of collapse.",
        "percent",
    ),
    "parameter_free_share": ColumnWords(
        "Operations without weights",
        "The share of decisions of the derived architecture whose operation learns nothing: skips, pooling, no connection.",
        "percent",
    ),
    "relative_entropy": ColumnWords(
        "Entropy relative to its maximum",
        "100 % where all options weigh the same, 0 where one option of every decision has everything.",
        "percent",
    ),
    "phi": ColumnWords(
        "phi of the mixing weights",
        "By the theory behind PR-DARTS the loss of a supernet falls the faster, the larger phi is. It grows with the products "
        "of skip connections, an added one included.",
    ),
    "lambda": ColumnWords(
        "lambda of a step",
        "The share that a step takes off the loss at least, by the same theory: phi times the learning rate, and a constant "
        "that no source gives.",
    ),
    "distinct_share": ColumnWords(
        "Different architectures among draws",
        "100 % where all architectures drawn after the epoch differ; next to nothing where the search has decided.",
        "percent",
    ),
    "warning": ColumnWords(
        "Warnings while it searched",
        "Signs, not verdicts: an architecture drawn at random shows one now and then, and a search may collapse without any. "
        "What helps: retrain the architecture of an earlier epoch beside the last one; let the search stop itself "
        "(EarlyStopping, SkipStop); more weight decay (Adaptive); a method that is made for it; and several seeds before "
        "you trust a result.",
    ),
}


def column(name: str) -> ColumnWords:
    """The words for a column of the records; for one that this page does not know, made of its name."""
    made = ColumnWords(capital(name.replace("_", " ")), "What a monitor of the search noted after an epoch.")
    return _COLUMNS.get(name, made)
