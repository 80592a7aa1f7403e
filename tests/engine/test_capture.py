"""Recorded losses: the same numbers and gradients as the network's own; CUDA graphs where there is a GPU."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixop.core.types import Batch
from mixop.data import from_arrays
from mixop.engine.capture import CapturedLoss
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.nets.ops import BatchNorm
from mixop.recipes import RECIPES
from mixop.runs.directory import RunDirectory
from mixop.spaces import nasbench201
from mixop.spaces.sizes import Sizes
from mixop.supernet.nodewise import nodewise
from mixop.tasks.classification import Classification

SPACE = nasbench201(channels=4, cells=1, input_shape=(3, 8, 8), outputs=5)
TASK = Classification(tuple("abcde"))
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def again(work):
    """Records nothing: does the work again. What a graph does, on any device."""
    work()
    return work


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def net_of(device="cpu"):
    return nodewise(SPACE, norm=BatchNorm(affine=False), generator=seeded()).to(device)


def batch_of(seed, count=6, device="cpu"):
    return Batch(torch.randn(count, 3, 8, 8, generator=seeded(seed)).to(device), (torch.arange(count) % 5).to(device))


def mix_of(seed, device="cpu"):
    return {g.name: torch.rand(g.shape, generator=seeded(seed)).softmax(-1).to(device) for g in SPACE.groups}


@pytest.mark.parametrize("learn", [True, False], ids=["weights", "architecture"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_loss_gradient_and_statistics(device, learn):
    ours, theirs = net_of(device), net_of(device)
    captured = CapturedLoss(ours, TASK, again) if device == "cpu" else CapturedLoss(ours, TASK)
    for seed in (1, 2, 3):  # three batches and mixes by one recording
        batch = batch_of(seed, device=device)
        results = []
        for net, loss_of in ((ours, lambda b, m: captured(b, m, learn=learn)[0]), (theirs, None)):
            mix = {name: value.requires_grad_(not learn) for name, value in mix_of(seed, device).items()}
            if loss_of is None:
                passed = net if learn else copy.deepcopy(net)  # an architecture step leaves the statistics
                loss = cross_entropy(passed(batch.x, mix), batch.y)
            else:
                loss = loss_of(batch, mix)
            wanted = list(net.parameters()) if learn else list(mix.values())
            results.append((loss, torch.autograd.grad(2 * loss, wanted, allow_unused=True)))
            with torch.no_grad():  # weights are read where they lie
                for p in net.parameters():
                    p.mul_(0.99)
        (loss, grads), (want, wanted) = results
        torch.testing.assert_close(loss, want)
        for got, expected in zip(grads, wanted, strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
        for got, expected in zip(ours.buffers(), theirs.buffers(), strict=True):
            torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("slopes", [True, False], ids=["their gradient too", "of the mix alone"])
def test_other_weights_than_the_networks_own(slopes):
    """The passes of a second-order scheme: at stepped weights, whose gradient is asked for, and at moved ones."""
    net = net_of()
    captured = CapturedLoss(net, TASK, again)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for seed in (1, 2):
        generator = seeded(seed)
        given = {name: p.detach() + torch.randn(p.shape, generator=generator) / 10 for name, p in net.named_parameters()}
        given = {name: value.requires_grad_(slopes) for name, value in given.items()}
        mix, batch = {name: value.requires_grad_() for name, value in mix_of(seed).items()}, batch_of(seed)
        still = {name: buffer.clone() for name, buffer in net.named_buffers()}
        losses = (
            captured(batch, mix, learn=False, given=given)[0],
            cross_entropy(functional_call(net, {**given, **still}, (batch.x, mix)), batch.y),
        )
        wanted = [*mix.values(), *(given.values() if slopes else ())]
        got, want = (torch.autograd.grad(loss, wanted, allow_unused=True) for loss in losses)
        torch.testing.assert_close(*losses)
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)  # float32
    assert len(captured._pieces) == 1
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_two_losses_before_one_gradient():
    """A replay writes over what the last one wrote; the gradients of both must be their own."""
    net = net_of()
    captured = CapturedLoss(net, TASK, again)
    mixes = [{name: value.requires_grad_() for name, value in mix_of(seed).items()} for seed in (1, 2)]
    losses = [captured(batch_of(seed), mix, learn=False)[0] for seed, mix in zip((1, 2), mixes, strict=True)]
    both = torch.autograd.grad(sum(losses), [value for mix in mixes for value in mix.values()])
    alone = captured(batch_of(1), mixes[0], learn=False)[0]
    torch.testing.assert_close(both[0], torch.autograd.grad(alone, list(mixes[0].values()))[0])


def test_it_is_recorded_once_for_every_shape():
    calls = []
    captured = CapturedLoss(net_of(), TASK, lambda work: calls.append(1) or again(work))
    for count in (6, 6, 4, 6):
        captured(batch_of(1, count), mix_of(1), learn=True)
    assert len(calls) == 2


def test_second_derivatives_are_refused():
    mix = {name: value.requires_grad_() for name, value in mix_of(1).items()}
    loss, _ = CapturedLoss(net_of(), TASK, again)(batch_of(1), mix, learn=False)
    (slope,) = torch.autograd.grad(loss, list(mix.values()), create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.autograd.grad(slope.sum(), list(mix.values()))


# The weight step, and the architecture's: at the network's own weights; or for the gradient in them, at stepped weights, and
# twice without it.
@pytest.mark.parametrize(("name", "pieces"), [("darts", 2), ("darts2", 3), ("sdarts_rs", 2)])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_a_search_takes_the_same_steps(device, name, pieces, tmp_path):
    x = torch.randint(0, 256, (64, 3, 8, 8), generator=seeded(), dtype=torch.uint8)
    data = from_arrays(x, torch.arange(64) % 5, valid=0.5, test_share=0.1, layout="nchw")
    recipe = replace(RECIPES[name](), epochs=1, batch_size=8, warmup=0)
    results = []
    for capture in (False, True):
        space = nasbench201(channels=4, cells=1).fit(Sizes((3, 8, 8), 5))
        settings = Settings(device=device, capture=capture and device == "cuda")
        search = Search(recipe, space, data, RunDirectory(tmp_path / str(capture)), settings)
        if capture and device == "cpu":
            search.captured = CapturedLoss(search.state.net, data.task, again)
            for problem in (search.problem, search.weight_problem):
                problem.captured = search.captured
        search._prepare_epoch()
        for _ in range(3):
            search._step()
            search.state.step += 1
        if capture:
            assert search.captured is not None
            assert len(search.captured._pieces) == pieces
        results.append([*search.state.params.values(), *search.state.net.state_dict().values()])
    for got, want in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-5)
