"""Networks that are known without a search, in a comparison: the time and the parameters of the median recipe."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

import pytest
import torch

from mixop import recipes
from mixop.comparison import tasks
from mixop.comparison.compare import compare
from mixop.comparison.evaluators import Optimum, Retrain, Supernet
from mixop.core.errors import MixopError, RecipeError
from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.data.toy import toy_set
from mixop.evaluate.protocol import PROTOCOLS
from mixop.nets.discrete import build
from mixop.report.comparison import Comparison
from mixop.report.comparison_files import read_comparison
from mixop.runs.load import read_score
from mixop.spaces import RandWire, nasbench201
from mixop.spaces.toy import Toy

SPACE = nasbench201(channels=4, cells=1, stages=1)
SHORT = Retrain(protocol=replace(PROTOCOLS["quick"], name="short", epochs=2, batch_size=16, cells=1, drop_path=0.1))
NAMES = ["plain-ResNet", "ResNet"]


def two():
    return {name: replace(make(epochs=1), batch_size=16) for name, make in (("a", recipes.darts), ("b", recipes.gaea))}


@pytest.fixture(scope="module")
def data() -> Data:
    """Synthetic: two classes of grey images of different brightness."""
    y = torch.arange(80) % 2
    x = torch.randn(80, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.5, test_share=0.2, layout="nchw")


@pytest.fixture(scope="module", autouse=True)
def pace():
    """No decision depends on how fast this machine is."""
    honest = tasks.plan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "plan", lambda *given, **more: replace(honest(*given, **more), epochs=2))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: Data) -> Comparison:
    out = tmp_path_factory.mktemp("known") / "c"
    bare = compare(two(), SPACE, data, out, seeds=range(2), jobs=1, evaluate=SHORT, known=0)
    assert not bare.known
    return compare(two(), SPACE, data, out, seeds=range(2), jobs=1, evaluate=SHORT)


def test_they_have_rows_with_all_their_runs(finished: Comparison):
    assert finished.known == NAMES
    assert finished.done == finished.planned == 10
    for name in NAMES:
        row = finished.row(name)
        assert (row.n, row.rival) == (2, None)
        for run in row.runs:
            (place,) = (path for path in run.path.iterdir() if path.is_dir())
            score = read_score(place / "score.json")
            assert score is not None
            assert (score.trained_on.parts, score.scored_on.parts) == (("train",), ("valid",))
            assert run.score == score.networks[0].measures["accuracy"]
            assert run.seconds == score.networks[0].seconds
            assert score.networks[0].seed == run.seed
    assert "random, same time" in finished.table()
    assert "plain-ResNet and ResNet: known without a search" in finished.table()
    assert all(name in (finished.path / "comparison.html").read_text() for name in NAMES)


def test_they_have_the_time_of_search_and_training_and_at_most_the_parameters(finished: Comparison):
    times, sizes = [], []
    for name in two():
        trials = [json.loads((finished.path / f"{name}-{seed}" / "trial.json").read_text()) for seed in range(2)]
        times.append(fmean(trial["search_seconds"] + trial["scoring_seconds"] for trial in trials))
        scores = [read_score(finished.path / f"{name}-{seed}" / "trained" / "score.json") for seed in range(2)]
        sizes.append(median(score.networks[0].parameters for score in scores if score is not None))
    for name in NAMES:
        for seed in range(2):
            known = json.loads((finished.path / f"{name}-{seed}" / "known.json").read_text())
            assert known["seconds"] == pytest.approx(median(times))
            (planned,) = known["planned"]
            score = read_score(finished.path / f"{name}-{seed}" / f"{planned['size']}-{planned['epochs']}" / "score.json")
            assert score is not None
            assert score.networks[0].parameters <= median(sizes) or planned["size"] == 2
            assert score.networks[0].epochs == planned["epochs"] == 2
            assert (score.protocol["cells"], score.protocol["drop_path"]) == (None, 0), "those are the searched network's alone"


def test_beside_random_search_alone_they_have_its_time_and_its_parameters(data: Data, tmp_path: Path):
    """Random graphs have no recipe that fits."""
    space, short = RandWire(nodes=6, channels=4), replace(SHORT, protocol=replace(SHORT.protocol, cells=None))
    result = compare({}, space, data, tmp_path, seeds=[0], jobs=1, evaluate=short, budget_seconds=0.1, known=1)
    assert result.done == result.planned == 2
    trial = json.loads((tmp_path / "random-0" / "trial.json").read_text())
    (taken,) = [one["architecture"] for one in trial["candidates"] if "score" in one]
    most = sum(p.numel() for p in build(taken, space.fit(data)).parameters())
    known = json.loads((tmp_path / "plain-ResNet-0" / "known.json").read_text())
    assert known["seconds"] == 0.1
    (place,) = (path for path in (tmp_path / "plain-ResNet-0").iterdir() if path.is_dir())
    score = read_score(place / "score.json")
    assert score is not None
    assert 0 < score.networks[0].parameters <= most
    assert "as what random search took" in result.table()
    page = (tmp_path / "comparison.html").read_text()
    assert "comes first of 2" in page or "share the first place" in page
    assert "beats picking at random" not in page


def test_what_is_finished_is_not_repeated_and_what_is_not_goes_on(finished: Comparison, data: Data):
    told: list[str] = []
    place = finished.path / "ResNet-1"
    (place / "trial.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*.safetensors")}
    again = compare(
        two(), SPACE, data, finished.path, seeds=range(2), jobs=1, evaluate=SHORT, observe=lambda name, _: told.append(name)
    )
    assert set(told) == {"", "ResNet-1"}
    assert {path: path.stat().st_mtime_ns for path in before} == before, "it was trained already"
    assert again.table() == finished.table() == read_comparison(finished.path).table()


def test_where_nothing_is_trained_from_scratch_there_are_none(tmp_path: Path):
    toy, recipe = toy_set(Toy(), n=64), {"a": replace(recipes.darts(epochs=1), batch_size=16)}
    short = replace(SHORT.protocol, cells=None)
    for evaluate in (Optimum(protocol=short), Supernet(protocol=short)):
        with pytest.raises(RecipeError, match="score recipes by Retrain"):
            compare(recipe, Toy(), toy, tmp_path / "c", evaluate=evaluate, known=1)
    optimum = Optimum(protocol=short)
    assert not compare(recipe, Toy(), toy, tmp_path / "c", seeds=[0], jobs=1, evaluate=optimum, budget_seconds=0.001).known


@pytest.mark.parametrize(
    ("known", "said"), [(-1, "at least 0"), (True, "must be a whole number"), (1.5, "must be a whole number")]
)
def test_a_number_that_is_none_is_a_sentence(known, said, data: Data, tmp_path: Path):
    with pytest.raises(MixopError, match=said):
        compare(two(), SPACE, data, tmp_path / "c", evaluate=SHORT, known=known)
    assert not (tmp_path / "c").exists()


def test_a_method_cannot_have_the_name_of_one(data: Data, tmp_path: Path):
    with pytest.raises(RecipeError, match="'ResNet' is the name of a known network"):
        compare({"ResNet": two()["a"]}, SPACE, data, tmp_path / "c", evaluate=SHORT)
