"""What a run says, in sentences that claim no more than its test images can carry."""

import math
import shlex
from collections.abc import Sequence

import numpy as np

from mixop.report.palette import kind_of
from mixop.runs.read import Network, Run

FEW_IMAGES = 3  # a difference of so many test images is never called a difference


def command(run: Run, verb: str) -> str:
    """The mixop command that does something with this run: ``mixop retrain runs/x``."""
    return f"mixop {verb} {shlex.quote(str(run.path))}"


def interval(accuracy: float, images: int | None) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy measured on some images; the accuracy alone where their number is unknown.

    Args:
        accuracy: share in [0, 1].
        images: number of test images.

    Returns:
        Low and high end, in [0, 1].

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not images:
        return accuracy, accuracy
    z2 = 1.96**2
    centre = (accuracy + z2 / (2 * images)) / (1 + z2 / images)
    half = math.sqrt(z2 * (accuracy * (1 - accuracy) + z2 / (4 * images)) / images) / (1 + z2 / images)
    return max(0.0, centre - half), min(1.0, centre + half)


def rank(network: Network, others: Sequence[Network]) -> int:
    """Place of a network by test accuracy: 1 + the number of others that are better; equals share a place."""
    return 1 + sum(other.test_accuracy > network.test_accuracy for other in others)


def percent(share: float, images: int | None = None) -> str:
    """A share in percent, with as many digits as so many images resolve."""
    return f"{100 * share:.{1 if images is None or images < 2000 else 2}f} %"


def verdict(run: Run) -> str:
    """One sentence: what the run found, how good it is, and where it stands beside random architectures."""
    if run.native is None:
        if run.search is None:
            return f"Nothing has been searched yet; “{command(run, 'resume')}” begins."
        planned = f" of {run.search.planned}" if run.search.planned else ""
        return f"The search stands at {len(run.search.epochs)}{planned} epochs; “{command(run, 'resume')}” goes on with it."
    epochs = f" in {_count(len(run.search.epochs), 'epoch')}" if run.search else ""
    if run.score is None or run.score.found is None:
        return (
            f"The search found an architecture{epochs}; how good it is nobody knows before it is trained "
            f"from scratch: “{command(run, 'retrain')}”."
        )
    found, images = run.score.found, run.score.images
    on = f" of {images:,} test images" if images else " of the test images"
    text = f"The architecture found{epochs} classifies {percent(found.test_accuracy, images)}{on} correctly"
    if not run.score.rivals:
        return f"{text}; no random architecture was trained beside it, so nothing says yet whether the search helped."
    return f"{text} and {_standing(found, run.score.rivals, images)}."


def _standing(found: Network, rivals: Sequence[Network], images: int | None) -> str:
    place = rank(found, rivals)
    shared = any(rival.test_accuracy == found.test_accuracy for rival in rivals)
    beside = f"{_count(len(rivals), 'random architecture')} trained the same way"
    head = (
        f"{f'shares {_ordinal(place)} place' if shared else f'comes {_ordinal(place)}'} of {len(rivals) + 1}, beside {beside}"
    )
    best = max(rivals, key=lambda rival: rival.test_accuracy)
    mean = sum(rival.test_accuracy for rival in rivals) / len(rivals)
    if len(rivals) == 1:
        parts = [_gap(found.test_accuracy - best.test_accuracy, "it", images)]
    else:
        to_mean = _gap(found.test_accuracy - mean, "their average", images)
        parts = [to_mean, _gap(found.test_accuracy - best.test_accuracy, "the best of them", images)]
    text = f"{head}: {' and '.join(parts)}"
    if images is None:
        return text
    lead = found.test_accuracy - best.test_accuracy
    difference = round(abs(lead) * images)
    if _indistinct(found, best, images):
        if difference == 0:
            tail = ""
        else:
            word = "better" if lead > 0 else "worse"
            tail = f", a difference of {_count(difference, 'test image')}, too few to call it {word} than that one"
    else:
        tail = f", a difference of {_count(difference, 'test image')}"
    if found.test_accuracy <= mean:
        tail += "; this run gives no sign that searching beat picking at random"
    return text + tail


def _indistinct(one: Network, other: Network, images: int) -> bool:
    """Whether two accuracies differ by a few images, or by less than two standard errors of their difference.

    The two are taken as independent, although they saw the same images: that errs on the side of caution.
    """
    difference = abs(one.test_accuracy - other.test_accuracy)
    variance = sum(n.test_accuracy * (1 - n.test_accuracy) / images for n in (one, other))
    return round(difference * images) <= FEW_IMAGES or difference < 2 * math.sqrt(variance)


def _gap(difference: float, than: str, images: int | None) -> str:
    points = f"{100 * abs(difference):.{1 if images is None or images < 2000 else 2}f}"
    if float(points) == 0:
        return f"level with {than}"
    return f"{points} points {'above' if difference > 0 else 'below'} {than}"


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def remarks(run: Run) -> list[str]:
    """Signs, read from the files, that a search did not go as it should."""
    notes = []
    if run.search is not None:
        skip = last(run.search.series["skip_share"])
        if skip is not None and skip > 0.5:
            notes.append(
                f"Skip connections ended with {percent(skip)} of the mixing weight where they are offered: the usual sign of a "
                "collapsed search, in which they win because they train fastest, not because the final network needs them."
            )
        entropy, most = last(run.search.series["entropy"]), run.max_entropy
        if entropy is not None and most and entropy > 0.9 * most:
            notes.append(
                f"The mixing weights ended almost uniform (entropy {entropy:.2f} of at most {most:.2f} nats): "
                "the search has hardly decided, and which operation won is close to chance."
            )
        since = run.search.epochs[-1] - stable_since(run)
        done = len(run.search.epochs)
        if run.native is not None and done >= 10 and since < 0.1 * done:
            notes.append("The derived architecture still changed in the last epochs: a longer search may well find another.")
    kinds = {kind_of(str(edge["operation"])) for cell in run.cells.values() for edge in cell["edges"]}
    if kinds and kinds <= {"none", "skip", "pool"}:
        notes.append("The found cells hold no operation with weights of its own, only skip connections, pooling or nothing.")
    return notes


def stable_since(run: Run) -> int:
    """The first epoch from which on the derived architecture stayed what it was at the end of the search so far."""
    assert run.search is not None
    names = run.search.architectures
    first = len(names) - 1
    while first > 0 and names[first - 1] == names[-1]:
        first -= 1
    return run.search.epochs[first]


def last(values: np.ndarray) -> float | None:
    """The last value that is known."""
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else None
