"""The recurrent supernet of ENAS and its networks, against the authors' formulas written out again, in float64."""

import pytest
import torch
from recurrent import DRY, words
from torch.func import functional_call

from mixop.core.errors import RecipeError
from mixop.core.rng import fenced
from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm
from mixop.spaces import EnasRnn, Sizes
from mixop.supernet.executors import EXECUTORS, check_executor

NORM = BatchNorm(affine=True, track=False, eps=1.0)
FUNCTIONS = (torch.tanh, torch.relu, lambda x: x, torch.sigmoid)
SIZES = Sizes((7, 5), 7, dense=True, tokens=True)


@pytest.fixture(autouse=True)
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def space(nodes=4, **changes):
    return EnasRnn(**{"nodes": nodes, "hidden": 3, "slowness": 0.0, **DRY, **changes}).fit(SIZES)


def supernet(whole, executor="plain", norm=NORM):
    net = EXECUTORS[executor](whole, norm=norm, generator=seeded())
    with torch.no_grad():
        for parameter in net.parameters():  # larger than they begin, so that activations differ
            parameter.mul_(20).add_(0.1)
    return net


def normed(x, norm):
    """Batch norm of their code: statistics of the batch, one added to variances."""
    return norm.weight * (x - x.mean(0)) / (1.0 + x.var(0, unbiased=False)).sqrt() + norm.bias


def gated(s, product, function):
    gate, value = product.chunk(2, dim=-1)
    return s + torch.sigmoid(gate) * (FUNCTIONS[function](value) - s)


def by_hand(net, numbers, x):
    """Outputs of a window for a cell in the authors' numbers, and the state after it, from the supernet's weights."""
    embedding, cell, decoder = net.layers
    nodes, h, outputs = (len(numbers) + 1) // 2, torch.zeros(len(x), 3), []
    for token in x.T:
        given = torch.cat([embedding.weight[token], h], dim=-1)
        first = numbers[0]
        layers = [gated(h, normed(given @ cell.weight_input[first], cell.norms[0]), first)]
        used = set()
        for node in range(1, nodes):
            source, function = numbers[2 * node - 1], numbers[2 * node]
            used.add(source)
            # Their tensor of a node holds the matrices by predecessor and function; ours those of all nodes behind each other.
            row = 4 * (node * (node - 1) // 2 + source) + function
            product = normed(layers[source] @ cell.weight_nodes[row], cell.norms[node])
            layers.append(gated(layers[source], product, function))
        h = normed(torch.stack([s for k, s in enumerate(layers) if k not in used]).mean(0), cell.last)
        outputs.append(h @ embedding.weight.T + decoder.bias)
    return torch.stack(outputs, dim=2), h


def one_path(whole, text):
    architecture = whole.from_native(text)
    weights, paths = torch.zeros(whole.groups[0].shape), [()] * len(whole.groups[0].decisions)
    for choice in architecture.of("recurrent"):
        option = whole.operations.index(choice.option)
        weights[choice.decision, option], paths[choice.decision] = 1.0, (option,)
    return {"recurrent": weights}, {"recurrent": tuple(paths)}


CELLS = ("0 0 1 1 2 2 3", "3 0 0 0 2 0 1", "2 0 3 1 0 0 1")


@pytest.mark.parametrize("executor", ["plain", "nodewise"])
@pytest.mark.parametrize("text", CELLS)
def test_a_path_is_the_cell_of_the_authors_code(executor, text):
    whole, x = space(), words()
    net = supernet(whole, executor)
    outputs, (state,) = net(x, *one_path(whole, text))
    expected, last = by_hand(net, list(map(int, text.split())), x)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("text", CELLS)
def test_a_network_is_the_cell_of_the_authors_code_without_batch_norm(text):
    whole, x = space(), words()
    net = build(text, whole, generator=seeded())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(20)
    outputs, (state,) = net(x, ())
    embedding, cell, decoder = net.layers
    numbers, h, expected = list(map(int, text.split())), torch.zeros(len(x), 3), []
    for token in x.T:
        layers = [gated(h, torch.cat([embedding.weight[token], h], dim=-1) @ cell.weight_input, numbers[0])]
        for node in range(1, 4):
            source, function = numbers[2 * node - 1], numbers[2 * node]
            layers.append(gated(layers[source], layers[source] @ cell.weight_nodes[node - 1], function))
        ends = [s for k, s in enumerate(layers) if k not in numbers[1::2]]
        h = torch.stack(ends).mean(0)
        expected.append(h @ embedding.weight.T + decoder.bias)
    torch.testing.assert_close(outputs, torch.stack(expected, dim=2))
    torch.testing.assert_close(state, h)
    # V x n and V of the two ends, 2n x 2n of the first node, n x 2n of the others.
    assert sum(p.numel() for p in net.parameters()) == 7 * 3 + 7 + 36 + 3 * 18


def test_where_all_options_run_a_node_is_their_sum_and_all_nodes_are_the_output():
    whole, x = space(nodes=2), words(length=1)
    net = supernet(whole)
    weights = torch.rand(2, 4, generator=seeded(1)).requires_grad_()
    outputs, _ = net(x, {"recurrent": weights})
    embedding, cell, decoder = net.layers
    h = torch.zeros(len(x), 3)
    given = torch.cat([embedding.weight[x[:, 0]], h], dim=-1)
    first = sum(weights[0, f] * gated(h, normed(given @ cell.weight_input[f], cell.norms[0]), f) for f in range(4))
    second = sum(weights[1, f] * gated(first, normed(first @ cell.weight_nodes[f], cell.norms[1]), f) for f in range(4))
    state = normed((first + second) / 2, cell.last)
    torch.testing.assert_close(outputs[:, :, 0], state @ embedding.weight.T + decoder.bias)
    (slope,) = torch.autograd.grad(outputs.square().sum(), weights)
    assert slope.all()


def test_the_masks_of_a_window_are_those_of_its_inputs_and_of_every_state_that_is_multiplied():
    """With all of a state dropped but a scale, nodes behind the first see their own bias only."""
    whole = space(state_dropout=0.5)
    net, x = supernet(whole), words(batch=4)
    mix, active = one_path(whole, CELLS[0])
    with fenced(seeded(2)):
        one, _ = net(x, mix, active)
    with fenced(seeded(2)):
        other, _ = net(x, mix, active)
    with fenced(seeded(3)):
        another, _ = net(x, mix, active)
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert (one - another).abs().max() > 1e-3


def test_only_the_matrices_of_a_path_have_a_gradient_and_all_others_are_idle():
    whole, x = space(), words()
    net = supernet(whole)
    mix, active = one_path(whole, CELLS[1])
    net(x, mix, active)[0].square().sum().backward()
    cell = net.layers[1]
    idle = {(id(parameter), row) for parameter, rows in net.idle(active) for row in range(len(parameter))[rows]}
    for parameter in (cell.weight_input, cell.weight_nodes):
        for row, gradient in enumerate(parameter.grad):
            assert ((id(parameter), row) in idle) == (not gradient.any())
    assert len(idle) == 4 + 4 * 6 - 4


def test_running_statistics_are_kept_and_used_in_evaluation():
    whole, x = space(), words()
    net = supernet(whole, norm=BatchNorm(affine=True, track=True, momentum=0.5, eps=1.0))
    mix, active = one_path(whole, CELLS[0])
    net(x, mix, active)
    assert all(norm.running_mean.any() for norm in net.layers[1].norms)
    net.eval()
    one, _ = net(x[:1], mix, active)
    torch.testing.assert_close(one, net(x, mix, active)[0][:1])  # what others are in the batch makes no difference


def test_second_derivatives_reach_the_mixing_weights():
    whole, x = space(nodes=2), words(length=2)
    net = supernet(whole)
    weights = torch.full((2, 4), 0.25).requires_grad_()
    state = dict(net.named_parameters())
    loss = functional_call(net, state, (x, {"recurrent": weights}))[0].square().sum()
    (slope,) = torch.autograd.grad(loss, state["layers.1.weight_nodes"], create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), weights)
    assert second.isfinite().all()
    assert second.any()


def test_fused_kernels_are_refused():
    with pytest.raises(RecipeError, match="enas_rnn"):
        check_executor("fused", space(), norm=BatchNorm(affine=False, track=False))
