"""The front door keeps runs apart: what was made with other files is refused, and what is worth nothing blocks nothing."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mixop import api
from mixop.core.errors import DivergedError, MixopError, RecipeError, RunError
from mixop.core.schedules import Constant
from mixop.data.toy import toy_set
from mixop.evaluate.protocol import PROTOCOLS
from mixop.evaluate.trained import evaluate_run, load_network
from mixop.recipes import darts, gdas
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.spaces.describe import describe_space
from mixop.spaces.toy import Toy
from mixop.tasks.classification import Classification

DATA = toy_set(Toy(), n=96)
PROTOCOL = replace(PROTOCOLS["quick"], batch_size=16)


def tiny(recipe: Any = None, **changes: Any) -> Any:
    return replace(recipe or darts(), **{"epochs": 2, "batch_size": 16, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search and its retraining, both finished."""
    out = tmp_path_factory.mktemp("finished") / "run"
    found = api.search(tiny(), Toy(), DATA, out)
    api.retrain(found.architecture, found.space, DATA, out, protocol=PROTOCOL, epochs=1)
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of it without some of its files."""

    def make(*without: str) -> Path:
        out = tmp_path / "copy"
        shutil.copytree(finished, out)
        for name in without:
            for path in out.glob(name):
                path.unlink()
        return out

    return make


RETRAINED = ("retrain.json", "retrain.pt*", "score.json", "weights.safetensors")
RESULTS = ("architecture.json", *RETRAINED)


def edit(path: Path, change: Mapping[str, Any]) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **change}))


EDITS: dict[str, Mapping[str, Any]] = {
    "recipe.json": {"epochs": 3},
    "settings.json": {"seed": 1},
    "space.json": describe_space(Toy(seed=1).fit(DATA)),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_file_of_a_search_is_refused_by_name(copy: Callable[..., Path], name: str):
    out = copy(*RESULTS)
    edit(out / name, EDITS[name])
    with pytest.raises(RunError, match=rf"state\.pt was not made with the {name} that is beside it"):
        api.resume(out, DATA)


@pytest.mark.parametrize("name", ["recipe.json", "settings.json"])
def test_a_result_is_bound_too(copy: Callable[..., Path], name: str):
    out = copy(*RETRAINED)
    edit(out / name, EDITS[name])
    with pytest.raises(RunError, match=rf"architecture\.json was not made with the {name} that is beside it"):
        api.resume(out, DATA)
    native = RunDirectory(out).read_json("architecture.json")["native"]
    with pytest.raises(RunError, match=rf"architecture\.json was not made with the {name}"):
        api.retrain(native, Toy(), DATA, out, protocol=PROTOCOL, epochs=1)


def test_a_checkpoint_of_another_seed_is_refused(copy: Callable[..., Path], tmp_path: Path):
    out = copy(*RESULTS)
    api.search(tiny(), Toy(), DATA, tmp_path / "other", seed=1)
    shutil.copy(tmp_path / "other" / "state.pt", out / "state.pt")
    with pytest.raises(RunError, match=r"state\.pt was not made with the settings\.json that is beside it"):
        api.search(tiny(), Toy(), DATA, out)


def test_an_edited_plan_of_a_retraining_is_refused(copy: Callable[..., Path]):
    out = copy("score.json")
    edit(out / "retrain.json", {"seed": 5})
    with pytest.raises(RunError, match=r"retrain\.pt was not made with the retrain\.json that is beside it"):
        api.resume(out, DATA)


@pytest.mark.parametrize("name", ["retrain.json", "space.json", "architecture.json"])
def test_a_score_is_bound_to_all_that_it_depends_on(copy: Callable[..., Path], name: str):
    out = copy()
    changes = {
        "retrain.json": {"seed": 5},
        "space.json": {"groups": []},
        "architecture.json": {"note": "by hand"},
    }
    edit(out / name, changes[name])
    for read in (load_network, lambda out: evaluate_run(out, DATA)):
        with pytest.raises(RunError, match=rf"score\.json was not made with the {name} that is beside it"):
            read(out)


def test_a_lost_checkpoint_is_not_a_new_run(copy: Callable[..., Path]):
    out = copy(*RESULTS, "state.pt*")
    before = (out / "metrics.jsonl").read_bytes()
    for again in (lambda: api.resume(out, DATA), lambda: api.search(tiny(), Toy(), DATA, out)):
        with pytest.raises(RunError, match=r"has metrics but no state\.pt: restore the checkpoint"):
            again()
    assert (out / "metrics.jsonl").read_bytes() == before


def test_a_lost_checkpoint_of_a_retraining_is_not_a_new_one(copy: Callable[..., Path]):
    out = copy("retrain.pt*", "score.json", "weights.safetensors")
    with pytest.raises(RunError, match=r"has metrics of a retraining but no retrain\.pt"):
        api.resume(out, DATA)


@dataclass(frozen=True)
class Unfit(Classification):
    """A task whose loss does not fit its network."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        raise RecipeError("The loss needs other outputs: give the task other classes.")


def unfit() -> Any:
    return replace(DATA, task=Unfit(DATA.task.classes))


def test_a_misfit_of_the_first_pass_is_found_before_anything_is_written(tmp_path: Path):
    with pytest.raises(RecipeError, match="needs other outputs"):
        api.search(tiny(), Toy(), unfit(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_misfit_of_a_retraining_leaves_the_search_as_it_was(copy: Callable[..., Path]):
    out = copy(*RETRAINED)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    space = RunDirectory(out).read_json("architecture.json")["native"]
    with pytest.raises(MixopError):
        api.retrain(space, Toy(), DATA, out, protocol=replace(PROTOCOL, auxiliary=0.4), epochs=1)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_a_plan_that_never_began_is_replaced(copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch):
    out = copy(*RETRAINED, "metrics.jsonl")
    native = RunDirectory(out).read_json("architecture.json")["native"]
    with monkeypatch.context() as broken:
        broken.setattr(api, "note_environment", lambda *args: (_ for _ in ()).throw(RunError("The disk is full.")))
        with pytest.raises(RunError, match="The disk is full"):
            api.retrain(native, Toy(), DATA, out, protocol=PROTOCOL, epochs=3)
    assert RunDirectory(out).read_json("retrain.json")["protocol"]["epochs"] == 3
    result = api.retrain(native, Toy(), DATA, out, protocol=PROTOCOL, epochs=1)
    assert result.score.networks[0].epochs == 1


@pytest.mark.parametrize(
    "recipe",
    [
        tiny(weight_optimiser=replace(darts().weight_optimiser, lr=1e38), clip=0),
        tiny(gdas(), architecture_optimiser=replace(gdas().architecture_optimiser, lr=1e38)),
    ],
    ids=["weights", "architecture"],
)
def test_numbers_that_are_not_finite_are_never_kept(recipe: Any, tmp_path: Path):
    recipe = replace(recipe, warmup=0)
    with pytest.raises(DivergedError, match=r"in epoch \d, step \d+: try a smaller .* in another --out"):
        api.search(recipe, Toy(), DATA, tmp_path / "run", checkpoint_seconds=0)
    state = tmp_path / "run" / "state.pt"
    if checkpoint.exists(state):
        saved = checkpoint.load(state)["search"]
        assert all(torch.isfinite(v).all() for part in ("net", "params") for v in saved[part].values() if v.is_floating_point())


def test_a_run_that_diverged_at_once_leaves_its_directory_free(tmp_path: Path):
    recipe = tiny(weight_optimiser=replace(darts().weight_optimiser, lr=1e38), clip=0, warmup=0)
    with pytest.raises(DivergedError):
        api.search(recipe, Toy(), DATA, tmp_path / "run", checkpoint_seconds=0)
    if not checkpoint.exists(tmp_path / "run" / "state.pt"):
        assert api.search(tiny(epochs=1), Toy(), DATA, tmp_path / "run").native


@pytest.mark.parametrize(("rates", "rate"), [("scaled", 0.03), ("paper", 3e-4)])
def test_a_short_search_moves_its_architecture_faster_unless_told_otherwise(tmp_path: Path, rates: Any, rate: float):
    found = api.search(tiny(), Toy(), DATA, tmp_path / "run", rates=rates)
    written = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert written["architecture_optimiser"]["lr"]["value"] == pytest.approx(rate)
    assert found.recipe.architecture_optimiser.lr.bounds[1] == found.history[0].architecture_rate == pytest.approx(rate)
    # The same call goes on with the same run, and a resumed run takes the recipe as it was written.
    assert api.search(tiny(), Toy(), DATA, tmp_path / "run", rates=rates) == found
    assert api.resume(tmp_path / "run", DATA) == found


def test_a_rate_of_ones_own_is_not_scaled(tmp_path: Path):
    mine = tiny(architecture_optimiser=replace(darts().architecture_optimiser, lr=Constant(0.002)))
    assert api.search(mine, Toy(), DATA, tmp_path / "run").recipe == mine


def test_another_word_for_rates_is_refused(tmp_path: Path):
    with pytest.raises(MixopError, match="published"):
        api.search(tiny(), Toy(), DATA, tmp_path / "run", rates="published")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
