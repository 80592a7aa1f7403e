"""Monitors, perturbations and the other parts, as the loop calls them."""

from dataclasses import dataclass, replace

import pytest
import torch

from mixop.bilevel.none import Frozen
from mixop.bilevel.perturb import Perturbation
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.monitors.base import Continue, Monitor, Restart, Stop
from mixop.recipes import bayesnas
from mixop.regularise.base import Regulariser
from mixop.relax.softmax import Softmax
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.spaces.toy import Toy
from mixop.testing import first_difference


@dataclass(frozen=True)
class Counting(Monitor):
    """Counts its calls in the memory; stops after an epoch if it is told to."""

    stop: int = -1

    def __call__(self, view):
        view.memory["Counting.calls"] = view.memory.get("Counting.calls", torch.zeros(1)) + 1
        return Stop(view.history(0)) if view.epoch == self.stop else Continue()

    def columns(self, view):
        return {"calls": float(view.memory["Counting.calls"])}


@dataclass(frozen=True)
class Back(Monitor):
    """After epoch 2 it goes back to the end of epoch 0, as long as the weight decay is not yet raised."""

    @property
    def lookback(self):
        return 2

    def __call__(self, view):
        return Restart(0, 0.1) if view.epoch == 2 and view.weight_decay < 0.1 else Continue()


def test_a_stop_ends_the_search_with_the_architecture_it_names(job, short):
    search = job(short(monitors=(Counting(stop=1),)))
    native = search.space.to_native(search.run())
    records = search.run_directory.records()
    assert [r.epoch for r in records] == [1, 2]
    assert records[1].action == "Counting: stop"
    assert native == records[0].architecture


def test_a_stop_leaves_no_word_to_the_derivation(job, short, monkeypatch):
    search = job(short(monitors=(Counting(stop=3),)))
    monkeypatch.setattr(type(search.recipe.derivation), "final", lambda *args: pytest.fail("asked"))
    search.run()


def test_columns_arrive_and_the_memory_is_saved(job, short):
    search = job(short(monitors=(Counting(),)))
    search.run()
    assert [r.columns["calls"] for r in search.run_directory.records()] == [1, 2, 3, 4]
    saved = checkpoint.load(search.run_directory.state)["search"]
    assert saved["memory"]["Counting.calls"] == 4


def test_a_restart_goes_back_to_the_snapshot_but_for_the_weight_decay(job, short, monkeypatch):
    search = job(short(monitors=(Back(),)))
    before, after = {}, []
    finish, go_back = search.finish_epoch, search.snapshots.go_back

    def watch(seconds):
        result = finish(seconds)
        before.setdefault(search.state.epoch, checkpoint_of(search))
        return result

    def back(state, action):
        go_back(state, action)
        after.append(checkpoint_of(search))

    monkeypatch.setattr(search, "finish_epoch", watch)
    monkeypatch.setattr(search.snapshots, "go_back", back)
    search.run()
    assert [r.epoch for r in search.run_directory.records()] == [1, 2, 3, 2, 3, 4]
    (state,) = after
    (group,) = state["weight_optimiser"]["param_groups"]
    assert group.pop("weight_decay") == 0.1
    assert before[1]["weight_optimiser"]["param_groups"][0].pop("weight_decay") == search.recipe.weight_optimiser.weight_decay
    assert first_difference(state, before[1]) is None


def checkpoint_of(search):
    """The state as its checkpoint has it: nothing in it changes later."""
    path = search.run_directory / "copy.pt"
    checkpoint.save(path, search.state.state_dict())
    return checkpoint.load(path)


class _LeftError(Exception):
    pass


def leave_at(step):
    """An observer that leaves the search after so many steps."""
    steps = []

    def observe(record):
        steps.extend([1] if record.get("event") == "step" else [])
        if len(steps) == step and record.get("event") == "step":
            raise _LeftError

    return observe


@pytest.mark.parametrize("step", [8, 10, 13])  # before, just after and well after the restart, which follows step 9
def test_a_restart_is_exact_over_a_resume(step, job, short, toy_data):
    recipe = short(monitors=(Back(), Counting()))
    whole = job(recipe, "whole")
    whole.run()
    torn = job(recipe, "torn", checkpoint_seconds=0)
    torn.observe = leave_at(step)
    with pytest.raises(_LeftError):
        torn.run()
    again = job(recipe, "torn", checkpoint_seconds=0)
    again.restore()
    again.run()
    assert first_difference(checkpoint_of(whole), checkpoint_of(again)) is None
    seen = [[(r.epoch, r.train["loss"]) for r in s.run_directory.records()] for s in (whole, again)]
    assert seen[0] == seen[1]


def test_a_restart_beyond_what_is_kept_takes_the_oldest(job, short):
    search = job(short(monitors=(Back(),)))
    search.run()
    search.snapshots.go_back(search.state, Restart(-5, 0.2))
    kept = sorted(int(path.stem) for path in search.snapshots.folder.glob("*.pt"))
    assert search.state.epoch == kept[0]


@dataclass(frozen=True)
class Doubled(Softmax):
    """Twice the softmax, so that its draws can be told apart."""

    def draw(self, params, group, progress, generator):
        draw = super().draw(params, group, progress, generator)
        return replace(draw, weights=2 * draw.weights)


class Spy(Search):
    """Notes which step drew which sum of mixing weights, on which batch."""

    def __init__(self, *args):
        super().__init__(*args)
        self.seen = []
        self.step = ""
        forward = self.state.net.forward

        def watch(x, mix, active=None, *, progress=0.0):
            if self.step:
                self.seen.append((self.step, round(mix["cell"].sum(-1).mean().item(), 4), x.shape[0]))
            return forward(x, mix, active, progress=progress)

        self.state.net.forward = watch

    def _architecture_step(self, *batches):
        self.step = "a"
        super()._architecture_step(*batches)
        self.step = ""

    def _weight_step(self, batch):
        self.step = "w"
        super()._weight_step(batch)
        self.step = ""


def spy(recipe, tmp_path, data):
    return Spy(recipe, Toy(), data, RunDirectory(tmp_path), Settings())


def test_each_step_draws_from_its_own_relaxation(tmp_path, short, toy_data):
    search = spy(short(epochs=1, weight_relaxation=Doubled()), tmp_path, toy_data)
    search.run()
    assert {(step, total) for step, total, _ in search.seen} == {("a", 1.0), ("w", 2.0)}


def test_architecture_steps_come_now_and_then(tmp_path, short, toy_data):
    search = spy(short(epochs=2, architecture_every=2), tmp_path, toy_data)
    search.run()
    assert "".join(step for step, *_ in search.seen) == "awwaw" * 2  # three weight steps an epoch


@pytest.mark.parametrize(("every", "epoch"), [(1, "wawawa"), (2, "wwaw"), (3, "wwwa"), (5, "wwwa")])
def test_an_architecture_step_ends_its_run_of_weight_steps_where_weights_step_first(tmp_path, short, toy_data, every, epoch):
    """``(i + 1) % every == 0`` behind weight step i: ProxylessNAS, nas_manager.py; an epoch that is shorter has one step."""
    search = spy(short(epochs=2, architecture_every=every, order="weights_first"), tmp_path, toy_data)
    search.run()
    assert "".join(step for step, *_ in search.seen) == epoch * 2


class Asked:
    """Data that note which kind of batch is read."""

    def __init__(self, data, asked):
        self.data, self.asked = data, asked

    def __getattr__(self, name):
        if name in ("batch", "augmented"):
            self.asked.append(name)
        return getattr(self.data, name)


def test_batches_of_architecture_steps_may_go_without_augmentation(tmp_path, short, toy_data):
    for augment in (True, False):
        (tmp_path / str(augment)).mkdir()
        search = spy(short(epochs=1, architecture_augment=augment), tmp_path / str(augment), toy_data)
        asked = []
        search.data = Asked(search.data, asked)
        search.begin_epoch()
        search._step()
        assert asked == ["augmented", "augmented" if augment else "batch"]


def test_what_the_network_draws_is_new_in_every_step_of_either_relaxation(tmp_path, short, toy_data):
    """Drop path under a weight relaxation of its own: the noise of the weight steps is that of the step, not one for all."""
    search = spy(short(epochs=1, weight_relaxation=Doubled()), tmp_path, toy_data)
    seeds = set()
    search.begin_epoch()
    for _ in range(3):
        search._step()
        assert search.weight_problem._noise == search.problem._noise
        seeds.add(search.weight_problem._noise)
    assert len(seeds) == 3


@pytest.mark.parametrize(("order", "run"), [("weights_first", "wwa"), ("architecture_first", "aww")])
def test_an_estimate_measures_whole_runs_of_steps(tmp_path, short, toy_data, order, run):
    search = spy(short(epochs=2, architecture_every=2, order=order), tmp_path, toy_data)
    search.estimate()
    seen = "".join(step for step, *_ in search.seen)
    assert seen == run * (len(seen) // 3)
    assert len(seen) >= 6  # one run before the clock starts


def test_a_frozen_scheme_takes_no_step_and_no_batch(tmp_path, short, toy_data):
    search = spy(short(epochs=2, scheme=Frozen()), tmp_path, toy_data)
    before = search.state.params["cell"].clone()
    search.run()
    assert "".join(step for step, *_ in search.seen) == "w" * 6
    assert torch.equal(search.state.params["cell"], before)
    assert len(search.state.architecture_stream.order) == 0
    assert {r.architecture_rate for r in search.run_directory.records()} == {0.0}


@dataclass(frozen=True)
class Halved(Perturbation):
    """Halves the mixing weights, and evaluates the loss to do so."""

    def __call__(self, mix, loss_of, progress, generator):
        loss = loss_of({name: weights.detach().requires_grad_() for name, weights in mix.items()})
        LOSSES.append((loss.item(), loss.requires_grad))
        return {name: weights / 2 for name, weights in mix.items()}


LOSSES: list[tuple[float, bool]] = []


def test_a_perturbation_sees_the_training_batch_and_changes_nothing(job, short, monkeypatch):
    LOSSES.clear()
    search = job(short(epochs=1, perturbation=Halved()))
    net, problem = search.state.net, search.weight_problem
    inner = problem.perturbed
    batches = []

    def watch(draws, batch):
        kept = [value.clone() for value in [*net.state_dict().values(), *search.state.params.values()]]
        problem.net.eval()
        with torch.no_grad():
            plain = problem.draw_loss(problem.weights, draws, batch).item()
        problem.net.train()
        moved = inner(draws, batch)
        assert problem.net.training
        now = [*net.state_dict().values(), *search.state.params.values()]
        assert all(torch.equal(a, b) for a, b in zip(kept, now, strict=True))
        assert LOSSES[-1] == (pytest.approx(plain), True)
        for name, draw in draws.items():
            torch.testing.assert_close(moved[name].weights, draw.weights / 2)
        batches.append(batch.y)
        return moved

    monkeypatch.setattr(problem, "perturbed", watch)
    search.run()
    used = torch.cat(batches)
    order = search.state.weight_stream.order
    assert torch.equal(used, search.data.examples.targets[order])


@dataclass(frozen=True)
class Marked(Softmax):
    """Moves every parameter to a known place after a step."""

    def after_step(self, before, after, draw, group):
        assert draw.weights.shape == before.shape
        assert not torch.equal(before, after)
        return before + 1


@dataclass(frozen=True)
class Remembering(Regulariser):
    """Keeps the parameters after each step."""

    def __call__(self, at):
        return at.params["cell"].sum() * 0

    def remember(self, at):
        steps = at.memory.get("Remembering.steps", torch.zeros(0, *at.params["cell"].shape))
        return {"Remembering.steps": torch.cat([steps, at.params["cell"][None].clone()])}


def test_what_follows_a_step_is_asked_and_remembered(job, short):
    search = job(short(epochs=1, relaxation=Marked(), regularisers=(Remembering(),)))
    start = search.state.params["cell"].clone()
    search.run()
    steps = checkpoint.load(search.run_directory.state)["search"]["memory"]["Remembering.steps"]
    torch.testing.assert_close(steps, torch.stack([start + k for k in (1, 2, 3)]))


def test_relevance_begins_as_a_draw_of_the_run_and_is_estimated_once(job):
    """Four epochs, two of them with the penalty: what `bayesnas` remembers changes after the last one only."""
    starts = []
    for seed in (0, 1):
        search = job(replace(bayesnas(epochs=4), batch_size=16), out=str(seed), seed=seed)
        start, after = dict(search.state.memory), []
        finish = search.finish_epoch

        def watch(seconds, search=search, after=after, finish=finish):
            record = finish(seconds)
            after.append(dict(search.state.memory))
            return record

        search.finish_epoch = watch
        search.run()
        assert [first_difference(memory, start) is None for memory in after] == [True, True, True, False]
        starts.append(start)
    gammas = [key for key in starts[0] if ".gamma." in key]
    assert gammas
    assert not any(torch.equal(starts[0][key], starts[1][key]) for key in gammas)
