"""The theorem's network: a step by hand, small steps that descend, and skips that make them larger."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from mixop.analysis.descent import LayerWeights, phi
from mixop.analysis.regression_network import RegressionNetwork, Weights, decreases, random_layer_weights
from mixop.core.errors import DivergedError, RecipeError
from mixop.core.types import Batch


def problem(layers: int, seed: int = 0, **options):
    generator = torch.Generator().manual_seed(seed)
    network = RegressionNetwork(layers=layers, channels=4, length=5, **options)
    mix = random_layer_weights(layers, generator)
    return network, network.init(generator), network.random_batch(6, generator), mix


@pytest.mark.parametrize("trains_head", [True, False])
def test_two_layers_step_as_by_hand(trains_head):
    network, weights, batch, mix = problem(2, trains_head=trains_head)
    lr, (x, y) = 0.3, (batch.x.numpy(), batch.y.numpy())
    kernel, head = weights.conv[0, 1].numpy(), weights.head.numpy()
    conv, skip = float(mix.conv[0, 1]) / math.sqrt(4), float(mix.skip[0, 1])

    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    windows = np.stack([padded[:, :, p : p + 3] for p in range(5)], axis=2)  # example, channel, position, place in the kernel
    activated = np.tanh(np.einsum("bcpk,ock->bop", windows, kernel))
    hidden = skip * x + conv * activated
    error = (head[0] * x).sum((1, 2)) + (head[1] * hidden).sum((1, 2)) - y
    to_kernel = np.einsum("b,op,bop,bcpk->ock", error / 6, conv * head[1], 1 - activated**2, windows)
    to_head = np.stack([np.einsum("b,bcl->cl", error / 6, layer) for layer in (x, hidden)])

    moved, loss = network.step(weights, batch, mix, lr=lr)
    assert loss == pytest.approx((error**2).mean() / 2, rel=1e-12)
    np.testing.assert_allclose(moved.conv[0, 1].numpy(), kernel - lr * to_kernel, rtol=1e-12)
    np.testing.assert_allclose(moved.head.numpy(), head - lr * to_head if trains_head else head, rtol=1e-12)
    assert torch.equal(moved.conv[[0, 1, 1], [0, 0, 1]], weights.conv[[0, 1, 1], [0, 0, 1]]), "no edge, no gradient"


def test_layers_are_sums_over_all_before_them():
    """With the identity as every convolution's kernel all that is left are the sums."""
    network, weights, batch, mix = problem(4)
    kernels = torch.zeros_like(weights.conv)
    kernels[..., 1] = torch.eye(4, dtype=torch.float64)
    layers = [batch.x]
    for i in range(1, 4):
        layers.append(sum(mix.skip[t, i] * layers[t] + mix.conv[t, i] * torch.tanh(layers[t]) / 2 for t in range(i)))
    want = sum((layer * head).sum((1, 2)) for layer, head in zip(layers, weights.head, strict=True))
    torch.testing.assert_close(network.predict(Weights(kernels, weights.head), batch.x, mix), want)


@pytest.mark.parametrize("layers", [2, 4, 6])
def test_small_steps_lower_the_loss_by_lr_times_the_gradients_square(layers):
    network, weights, batch, mix = problem(layers)
    leaves = Weights(*(value.clone().requires_grad_() for value in weights))
    grads = torch.autograd.grad(network.loss(leaves, batch, mix), leaves)
    square, loss = float(sum(g.square().sum() for g in grads)), float(network.loss(weights, batch, mix))
    lr = 1e-6
    taken = network.descend(weights, batch, mix, lr=lr, steps=1)
    # What is left out is of second order in lr: at most some multiples of lr of the whole.
    assert float(decreases(taken)) == pytest.approx(lr * square / loss, rel=1e-3)
    assert bool((decreases(network.descend(weights, batch, mix, lr=0.02, steps=20)) > 0).all())


@pytest.mark.parametrize("layers", [3, 5])
def test_skips_in_place_of_zeros_make_steps_larger(layers):
    """The theorem's regime: the same convolutions, more skip on the edges into layers before the last. A sign test of pairs."""
    rose = []
    for seed in range(20):
        network, weights, batch, mix = problem(layers, seed)
        zero = (1 - mix.conv - mix.skip).triu(1)
        zero[:, -1] = 0
        more = mix._replace(skip=mix.skip + zero)
        assert phi(more.conv, more.skip) > phi(mix.conv, mix.skip)
        losses = [network.descend(weights, batch, m, lr=0.05, steps=10) for m in (mix, more)]
        rates = [1 - float(loss[-1] / loss[0]) ** 0.1 for loss in losses]
        rose.append(rates[1] > rates[0])
    # If it made no difference, so many of 20 would rise in less than one of a thousand such tests.
    assert binomtest(sum(rose), 20, alternative="greater").pvalue < 1e-3, f"{sum(rose)} of 20 rose"


def test_decreases_are_shares_of_the_loss_before():
    losses = torch.tensor([8.0, 4.0, 3.0, 3.3], dtype=torch.float64)
    torch.testing.assert_close(decreases(losses), torch.tensor([0.5, 0.25, -0.1], dtype=torch.float64))


def test_random_architectures_are_on_the_simplex_and_repeat():
    mix = random_layer_weights(5, torch.Generator().manual_seed(3), scale=2.0)
    edges = torch.ones(5, 5).triu(1) > 0
    assert bool((mix.conv + mix.skip)[edges].lt(1).all())
    assert bool(((mix.conv > 0) == edges).all() and ((mix.skip > 0) == edges).all())
    again = random_layer_weights(5, torch.Generator().manual_seed(3), scale=2.0)
    assert torch.equal(mix.conv, again.conv)
    even = random_layer_weights(3, torch.Generator(), scale=0.0)
    assert float(even.skip[0, 1]) == pytest.approx(1 / 3)


def test_inputs_have_length_one():
    batch = RegressionNetwork().random_batch(7, torch.Generator().manual_seed(0))
    torch.testing.assert_close(batch.x.flatten(1).norm(dim=1), torch.ones(7, dtype=torch.float64))
    assert batch.y.shape == (7,)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: RegressionNetwork(layers=1), RecipeError, "layers of RegressionNetwork"),
        (lambda: RegressionNetwork(kernel=2), RecipeError, "odd"),
        (lambda: random_layer_weights(3, torch.Generator(), scale=-1.0), RecipeError, "scale"),
    ],
)
def test_misuse_is_told_in_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_what_does_not_fit_the_network_is_refused():
    network, weights, batch, mix = problem(3)
    with pytest.raises(RecipeError, match="one given layer"):
        network.loss(weights, batch, mix._replace(inputs=2))
    with pytest.raises(RecipeError, match=r"two matrices \(3, 3\)"):
        network.loss(weights, batch, LayerWeights(torch.zeros(4, 4), torch.zeros(4, 4), 1))
    with pytest.raises(RecipeError, match="step size"):
        network.step(weights, batch, mix, lr=0.0)
    with pytest.raises(DivergedError, match="smaller step"):
        network.descend(weights, Batch(1e3 * batch.x, batch.y), mix, lr=1e30, steps=20)
