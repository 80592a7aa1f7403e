"""The scan of a finished search, against passes of the supernet that are written out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from mixop import api
from mixop.analysis.landscape import directions
from mixop.core.errors import RecipeError, RunError
from mixop.data import Digits, Split
from mixop.evaluate.landscape import scan
from mixop.evaluate.start import trained_supernet
from mixop.recipes import RECIPES
from mixop.runs.directory import RunDirectory
from mixop.spaces.nasbench201 import NasBench201Digits
from mixop.supernet.executors import make_supernet

DATA = Digits(split=Split(train=64, valid=64)).load()
SPACE = NasBench201Digits(channels=2, stages=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("landscape") / "run"
    api.search(replace(RECIPES["darts"](epochs=1), batch_size=32), SPACE, DATA, out)
    return out


def test_it_is_the_loss_and_the_accuracy_of_shifted_logits(run):
    found = scan(RunDirectory(run), DATA, radius=2.0, points=3, examples=40, seed=5)
    supernet = trained_supernet(RunDirectory(run))
    assert found.axis == (-2.0, 0.0, 2.0)
    one, other = directions(supernet.params, Generator().manual_seed(5))
    net = make_supernet("plain", SPACE.fit(DATA), norm=RECIPES["darts"]().norm, generator=Generator())
    net.load_state_dict(supernet.tensors)
    net.train()
    batch = DATA.batch(DATA.valid[:40])
    for i, x in enumerate(found.axis):
        for j, y in enumerate(found.axis):
            logits = supernet.params["cell"] + x * one["cell"] + y * other["cell"]
            with torch.no_grad():
                outputs = net(batch.x, {"cell": logits.softmax(-1)})
            assert found.losses[i][j] == pytest.approx(float(torch.nn.functional.cross_entropy(outputs, batch.y)), rel=1e-4)
            assert found.scores[i][j] == pytest.approx(float((outputs.argmax(1) == batch.y).float().mean()), abs=1 / 40 + 1e-9)
    assert found.rise[1, 1] == found.gain[1, 1] == 0
    np.testing.assert_allclose(found.rise + found.losses[1][1], found.losses)
    torch.testing.assert_close(supernet.params["cell"].softmax(-1), supernet.mean["cell"])


def test_the_seed_decides_the_directions_and_all_else_stays(run):
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    first, same, other = (scan(RunDirectory(run), DATA, points=3, examples=16, seed=seed) for seed in (0, 0, 1))
    assert first == same
    assert first.losses != other.losses
    assert first.losses[1][1] == other.losses[1][1]
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_what_cannot_be_scanned_is_refused(run, tmp_path):
    with pytest.raises(RecipeError, match="need at least 2 examples"):
        scan(RunDirectory(run), DATA, examples=1)
    with pytest.raises(RecipeError, match="odd number of points"):
        scan(RunDirectory(run), DATA, points=4)
    with pytest.raises(RunError):
        scan(RunDirectory(tmp_path), DATA)
    api.search(replace(RECIPES["gaea_bilevel"](epochs=1), batch_size=32), SPACE, DATA, tmp_path / "gaea")
    with pytest.raises(RecipeError, match="SimplexPoint lie on the simplex, which a straight line leaves"):
        scan(RunDirectory(tmp_path / "gaea"), DATA)
