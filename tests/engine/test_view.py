"""What monitors see: fixed validation batches, and a Hessian over several of them that is the mean of theirs."""

from dataclasses import dataclass, replace

import pytest
import torch

from mixop.analysis.hessian import hessian
from mixop.core.optim import SGD
from mixop.core.schedules import Cosine
from mixop.core.types import Draw
from mixop.engine.view import SearchView
from mixop.monitors.base import Continue, Monitor
from mixop.monitors.exploration import Exploration, drawn_architectures
from mixop.relax.dirichlet import Dirichlet
from mixop.wraps.edges import AuxiliarySkip


@pytest.fixture
def search(job, short):
    return job(short(batch_size=16))


@pytest.fixture
def view(search):
    return SearchView(search.state, search.problem, search.data, lambda: None)


def test_the_loss_is_that_of_the_first_validation_batch(search, view):
    params = {name: value.detach() for name, value in search.state.params.items()}
    draws = {name: Draw(weights) for name, weights in search.problem.mean(params).items()}
    search.state.net.train()
    expected = search.problem.draw_loss(search.problem.weights, draws, search.data.batch(search.data.valid[:16]))
    assert view.valid_loss(params) == expected


def test_the_hessian_over_batches_is_the_mean_of_theirs(search, view):
    params = {name: value.detach() + 0.3 for name, value in search.state.params.items()}
    valid = search.data.valid
    seen = [replace(search.data, valid=valid[first : first + 16]) for first in (0, 16)]
    singles = [hessian(SearchView(search.state, search.problem, data, lambda: None).valid_loss, params) for data in seen]
    together = hessian(lambda p: view.valid_loss(p, 2), params)
    assert torch.allclose(together, (singles[0] + singles[1]) / 2, atol=1e-5)
    assert not torch.allclose(singles[0], singles[1], atol=1e-3)


def test_more_batches_than_there_are_are_those_there_are(search, view):
    params = {name: value.detach() for name, value in search.state.params.items()}
    whole = len(search.data.valid) // 16
    assert view.valid_loss(params, 1000) == view.valid_loss(params, whole)


def test_looking_changes_nothing(search, view):
    before = {name: value.clone() for name, value in search.state.net.state_dict().items()}
    view.valid_loss(search.state.params, 2)
    view.draw_loss(search.state.params)
    view.draw()
    assert all(torch.equal(value, before[name]) for name, value in search.state.net.state_dict().items())


def test_the_loss_under_given_mixing_weights(search, view):
    params = {name: value.detach() for name, value in search.state.params.items()}
    assert view.mix_loss(view.mean(), 2) == view.valid_loss(params, 2)
    one, other = (torch.nn.functional.one_hot(torch.full((3,), o), 4).float() for o in (1, 2))
    assert view.mix_loss({"cell": one}) != view.mix_loss({"cell": other})


SEEN = []


@dataclass(frozen=True)
class Look(Monitor):
    def __call__(self, view):
        SEEN.append((view.learning_rate, view.added_skip))
        return Continue()


def test_rate_and_added_skip_are_those_of_the_epoch_that_is_recorded(job, short):
    """The coefficient of DARTS- in epoch e of E is ``(E - e) / E``; a convolution in its place is no skip connection."""
    SEEN.clear()
    search = job(short(monitors=(Look(),), wraps=(AuxiliarySkip(),), weight_optimiser=SGD(lr=Cosine(0.1, 0.01))))
    search.run()
    assert [rate for rate, _ in SEEN] == [record.learning_rate for record in search.run_directory.records()]
    assert [skip for _, skip in SEEN] == pytest.approx([1.0, 0.75, 0.5, 0.25])
    assert AuxiliarySkip(kind="convolution").added_skip(0.0) == 0.0


class _LeftError(Exception):
    pass


def test_draws_are_of_the_relaxation_and_go_on_over_a_resume(job, short):
    """A search that is left and resumed draws what one that is not left draws."""
    recipe = short(relaxation=Dirichlet(), monitors=(Exploration(samples=20),))
    whole, torn = job(recipe, "whole"), job(recipe, "torn", checkpoint_seconds=0)
    whole.run()

    def leave(record):
        if record.get("event") == "step" and torn.state.epoch == 2:
            raise _LeftError

    torn.observe = leave
    with pytest.raises(_LeftError):
        torn.run()
    again = job(recipe, "torn", checkpoint_seconds=0)
    again.restore()
    again.run()
    drawn = [drawn_architectures(one.state.memory) for one in (whole, again)]
    assert drawn[0] == drawn[1]
    assert list(drawn[0]) == [0, 1, 2, 3]
    shares = [record.columns["distinct_share"] for record in whole.run_directory.records()]
    assert shares == [len(set(natives)) / 20 for natives in drawn[0].values()]
    assert min(shares) > 0.3  # the draws are nearly uniform, of 64 architectures
