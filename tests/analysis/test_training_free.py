"""Scores before training against the formulas written out in NumPy, and against the numbers of others."""

import itertools
import json
import lzma
import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from mixop.analysis.training_free import jacov, naswot, synflow, training_free
from mixop.core.errors import RecipeError
from mixop.data.images.sheets import Sheets
from mixop.models.resnet import resnet
from mixop.models.vit import vit
from mixop.nets.discrete import build
from mixop.spaces import nasbench201
from mixop.spaces.sizes import Sizes

SHARED = Path(__file__).parents[3] / "shared" / "data"
SAMPLES = SHARED / "zerocost_samples.json.xz"


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def chain(*sizes, bias=False):
    layers = [nn.Linear(a, b, bias=bias).double() for a, b in itertools.pairwise(sizes)]
    for number, layer in enumerate(layers):
        for parameter in layer.parameters():
            nn.init.normal_(parameter, generator=generator(number))
    return layers


def with_relu(layers):
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))


def test_synflow_of_a_chain_is_its_number_of_layers_times_what_arrives():
    """Every layer of a chain carries all that arrives at the output: a law of conservation."""
    layers = chain(4, 7, 5, 3)
    net = nn.Sequential(layers[0], nn.BatchNorm1d(7, affine=False).double(), nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    arrives = np.ones(4)
    for layer in layers:
        arrives = np.abs(layer.weight.detach().numpy()) @ arrives
    assert synflow(net, (4,)) == pytest.approx(math.log(3 * arrives.sum()))


def test_synflow_counts_every_path_of_a_cell():
    """A residual of two branches: by finite differences of what arrives in every single weight."""
    one, two = chain(3, 3, 2)

    class Branched(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = one, two

        def forward(self, x):
            return self.two(x + torch.relu(self.one(x)))

    def arrives(first, second):
        return (np.abs(second) @ (np.ones(3) + np.abs(first) @ np.ones(3))).sum()

    first, second = (layer.weight.detach().numpy().copy() for layer in (one, two))
    carried = 0.0
    for array in (first, second):
        for place in np.ndindex(array.shape):
            whole = arrives(first, second)
            kept, array[place] = array[place], 0.0  # what arrives is linear in the absolute value of one weight
            carried += whole - arrives(first, second)
            array[place] = kept
    assert synflow(Branched(), (3,)) == pytest.approx(math.log(carried))


def test_naswot_is_the_determinant_of_agreeing_units():
    layers = chain(4, 6, 5, bias=True)
    x = torch.randn(7, 4, dtype=torch.float64, generator=generator(9))
    codes, h = [], x.numpy()
    for layer in layers:
        h = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        codes.append(h > 0)
        h = np.maximum(h, 0)
    whole = np.concatenate(codes, 1)
    kernel = np.array([[sum(a == b) for b in whole] for a in whole], dtype=float)
    assert naswot(with_relu(layers), x) == pytest.approx(np.linalg.slogdet(kernel)[1])


def test_jacov_is_the_formula_over_eigenvalues_of_correlations():
    layers = chain(4, 6, 5, bias=True)
    x = torch.randn(7, 4, dtype=torch.float64, generator=generator(9))
    first, second = (layer.weight.detach().numpy() for layer in layers)
    before = x.numpy() @ first.T + layers[0].bias.detach().numpy()
    inside = np.maximum(before, 0) @ second.T + layers[1].bias.detach().numpy()
    rows = ((inside > 0) @ second * (before > 0)) @ first  # gradients of the sum of the outputs
    values = np.linalg.eigvalsh(np.corrcoef(rows))
    assert jacov(with_relu(layers), x) == pytest.approx(-np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5)), rel=1e-6)


@pytest.mark.parametrize("score", ["synflow", "naswot", "jacov"])
@pytest.mark.parametrize("make", [lambda: nasbench201(channels=4, cells=1), lambda: resnet(channels=4), lambda: vit(width=8)])
def test_a_network_stays_as_it_was_and_its_score_is_a_number(score, make):
    space = make().fit(Sizes((3, 8, 8), 5))
    net = build(space.random(Random(0)), space, generator=generator()).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.randn(6, 3, 8, 8, generator=generator(1))
    value = training_free(score, net, x)
    assert value == training_free(score, net, x)
    assert math.isfinite(value)
    assert not any(module.training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(parameter.grad is not None for parameter in net.parameters())


def test_a_network_that_ignores_its_input_is_the_worst():
    space = nasbench201(channels=4, cells=1, input_shape=(3, 8, 8), outputs=5)
    net = build(space.from_native("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), space, generator=generator())
    x = torch.randn(6, 3, 8, 8, generator=generator(1))
    assert training_free("jacov", net, x) == -math.inf
    assert training_free("naswot", net, x) < training_free(
        "naswot", build(space.from_native("|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"), space), x
    )


def test_another_name_is_a_sentence():
    with pytest.raises(RecipeError, match="did you mean 'synflow'"):
        training_free("synflo", nn.Linear(2, 2), torch.zeros(3, 2))  # type: ignore[arg-type]


def published(count):
    if not SAMPLES.exists():
        pytest.skip(f"needs {SAMPLES}")
    with lzma.open(SAMPLES, "rt") as file:
        table = json.load(file)["nasbench201-cifar10"]
    rows = table["rows"][:count]
    return [row[0] for row in rows], {name: [row[n] for row in rows] for n, name in enumerate(table["columns"])}


SPACE = nasbench201(channels=16, cells=5, input_shape=(3, 32, 32), outputs=10)


def test_synflow_is_the_number_of_others():
    """NASLib's numbers are logarithms too, of networks with other draws of the weights."""
    names, theirs = published(6)
    ours = [synflow(build(SPACE.from_native(name), SPACE, generator=generator()), (3, 32, 32)) for name in names]
    np.testing.assert_allclose(ours, theirs["synflow"], atol=0.3)


@pytest.mark.slow
def test_networks_are_ranked_as_others_rank_them():
    names, theirs = published(40)
    data = Sheets(path=str(SHARED), images=1000).load()
    x = data.batch(data.train[:32]).x
    nets = [build(SPACE.from_native(name), SPACE, generator=generator()) for name in names]
    for score, name, least in (("synflow", "synflow", 0.98), ("naswot", "nwot", 0.95), ("jacov", "jacov", 0.85)):
        ours = [training_free(score, net, x) for net in nets]
        assert spearmanr(ours, theirs[name])[0] > least, score
