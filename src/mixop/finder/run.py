"""A run of `find`: tries known good networks, halves them, searches, and trains the best for the rest of the time."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from mixop.api import RetrainResult, retrain, search
from mixop.core.errors import DivergedError, RecipeError
from mixop.data.core import Data
from mixop.engine.driver import Observer
from mixop.engine.fit import check_fit
from mixop.engine.settings import Settings
from mixop.finder.boosting import boosted
from mixop.finder.contender import Contender, Costs, Entry, Trial, Wanted, around, carried
from mixop.finder.costs import Limits
from mixop.finder.ledger import Ledger
from mixop.finder.portfolio import Family, Member, portfolio, where_to_search
from mixop.finder.ranking import best_before_training
from mixop.finder.result import FindResult
from mixop.finder.training import LONGEST_EPOCHS, protocol_for
from mixop.finder.verdict import by_heart, ranked, to_train, verdict
from mixop.finder.worth import Worth, worth
from mixop.measure.foresight import retraining_estimate, search_estimate
from mixop.nets.latency import LatencyTable
from mixop.plan.scaling import scaled_to
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.report.verdict import ignorance
from mixop.report.words import said
from mixop.runs.directory import RunDirectory
from mixop.runs.files import DECISIONS
from mixop.runs.read import read_run
from mixop.runs.records import from_record, to_record
from mixop.spaces.core import Space

SHARES = {"trials": 0.3, "search": 0.2, "ranking": 0.05}
"""Of the whole time; looking is part of the trials, and training the best network takes what is left. Ranking is for limits."""


FEWEST_EPOCHS = 3
"""Of a trial; a network that cannot have as many in its share of the time stays out."""

ENOUGH_EPOCHS = 10
"""Of those of the last round where one more is let in."""

ALONE_EPOCHS = 24
"""Of a network that is trained without having been compared. Source: the short schedule by which Page 2018 (How to train your
ResNet, part 3) trains a residual network on CIFAR-10 to 94 %."""

LAST_ROUND = 5
"""Networks of the last round under a limit: two known ones, what was ranked, what was found, and a random one."""

LOOK_SECONDS = 1.5
"""Of the first round for each network that is timed: timing one takes about a second."""

FEWEST_SEARCH_EPOCHS = 8
"""Of a search; a shorter one would decide before its supernet knows anything."""

MOST_SEARCHES = 3
"""Searches of a run. Several short ones with different seeds go before a long one where each has twice the fewest epochs: which
of them is best, the second round says."""

METHODS = ("gaea", "dsnas")
"""What searches, the first that there is time for: the best of the single searches at the smallest scale of docs/results.md,
and the best there of those that compute one option of each decision in a step, so that an epoch is a fraction as long."""

AHEAD = 1.1
"""Times are planned longer by this, for what an estimate leaves out."""


Raced = tuple[Contender, Trial]
"""A network and what it scored."""


@dataclass(frozen=True)
class Plan:
    """How a space is searched.

    Args:
        method: the name of a recipe.
        epochs: of each search; 0 for none.
        times: how many searches, with seeds that count up.
    """

    method: str
    epochs: int
    times: int


class Finder:
    """One run of `find`."""

    def __init__(
        self,
        run: RunDirectory,
        data: Data,
        limits: Limits,
        seconds: float,
        methods: Sequence[str],
        settings: Settings,
        observe: Observer | None,
        tell: Callable[[str], None],
        before: FindResult | None,
        *,
        beside: bool,
        progress: bool,
        table: LatencyTable | None,
    ) -> None:
        self.run, self.methods, self.settings, self.observe = run, methods, settings, observe
        self.beside, self.progress = beside, progress
        self.data = data.to(settings.device) if settings.device != "cpu" else data
        self.ledger = Ledger(run)
        self.entry = Entry(self.data, limits, table=table)
        self.total, self.before = seconds, before
        self.tell = tell
        self.outside = 0
        self.sentences: list[str] = []
        self.trials: list[Trial] = []

    def look(self) -> tuple[list[Contender], Costs]:
        """The known networks that keep the limits, and what all that were looked at cost; nothing is written.

        Raises:
            RecipeError: if there are none, or the recipe does not fit the space that is searched.
        """
        members = portfolio(self.data)
        if near := where_to_search(self.data, members):
            for method in self.methods:
                check_fit(self._fitting(RECIPES[method]()), self._searchable(near), self.data, self.settings)
        # What was measured once holds: a latency is another one every time.
        for when in ("costs", "costs of what was found"):
            self.entry.costs.update(self.ledger.known(when, {}))
        known = self._known(members)
        return self._ordered(known, self.before) if self.before else known, dict(self.entry.costs)

    def _ordered(self, known: Sequence[Contender], before: FindResult) -> list[Contender]:
        """Networks in the order in which they take part after an earlier run: its winner, what it had no time for, the rest."""
        tried = {trial.label for trial in before.trials}
        winner = next((c for c in known if (c.space, c.architecture) == (before.space, before.architecture)), None)
        if winner is None:
            cost = self.entry.cost(before.space, before.architecture)
            label = f"{before.winner} before"
            winner = Contender(label, "searched", before.space, before.architecture, cost, 0)
        rest = [contender for contender in known if contender is not winner]
        return [winner, *sorted(rest, key=lambda contender: contender.label in tried)]

    def find(self, known: list[Contender], costs: Costs) -> FindResult:
        """All of it, from wherever it stands.

        Args:
            known: networks to begin with.
            costs: what networks were measured to cost.
        """
        self.ledger.decide("costs", lambda: costs)
        data = self.data
        self.say(
            f"{data.name}: {len(data.train):,} training, {len(data.valid):,} validation and {len(data.test):,} test examples "
            f"of shape {'x'.join(map(str, data.shape))}, task {data.task.name}."
        )
        if self.before:
            self.say(
                f"{self.before.winner} was the best before, with {self._worth(self.before)}: {self.total / 60:g} more minutes "
                "go on from there, and the test examples are looked at once more."
            )
        if self.entry.table:
            self.say(f"{self.entry.table}.")
        if self.outside:
            self.say(f"{self.outside} known networks cost more than is allowed ({self.entry.limits}) and stay out.")
        seconds = self.total * SHARES["trials"] / 2
        lengths = self.ledger.decide("round 1", lambda: self._first_lengths(known, seconds))
        taken = [label for label, epochs in lengths.items() if epochs]
        if len(taken) == 1:
            self.say(f"No time to compare networks, nor to search: {taken[0]} is trained for all of it.")
            return self._train(next(contender for contender in known if contender.label == taken[0]), ())
        first = self._raced(1, known, lengths)
        final = self._last_round(known, first, seconds)
        trials = [trial for _, trial in final]
        judged = verdict(trials, data.task, len(data.valid))
        for sentence in judged:
            self.say(sentence)
        return self._train(final[to_train(trials, data.task, len(data.valid))][0], judged)

    def _worth(self, result: FindResult) -> str:
        """What the network of a finished run scored."""
        score = result.score
        return f"{said(score.first, score.value(score.networks[0]), score.counted)} on {score.scored_on.words}"

    def say(self, sentence: str) -> None:
        """Keeps a sentence and shows it."""
        self.sentences.append(sentence)
        self.tell(sentence)

    def _known(self, members: Sequence[Member]) -> list[Contender]:
        """The networks of the portfolio that keep the limits; of a family that has none, its largest that does."""
        inside: list[Contender] = []
        families: dict[Family, int] = dict.fromkeys((member.family for member in members), 0)
        why = ""
        for member in members:
            contender, why = self.entry.member(member)
            if contender is not None:
                inside.append(contender)
                families[member.family] += 1
        self.outside = len(members) - len(inside)
        for family, count in families.items():
            if not count:
                contender, why = self.entry.largest(family)
                inside += [contender] if contender else []
        if not inside:
            raise RecipeError(f"No known network keeps the limits: the smallest has {why}; allow more.")
        return inside

    def _last_round(self, known: Sequence[Contender], first: Sequence[Raced], seconds: float) -> list[Raced]:
        """The two best of the first round, then what searches found, if these are worth their time; each for as long.

        Args:
            known: all networks that were known.
            first: those of the first round, the best first.
            seconds: of the whole round.
        """
        order = [contender for contender, _ in first]
        members = {member.label: member for member in portfolio(self.data)}
        near = where_to_search(self.data, [members[c.label] for c in order if c.label in members])
        plan = self._plan(near)
        others = (plan.times + 1 if plan.epochs else 0) + bool(self.entry.limits)
        share = seconds / (min(2, len(order)) + others)
        last = self._raced(2, order[:2], self.ledger.decide("round 2", lambda: self._lengths(order[:2], share)))
        if near is None or not last:
            return last or list(first)
        if plan.epochs and not self._pays(first, last, SHARES["search"] * self.total + others * share):
            plan = replace(plan, epochs=0)
        more = self._searched(known, order[0], near, plan)
        if more:
            last += self._raced(2, more, self.ledger.decide("round 2, found", lambda: self._lengths(more, share)))
        order_of_all = ranked([trial for _, trial in last], self.data.task)
        return [last[at] for at in order_of_all]

    def _pays(self, first: Sequence[Raced], last: Sequence[Raced], seconds: float) -> bool:
        """Whether a search is worth its seconds; said where it is not."""
        measure, longer = self.data.task.first, last[0][1]

        def decided() -> dict[str, float] | None:
            left = self.total - self.ledger.seconds
            found = worth([trial for _, trial in first], longer, measure, left=left, search=seconds)
            return None if found is None else to_record(found)

        decision = self.ledger.decide("worth a search", decided)
        found = None if decision is None else from_record(Worth, decision, DECISIONS)
        if found is None or found.search:
            return True
        unit = " points" if measure.style == "percent" else measure.suffix
        self.say(
            f"No search: as much training gains up to {measure.digits(found.training)}{unit} of {measure.name}, by how "
            f"{longer.label} went on, and known networks differ by {measure.digits(found.searching)}."
        )
        return False

    def _raced(self, number: int, contenders: Sequence[Contender], chosen: Mapping[str, int]) -> list[Raced]:
        """Trains networks for equal times and ranks them by their validation scores, the best first.

        Args:
            number: of the round.
            contenders: the networks.
            chosen: epochs by label; 0 for those that stay out.
        """
        by_label = {contender.label: contender for contender in contenders}
        late = [label for label, epochs in chosen.items() if not epochs]
        if late:
            self.say(f"No time to try {', '.join(late)}: more minutes would let them in.")
        done: list[Raced] = []
        for label, epochs in chosen.items():
            if epochs:
                trial = self.ledger.decide(f"trial {number} {label}", lambda: self._trial(number, by_label[label], epochs))  # noqa: B023
                if trial is None:
                    self.say(f"{label} diverged and is left out.")
                    continue
                done.append((by_label[label], from_record(Trial, trial, DECISIONS)))
        if number == 1 and not done:
            raise RecipeError("Every network diverged: the data may hold numbers that no network can learn from.")
        order = ranked([trial for _, trial in done], self.data.task)
        done = [done[i] for i in order]
        self.trials += [trial for _, trial in done]
        return done

    def _first_lengths(self, contenders: Sequence[Contender], seconds: float) -> dict[str, int]:
        """How many epochs each network has in an equal share of the time; 0 for those that stay out.

        As many take part as can have the fewest epochs each; those that come first go before others.
        """
        looked = contenders[: max(2, int(seconds / LOOK_SECONDS))]
        rates = {contender.label: self._seconds_per_epoch(contender) for contender in looked}
        taken = _able(rates, seconds) or [_alone(rates, self.total)]
        inside = self._lengths([contender for contender in looked if contender.label in taken], seconds / len(taken))
        return {contender.label: inside.get(contender.label, 0) for contender in contenders}

    def _lengths(self, contenders: Sequence[Contender], share: float) -> dict[str, int]:
        """How many epochs each network has in some seconds, but no fewer than the fewest."""
        rates = {contender.label: self._seconds_per_epoch(contender) for contender in contenders}
        return {label: min(LONGEST_EPOCHS, max(FEWEST_EPOCHS, int(share / rate))) for label, rate in rates.items()}

    def _seconds_per_epoch(self, contender: Contender) -> float:
        """Of a training on the part ``train``; as measured where it was trained already."""
        for trial in reversed(self.trials):
            if trial.label == contender.label and trial.epochs:
                return AHEAD * max(trial.seconds / trial.epochs, 1e-4)
        estimate = retraining_estimate(
            contender.architecture, contender.space, self.data, protocol_for(self.data, 1), device=self.settings.device
        )
        whole = len(self.data.train) + len(self.data.valid)
        return AHEAD * max(estimate.seconds * len(self.data.train) / whole, 1e-4)

    def _trial(self, number: int, contender: Contender, epochs: int) -> dict[str, Any] | None:
        """Trains a network and scores it on the validation part; None if it diverges."""
        place = self.run / "trials" / f"{number}-{contender.label.replace(' ', '-')}"
        try:
            result = self._retrain(contender, place, epochs, train_on=("train",), score_on="valid")
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

    def _retrain(self, contender: Contender, place: Path, epochs: int, **scope: Any) -> RetrainResult:
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

    def _searched(self, known: Sequence[Contender], best: Contender, near: Member, plan: Plan) -> list[Contender]:
        """What a search and a ranking found, and a random architecture of the same space; nothing where both stay away."""
        space = around(near, near.size).fit(self.data)
        wanted = [*self._ranked(best), *self._found(near, plan)]
        if wanted:
            wanted.append(Wanted("random", "random", near, space.random(Random(self.settings.seed)), space))
        inside: list[Contender] = []
        for one in wanted:
            wide = around(one.near, one.near.size).fit(self.data)
            here = carried(one.architecture, one.space, wide)
            same = next((c for c in (*known, *inside) if c.space == wide and c.architecture == here), None)
            if same is not None:
                self.say(f"The {one.label} architecture is that of {same.label}.")
                continue
            contender, why = self.entry.found(one.label, one.origin, one.near, one.architecture, one.space)
            if contender is None:
                self.say(f"The {one.label} architecture stays out at any width: it has {why}.")
            else:
                inside.append(contender)
        self.ledger.decide("costs of what was found", lambda: dict(self.entry.costs))
        return inside

    def _ranked(self, best: Contender) -> list[Wanted]:
        """The best of many draws that keep the limits, by scores before training, where those are known to help.

        They are as wide as the widest known network that keeps them: at another width all would be too large, or too small. One
        network more leaves the others less time: it stays away where the best so far would have fewer than ten epochs.
        """
        limits, data = self.entry.limits, self.data
        near = next((member for member in portfolio(data) if member.family.ranks), None)
        if not limits or near is None or len(data.shape) != 3 or data.dense or data.tokens:
            return []
        widest, _ = self.entry.largest(near.family)
        if widest is None:
            return []
        space = around(near, min(near.size, widest.size)).fit(data)
        seconds, seed = SHARES["ranking"] * self.total, self.settings.seed
        share = self.total * SHARES["trials"] / 2 / LAST_ROUND

        def rank() -> dict[str, Any] | None:
            if ENOUGH_EPOCHS * self._seconds_per_epoch(best) > share:
                return None
            return best_before_training(space, self.entry, seconds=seconds, seed=seed)

        taken = self.ledger.decide("ranked", rank)
        if taken is None or taken["architecture"] is None:
            return []
        self.say(f"Of {taken['networks']} drawn networks that keep the limits, the best by scores before training takes part.")
        return [Wanted("ranked", "ranked", near, space.from_native(taken["architecture"]), space)]

    def _plan(self, near: Member | None) -> Plan:
        """What searches: decided once, by how long an epoch of it takes."""
        if near is None:
            return Plan(self.methods[-1], 0, 0)
        plan = Plan(*self.ledger.decide("search", lambda: self._search_length(self._searchable(near))))
        if not plan.epochs:
            self.say(f"No time for a search of {FEWEST_SEARCH_EPOCHS} epochs: more minutes would search as well.")
        return plan

    def _found(self, near: Member, plan: Plan) -> list[Wanted]:
        """What searches found that learnt anything; nothing where none is made."""
        if not plan.epochs:
            return []
        narrow, wanted = self._searchable(near), list[Wanted]()
        recipe = self._sized(plan.method, plan.epochs)
        for number in range(1, plan.times + 1):
            again, seed = "" if number == 1 else f" {number}", self.settings.seed + number - 1
            result = search(
                recipe,
                narrow,
                self.data,
                self.run / f"search{again.replace(' ', '-')}",
                rates="paper",
                seed=seed,
                device=self.settings.device,
                threads=self.settings.threads,
                executor=self.settings.executor,
                observe=self.observe,
                progress=self.progress,
            )
            self.say(f"{recipe.name} searched {narrow.name} for {plan.epochs} epochs{f', with seed {seed}' if again else ''}.")
            if knew_nothing := ignorance(read_run(result.out)):
                self.say(f"What it found stays out. {knew_nothing[0]}")
                continue
            wanted.append(Wanted(f"found{again}", "searched", near, result.architecture, narrow))
        return wanted

    def _searchable(self, near: Member) -> Space:
        """The space around a network at half its width, where a search works.

        A supernet computes every option of every decision, so at full width it would see little in the time that it has.
        """
        return around(near, max(2, near.size // 2)).fit(self.data)

    def _fitting(self, recipe: Recipe) -> Recipe:
        """A recipe with a batch that the data have."""
        most = max(2, min(len(self.data.train), len(self.data.valid)) // 2)
        return replace(recipe, batch_size=min(recipe.batch_size, most))

    def _sized(self, method: str, epochs: int) -> Recipe:
        """A recipe at a length, its rates scaled by the rule of all short searches."""
        short = self._fitting(RECIPES[method](epochs=epochs))
        return scaled_to(short, len(self.data.train), len(self.data.valid))

    def _search_length(self, space: Space) -> tuple[str, int, int]:
        """The first method that there is time for, the epochs of a search, 0 where there is none, and how many searches."""
        for method in self.methods:
            if epochs := self._search_epochs(method, space):
                count = max(1, min(MOST_SEARCHES, epochs // (2 * FEWEST_SEARCH_EPOCHS)))
                return method, min(epochs // count, RECIPES[method]().epochs), count
        return self.methods[-1], 0, 0

    def _search_epochs(self, method: str, space: Space) -> int:
        """As many as fit into the searches' share of the time; 0 for too few."""
        estimate = search_estimate(self._sized(method, FEWEST_SEARCH_EPOCHS), space, self.data, self.settings)
        epochs = int(self.total * SHARES["search"] / (AHEAD * max(estimate.seconds / FEWEST_SEARCH_EPOCHS, 1e-4)))
        return epochs if epochs >= FEWEST_SEARCH_EPOCHS else 0

    def _length(self, winner: Contender) -> int:
        """Epochs of the last training: as many as there is time for, if the validation examples say that so many do no harm.

        A network that is trained for long may learn its examples by heart, and in the last training none are left to see it by.
        Where its trial was better on what it trained on than on the validation examples, it is first trained for as many epochs
        on the part ``train`` alone; if that is worse than its trial, the trial's length is taken.
        """
        before = next((trial for trial in reversed(self.trials) if trial.label == winner.label), None)
        doubtful = before is not None and by_heart(before, self.data.task, len(self.data.valid))

        def epochs(*, twice: bool) -> int:
            left = self.total - self.ledger.seconds
            whole = (len(self.data.train) + len(self.data.valid)) / len(self.data.train)
            each = (twice + whole) * self._seconds_per_epoch(winner)
            return max(FEWEST_EPOCHS, min(LONGEST_EPOCHS, math.floor(left / each)))

        count = self.ledger.decide("final", lambda: epochs(twice=doubtful))
        if before is None or not doubtful or count <= before.epochs:
            return count
        plain = self.ledger.decide(f"trial 3 {winner.label}", lambda: self._trial(3, winner, count))
        if plain is None:
            self.say(f"{winner.label} diverges in {count} epochs, so it is trained for {before.epochs}.")
            return before.epochs
        longer = from_record(Trial, plain, DECISIONS)
        self.trials.append(longer)
        if ranked([before, longer], self.data.task)[0] == 0:
            self.say(f"{count} epochs are no better for {winner.label} than {before.epochs} on the validation examples.")
            return before.epochs
        # The longer trial took another time than was planned, and shows how long an epoch takes.
        return self.ledger.decide("final, after a longer trial", lambda: min(count, epochs(twice=False)))

    def _train(self, winner: Contender, judged: Sequence[str]) -> FindResult:
        """Trains the winner for the rest of the time on all training examples."""

        count = self._length(winner)
        if self.entry.limits:
            self.say(f"{winner.label} keeps the limits: {self.entry.limits.beside(winner.cost)}.")
        self.say(f"Training {winner.label} on all training examples for {count} epochs.")
        result = self._retrain(winner, self.run / "final", count)
        others = self.ledger.decide("boosting", lambda: boosted(self.data, self.settings.seed)) if self.beside else None
        if others:
            reached = said(self.data.task.first, others[self.data.task.first.name])
            rival = f"Gradient boosting (scikit-learn, with its defaults) reaches {reached} on the same test examples."
            self.say(rival)
            judged = (*judged, rival)
        self.ledger.decide("winner", lambda: winner.label)
        self.ledger.decide("sentences", lambda: self.sentences)
        return FindResult(
            out=self.run.path,
            model=result.model,
            winner=winner.label,
            space=winner.space,
            architecture=winner.architecture,
            score=result.score,
            trials=tuple(self.trials),
            sentences=tuple(self.sentences),
            verdict=tuple(judged),
        )


def _able(rates: Mapping[str, float], seconds: float) -> list[str]:
    """The networks that take part: as many as can have the fewest epochs in equal shares of the time, those that come first.

    None where there are not two of them.

    Args:
        rates: seconds of an epoch by label.
        seconds: that all of them have.
    """
    for count in range(len(rates), 1, -1):
        able = [label for label, rate in rates.items() if FEWEST_EPOCHS * rate <= seconds / count]
        if len(able) >= count:
            return able[:count]
    return []


def _alone(rates: Mapping[str, float], seconds: float) -> str:
    """The network to train where there is no time to compare: the first that has enough epochs, or else the fastest.

    Args:
        rates: seconds of an epoch by label.
        seconds: of the whole run.
    """
    able = (label for label, rate in rates.items() if ALONE_EPOCHS * rate <= seconds)
    return next(able, min(rates, key=rates.__getitem__))
