"""How the time of a run is divided: who takes part, how long trainings are, and what more of it would change."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixop.report.words import duration

SHARES = {"trials": 0.3, "search": 0.2}
"""Of the whole time; looking is part of the trials, and training the best network takes what is left."""

FEWEST_EPOCHS = 3
"""Of a trial; a network that cannot have as many in its share of the time stays out."""

ENOUGH_EPOCHS = 10
"""Of a training of the last round, by which the winner is taken. Set beforehand; even so many say little
(`studies/comparisons.py`), so that what they cannot tell apart keeps its order."""

ALONE_EPOCHS = 24
"""Of a network that is trained without having been compared, and of those that a stride of 1 is kept for. Source: the short
schedule by which Page 2018 (How to train your ResNet, part 3) trains a residual network on CIFAR-10 to 94 %."""

LOOK_SECONDS = 1.5
"""Of the first round for each network that is timed: timing one takes about a second."""

AHEAD = 1.1
"""Times are planned longer by this, for what an estimate by a few steps leaves out."""

AHEAD_OF_MEASURED = 1.04
"""The same where a whole training was timed."""


@dataclass(frozen=True)
class Searches:
    """How a space is searched.

    Args:
        method: the name of a recipe.
        epochs: of each search; 0 for none.
        times: how many searches, with seeds that count up.
    """

    method: str
    epochs: int
    times: int

    @property
    def guests(self) -> int:
        """How many networks join the known ones of the last round: what was found, and then a random one."""
        return self.times + 1 if self.epochs else 0


def turns(networks: int, jobs: int) -> int:
    """How many trainings there are one after the other, where some are made at a time.

    Args:
        networks: how many are trained, each for as long.
        jobs: how many at a time, >= 1.
    """
    return -(-networks // jobs)


def able(rates: Mapping[str, float], seconds: float, jobs: int = 1) -> list[str]:
    """The networks that take part: as many as can have the fewest epochs in equal shares of the time, those that come first.

    Any two of them could have enough epochs in the last round, which is as long. None take part where there are not two.

    Args:
        rates: seconds of an epoch by label.
        seconds: that all of them have.
        jobs: how many are trained at a time.
    """
    enough = seconds / turns(2, jobs) / ENOUGH_EPOCHS
    for count in range(len(rates), 1, -1):
        slowest = min(seconds / turns(count, jobs) / FEWEST_EPOCHS, enough)
        fast = [label for label, rate in rates.items() if rate <= slowest]
        if len(fast) >= count:
            return fast[:count]
    return []


def alone(rates: Mapping[str, float], seconds: float) -> str:
    """The network to train where there is no time to compare: the first that has enough epochs, or else the fastest.

    Args:
        rates: seconds of an epoch by label.
        seconds: of the whole run.
    """
    enough = (label for label, rate in rates.items() if ALONE_EPOCHS * rate <= seconds)
    return next(enough, min(rates, key=rates.__getitem__))


def minutes_for(rates: Mapping[str, float], networks: int, jobs: int = 1) -> float:
    """Minutes of a run in which so many networks can be compared: the fastest ones.

    Args:
        rates: seconds of an epoch by label, of at least as many.
        networks: how many.
        jobs: how many are trained at a time.
    """
    slowest = sorted(rates.values())[networks - 1]
    first = turns(networks, jobs) * max(LOOK_SECONDS, FEWEST_EPOCHS * slowest)
    seconds = max(first, turns(2, jobs) * ENOUGH_EPOCHS * slowest)
    return seconds / (SHARES["trials"] / 2) / 60


def about(minutes: float) -> str:
    """Minutes of a budget, rounded up to what a person would ask for: ``about 7 minutes``."""
    unit = 1 if minutes < 20 else 10
    rounded = max(1, math.ceil(minutes / unit) * unit)
    return f"about {rounded} minute{'' if rounded == 1 else 's'}"


def told(total: float, rates: Mapping[str, float], taken: Sequence[str], *, jobs: int = 1) -> list[str]:
    """The plan of a run in sentences, with what more minutes would change.

    Args:
        total: seconds of the run.
        rates: seconds of an epoch by label, of all networks that keep the limits.
        taken: labels of the first round's networks; a single one is trained for all of the time.
        jobs: how many are trained at a time.
    """
    plan = f"Plan for {duration(total)}:"
    if len(rates) == 1:
        return [f"{plan} {taken[0]} is trained for all of it, since nothing else keeps the limits."]
    if len(taken) == 1:
        more = about(minutes_for(rates, 2, jobs))
        return [f"{plan} {taken[0]} is trained for all of it, without a comparison or a search; {more} would compare networks."]
    each = duration(total * SHARES["trials"] / 2)
    rest = duration(total * (1 - sum(SHARES.values())))
    sentences = [
        f"{plan} {each} to compare {len(taken)} of {len(rates)} known networks, {each} for the best of them again, "
        f"up to {duration(total * SHARES['search'])} to search if that may gain more than training, and at least {rest} to "
        "train the winner."
    ]
    if late := [label for label in rates if label not in taken]:
        more = about(minutes_for(rates, len(rates), jobs))
        sentences.append(f"{', '.join(late)} {'stays' if len(late) == 1 else 'stay'} out: {more} would let all in.")
    return sentences


def told_stride(axes: Sequence[int], stride: int, epochs: int) -> str:
    """Why first convolutions are strided.

    Args:
        axes: positions of an input along every axis.
        stride: of first convolutions, > 1.
        epochs: that a plain network would have at half of it.
    """
    left = "x".join(str(-(-size // stride)) for size in axes)
    return (
        f"First convolutions have a stride of {stride}, which leaves {left} of {'x'.join(map(str, axes))} positions: with "
        f"{stride // 2}, a plain network would have {epochs} epochs at the end, and {ALONE_EPOCHS} are wanted."
    )
