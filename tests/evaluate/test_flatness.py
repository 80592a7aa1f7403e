"""The curvature in the weights, against differences of gradients in float64."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator
from torch.func import functional_call

from mixop import api
from mixop.cli import main
from mixop.core.errors import RecipeError, RunError
from mixop.data import Digits, Split
from mixop.evaluate.flatness import Flatness, flatness
from mixop.evaluate.start import trained_supernet
from mixop.recipes import RECIPES
from mixop.runs.directory import RunDirectory
from mixop.runs.records import from_record
from mixop.spaces.nasbench201 import NasBench201Digits
from mixop.supernet.executors import make_supernet

DATA = Digits(split=Split(train=64, valid=64)).load()
SPACE = NasBench201Digits(channels=2, stages=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("flat") / "run"
    api.search(replace(RECIPES["darts"](epochs=1), batch_size=32), SPACE, DATA, out)
    return out


def by_hand(run: Path, examples: int, seed: int):
    """The loss of the weights as one vector, and that vector, in float64."""
    supernet = trained_supernet(RunDirectory(run))
    net = make_supernet("plain", SPACE.fit(DATA), norm=RECIPES["darts"]().norm, generator=Generator())
    net.load_state_dict(supernet.tensors)
    net = net.double().train()
    drawn = DATA.train[torch.randperm(len(DATA.train), generator=Generator().manual_seed(seed))[:examples]]
    batch = DATA.batch(drawn)
    shapes = {name: value.shape for name, value in net.named_parameters()}
    flat = torch.cat([value.detach().flatten() for value in net.parameters()])

    def loss(vector):
        pieces = vector.split([shape.numel() for shape in shapes.values()])
        weights = {name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}
        mix = {name: value.double() for name, value in supernet.mean.items()}
        return torch.nn.functional.cross_entropy(functional_call(net, weights, (batch.x.double(), mix)), batch.y)

    return loss, flat


def test_eigenvalue_and_trace_are_those_of_independent_products(run):
    found = flatness(RunDirectory(run), DATA, examples=24, samples=4, seed=3)
    loss, flat = by_hand(run, 24, 3)
    assert found.weights == len(flat)
    assert found.examples == 24
    assert found.loss == pytest.approx(float(loss(flat)), rel=1e-5)

    def gradient(at):
        at = at.detach().requires_grad_()
        return torch.autograd.grad(loss(at), at)[0]

    def times(vector):
        step = 1e-5 / vector.norm()
        return (gradient(flat + step * vector) - gradient(flat - step * vector)) / (2 * step)

    generator = Generator().manual_seed(3)
    torch.randperm(len(DATA.train), generator=generator)
    samples = []
    for _ in range(4):
        signs = 2.0 * torch.randint(0, 2, (len(flat),), generator=generator).double() - 1
        samples.append(float(signs @ times(signs)))
    assert found.trace == pytest.approx(sum(samples) / 4, rel=1e-3)
    vector = torch.randn(len(flat), generator=Generator().manual_seed(0), dtype=torch.float64)
    shift = 5 * abs(found.largest)  # so that power iteration ends at the largest signed one
    for _ in range(120):
        vector = times(vector) + shift * vector
        vector /= vector.norm()
    assert found.largest == pytest.approx(float(vector @ times(vector)), rel=1e-2)


def test_the_command_shows_and_writes_it(run, capsys):
    words = ["analyse", "flatness", str(run), "--examples", "16", "--samples", "2"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "Largest eigenvalue" in shown
    assert "16 training examples" in shown
    assert main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content == json.loads((run / "flatness.json").read_text())
    again = flatness(RunDirectory(run), DATA, examples=16, samples=2)
    assert from_record(Flatness, content, "x") == again


def test_bad_input_is_a_sentence(run, tmp_path, capsys):
    with pytest.raises(RecipeError, match="at least 2 examples, got 1"):
        flatness(RunDirectory(run), DATA, examples=1)
    with pytest.raises(RecipeError, match="at least 2 samples"):
        flatness(RunDirectory(run), DATA, samples=1, examples=8)
    with pytest.raises(RunError):
        flatness(RunDirectory(run), Digits(split=Split(train=60, valid=64)).load())
    assert main(["analyse", "flatness", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
