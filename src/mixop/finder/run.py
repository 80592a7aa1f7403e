"""A run of `find`: tries known good networks, halves them, searches, and trains the best for the rest of the time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from statistics import median
from typing import Any

from mixop.api import search
from mixop.core.errors import RecipeError
from mixop.data.core import Data
from mixop.engine.driver import Observer
from mixop.engine.fit import check_fit
from mixop.engine.settings import Settings
from mixop.finder.boosting import boosted
from mixop.finder.contender import Contender, Costs, Entry, Wanted, around, carried
from mixop.finder.costs import Limits
from mixop.finder.crew import Crew
from mixop.finder.ledger import Ledger
from mixop.finder.look import described
from mixop.finder.plan import (
    AHEAD,
    ALONE_EPOCHS,
    ENOUGH_EPOCHS,
    LOOK_SECONDS,
    SHARES,
    Searches,
    able,
    about,
    alone,
    told,
    told_stride,
    turns,
)
from mixop.finder.portfolio import STRIDES, Family, Member, by_hand, portfolio, strides, where_to_search
from mixop.finder.result import FindResult
from mixop.finder.trainer import Raced, Trainer
from mixop.finder.verdict import by_heart, ranked, to_train, trusted, verdict
from mixop.finder.worth import Worth, worth
from mixop.measure.foresight import search_estimate
from mixop.nets.latency import LatencyTable
from mixop.plan.scaling import scaled_to
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.report.verdict import ignorance
from mixop.report.words import count, said
from mixop.runs.directory import RunDirectory
from mixop.runs.files import DECISIONS
from mixop.runs.read import read_run
from mixop.runs.records import from_record, to_record
from mixop.runs.runner import Runner
from mixop.spaces.core import Space

FEWEST_SEARCH_EPOCHS = 8
"""Of a search; a shorter one would decide before its supernet knows anything."""

MOST_SEARCHES = 3
"""Searches of a run. Several short ones with different seeds go before a long one where each has twice the fewest epochs: which
of them is best, the second round says."""

PLAIN = 16
"""Channels of the plain network by which the stride of first convolutions is set."""

METHODS = ("gaea", "dsnas")
"""What searches, the first that there is time for: the best of the single searches at the smallest scale of docs/results.md,
and the best there of those that compute one option of each decision in a step, so that an epoch is a fraction as long."""


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
        workers: tuple[Runner, int, str] | None = None,
    ) -> None:
        self.run, self.methods, self.settings, self.observe = run, methods, settings, observe
        self.beside, self.progress = beside, progress
        self.data = data.to(settings.device) if settings.device != "cpu" else data
        self.ledger = Ledger(run)
        crew = None
        if workers is not None:
            runner, jobs, device = workers
            how = {"seed": settings.seed, "device": device, "threads": settings.threads}
            shown = {"observe": observe, "progress": progress, "ended": self.ledger.keep}
            crew = Crew(run, data, runner, jobs, **how, **shown)
        self.crew = crew
        self.trainer = Trainer(run, self.data, self.ledger, crew, settings, self.say, observe=observe, progress=progress)
        self.jobs = self.trainer.jobs
        self.entry = Entry(self.data, limits, table=table)
        self.total, self.before = seconds, before
        self.tell = tell
        self.outside = 0
        self.sentences: list[str] = []

    def look(self, stride: int | None = None) -> tuple[list[Contender], Costs]:
        """The known networks that keep the limits, and what all that were looked at cost.

        Nothing is written, but for what other machines measure where the stride is left open.

        Args:
            stride: of first convolutions; None for one that leaves enough epochs.

        Raises:
            RecipeError: if there are none, or the recipe does not fit the space that is searched.
        """
        stride = int(self._strided()[0]) if stride is None else stride
        cheaper = self.entry.limits.flops is not None or self.entry.limits.latency_ms is not None
        small = bool(self.entry.limits)
        members = self.members = portfolio(self.data, stride=stride, cheaper=cheaper, small=small)
        if near := where_to_search(members):
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
        self.ledger.decide("stride", self._strided)
        data = self.data
        for sentence in described(data):
            self.say(sentence)
        if self.before:
            self.say(
                f"{self.before.winner} was the best before, with {self._worth(self.before)}. This run goes on from there for "
                f"{count(self.total / 60, 'minute')} more, and looks at the test examples once more."
            )
        if self.entry.table:
            self.say(f"{self.entry.table}.")
        if self.crew:
            several = "1 training" if self.jobs == 1 else f"{self.jobs} trainings"
            self.say(f"{several} at a time, by {self.crew.runner.words}.")
        if self.outside:
            self.say(f"{self.outside} known networks cost more than is allowed ({self.entry.limits}) and stay out.")
        seconds = self.total * SHARES["trials"] / 2
        first_round = self.ledger.decide("first round", lambda: self._first_round(known, seconds))
        for sentence in first_round["plan"]:
            self.say(sentence)
        lengths = first_round["epochs"]
        if len(lengths) == 1:
            return self._train(next(contender for contender in known if contender.label in lengths), ())
        if not (first := self.trainer.raced(1, known, lengths)):
            raise RecipeError("Every network diverged: the data may hold numbers that no network can learn from.")
        final = self._last_round(known, first)
        trials = [trial for _, trial in final]
        order = [contender.label for contender in known] if self.entry.limits else []
        judged = verdict(trials, data.task, len(data.valid), order)
        for sentence in judged:
            self.say(sentence)
        return self._train(final[to_train(trials, data.task, len(data.valid), order)][0], judged)

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
        for family, inside_it in families.items():
            if not inside_it:
                contender, why = self.entry.largest(family)
                inside += [contender] if contender else []
        if not inside:
            raise RecipeError(f"No known network keeps the limits: the smallest has {why}; allow more.")
        return inside

    def _last_round(self, known: Sequence[Contender], first: Sequence[Raced]) -> list[Raced]:
        """Two of the first round, then what searches found, if these are worth their time; each for as long.

        Args:
            known: all networks that were known.
            first: those of the first round, the best first.
        """
        labels = [contender.label for contender in known]
        trust = trusted([trial for _, trial in first], self.data.task, len(self.data.valid), labels)
        order = [first[at][0] for at in trust]
        members = {member.label: member for member in self.members}
        near = where_to_search([*(members[c.label] for c in order if c.label in members), *self.members])
        plan = self._plan(near, order[0])
        share = self._share(plan, known=min(2, len(order)))
        last = self.trainer.raced(2, order[:2], self.ledger.decide("round 2", lambda: self.trainer.lengths(order[:2], share)))
        if near is None or not last:
            return last or list(first)
        longer = SHARES["search"] * self.total + turns(plan.guests, self.jobs) * share
        if plan.epochs and not self._pays(first, last, longer):
            plan = replace(plan, epochs=0)
        more = self._searched(known, near, plan)
        if more:
            last += self.trainer.raced(2, more, self.ledger.decide("round 2, found", lambda: self.trainer.lengths(more, share)))
        order_of_all = ranked([trial for _, trial in last], self.data.task)
        return [last[at] for at in order_of_all]

    def _share(self, plan: Searches, *, known: int = 2) -> float:
        """Seconds of each network of the last round: of the known ones, and of as many others as are planned."""
        return self.total * SHARES["trials"] / 2 / (turns(known, self.jobs) + turns(plan.guests, self.jobs))

    def _compares(self, best: Contender, plan: Searches) -> bool:
        """Whether as many as are planned can join the last round: the best network so far still has enough epochs there."""
        return ENOUGH_EPOCHS * self.trainer.seconds_per_epoch(best) <= self._share(plan)

    def _pays(self, first: Sequence[Raced], last: Sequence[Raced], seconds: float) -> bool:
        """Whether a search is worth its seconds; said where it is not."""
        measure, longer = self.data.task.first, last[0][1]

        def decided() -> dict[str, float] | None:
            left = self.total - self.ledger.seconds
            trials, examples = [trial for _, trial in first], len(self.data.valid)
            found = worth(trials, longer, measure, left=left, search=seconds, examples=examples)
            return None if found is None else to_record(found)

        decision = self.ledger.decide("worth a search", decided)
        found = None if decision is None else from_record(Worth, decision, DECISIONS)
        if found is None or found.search:
            return True
        unit, beyond = (" points", " beyond chance") if measure.style == "percent" else (measure.suffix, "")
        self.say(
            f"No search: as much training gains up to {measure.digits(found.training)}{unit} of {measure.name}, by how "
            f"{longer.label} went on, and known networks differ by {measure.digits(found.searching)}{beyond}."
        )
        return False

    def _first_round(self, contenders: Sequence[Contender], seconds: float) -> dict[str, Any]:
        """Epochs by label of the networks that take part, in equal shares of the time, and sentences on the plan.

        As many take part as can have the fewest epochs each; those that come first go before others.
        """
        looked = contenders[: max(2, int(self.jobs * seconds / LOOK_SECONDS))]
        rates = self.trainer.paces(looked)
        taken = able(rates, seconds, self.jobs) or [alone(rates, self.total)]
        share = seconds / turns(len(taken), self.jobs)
        inside = self.trainer.lengths([contender for contender in looked if contender.label in taken], share)
        # What was not timed is judged by its multiply-adds.
        pace = median(rates[contender.label] / max(1, contender.cost.flops) for contender in looked)
        rates |= {c.label: pace * c.cost.flops for c in contenders if c.label not in rates}
        stride, epochs = self._strided()
        strided = [told_stride(self.data.shape[1:], stride, epochs[STRIDES.index(stride) - 1])] if stride > 1 else []
        return {"epochs": inside, "plan": [*strided, *told(self.total, rates, taken, jobs=self.jobs)]}

    def _strided(self) -> list[Any]:
        """The stride of first convolutions, and the epochs that a plain network would have in the last training at each.

        It is the least one with which a plain network has enough epochs in what is surely left for the last training; at twice
        the stride an epoch takes about a quarter of the time.
        """
        if (known := self.ledger.known("stride", None)) is not None:
            return known
        seconds = self.total * (1 - sum(SHARES.values()))
        whole = (len(self.data.train) + len(self.data.valid)) / len(self.data.train)
        stride, epochs = 1, list[int]()
        for stride in strides(self.data):
            plain = next(iter(by_hand(self.data, stride)), None)
            contender = None if plain is None or stride == strides(self.data)[-1] else self.entry.largest(plain, PLAIN)[0]
            if contender is None:  # there is nothing to time, or no further stride
                break
            epochs.append(int(seconds / (whole * self.trainer.seconds_per_epoch(contender))))
            if epochs[-1] >= ALONE_EPOCHS:
                break
        return [stride, epochs]

    def _searched(self, known: Sequence[Contender], near: Member, plan: Searches) -> list[Contender]:
        """What searches found, and a random architecture of the same space; nothing where they found nothing."""
        space = around(near, near.size).fit(self.data)
        wanted = self._found(near, plan)
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

    def _plan(self, near: Member | None, best: Contender) -> Searches:
        """What searches: decided once, by how long an epoch takes of a search and of the best network so far."""
        if near is None:
            return Searches(self.methods[-1], 0, 0)
        # A run that version 1.0.0 began has one more value in between.
        method, epochs, times, *_, minutes = self.ledger.decide(
            "searches", lambda: self._search_length(self._searchable(near), best)
        )
        plan = Searches(method, epochs, times)
        if not plan.epochs:
            what = f"a search of {FEWEST_SEARCH_EPOCHS} epochs and for comparing what it finds"
            self.say(f"No time for {what}: {about(minutes)} would have it.")
        return plan

    def _found(self, near: Member, plan: Searches) -> list[Wanted]:
        """What searches found that learnt anything; nothing where none is made."""
        if not plan.epochs:
            return []
        narrow, wanted = self._searchable(near), list[Wanted]()
        recipe = self._sized(plan.method, plan.epochs)
        names = ["" if number == 1 else f" {number}" for number in range(1, plan.times + 1)]
        places = [self.run / f"search{again.replace(' ', '-')}" for again in names]
        seeds = range(self.settings.seed, self.settings.seed + plan.times)
        if self.crew is not None:
            self.crew.do([self.crew.searching(recipe, narrow, *each) for each in zip(places, seeds, strict=True)])
        for again, place, seed in zip(names, places, seeds, strict=True):
            result = search(
                recipe,
                narrow,
                self.data,
                place,
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

    def _search_length(self, space: Space, best: Contender) -> tuple[str, int, int, float]:
        """The first method that there is time for, the epochs of a search, 0 where there is none, and how many searches.

        One network more in the last round leaves the others less time, so there are only so many searches that the best so far
        has enough epochs beside what they find and a random one. At last, the minutes of a run that has time for the method and
        for comparing what it finds.
        """
        method, minutes = self.methods[-1], math.inf
        one = Searches(method, FEWEST_SEARCH_EPOCHS, 1)
        most = sum(self._compares(best, replace(one, times=times)) for times in range(1, MOST_SEARCHES + 1))
        compared = ENOUGH_EPOCHS * self.trainer.seconds_per_epoch(best) / self._share(one) * self.total / 60
        for method in self.methods:
            each = self._seconds_per_search_epoch(method, space)
            minutes = max(compared, FEWEST_SEARCH_EPOCHS * each / SHARES["search"] / 60)
            epochs = int(self.total * SHARES["search"] / each)
            if most and epochs >= FEWEST_SEARCH_EPOCHS:
                # Those at a time cost no more time than one.
                count = max(1, min(most, max(self.jobs, self.jobs * epochs // (2 * FEWEST_SEARCH_EPOCHS))))
                return method, min(epochs // turns(count, self.jobs), RECIPES[method]().epochs), count, minutes
        return method, 0, 0, minutes

    def _seconds_per_search_epoch(self, method: str, space: Space) -> float:
        recipe = self._sized(method, FEWEST_SEARCH_EPOCHS)
        if self.crew is not None:
            seconds = self.crew.search_pace(recipe, space, MOST_SEARCHES)
        else:
            seconds = search_estimate(recipe, space, self.data, self.settings).seconds
        return AHEAD * max(seconds / FEWEST_SEARCH_EPOCHS, 1e-4)

    def _length(self, winner: Contender) -> int:
        """Epochs of the last training: as many as there is time for, if the validation examples say that so many do no harm.

        A network that is trained for long may learn its examples by heart, and in the last training none are left to see it by.
        Where examples have no classes, and its trial was better on what it trained on than on the validation examples, it is
        first trained for as many epochs on the part ``train`` alone; if that is worse than its trial, the trial's length is
        taken. That halves the epochs where time is short: then it is left out if the longer of its trials was better than the
        shorter.
        """
        *earlier, before = (None, *(trial for trial in self.trainer.trials if trial.label == winner.label))
        doubtful = before is not None and by_heart(before, self.data.task, len(self.data.valid))
        grew = doubtful and earlier[-1] is not None and ranked([earlier[-1], before], self.data.task)[0] == 1

        def epochs(*, twice: bool) -> int:
            return self.trainer.epochs_on_all(winner, self.total - self.ledger.seconds, after_a_short_one=twice)

        def planned() -> dict[str, Any]:
            once, twice = epochs(twice=False), epochs(twice=True)
            check = doubtful and (twice == once or not grew)
            return {"epochs": twice if check else once, "check": check}

        plan = self.ledger.decide("last training", planned)
        count = plan["epochs"]
        if before is None or not plan["check"] or count <= before.epochs:
            return count
        if (longer := self.trainer.short(3, winner, count)) is None:
            self.say(f"{winner.label} diverges in {count} epochs, so it is trained for {before.epochs}.")
            return before.epochs
        self.trainer.trials.append(longer)
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
        result = self.trainer.train(winner, self.run / "final", count)
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
            trials=tuple(self.trainer.trials),
            sentences=tuple(self.sentences),
            verdict=tuple(judged),
        )
