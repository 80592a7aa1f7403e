"""The derivation after the last epoch: scores, fixed decisions, tuning, and exact resume through all of it."""

from dataclasses import replace

import pytest
import torch

from mixop.bilevel.direct import SingleLevel
from mixop.core.errors import RecipeError
from mixop.core.types import Draw
from mixop.derive.argmax import Argmax
from mixop.derive.perturbation import PerturbationSelection
from mixop.derive.relevance import Relevance
from mixop.derive.sampled import BestSampled, _architecture, _indices
from mixop.engine.finish import TrainedSearch
from mixop.engine.sampled import _kept_twice
from mixop.engine.score import one_path, score
from mixop.relax.categorical import Uniform
from mixop.relax.gates import BinaryGates
from mixop.relax.gumbel import GumbelHard
from mixop.relax.sampling import one_hot
from mixop.runs import checkpoint
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces import enas_micro
from mixop.spaces.toy import Toy
from mixop.testing import first_difference

SPACE = Toy()


def trained_of(search, pause=lambda: None):
    return TrainedSearch(search.state, search.problem, search.data, train=search._train, save=search.save, pause=pause)


def test_an_enumeration_by_shared_weights_gives_the_best_sampled(job, short):
    search = job(short(epochs=2, derivation=BestSampled(samples=SPACE.size(), batches=None, by="probability")))
    found = search.run()
    accuracies = {}
    for architecture in SPACE.architectures():
        mix, _ = one_path(SPACE, architecture, search.problem.mean(search.state.params))
        measured = score(search.state.net, search.data, mix, batch_size=16, norm="batch")
        accuracies[architecture] = (measured["accuracy"], -measured["loss"])
    assert accuracies[found] == max(accuracies.values())


def test_one_path_scores_as_the_whole_supernet_with_one_hot_weights(job, short):
    search = job(short())
    trained = trained_of(search)
    mix, _ = one_path(SPACE, SPACE.optimum, trained.mean())
    assert trained.worth(SPACE.optimum) == trained.worth(mix)
    assert trained.worth(SPACE.optimum, batches=3) == trained.worth(SPACE.optimum)  # of three batches


def test_draws_come_from_the_relaxation(job, short):
    search = job(short(relaxation=Uniform(), epochs=1))
    trained = trained_of(search)
    drawn = {trained.draw() for _ in range(400)}
    assert len(drawn) == SPACE.size()
    search = job(short(), "soft")
    trained = trained_of(search)
    assert {trained.draw() for _ in range(5)} == {Argmax()(trained.mean(), SPACE)}


@pytest.mark.parametrize("relaxation", [None, BinaryGates(paths="two")])
def test_a_fixed_decision_is_one_hot_and_stays(relaxation, job, short):
    recipe = short() if relaxation is None else short(relaxation=relaxation)
    search = job(recipe)
    search._train(1)
    trained = trained_of(search)
    trained.fix("cell", 1, 2)
    want = [float(o == 2) for o in range(SPACE.groups[0].shape[1])]
    before = search.state.params["cell"].clone()
    for _ in range(3):
        draw = search.problem.draw(search.state.params)["cell"]
        assert draw.weights[1].tolist() == want
        assert draw.active is None or draw.active[1] == (2,)
    assert trained.mean()["cell"][1].tolist() == want
    leaf = {"cell": before.clone().requires_grad_()}
    search.problem.begin_step()
    batch = search.data.batch(search.data.valid[:16])
    (gradient,) = torch.autograd.grad(search.problem.valid_loss(search.problem.weights, leaf, batch), leaf["cell"])
    assert not gradient[1].any()
    search._train(2)  # Adam's momentum and weight decay would move it without a gradient
    assert torch.equal(search.state.params["cell"][1], before[1])
    assert not torch.equal(search.state.params["cell"][0], before[0])


def test_tuning_goes_on_with_fresh_momentum_at_the_given_rate(job, short):
    search = job(short(epochs=2))
    search._train(2)
    assert search.problem.inner.buffers
    rates = []
    step = search._weight_step

    def watch(batch):
        rates.append((search.problem.inner.rate, bool(search.problem.inner.buffers)))
        step(batch)

    search._weight_step = watch
    trained = trained_of(search)
    params = search.state.params["cell"].clone()
    trained.tune(2, 0.004)
    assert rates == [(0.004, False), *[(0.004, True)] * 5]
    assert not torch.equal(params, search.state.params["cell"])
    assert search.problem.progress.closed == 1
    records = search.run_directory.records()
    assert [(r.epoch, r.epochs, r.stage) for r in records] == [
        (1, 2, None),
        (2, 2, None),
        (3, 4, "tune"),
        (4, 4, "tune"),
    ]
    assert [r.learning_rate for r in records[2:]] == [0.004, 0.004]


class _LeftError(Exception):
    pass


DERIVATIONS = {
    "perturbation": PerturbationSelection(interval=2, rate=0.01),
    "sampled": BestSampled(samples=12),  # of one-hot draws
}


def run_leaving(search, steps, scores):
    """Runs until so many steps or scores are done, then leaves as a kill would."""
    done = {"step": 0, "score": 0}

    def count(what, most):
        done[what] += 1
        if done[what] == most:
            raise _LeftError

    search.observe = lambda record: count("step", steps) if record.get("event") == "step" else None
    pause = search.driver.pause

    def watch():
        pause()
        if search.state.step == 0 and search.state.epoch >= search.recipe.epochs:
            count("score", scores)

    search.driver.pause = watch
    search.run()


@pytest.mark.parametrize(
    ("name", "steps", "scores"),
    [
        ("perturbation", 6, 0),  # the search's last step
        ("perturbation", 0, 3),  # amid the removals of the first decision
        ("perturbation", 9, 0),  # in the first tuning, in the middle of an epoch
        ("perturbation", 12, 0),  # its last step
        ("perturbation", 0, 6),  # amid the second decision
        ("perturbation", 0, 12),  # the last score of all
        ("sampled", 0, 1),
        ("sampled", 0, 5),
    ],
)
@pytest.mark.parametrize("seconds", [0, pytest.param(1000, marks=pytest.mark.slow)])  # between two checkpoints
def test_resuming_is_exact_through_the_derivation(name, steps, scores, seconds, job, short):
    recipe = short(epochs=2, derivation=DERIVATIONS[name], relaxation=GumbelHard())
    whole = job(recipe, "whole")
    want = whole.run()
    torn = job(recipe, "torn", checkpoint_seconds=seconds)
    with pytest.raises(_LeftError):
        run_leaving(torn, steps, scores)
    again = job(recipe, "torn", checkpoint_seconds=seconds)
    again.restore()
    assert again.run() == want
    one, other = (checkpoint.load(s.run_directory.state)["search"] for s in (whole, again))
    assert first_difference(one, other) is None
    records = [[replace(r, seconds=0.0) for r in s.run_directory.records()] for s in (whole, again)]
    assert records[0] == records[1]


def test_a_signal_amid_the_scores_saves_and_leaves(job, short):
    recipe = short(epochs=1, derivation=BestSampled(samples=12), relaxation=GumbelHard())
    want = job(recipe, "whole").run()
    search = job(recipe, checkpoint_seconds=1000)
    pause = search.driver.pause

    def ask():
        if "BestSampled.scores" in search.state.memory and len(search.state.memory["BestSampled.scores"]) == 3:
            search.driver._stop.signum = 15
        pause()

    search.driver.pause = ask
    with pytest.raises(InterruptedRunError, match="mixop resume"):
        search.run()
    again = job(recipe)
    again.restore()
    assert len(again.state.memory["BestSampled.scores"]) == 3
    assert again.run() == want


def test_a_finished_search_that_lost_its_last_file_derives_the_same(job, short):
    recipe = short(epochs=1, derivation=BestSampled(samples=12), relaxation=GumbelHard())
    search = job(recipe)
    found = search.run()
    again = job(recipe)
    again.restore()
    again._derive = lambda: pytest.fail("derived again")
    assert again.run() == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scheme": SingleLevel(), "derivation": BestSampled()}, "held out"),
        ({"keep": "best", "derivation": PerturbationSelection()}, "keep='best' does not fit"),
        ({"derivation": Relevance()}, "reads what SwitchPenalty remembers"),
    ],
)
def test_recipes_whose_derivation_cannot_work_are_refused(change, words, short):
    with pytest.raises(RecipeError, match=words):
        short(**change)


def test_an_architecture_drawn_with_the_same_pair_twice_is_kept_and_scored():
    """Two operations on an edge, or one twice: through the draw, the candidates' numbers and the score."""
    space = enas_micro(cells=1, channels=4)
    group = space.groups[0]
    wanted = space.from_native("0 2 0 2  0 1 0 3  2 4 1 0  4 1 3 2  5 2 5 0 " * 2)
    indices = _indices(space, wanted)
    assert _architecture(space, indices) == wanted
    assert len(indices) == 2 * len(group.decisions)
    mix, active = one_path(space, wanted, {g.name: torch.zeros(g.shape) for g in space.groups})
    for name in active:
        kept = _kept_twice(group, Draw(mix[name], active=active[name]))
        assert [(e, group.decisions[e].options[o]) for e, o in kept] == [(c.decision, c.option) for c in wanted.of(name)]
    every = tuple((0,) for _ in group.decisions)
    assert _kept_twice(group, Draw(one_hot(torch.zeros(20, 1, dtype=torch.int64), mix["normal"]), active=every)) is None
    assert _kept_twice(group, Draw(mix["normal"])) is None
