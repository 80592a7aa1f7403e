"""The trainings of a run of `find`: how long one takes, short ones that compare networks, and the last one."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixop.api import RetrainResult, retrain
from mixop.core.errors import DivergedError
from mixop.data.core import Data
from mixop.engine.driver import Observer
from mixop.engine.settings import Settings
from mixop.finder.contender import Contender, Trial
from mixop.finder.crew import Crew, note_of, place_of
from mixop.finder.ledger import Ledger
from mixop.finder.plan import AHEAD, AHEAD_OF_MEASURED, FEWEST_EPOCHS
from mixop.finder.training import LONGEST_EPOCHS, protocol_for
from mixop.finder.verdict import ranked
from mixop.measure.foresight import retraining_estimate
from mixop.runs.directory import RunDirectory
from mixop.runs.files import DECISIONS
from mixop.runs.records import from_record, to_record

BRIEFLY: Mapping[str, Any] = {"train_on": ("train",), "score_on": "valid"}
"""The parts of a short training."""

Raced = tuple[Contender, Trial]
"""A network and what it scored."""

_NONE = object()
"""In place of a decision that is not made yet; a trial that diverged is one that is None."""


class Trainer:
    """Makes each training once, and knows from those that were made how long others take.

    Args:
        run: the directory of the whole run.
        data: examples, on the device.
        ledger: where trials are written down.
        crew: workers that train several networks at a time; None for this process, one after the other.
        settings: of every training.
        say: is told what happens to a network.
        observe: as in `mixop.search`.
        progress: whether progress is shown.
    """

    def __init__(
        self,
        run: RunDirectory,
        data: Data,
        ledger: Ledger,
        crew: Crew | None,
        settings: Settings,
        say: Callable[[str], None],
        *,
        observe: Observer | None,
        progress: bool,
    ) -> None:
        self.run, self.data, self.ledger, self.crew = run, data, ledger, crew
        self.settings, self.say, self.observe, self.progress = settings, say, observe, progress
        self.trials: list[Trial] = []

    @property
    def jobs(self) -> int:
        """How many trainings there are at a time."""
        return 1 if self.crew is None else self.crew.jobs

    @property
    def timed_elsewhere(self) -> bool:
        """Whether other machines measure how long trainings take, which they write down in the directory."""
        return self.crew is not None and not self.crew.here

    def lengths(self, contenders: Sequence[Contender], share: float) -> dict[str, int]:
        """How many epochs of a short training each network has in some seconds, but no fewer than the fewest."""
        rates = self.paces(contenders)
        return {label: min(LONGEST_EPOCHS, max(FEWEST_EPOCHS, int(share / rate))) for label, rate in rates.items()}

    def epochs_on_all(self, contender: Contender, seconds: float, *, after_a_short_one: bool = False) -> int:
        """How many epochs on all training examples a network has in some seconds: no fewer than the fewest, and 400 at most.

        Args:
            contender: the network.
            seconds: that there are.
            after_a_short_one: whether a short training of as many epochs takes its time from them too.
        """
        short, every = len(self.data.train), len(self.data.train) + len(self.data.valid)
        each = (after_a_short_one + every / short) * self.seconds_per_epoch(contender)
        return max(FEWEST_EPOCHS, min(LONGEST_EPOCHS, math.floor(seconds / each)))

    def seconds_per_epoch(self, contender: Contender) -> float:
        """Of a short training without another one beside it; as measured where there was one already."""
        if (measured := self._measured(contender, 1)) is not None:
            return measured
        if self.timed_elsewhere:
            return self.paces([contender])[contender.label]
        estimate = retraining_estimate(
            contender.architecture, contender.space, self.data, protocol_for(self.data, 1), device=self.settings.device
        )
        return self._planned_pace(estimate.seconds)

    def paces(self, contenders: Sequence[Contender]) -> dict[str, float]:
        """Seconds of an epoch by label, of as many short trainings at a time as there will be of these networks."""
        if self.crew is None:
            return {contender.label: self.seconds_per_epoch(contender) for contender in contenders}
        beside = self._at_a_time(len(contenders))
        known = {contender.label: self._measured(contender, beside) for contender in contenders}
        left = [contender for contender in contenders if known[contender.label] is None]
        timed = self.crew.paces(left, protocol_for(self.data, 1)) if left else {}
        return {label: self._planned_pace(timed[label]) if pace is None else pace for label, pace in known.items()}

    def raced(self, number: int, contenders: Sequence[Contender], chosen: Mapping[str, int]) -> list[Raced]:
        """Trains networks for equal times and ranks them by their validation scores, the best first.

        Args:
            number: of the round.
            contenders: the networks.
            chosen: epochs by label, of those that take part.
        """
        by_label = {contender.label: contender for contender in contenders}
        done: list[Raced] = []
        self._together(number, by_label, chosen)
        for label, epochs in chosen.items():
            if (trial := self.short(number, by_label[label], epochs)) is None:
                self.say(f"{label} diverged and is left out.")
            else:
                done.append((by_label[label], trial))
        order = ranked([trial for _, trial in done], self.data.task)
        done = [done[at] for at in order]
        self.trials += [trial for _, trial in done]
        return done

    def short(self, number: int, contender: Contender, epochs: int) -> Trial | None:
        """A short training, which is made once; None if it diverged.

        Args:
            number: of the round.
            contender: the network.
            epochs: on the part ``train``; its score is on ``valid``.
        """
        trial = self.ledger.decide(_trial(number, contender.label), lambda: self._short(number, contender, epochs))
        return None if trial is None else from_record(Trial, trial, DECISIONS)

    def train(self, contender: Contender, place: Path, epochs: int, **scope: Any) -> RetrainResult:
        """Trains a network, or reads what a worker has trained.

        Args:
            contender: the network.
            place: where its run directory is, or will be.
            epochs: of the training.
            **scope: the parts that it trains on and that it is scored on; without, as `mixop.retrain` has them.

        Raises:
            DivergedError: if it did.
        """
        if self.crew is not None and not self.crew.here:
            self.crew.do([self.crew.training(contender, protocol_for(self.data, epochs), place, scope)])
        if (why := note_of(place).get("diverged")) is not None:
            raise DivergedError(why)
        return retrain(
            contender.architecture,
            contender.space,
            self.data,
            place,
            protocol=protocol_for(self.data, epochs),
            seed=self.settings.seed,
            device=self.settings.device,
            threads=self.settings.threads,
            observe=self.observe,
            progress=self.progress,
            **scope,
        )

    def _short(self, number: int, contender: Contender, epochs: int) -> dict[str, Any] | None:
        place = place_of(self.run, number, contender.label)
        try:
            result = self.train(contender, place, epochs, **BRIEFLY)
        except DivergedError:
            return None
        network = result.score.networks[0]
        last = RunDirectory(place).retrained()[-1]
        return to_record(
            Trial(
                label=contender.label,
                origin=contender.origin,
                measures=dict(network.measures),
                train=dict(last.train),
                epochs=network.epochs,
                seconds=network.seconds,
                parameters=network.parameters,
                flops=network.flops,
                latency_ms=contender.cost.latency_ms,
                round=number,
            )
        )

    def _together(self, number: int, by_label: Mapping[str, Contender], chosen: Mapping[str, int]) -> None:
        """Has workers train what a round still lacks, several at a time; its trials are then read from there."""
        if self.crew is None:
            return
        left = [label for label in chosen if self.ledger.known(_trial(number, label), _NONE) is _NONE]
        if (beside := self._at_a_time(len(left))) > 1:
            for label in left:
                self.ledger.decide(_beside(number, label), lambda: beside)
        places = {label: place_of(self.run, number, label) for label in left}
        hows = {label: protocol_for(self.data, chosen[label]) for label in left}
        self.crew.do([self.crew.training(by_label[label], hows[label], places[label], BRIEFLY) for label in left])

    def _planned_pace(self, seconds: float) -> float:
        """Seconds of an epoch on the part ``train``, from an estimate of one on all training examples."""
        whole = len(self.data.train) + len(self.data.valid)
        return AHEAD * max(seconds * len(self.data.train) / whole, 1e-4)

    def _measured(self, contender: Contender, beside: int) -> float | None:
        """Seconds of an epoch of the last training with so many at a time on this machine; None if there was none."""
        for trial in reversed(self.trials):
            its = trial.label == contender.label and trial.epochs
            if its and self.ledger.known(_beside(trial.round, trial.label), 1) == beside:
                return AHEAD_OF_MEASURED * max(trial.seconds / trial.epochs, 1e-4)
        return None

    def _at_a_time(self, count: int) -> int:
        """How many of so many trainings share this machine: 1 where each has a machine, or a part of one, for itself."""
        return 1 if self.crew is None or not self.crew.here else min(self.jobs, count)


def _trial(number: int, label: str) -> str:
    """The name of the decision that a short training is."""
    return f"trial {number} {label}"


def _beside(number: int, label: str) -> str:
    """The name of the decision how many short trainings there were at a time, on this machine."""
    return f"at a time {number} {label}"
