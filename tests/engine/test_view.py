"""What monitors see: fixed validation batches, and a Hessian over several of them that is the mean of theirs."""

from dataclasses import replace

import pytest
import torch

from mixop.analysis.hessian import hessian
from mixop.core.types import Draw
from mixop.engine.view import SearchView


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
    assert all(torch.equal(value, before[name]) for name, value in search.state.net.state_dict().items())
