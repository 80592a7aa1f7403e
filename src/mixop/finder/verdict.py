"""Whether searching helped, in sentences that claim no more than the validation examples carry."""

import math
from collections.abc import Sequence

from mixop.core.measure import Measure
from mixop.finder.contender import Trial
from mixop.finder.training import classifies
from mixop.report.words import said
from mixop.tasks.base import Task

WORTH_SAVING = 0.1
"""Share of the multiply-adds: networks that save less beside another one count as no cheaper."""


def ranked(trials: Sequence[Trial], task: Task) -> list[int]:
    """Places of trials, the best first by the task's first measure; a lower loss breaks ties, then the cheaper network."""
    first, loss = task.first, task.measure("loss")

    def worth(at: int) -> tuple[float, float, float]:
        trial = trials[at]
        return first.rank(trial.measures[first.name]), loss.rank(trial.measures[loss.name]), -trial.flops

    return sorted(range(len(trials)), key=worth, reverse=True)


def noise(shares: Sequence[float], examples: int) -> float:
    """One standard error of the difference of shares of the same number of examples, as if drawn independently.

    Args:
        shares: two of them, in [0, 1]; the error of a single one is its own.
        examples: of which they are shares.
    """
    return math.sqrt(sum(share * (1 - share) for share in shares) / examples)


def counted(measure: Measure, *values: float) -> bool:
    """Whether values are shares of examples."""
    return measure.style == "percent" and all(0 <= value <= 1 for value in values)


def by_heart(trial: Trial, task: Task, examples: int) -> bool:
    """Whether a longer training may do harm: a network is better on what it trained on than validation and chance explain.

    Never where every example has one class: there longer trainings gained, or lost nothing (`studies/lengths.py`).

    Args:
        trial: a short training.
        task: gives the measures.
        examples: that were scored.
    """
    if classifies(task):
        return False
    first = task.first
    seen, unseen = trial.train.get(first.name), trial.measures[first.name]
    if seen is None or unseen is None:
        return True
    better = first.rank(seen) - first.rank(unseen)
    return better > (2 * noise((seen, unseen), examples) if counted(first, seen, unseen) else 0)


def level(trials: Sequence[Trial], task: Task, examples: int) -> list[int]:
    """Places of the networks that are as good as the best, within one standard error of it.

    Measures that are no shares of examples have no such error: then it is the best alone.

    Source: the rule of one standard error of Breiman et al. 1984 (Classification and Regression Trees), section 3.4.3.

    Args:
        trials: of one round, the best first.
        task: gives the measures.
        examples: that were scored.
    """
    first = task.first
    shares = [trial.measures[first.name] for trial in trials]
    known = [share for share in shares if share is not None]
    if len(known) < len(shares) or not counted(first, *known):
        return [0]
    best = known[0]
    return [at for at, share in enumerate(known) if abs(best - share) <= noise((best,), examples)]


def trusted(trials: Sequence[Trial], task: Task, examples: int, known: Sequence[str]) -> list[int]:
    """Places of trials, those first that the rest of the time is worth most likely.

    Short trainings on few examples say little about long ones (`studies/comparisons.py`): among those that are as good as the
    best, the known networks go first, in their own order; the others follow by their scores.

    Args:
        trials: of one round, the best first.
        task: gives the measures.
        examples: that were scored.
        known: labels of the known networks, those that most often do well first.
    """
    places = {label: place for place, label in enumerate(known)}
    close = level(trials, task, examples)
    close.sort(key=lambda at: places.get(trials[at].label, len(places)))
    return [*close, *(at for at in range(len(trials)) if at not in close)]


def to_train(trials: Sequence[Trial], task: Task, examples: int, known: Sequence[str] = ()) -> int:
    """Which network is worth the rest of the time: of those as good as the best, the first known one, or else the cheapest.

    Of those that are about as cheap, the best.

    Args:
        trials: of one round, the best first.
        task: gives the measures.
        examples: that were scored.
        known: labels of the known networks, those that most often do well first, where limits say already what a network may
            cost; without limits none: then the cheapest is taken.
    """
    if known:
        return trusted(trials, task, examples, known)[0]
    close = level(trials, task, examples)
    least = min(trials[at].flops for at in close)
    return next(at for at in close if least >= (1 - WORTH_SAVING) * trials[at].flops)


def verdict(trials: Sequence[Trial], task: Task, examples: int, known: Sequence[str] = ()) -> list[str]:
    """What the last round says.

    Args:
        trials: of the last round, the best first.
        task: gives the measures.
        examples: that were scored.
        known: as in `to_train`.
    """
    first = task.first
    best = trials[0]
    reached = said(first, best.measures[first.name])
    sentences = [f"{best.label} is the best of the last round: {reached} on {examples:,} validation examples."]
    found = next((trial for trial in trials if trial.origin == "searched"), None)
    by_hand = next((trial for trial in trials if trial.origin == "known"), None)
    random = next((trial for trial in trials if trial.origin == "random"), None)
    if by_hand is None:
        return sentences
    for rival, what in ((by_hand, f"the best known network ({by_hand.label})"), (random, "a random architecture")):
        if found is not None and rival is not None:
            sentences.append(_beside(found, rival, what, task, examples))
    taken = trials[to_train(trials, task, examples, known)]
    if taken is not best:
        share = 100 * taken.flops / max(1, best.flops)
        all_of_them = _all_close(trials, first, examples)
        why = "All networks of that round are level" if all_of_them else "Some networks are as good as the best"
        which = "the one that most often does well" if known else "the cheapest within a standard error of the best"
        instead = f"{taken.label}, {said(first, taken.measures[first.name])}"
        sentences.append(
            f"{why} on {examples:,} examples, so {which} is taken: {instead} with {share:.0f} % of the multiply-adds of "
            f"{best.label}."
        )
    return sentences


def _all_close(trials: Sequence[Trial], first: Measure, examples: int) -> bool:
    """Whether none differs from the best, which is the first, by more than chance explains."""
    best, *others = (trial.measures[first.name] for trial in trials)
    return best is not None and all(
        other is not None and abs(best - other) <= 2 * noise((best, other), examples) for other in others
    )


def _beside(found: Trial, rival: Trial, what: str, task: Task, examples: int) -> str:
    first = task.first
    mine, theirs = found.measures[first.name], rival.measures[first.name]
    if mine is None or theirs is None:
        return f"What the search found cannot be compared with {what}."
    beside = f"{said(first, mine)} against {said(first, theirs)}"
    better = first.rank(mine) - first.rank(theirs)
    if counted(first, mine, theirs) and abs(better) <= 2 * noise((mine, theirs), examples):
        return f"What the search found and {what} are too close to tell apart on {examples:,} examples: {beside}."
    if better == 0:
        return f"What the search found and {what} are level: {beside}."
    return f"What the search found is {'better' if better > 0 else 'worse'} than {what}: {beside}."
