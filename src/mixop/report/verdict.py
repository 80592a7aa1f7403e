"""What a run says, in sentences that claim no more than its examples can carry."""

import math
import shlex
from collections.abc import Sequence

import numpy as np

from mixop.core.measure import Measure
from mixop.report.palette import kind_of
from mixop.report.words import count, digits, direction, duration, percent, said
from mixop.runs.cells import operations_of
from mixop.runs.read import RunContents
from mixop.runs.records import NetworkScore, Score

LEARNT = 0.1
"""Of the way from guessing to no mistakes: a supernet below knows next to nothing."""

FEW = 3
"""A difference of this many examples is never called a difference."""


def command(run: RunContents, verb: str) -> str:
    """The mixop command that does something with this run: ``mixop retrain runs/x``.

    Where the space is a model of the user's own, it says whose code that runs.
    """
    words = ["mixop", verb, shlex.quote(str(run.path))]
    module, named, _ = run.factory.partition(":")  # a space that ships with mixop has one word
    if verb != "report" and named and module.replace(".", "_").isidentifier() and not run.factory.startswith("held:"):
        words += ["--trust", module]  # a page needs no code; everything else makes the model again
    return " ".join(words)


def interval(share: float, examples: int | None) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of independent examples; the share alone where their number is unknown.

    Args:
        share: in [0, 1].
        examples: of which it is the share.

    Returns:
        Low and high end, in [0, 1].

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not examples:
        return share, share
    z2 = 1.96**2
    centre = (share + z2 / (2 * examples)) / (1 + z2 / examples)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * examples)) / examples) / (1 + z2 / examples)
    return max(0.0, centre - half), min(1.0, centre + half)


def rank(network: NetworkScore, others: Sequence[NetworkScore], measure: Measure) -> int:
    """Place of a network: 1 + the number of others that are better; equals share a place."""
    value = network.measures.get(measure.name)
    return 1 + sum(measure.beats(other.measures.get(measure.name), value) for other in others)


def others(score: Score) -> str:
    """What the networks beside the found one are, in the singular: random architectures, or other candidates."""
    random = all(network.label.startswith("random") for network in score.rivals)
    return "random architecture" if random else "other candidate"


def verdict(run: RunContents) -> str:
    """One sentence: what the run found, how good it is, and where it stands beside other architectures."""
    if run.native is None:
        if run.search is None:
            return f"Nothing has been searched yet; “{command(run, 'resume')}” begins."
        stands = f"The search stands at {len(run.search.epochs)} of {run.search.planned} epochs"
        return f"{stands}; “{command(run, 'resume')}” continues it."
    epochs = f" in {count(len(run.search.epochs), 'epoch')}" if run.search else ""
    score, found = run.score, run.score.found if run.score else None
    if score is None or found is None:
        return (
            f"The search found an architecture{epochs}; to see how good it is, train it "
            f"from scratch: “{command(run, 'retrain')}”."
        )
    reached = said(score.first, score.value(found), score.counted)
    lower = f" ({direction(score.first)})" if direction(score.first) else ""
    began = "" if score.start is None else ", whose network began from the supernet's weights,"
    searched = run.search is not None  # an architecture may be given: a published one, or one of another run
    which = f"found{epochs}" if searched else ""
    text = f"The architecture {which}".rstrip() + f"{began} reaches {reached} on {score.scored_on.of(run.noun)}{lower}"
    if not score.rivals:
        whether = "the search helped" if searched else "it is better than one"
        return f"{text}; no random architecture was trained beside it, so it is not known yet whether {whether}."
    return f"{text} and {_standing(score, found, run.noun, searched=searched)}."


def _standing(score: Score, found: NetworkScore, noun: str, *, searched: bool) -> str:
    measure, rivals = score.first, score.rivals
    place, total = _ordinal(rank(found, rivals, measure)), len(rivals) + 1
    own = score.value(found)
    known = [value for value in map(score.value, rivals) if value is not None]
    shared = own is not None and own in known
    beside = f"{count(len(rivals), others(score))} trained the same way"
    text = f"{f'shares {place} place' if shared else f'comes {place}'} of {total}, beside {beside}"
    if own is None or not known:
        return text
    best = max(known, key=measure.rank)
    mean = sum(known) / len(known)
    if len(rivals) == 1:
        parts = [_gap(score, own - best, "it")]
    else:
        parts = [_gap(score, own - mean, "their average"), _gap(score, own - best, "the best of them")]
    text = f"{text}: {' and '.join(parts)}"
    if score.counted is not None:
        text += _examples(own - best, own, best, score.counted, f"{score.scored_on.word} {noun}")
    elif len(known) > 1:
        places = digits(measure, map(score.value, score.networks))
        text += f"; theirs range from {measure.digits(min(known), places)} to {measure.written(max(known), places)}"
    if others(score).startswith("random") and not measure.beats(own, mean):
        what = "searching beat picking at random" if searched else "it is better than one picked at random"
        text += f"; this run gives no sign that {what}"
    return text


def beside_known(run: RunContents) -> list[str]:
    """What known networks reached in the time that the search and the training of what it found took: a sentence for each."""
    score = run.score
    found = score.found if score else None
    if score is None or found is None or run.known is None:
        return []
    own, sentences = score.value(found), []
    for network in run.known.networks:
        value = score.value(network)
        reached = said(score.first, value, score.counted)
        time = "search and training" if run.search is not None else "the training"
        text = f"A known network, {network.label}, reaches {reached} in the time of {time} ({duration(run.known.seconds)})"
        if network.parameters > found.parameters:
            text += f", with more parameters ({network.parameters:,})"
        if own is not None and value is not None:
            text += f": {_gap(score, value - own, 'the found one')}"
            if score.counted is not None:
                text += _examples(value - own, value, own, score.counted, f"{score.scored_on.word} {run.noun}")
        sentences.append(f"{text}.")
    known = [value for value in map(score.value, run.known.networks) if value is not None]
    if run.search is not None and own is not None and known and not score.first.beats(own, max(known, key=score.first.rank)):
        sentences.append("So this run gives no sign that searching beat a network that is known without it.")
    return sentences


def _examples(lead: float, own: float, best: float, examples: int, noun: str) -> str:
    """A lead as a number of examples, and whether that is enough to call it one."""
    difference = round(abs(lead) * examples)
    if difference == 0:
        return ""
    text = f", a difference of {count(difference, noun)}"
    if _indistinct(own, best, examples):
        text += f", too few to call it {'better' if lead > 0 else 'worse'} than that one"
    return text


def _indistinct(one: float, other: float, examples: int) -> bool:
    """Whether two shares differ by a few examples, or by less than two standard errors of their difference.

    The two are taken as independent, although they saw the same examples: that errs on the side of caution.
    """
    difference = abs(one - other)
    variance = sum(share * (1 - share) / examples for share in (one, other))
    return round(difference * examples) <= FEW or difference < 2 * math.sqrt(variance)


def _gap(score: Score, difference: float, than: str) -> str:
    measure = score.first
    places = digits(measure, map(score.value, score.networks), score.counted)
    text = measure.digits(abs(difference), places)
    if float(text.replace(",", "")) == 0:
        return f"level with {than}"
    unit = " points" if measure.style == "percent" else measure.suffix
    return f"{text}{unit} {'above' if difference > 0 else 'below'} {than}"


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def remarks(run: RunContents) -> list[str]:
    """Signs, read from the files, that a search did not go as it should."""
    notes = []
    if run.search is not None:
        skip = last(run.search.skip_share)
        if skip is not None and skip > 0.5:
            notes.append(
                f"Skip connections ended with {percent(skip)} of the mixing weight where they are offered: the usual sign of a "
                "collapsed search, in which they win because they train fastest, not because the final network needs them."
            )
        entropy, most = last(run.search.entropy), run.max_entropy
        if entropy is not None and most and entropy > 0.9 * most:
            notes.append(
                f"The mixing weights ended almost uniform (entropy {entropy:.2f} of at most {most:.2f} nats): "
                "the search has hardly decided, and which operation won is close to chance. Search for more epochs, or raise "
                "the architecture's learning rate."
            )
        notes += ignorance(run)
        since = run.search.epochs[-1] - stable_since(run)
        done = len(run.search.epochs)
        if run.native is not None and done >= 10 and since < 0.1 * done:
            notes.append("The derived architecture still changed in the last epochs: a longer search may well find another.")
    kinds = {kind_of(name) for cell in run.cells.values() for name in operations_of(cell)}
    if kinds and kinds <= {"none", "skip", "pool"}:
        notes.append("The found cells hold no operation with weights of its own, only skip connections, pooling or nothing.")
    return notes


def ignorance(run: RunContents) -> list[str]:
    """A sentence where the supernet was hardly better than the most frequent class as the answer to everything, else none."""
    counts = run.data.get("class_counts", {}).get("valid")
    reached = None if run.search is None else last(run.search.valid.get(run.first.name))
    if not counts or not sum(counts) or reached is None or run.first.name != "accuracy":
        return []
    guess = max(counts) / sum(counts)
    if reached >= guess + LEARNT * (1 - guess):
        return []
    return [
        f"The supernet ended with {percent(reached)} accuracy on validation examples, where naming the most frequent class "
        f"reaches {percent(guess)}: it knew next to nothing when it decided. Search for more epochs, or with fewer channels."
    ]


def stable_since(run: RunContents) -> int:
    """The first epoch from which on the derived architecture stayed what it was at the end of the search so far."""
    assert run.search is not None
    names = run.search.architectures
    first = len(names) - 1
    while first > 0 and names[first - 1] == names[-1]:
        first -= 1
    return run.search.epochs[first]


def last(values: np.ndarray | None) -> float | None:
    """The last value that is known; None where there is none."""
    if values is None:
        return None
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else None
