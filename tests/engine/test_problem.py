"""The bilevel problem of a supernet: common random numbers within a step, protected batch-norm statistics."""

from dataclasses import dataclass, replace

import pytest
import torch

from mixop.bilevel.perturb import Perturbation
from mixop.core.types import Batch
from mixop.engine.problem import SupernetProblem
from mixop.nets.ops import BatchNorm
from mixop.recipes import drnas, sdarts_adv
from mixop.spaces import nasbench201
from mixop.supernet.plain import plain
from mixop.tasks.classification import Classification


@pytest.fixture
def problem():
    space = nasbench201(channels=2, cells=1, stages=1, input_shape=(1, 4, 4), outputs=3)
    norm = BatchNorm(affine=False, track=True)
    net = plain(space, norm=norm, generator=torch.Generator().manual_seed(0)).double()
    recipe = replace(drnas(), norm=norm)
    optimiser = recipe.weight_optimiser.build(net.parameters())
    task = Classification(tuple("abc"))
    return SupernetProblem(net, task, recipe, recipe.relaxation, optimiser, torch.Generator().manual_seed(1), {})


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(2)
    return Batch(torch.randn(6, 1, 4, 4, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2]))


PARAMS = {"cell": torch.zeros(6, 5, dtype=torch.float64)}


def test_losses_repeat_within_a_step_and_are_drawn_anew_in_the_next(problem, batch):
    problem.begin_step()
    train = problem.train_loss(problem.weights, PARAMS, batch)
    valid = problem.valid_loss(problem.weights, PARAMS, batch)
    assert train != valid  # two draws
    assert torch.equal(train, problem.train_loss(problem.weights, PARAMS, batch))
    assert torch.equal(valid, problem.valid_loss(problem.weights, PARAMS, batch))
    problem.begin_step()
    assert train != problem.train_loss(problem.weights, PARAMS, batch)


def test_losses_at_given_weights_leave_the_statistics_alone_and_a_weight_step_does_not(problem, batch):
    before = {name: buffer.clone() for name, buffer in problem.net.named_buffers()}
    problem.begin_step()
    problem.train_loss(problem.weights, PARAMS, batch)
    problem.valid_loss(problem.weights, PARAMS, batch)
    assert all(torch.equal(buffer, before[name]) for name, buffer in problem.net.named_buffers())
    problem.draw_loss(None, problem.draw(PARAMS), batch)
    assert not all(torch.equal(buffer, before[name]) for name, buffer in problem.net.named_buffers())


@pytest.mark.parametrize("track", [True, False])
def test_an_adversary_sees_the_network_in_evaluation_mode(track, batch):
    """With running statistics where batch norm tracks, as in ``Linf_PGD_alpha`` of SmoothDARTS; then the network trains on."""
    space = nasbench201(channels=2, cells=1, stages=1, input_shape=(1, 4, 4), outputs=3)
    norm = BatchNorm(affine=False, track=track)
    net = plain(space, norm=norm, generator=torch.Generator().manual_seed(0)).double()
    losses = []

    @dataclass(frozen=True, kw_only=True)
    class Look(Perturbation):
        def __call__(self, mix, loss_of, progress, generator):
            losses.append(loss_of(mix).item())
            return mix

    recipe = replace(sdarts_adv(), norm=norm, perturbation=Look())
    optimiser = recipe.weight_optimiser.build(net.parameters())
    task = Classification(tuple("abc"))
    problem = SupernetProblem(net, task, recipe, recipe.relaxation, optimiser, torch.Generator().manual_seed(1), {})
    problem.begin_step()
    problem.perturbed(problem.draw(PARAMS), batch)
    assert net.training
    mix = {"cell": torch.full((6, 5), 0.2, dtype=torch.float64)}
    net.eval()
    evaluated = task.loss(net(batch.x, mix), batch.y).item()
    net.train()
    trained = task.loss(net(batch.x, mix), batch.y).item()
    assert losses == [pytest.approx(evaluated)]
    assert (evaluated == pytest.approx(trained)) is not track


def test_the_upper_loss_is_the_cross_entropy_plus_the_regularisers(problem, batch):
    params = {"cell": torch.linspace(-1, 1, 30, dtype=torch.float64).view(6, 5)}
    problem.begin_step()
    with_it = problem.valid_loss(problem.weights, params, batch)
    problem.recipe = replace(problem.recipe, regularisers=())
    without = problem.valid_loss(problem.weights, params, batch)
    torch.testing.assert_close(with_it - without, 5e-4 * params["cell"].square().sum())
