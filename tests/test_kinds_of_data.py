"""Every kind of data from end to end: searched, killed and resumed bit for bit, retrained, reported, exported, read back.

Signals are the accelerometer and gyroscope of BasicMotions (80 recordings), which sktime ships; images, their measurements and
masks are the handwritten digits, and features the wines and the patients, that scikit-learn ships. The token stream is the
licence of this project. Nothing here is synthetic but the labels that say which halves of a digit are dark.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from killed import kill_after
from sklearn.datasets import load_diabetes, load_digits, load_wine

import mixop
from mixop.core.errors import MixopError, RunError
from mixop.data.core import Data
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.spaces.core import Space
from mixop.supernet import compiled
from mixop.testing import first_difference

ROOT = Path(__file__).parents[1]
FEW = 96


def motions() -> tuple[np.ndarray, np.ndarray]:
    """The recordings ``(80, 6, 100)`` and what was done in each, read from sktime's files without its code."""
    found = find_spec("sktime")
    if found is None or found.origin is None:
        pytest.skip("sktime, of the extra test, is not installed")
    folder = Path(found.origin).parent / "datasets" / "data" / "BasicMotions"
    signals, labels = [], []
    for part in ("TRAIN", "TEST"):
        lines = (folder / f"BasicMotions_{part}.ts").read_text().splitlines()
        for line in lines[lines.index("@data") + 1 :]:
            *channels, label = line.split(":")
            signals.append([[float(number) for number in channel.split(",")] for channel in channels])
            labels.append(label)
    return np.array(signals, dtype=np.float32), np.unique(labels, return_inverse=True)[1]


def digits() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return (x[:FEW].reshape(-1, 1, 8, 8) * 255 / 16).round().astype(np.uint8), y[:FEW]


def signals() -> Data:
    x, y = motions()
    x = x[..., :24]  # short enough for a test
    return mixop.data.from_arrays(x, y, valid=0.5, test_share=0.25)


def wide() -> Data:
    x, y = digits()
    return mixop.data.from_arrays(x[..., 2:6], y % 2, valid=0.5, test_share=0.25)  # the middle columns: 8 x 4 pixels


def several_labels() -> Data:
    x, _ = digits()
    halves = np.stack([x[:, 0, :4], x[:, 0, 4:], x[:, 0, :, :4].swapaxes(1, 2), x[:, 0, :, 4:].swapaxes(1, 2)], axis=1)
    ink = halves.reshape(FEW, 4, -1).mean(2)
    return mixop.data.from_arrays(x, (ink > ink.mean(1, keepdims=True)).astype(int), valid=0.5, test_share=0.25)


def numbers() -> Data:
    x, y = load_diabetes(return_X_y=True)
    return mixop.data.from_arrays(x[:FEW].astype(np.float32), y[:FEW].astype(np.float32), valid=0.5, test_share=0.25)


def masks() -> Data:
    x, _ = digits()
    augment = mixop.data.Augment(crop=1, flip=True)
    return mixop.data.from_arrays(x, (x[:, 0] > 127).astype(int), valid=0.5, test_share=0.25, augment=augment)


def features() -> Data:
    x, y = load_wine(return_X_y=True)
    return mixop.data.from_arrays(x.astype(np.float32), y, valid=0.5, test_share=0.25)


class Digits(torch.utils.data.Dataset):
    """A map-style data set, as users of torch have them."""

    def __init__(self) -> None:
        self.x, self.y = digits()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self.x[i]).float() / 255, int(self.y[i] > 4)


def dataset() -> Data:
    return mixop.data.from_dataset(Digits(), valid_share=0.5, test_share=0.25)


def tokens() -> Data:
    words = (ROOT / "LICENSE").read_text().lower().split()[:1200]
    vocabulary = tuple(sorted(set(words)))
    ids = torch.tensor([vocabulary.index(word) for word in words])
    return mixop.data.from_tokens(ids[:700], ids[700:1000], ids[1000:], vocabulary, window=10)


def small(**options: object) -> Space:
    return mixop.spaces.nasbench201(channels=4, cells=1, **options)  # type: ignore[arg-type]


POINTWISE = ("none", "skip_connect", "nor_conv_1x1")
KINDS: dict[str, tuple[Callable[[], Data], Space, str]] = {
    "signals": (signals, small(stages=2), "accuracy"),
    "wide": (wide, small(stages=1), "accuracy"),
    "several_labels": (several_labels, small(stages=1), "f1"),
    "numbers": (numbers, small(stages=1, operations=POINTWISE), "rmse"),
    "masks": (masks, small(stages=1), "miou"),
    "features": (features, small(stages=1, operations=POINTWISE), "accuracy"),
    "dataset": (dataset, small(stages=1), "accuracy"),
    "tokens": (tokens, small(stages=1, operations=POINTWISE), "perplexity"),
    "recurrent": (tokens, mixop.spaces.darts_rnn(hidden=6, nodes=3), "perplexity"),
}
RECIPE = replace(mixop.recipes.darts(epochs=2), batch_size=8)
SHAPES = {"signals": (6, 24), "wide": (1, 8, 4), "numbers": (10,), "features": (13,), "masks": (1, 8, 8)}


def search(kind: str, out: Path, observe: Callable | None = None) -> mixop.SearchResult:
    make, space, _ = KINDS[kind]
    return mixop.search(RECIPE, space, make(), out, threads=1, checkpoint_seconds=0, observe=observe)


@pytest.fixture(scope="module")
def whole(request, tmp_path_factory) -> tuple[str, Path, Data, mixop.SearchResult]:
    out = tmp_path_factory.mktemp("kinds") / request.param
    return request.param, out, KINDS[request.param][0](), search(request.param, out)


# Each starts a process; the others are slow.
KILLED = [pytest.param(kind, marks=[] if kind in ("signals", "numbers", "recurrent") else pytest.mark.slow) for kind in KINDS]


@pytest.mark.parametrize("whole", KILLED, indirect=True)
def test_a_search_killed_in_the_middle_ends_bit_for_bit_like_one_left_alone(whole, tmp_path):
    kind, out, data, result = whole
    torn = tmp_path / "torn"
    steps = len(data.train) // 8  # whole batches of an epoch; a token stream has fewer windows than that
    kill_after(min(steps, 6), search, kind, torn)
    assert not (torn / "architecture.json").exists()
    again = mixop.resume(torn, data, threads=1)
    assert again.native == result.native
    one, other = (checkpoint.load(folder / "state.pt")["search"] for folder in (out, torn))
    assert first_difference(one, other) is None
    records = [[replace(record, seconds=0.0) for record in RunDirectory(folder).records()] for folder in (out, torn)]
    assert records[0] == records[1]


@pytest.mark.parametrize("whole", KINDS, indirect=True)
def test_it_is_retrained_reported_exported_and_read_back(whole):
    kind, out, data, result = whole
    measure = KINDS[kind][2]
    if kind in SHAPES:
        assert data.shape == SHAPES[kind]
    assert data.task.first.name == measure
    assert result.history[-1].valid[measure] is not None
    protocol = replace(mixop.evaluate.PROTOCOLS["quick"], epochs=1, batch_size=16)
    trained = mixop.retrain(result.architecture, result.space, data, out, protocol=protocol, random=1, threads=1)
    assert set(trained.measures) == {m.name for m in data.task.measures}
    again = mixop.evaluate.evaluate_run(out, data)
    assert again.measures == pytest.approx(dict(trained.measures))
    page = mixop.write_report(out).read_text()
    assert data.task.first.name.replace("_", " ").lower() in page.lower() or measure == "miou"
    assert f"{trained.score.scored_on.examples:,} test" in page
    if not data.task.classes:
        assert '<table class="confusion"' not in page
    written = mixop.export(out)
    assert written["path"].exists()
    batch = next(iter(data.sweep("test", 5)))
    loaded = torch.export.load(written["path"]).module()
    outputs = trained.model(batch.x)
    wanted = outputs if data.tokens else data.task.readable(outputs)
    raw = batch.x if data.tokens else data.examples.read(data.at("test")[:5]).x
    torch.testing.assert_close(loaded(raw), wanted, rtol=1e-4, atol=1e-5)  # float32, another order of sums
    assert len(data.task.predict(trained.model(batch.x))) == len(batch.x)


def test_fused_kernels_search_signals_as_the_plain_executor_does(tmp_path):
    try:
        compiled.kernels(4)
    except RunError as error:
        pytest.skip(f"the fused executor cannot be built here: {error}")
    first = []
    for executor in ("fused", "plain"):
        result = mixop.search(RECIPE, small(stages=2), signals(), tmp_path / executor, executor=executor)
        first.append(result.history[0].train["loss"])
    assert first[0] == pytest.approx(first[1], rel=1e-3)


def test_image_augmentation_of_a_recipe_is_refused_where_there_are_no_images(tmp_path):
    recipe = replace(RECIPE, cutout=0.5)
    with pytest.raises(MixopError, match="augmentation of images"):
        mixop.search(recipe, small(stages=2), signals(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
