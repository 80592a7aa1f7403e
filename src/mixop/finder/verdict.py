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


def to_train(trials: Sequence[Trial], task: Task, examples: int) -> int:
    """Which network is worth the rest of the time: the cheapest that is as good as the best, within one standard error of it.

    Of those that are about as cheap, the best. Measures that are no shares of examples have no such error: then it is the best.

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
        return 0
    best = known[0]
    close = [at for at, share in enumerate(known) if abs(best - share) <= noise((best,), examples)]
    least = min(trials[at].flops for at in close)
    return next(at for at in close if least >= (1 - WORTH_SAVING) * trials[at].flops)


def verdict(trials: Sequence[Trial], task: Task, examples: int) -> list[str]:
    """What the last round says.

    Args:
        trials: of the last round, the best first.
        task: gives the measures.
        examples: that were scored.
    """
    first = task.first
    best = trials[0]
    reached = said(first, best.measures[first.name])
    sentences = [f"{best.label} is the best of the last round: {reached} on {examples:,} validation examples."]
    found = next((trial for trial in trials if trial.origin == "searched"), None)
    known = next((trial for trial in trials if trial.origin == "known"), None)
    random = next((trial for trial in trials if trial.origin == "random"), None)
    ranked = next((trial for trial in trials if trial.origin == "ranked"), None)
    if known is None:
        return sentences
    for mine, subject in ((found, "What the search found"), (ranked, "What the ranking took")):
        for rival, what in ((known, f"the best known network ({known.label})"), (random, "a random architecture")):
            if mine is not None and rival is not None:
                sentences.append(_beside(mine, subject, rival, what, task, examples))
    taken = trials[to_train(trials, task, examples)]
    if taken is not best:
        share = 100 * taken.flops / max(1, best.flops)
        instead = f"{taken.label}, {said(first, taken.measures[first.name])}"
        why = (
            "All networks of that round are level"
            if _level(trials, first, examples)
            else "Some networks are as good as the best"
        )
        sentences.append(
            f"{why} on {examples:,} examples, so the cheapest within a standard error of the best is taken: {instead} "
            f"with {share:.0f} % of the multiply-adds of {best.label}."
        )
    return sentences


def _level(trials: Sequence[Trial], first: Measure, examples: int) -> bool:
    """Whether none differs from the best, which is the first, by more than chance explains."""
    best, *others = (trial.measures[first.name] for trial in trials)
    return best is not None and all(
        other is not None and abs(best - other) <= 2 * noise((best, other), examples) for other in others
    )


def _beside(found: Trial, subject: str, rival: Trial, what: str, task: Task, examples: int) -> str:
    first = task.first
    mine, theirs = found.measures[first.name], rival.measures[first.name]
    if mine is None or theirs is None:
        return f"{subject} cannot be compared with {what}."
    beside = f"{said(first, mine)} against {said(first, theirs)}"
    better = first.rank(mine) - first.rank(theirs)
    if counted(first, mine, theirs) and abs(better) <= 2 * noise((mine, theirs), examples):
        return f"{subject} and {what} are too close to tell apart on {examples:,} examples: {beside}."
    if better == 0:
        return f"{subject} and {what} are level: {beside}."
    return f"{subject} is {'better' if better > 0 else 'worse'} than {what}: {beside}."
