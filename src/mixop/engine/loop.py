"""The search: one loop for every recipe.

It draws batches, asks the scheme for the architecture's gradient, steps both optimisers, writes the metrics and saves.
It never prints; who wants to watch passes an observer.
"""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from mixop.analysis.collapse import skip_share
from mixop.analysis.entropy import entropy
from mixop.bilevel.base import leaves_of
from mixop.core.errors import DivergedError, RunError
from mixop.core.optim import resting, set_rate
from mixop.core.outside import shortened
from mixop.core.ranks import ALONE, Ranks
from mixop.core.transfer import constant
from mixop.core.types import Batch, Params
from mixop.data.core import Data
from mixop.data.examples import AHEAD
from mixop.data.stream import Stream
from mixop.engine.capture import CapturedLoss
from mixop.engine.driver import Driver, Observer
from mixop.engine.estimate import Estimate, enough_memory, estimate, memory
from mixop.engine.finish import TrainedSearch
from mixop.engine.finite import FiniteCheck, diverged, first_not_finite
from mixop.engine.fit import computing
from mixop.engine.problem import SupernetProblem, mix_of
from mixop.engine.score import EVALUATION_BATCH, one_path, score, try_out
from mixop.engine.settings import Settings
from mixop.engine.stages import begin_stage, expand, stage_begins
from mixop.engine.state import SearchState
from mixop.engine.watch import Snapshots, ask_monitors
from mixop.monitors.base import Action, Continue, Restart, Stop
from mixop.nets.modules.costs import shown
from mixop.nets.modules.space import ModuleSpace
from mixop.recipe.core import Recipe
from mixop.recipe.parts import recipe_to_json
from mixop.recipe.stage import stage_progress
from mixop.relax.base import Relaxation
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.files import ARCHITECTURE, COSTS, DATA, RECIPE, SETTINGS, SNAPSHOTS, SPACE
from mixop.runs.identity import BOUND_TO, binding, check_binding
from mixop.runs.records import Column, SearchRecord, Values, to_record
from mixop.spaces.core import Architecture, Space
from mixop.spaces.describe import describe_architecture, describe_space


def rows_of(mix: Tensor) -> tuple[tuple[float, ...], ...]:
    """Mixing weights ``(E, O)`` as plain numbers."""
    return tuple(tuple(row) for row in mix.tolist())


def search_identity(recipe: Recipe, space: Space, data: Data, settings: Settings) -> dict[str, Any]:
    """What makes a search what it is: content of each of its directory's files, JSON data.

    Args:
        recipe: the method.
        space: its space, with the sizes of the data.
        data: what it searches on.
        settings: of the run; only those that change its numbers are kept.
    """
    return {
        RECIPE: recipe_to_json(recipe),
        SPACE: describe_space(space),
        DATA: data.describe(),
        SETTINGS: settings.identity,
    }


class Search:
    """One search in one run directory.

    Args:
        recipe: the method.
        space: the search space, its sizes fitting the data; stages prune and deepen it.
        data: examples, parts and task.
        run: the run directory, claimed for this run.
        settings: seed, device, checkpoints.
        observe: called with every step and record.
        ranks: the processes that search together, each with the same arguments; one of them owns the directory.
    """

    def __init__(
        self,
        recipe: Recipe,
        space: Space,
        data: Data,
        run: RunDirectory,
        settings: Settings,
        observe: Observer | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks = ranks
        settings, _ = computing(recipe, space, settings, ranks)
        self.recipe, self.base, self.run_directory, self.settings = recipe, space, run, settings
        self.observe = observe or (lambda record: None)
        self.data = data.to(settings.device)
        self.state = SearchState.fresh(recipe, space, data, settings)
        self._bind()
        lookback = max((monitor.lookback for monitor in recipe.monitors), default=0)
        self.finite = FiniteCheck(run.state)
        self.snapshots = Snapshots(run / SNAPSHOTS, lookback, ranks)
        self._action: Action = Continue()
        self.driver = Driver(self, settings.checkpoint_seconds, lambda record: self.observe(record), ranks)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What makes this search what it is: the content of the files that its directory begins with."""
        return search_identity(self.recipe, self.base, self.data, self.settings)

    @cached_property
    def bound(self) -> dict[str, str]:
        """What its checkpoints and its result carry."""
        return binding(self.identity)

    def _bind(self) -> None:
        """The problems of the state's network, which a stage replaces."""
        self.captured = CapturedLoss(self.state.net, self.data.task) if self.settings.capture else None
        self.problem = self._problem(self.recipe.relaxation)
        other = self.recipe.weight_relaxation
        self.weight_problem = self.problem if other is None else self._problem(other)

    @property
    def space(self) -> Space:
        """The search space of the present stage."""
        return self.state.space

    def _problem(self, relaxation: Relaxation) -> SupernetProblem:
        state = self.state
        return SupernetProblem(
            state.net,
            self.data.task,
            self.recipe,
            relaxation,
            state.weight_optimiser,
            state.generators["draw"],
            state.memory,
            state.fixed,
            precision=self.settings.precision,
            captured=self.captured,
            accumulate=self.settings.accumulate,
            ranks=self.ranks,
        )

    def restore(self) -> None:
        """Continues from the directory's checkpoint.

        Raises:
            RunError: if it is missing, torn or of another shape.
        """
        saved = checkpoint.load(self.run_directory.state)
        bound = saved.get(BOUND_TO) if isinstance(saved, dict) else None
        check_binding(bound, self.bound, self.run_directory.state)
        try:
            stage, kept = saved["search"]["stage"], saved["search"]["kept"]
            if stage > 0:
                self.state = SearchState.fresh(self.recipe, self.base, self.data, self.settings, stage=stage, kept=kept)
                self._bind()
            self.state.load_state_dict(saved["search"])
            position = saved["metrics"]
            if type(position) is not int or position < 0:
                raise TypeError(f"the length of its metrics is {shortened(position)}")
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise RunError(
                f"Checkpoint {self.run_directory.state} does not fit this run ({str(error).splitlines()[0]}): "
                "it comes from another version of mixop, or was moved here; start the run again."
            ) from error
        self.run_directory.truncate(position)

    def try_out(self) -> None:
        """Passes two examples through the network and the task, so that a misfit is found before anything is written.

        Raises:
            MixopError: if network, data and task do not fit together.
        """
        if self.settings.compile:  # it would compile for this size alone
            return
        try_out(self.state.net, self.data, self.mean())

    def save(self) -> None:
        """Writes the checkpoint.

        Raises:
            DivergedError: if a weight or parameter is not finite; the checkpoint that is there stays.
        """
        run = self.run_directory
        self._finite_state()
        if not run.owned:
            return
        run.check_lock()
        checkpoint.save(run.state, {BOUND_TO: self.bound, "search": self.state.state_dict(), "metrics": run.position()})

    def run(self) -> Architecture:
        """Searches to the end, from wherever it stands, and writes ``architecture.json``.

        Returns:
            The architecture found.

        Raises:
            DivergedError: if a loss is not finite; the last good checkpoint stays.
            InterruptedRunError: after SIGINT, SIGTERM or SIGHUP; the state is saved.
        """
        state = self.state
        self.driver.start(saved=checkpoint.exists(self.run_directory.state))
        with self.driver:
            self._train(self.recipe.epochs)
            if not state.found:
                state.found = self.space.to_native(self._derive())
            self.save()
            architecture = self.base.from_native(state.found)
            found = {**describe_architecture(self.base, architecture), BOUND_TO: self.bound}
            self.run_directory.write_json(ARCHITECTURE, found)
            if isinstance(self.base, ModuleSpace):
                self.run_directory.write_json(COSTS, shown(self.base))
        return architecture

    def _train(self, epochs: int) -> None:
        """Trains until that many epochs are finished, or a monitor knows the architecture."""
        self.driver.run(lambda: self.state.epoch < epochs and not self.state.found)

    def begin_epoch(self) -> int:
        """Rates, temperatures and augmentation of the epoch that is due; its number of steps."""
        if self.state.step == 0:
            self.state.train = self.data.task.totals()
        self._prepare_epoch()
        # In the middle of an epoch, even behind its last step, the pass is the one that was begun.
        return self.state.weight_stream.batches if self.state.step else self.state.weight_stream.begin()

    def take_step(self) -> None:
        """One step of the weights, and of the architecture where it is due."""
        with enough_memory(self.recipe.batch_size, "search"):
            self._step()

    def record(self, record: Mapping[str, Any]) -> None:
        """Adds the record of an epoch to the metrics."""
        self.run_directory.append(record)

    def after_epoch(self) -> None:
        """Goes back where a monitor wants it, and begins the next stage where one is due."""
        state = self.state
        if isinstance(self._action, Restart):
            self.snapshots.go_back(state, self._action)
            self.save()
        if stage_begins(self.recipe, state) and not state.found:
            begin_stage(state, self.recipe, self.base, self.mean(), self.settings)
            self._bind()
            self.save()

    def stopped(self) -> str:
        """What someone reads who stopped the search."""
        return (
            f"Stopped in epoch {self.state.epoch + 1} of {self.recipe.epochs} with all progress saved: "
            f"mixop resume {self.run_directory.path}"
        )

    def estimate(self) -> Estimate:
        """What the search will take, measured on the job itself, which cannot be used otherwise afterwards.

        With stages, all steps are taken to be like those of the first one. Where an architecture step comes with every so many
        weight steps, that many are measured together.

        Raises:
            MemoryLimitError: if a batch does not fit into the memory.
        """
        state, recipe = self.state, self.recipe
        run = min(recipe.architecture_every, state.weight_stream.batches)

        def steps() -> None:
            for state.step in range(run):
                self._step()

        return estimate(
            **self._measured(),
            step=steps,
            batch_size=self._at_once,
            steps=recipe.epochs * state.weight_stream.batches / run,
            device=self.settings.device,
        )

    def memory(self) -> Estimate:
        """The memory that the search will take, measured on the job itself, which cannot be used otherwise afterwards."""
        return memory(**self._measured(), batch_size=self._at_once)

    @property
    def _at_once(self) -> int:
        """Examples of a batch that are in memory at once."""
        return -(-self.recipe.batch_size // self.settings.accumulate)

    def _measured(self) -> dict[str, Any]:
        """What an estimate measures: the loss of a number of examples, and the bytes of the weights."""
        state = self.state
        state.epoch = self.recipe.warmup
        self._prepare_epoch()

        at = state.weight_stream.peek()

        def forward(examples: int) -> Tensor:
            self.problem.begin_step()
            draws = self.problem.draw({name: value.detach().requires_grad_() for name, value in state.params.items()})
            return self.problem.draw_loss(None, draws, self.data.batch(at[:examples]))

        return {"forward": forward, "weights": sum(p.numel() * p.element_size() for p in state.net.parameters())}

    def mean(self) -> dict[str, Tensor]:
        """The mean mixing weights, without gradient."""
        with torch.no_grad():
            return self.problem.mean(self.state.params)

    def _derive(self) -> Architecture:
        """The architecture of a search whose last epoch is finished."""
        state, recipe = self.state, self.recipe
        if recipe.keep == "best":
            return self.space.from_native(state.best_native)
        self._train(state.tune_until)  # where the run was left in the middle of a tuning
        self._prepare_epoch()
        trained = TrainedSearch(state, self.problem, self.data, train=self._train, save=self.save, pause=self.driver.pause)
        return recipe.derivation.final(trained)

    @property
    def _tuning(self) -> bool:
        return self.state.epoch >= self.recipe.epochs

    def _prepare_epoch(self) -> None:
        # Tuning continues as the last epoch of the search: its temperatures, and its rate of the architecture.
        state, recipe = self.state, self.recipe
        state.net.train()
        # What belongs to the architecture has the time in which it moves; rate and augmentation of the weights have all of it.
        progress = stage_progress(recipe.stages, recipe.epochs, min(state.epoch, recipe.epochs - 1), recipe.warmup)
        self.problem.progress = self.weight_problem.progress = progress
        self._augment = self.data.augment
        if recipe.cutout:
            probability = recipe.cutout_probability(progress.whole)
            self._augment = self._augment.erasing(recipe.cutout, probability, self.data.shape)
        set_rate(state.weight_optimiser, self._weight_rate())
        set_rate(state.architecture_optimiser, recipe.architecture_optimiser.lr(progress))

    def _weight_rate(self) -> float:
        return self.state.tune_rate if self._tuning else self.recipe.weight_optimiser.lr(self.problem.progress.whole)

    def _batch(self, stream: Stream, *, augment: bool = True) -> Batch:
        at = stream.next()
        if augment:
            batch = self.data.augmented(at, self.state.generators["augment"], self._augment, then=stream.upcoming(AHEAD))
        else:
            batch = self.data.batch(at, then=stream.upcoming(AHEAD))
        return batch._replace(state=stream.state)

    def _step(self) -> None:
        state, recipe = self.state, self.recipe
        train_batch = self._batch(state.weight_stream)
        multiplier = recipe.scheme.weight_rate(state.memory)
        set_rate(state.weight_optimiser, self._weight_rate() * state.weight_stream.scale * multiplier)
        searching = self._searching and recipe.steps_architecture(state.step, state.weight_stream.batches)
        if not state.net.training:  # asking is cheap, setting it walks through all modules
            state.net.train()
        for problem in (self.problem, self.weight_problem):
            problem.forget()
        self.problem.begin_step()
        if self.weight_problem is not self.problem:
            self.weight_problem.begin_step(like=self.problem)
        if searching and recipe.scheme.joint:
            self._joint_step(train_batch)
            return
        valid_batch = train_batch
        if searching:
            valid_batch = self._batch(state.architecture_stream, augment=recipe.architecture_augment)
        if searching and recipe.order == "architecture_first":
            self._architecture_step(train_batch, valid_batch)
        self._weight_step(train_batch)
        if searching and recipe.order == "weights_first":
            self._architecture_step(train_batch, valid_batch)

    @property
    def _searching(self) -> bool:
        return self.recipe.scheme.searches and not self.problem.progress.waiting

    def _joint_step(self, batch: Batch) -> None:
        """Both steps from the gradient of one loss."""
        state = self.state
        leaves = leaves_of(state.params)
        state.weight_optimiser.zero_grad(set_to_none=True)
        loss = self.problem.joint_loss(leaves, batch)
        self._finite(loss, "joint")
        loss.backward()
        self._move_architecture({name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in leaves.items()})
        self._move_weights(self.problem, batch)

    def _architecture_step(self, train_batch: Batch, valid_batch: Batch) -> None:
        hypergradient = self.recipe.scheme(self.problem, self.state.params, train_batch, valid_batch)
        self._finite(self.problem.seen.loss, "architecture")
        self.state.architecture_stream.state = self.problem.carried(valid_batch)
        self._move_architecture(hypergradient)

    def _move_architecture(self, hypergradient: Params) -> None:
        state = self.state
        for name, value in state.params.items():
            value.grad = hypergradient[name].clone()
        fixed = self._fixed_rows()
        for name, rows in fixed.items():
            state.params[name].grad.masked_fill_(rows, 0.0)  # pyright: ignore[reportOptionalMemberAccess]
        norm = torch.nn.utils.clip_grad_norm_(state.params.values(), self.recipe.architecture_clip or math.inf)
        self._finite(norm, "architecture", "gradient")
        before = {name: value.clone() for name, value in state.params.items()}
        state.architecture_optimiser.step()
        with torch.no_grad():
            for group in self.problem.groups if self.problem.drawn else ():
                value, draw = state.params[group.name], self.problem.drawn[group.name]
                value.copy_(self.recipe.relaxation.after_step(before[group.name], value.clone(), draw, group))
            for name, rows in fixed.items():  # momentum and weight decay move what has no gradient
                state.params[name].copy_(before[name].where(rows, state.params[name]))
            for regulariser in self.recipe.regularisers:
                state.memory.update(regulariser.remember(self.problem.point(state.params, self.problem.mean(state.params))))

    def _fixed_rows(self) -> Params:
        """Which decisions of each group are made already, ``(E, 1)``, where the parameters have a row for each decision."""
        fixed, params = self.state.fixed, self.state.params
        groups = [g for g in self.problem.groups if g.name in fixed and len(params[g.name]) == g.shape[0]]
        made = {g.name: tuple(float(e in fixed[g.name]) for e in range(g.shape[0])) for g in groups}
        return {name: constant(rows, params[name])[:, None] > 0 for name, rows in made.items()}

    def _weight_step(self, batch: Batch) -> None:
        state = self.state
        state.weight_optimiser.zero_grad(set_to_none=True)
        loss = self.recipe.weight_step(self.weight_problem, state.params, batch)
        self._finite(loss, "weight")
        loss.backward()
        self._move_weights(self.weight_problem, batch)

    def _move_weights(self, problem: SupernetProblem, batch: Batch) -> None:
        state = self.state
        weights = list(problem.weights.values())
        for weight in weights:
            # The same, whoever computes the network: an executor may keep what ran and what did not in one tensor.
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        norm = torch.nn.utils.clip_grad_norm_(weights, self.recipe.clip or math.inf)
        self._finite(norm, "weight", "gradient")
        ran = problem.ran if self.recipe.idle_weights == "rest" else None
        with resting(state.weight_optimiser, () if ran is None else state.net.idle(ran)):
            state.weight_optimiser.step()
        state.weight_stream.state = problem.carried(batch)
        state.train.add(problem.seen.outputs, problem.seen.targets, problem.seen.loss)

    def _finite(self, value: Tensor, step: str, what: str = "loss") -> None:
        state = self.state
        self.finite.see(value, f"The {what} of the {step} step", f" in epoch {state.epoch + 1}, step {state.step + 1}")

    def _finite_state(self) -> None:
        """A finite gradient times a large rate may still leave the finite numbers; the next loss is too late to notice."""
        state = self.state
        self.finite.check()
        parts = {"weights": state.net, "architecture parameters": state.params}
        moments = {
            "moments of the weights": state.weight_optimiser,
            "moments of the architecture": state.architecture_optimiser,
        }
        name = first_not_finite({**parts, **moments})
        if name:
            raise self._diverged(f"The {name} are no longer finite")

    def _diverged(self, what: str) -> DivergedError:
        return diverged(f"{what} in epoch {self.state.epoch + 1}, step {self.state.step + 1}", self.run_directory.state)

    def finish_epoch(self, seconds: Callable[[], float]) -> Mapping[str, Any]:
        """Measures the epoch and asks the monitors; the state then stands at the start of the next one."""
        state, recipe = self.state, self.recipe
        self._finite_state()
        mean = self.mean()
        tuning, searching = self._tuning, self._searching
        native = self.space.to_native(recipe.derivation(mean, self.space))
        state.natives.append(native)
        valid = self._valid(mean)
        for name, value in valid.items():
            if value is not None and not math.isfinite(value):
                raise self._diverged(f"The {name} on the validation part became {value}")
        first = self.data.task.first
        rank = first.rank(valid.get(first.name))
        if rank > state.best_rank and state.epoch >= recipe.warmup:
            state.best_rank, state.best_native = rank, native
        position, rate = self.position(), self._weight_rate() * recipe.scheme.weight_rate(state.memory)
        columns: dict[str, Column] = {}
        done, self._action = "", Continue()
        if not tuning:
            self._action, columns, done = ask_monitors(state, self.problem, self.data, mean, valid)
        if isinstance(self._action, Stop):
            state.found = self._action.native
        state.epoch += 1
        state.step = 0
        if not tuning:
            self.run_directory.check_lock()
            self.snapshots.keep(state)
        state.seconds = seconds()
        return to_record(
            SearchRecord(
                **{**position, "seconds": state.seconds, "train": state.train.value()},
                valid=valid,
                learning_rate=rate,
                architecture_rate=recipe.architecture_optimiser.lr(self.problem.progress) if searching else 0.0,
                entropy=entropy(mean),
                skip_share=skip_share(mean, self.space),
                mix={name: rows_of(value) for name, value in expand(mean, state.kept, self.base).items()},
                architecture=native,
                columns=columns,
                action=done,
            )
        )

    def _valid(self, mean: Params) -> Values:
        """What the supernet measures on the validation part; nothing where training sees all examples."""
        if self.recipe.scheme.shares_data:
            return {}
        size = max(self.recipe.batch_size, EVALUATION_BATCH)
        mix, active = mean, None
        if self.recipe.validates == "derived":
            mix, active = one_path(self.space, self.recipe.derivation(mean, self.space), mean)
        if self.recipe.validates == "drawn":
            with torch.no_grad():
                draws = self.problem.draw(self.state.params, Generator().manual_seed(self.state.epoch), by_cell=False)
            mix, active = mix_of(draws)
        return score(self.state.net, self.data, mix, active, batch_size=size, progress=self.problem.progress, ranks=self.ranks)

    def position(self) -> dict[str, Any]:
        """Where the search stands, as steps and records tell it."""
        state = self.state
        stage = "tune" if self._tuning else state.stage + 1 if self.recipe.stages else None
        return {
            "phase": "search",
            "stage": stage,
            "epoch": state.epoch + 1,
            "epochs": max(self.recipe.epochs, state.tune_until),
            "seconds": state.seconds,
            "train": state.train.value_later(),
        }
