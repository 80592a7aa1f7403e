"""Settings that a method or space cannot have are refused when the search is built, and what they do in a search."""

import json
from dataclasses import dataclass, replace

import pytest
import torch

from mixop import api
from mixop.core.errors import RecipeError
from mixop.data import from_arrays
from mixop.derive import RestrictedSkips
from mixop.engine.fit import check_computing, computing
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.measure.foresight import search_estimate
from mixop.monitors import Collapse
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.runs.directory import RunDirectory
from mixop.spaces import S4, darts, nasbench201
from mixop.spaces.sizes import Sizes
from mixop.wraps import DropPath, PartialChannels
from mixop.wraps.base import Wrap, WrappedEdge

SIZES = {"input_shape": (3, 8, 8), "outputs": 4}
DARTS = darts(cells=3, channels=8, **SIZES)


@pytest.fixture
def capturing(monkeypatch):
    """Settings with capture, as on a machine with a GPU."""
    settings = Settings(executor="nodewise")
    object.__setattr__(settings, "capture", True)
    return settings


@pytest.mark.parametrize("name", ["darts_es", "darts_ada"])
def test_compiled_cells_have_no_second_derivatives(name):
    recipe = RECIPES[name]()
    with pytest.raises(RecipeError, match="takes second ones: leave out compile"):
        check_computing(recipe, DARTS, Settings(compile=True, executor="nodewise"))


def test_a_watching_monitor_counts():
    recipe = replace(RECIPES["darts"](), monitors=(Collapse(eigenvalue=True),))
    with pytest.raises(RecipeError, match="Collapse takes second ones"):
        check_computing(recipe, DARTS, Settings(compile=True, executor="nodewise"))
    check_computing(replace(recipe, monitors=(Collapse(),)), DARTS, Settings(compile=True, executor="nodewise"))


@pytest.mark.parametrize(
    ("recipe", "space", "match"),
    [
        (RECIPES["gdas"](), nasbench201(channels=4, cells=1, **SIZES), "run different options every time"),
        (replace(RECIPES["darts"](), wraps=(DropPath(),)), DARTS, "DropPath draws random numbers in every pass"),
        (RECIPES["darts"](), S4(cells=3, channels=8, **SIZES), "the option noise draws"),
        (RECIPES["darts_es"](), DARTS, "EarlyStopping takes second ones"),
    ],
    ids=["one path", "drop path", "noise", "Hessian"],
)
def test_what_a_cuda_graph_cannot_hold(recipe, space, match, capturing):
    with pytest.raises(RecipeError, match=match):
        check_computing(recipe, space, capturing)


def test_what_it_can(capturing):
    for name in ("darts", "drnas", "pcdarts", "gaea", "sdarts_rs"):
        check_computing(RECIPES[name](), darts(cells=3, channels=16, **SIZES), capturing)


def test_the_fused_executor_is_checked_for_every_stage():
    recipe = RECIPES["drnas_progressive"]()
    space = darts(cells=20, channels=36, **SIZES)
    check_computing(recipe, space, Settings(executor="fused"))
    first, second = recipe.stages
    second = replace(second, wraps=(PartialChannels(k=2, channels="random"),))
    with pytest.raises(RecipeError, match="fused executor does not support random partial channels"):
        check_computing(replace(recipe, stages=(first, second)), space, Settings(executor="fused"))
    check_computing(RECIPES["pcdarts"](), darts(cells=3, channels=16, **SIZES), Settings(executor="fused"))


def data():
    x = torch.randint(0, 256, (64, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return from_arrays(x, torch.arange(64) % 4, valid=0.5, test_share=0.1, layout="nchw")


SPACE = nasbench201(channels=4, cells=1)


def short(**changes):
    return replace(RECIPES["darts"](), epochs=1, batch_size=8, warmup=0, **changes)


def test_a_search_is_checked_once_and_before_it_writes(tmp_path, monkeypatch):
    """By whoever starts it: `api.search`, or one of the measurements."""
    checked, check = [], Recipe.check
    monkeypatch.setattr(Recipe, "check", lambda recipe, space: checked.append(list(tmp_path.iterdir())) or check(recipe, space))
    api.search(short(), SPACE, data(), tmp_path / "run")
    assert checked == [[]]
    search_estimate(short(), SPACE, data())
    assert len(checked) == 2
    misfit = short(derivation=RestrictedSkips(group="normal"))
    with pytest.raises(RecipeError, match="RestrictedSkips limits"):
        api.search(misfit, SPACE, data(), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("settings", [{"executor": "fused"}, {"executor": "plain", "channels_last": True}], ids=str)
def test_the_search_is_the_same(settings, tmp_path):
    """As by the plain executor as published, up to rounding."""
    losses = []
    for name, given in (("reference", {"executor": "plain"}), ("other", settings)):
        out = tmp_path / name
        api.search(short(), SPACE, data(), out, **given)
        (record,) = RunDirectory(out).records()
        losses.append((record.train["loss"], record.valid["loss"]))
        noted = json.loads((out / "environment.json").read_text())
        assert noted["executor"] == given["executor"]
        assert noted["channels_last"] == given.get("channels_last", given["executor"] != "plain")
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.parametrize("space", [SPACE, darts(cells=3, channels=8)], ids=["nasbench201", "darts"])
def test_bfloat16_computes_in_bfloat16(space, tmp_path):
    outputs = []
    for precision in ("float32", "bfloat16"):
        space = space.fit(Sizes((3, 8, 8), 4))
        search = Search(short(), space, data(), RunDirectory(tmp_path / precision), Settings(precision=precision))
        search._prepare_epoch()
        seen = []
        cell = next(layer for layer, spec in zip(search.state.net.layers, space.layers, strict=True) if spec.kind == "cell")
        cell.register_forward_hook(lambda module, given, output, seen=seen: seen.append(output.dtype))
        search._step()
        assert set(seen) == {getattr(torch, precision)}
        outputs.append(search.problem.seen[0].item())
    assert outputs[0] != outputs[1]
    assert outputs[1] == pytest.approx(outputs[0], rel=0.05)


def test_a_run_goes_on_as_it_began(tmp_path):
    api.search(short(), SPACE, data(), tmp_path, precision="bfloat16")
    assert json.loads((tmp_path / "settings.json").read_text()) == {"seed": 0, "executor": "nodewise", "precision": "bfloat16"}
    with pytest.raises(api.RunError, match="settings"):
        api.search(short(), SPACE, data(), tmp_path)


class Foreign(WrappedEdge):
    """An edge from outside of mixop that may draw."""

    def forward(self, x, weights, active=None, progress=0.0):
        return torch.nn.functional.dropout(self.inner(x, weights, active, progress), 0.5)


@dataclass(frozen=True, kw_only=True)
class ForeignWrap(Wrap):
    """Makes such edges."""

    def __call__(self, make_edge):
        return lambda spec: Foreign(make_edge(spec))


def test_what_may_draw_unseen_is_neither_compiled_nor_captured(monkeypatch):
    recipe, settings = replace(RECIPES["darts"](), wraps=(ForeignWrap(),)), Settings(compile=True, executor="plain")
    with pytest.raises(RecipeError, match=r"Foreign may draw random numbers, .* draws = False .*, or leave out compile"):
        check_computing(recipe, DARTS, settings)
    monkeypatch.setattr(Foreign, "draws", False, raising=False)
    check_computing(recipe, DARTS, settings)


AUTO = Settings(executor="auto", seed=3)


def test_what_is_left_open_becomes_the_fastest_executor_that_fits():
    space = SPACE.fit(Sizes((3, 8, 8), 4))
    assert computing(short(), space, AUTO) == (replace(AUTO, executor="fused"), "")
    random = replace(short(), wraps=(PartialChannels(k=2, channels="random"),))
    other, why = computing(random, space, AUTO)
    assert other == replace(AUTO, executor="nodewise")
    assert "random partial channels" in why
    sliced, why = computing(short(), space, replace(AUTO, precision="bfloat16"))
    assert sliced.executor == "nodewise"
    assert "float32" in why
    for executor in ("plain", "nodewise", "fused"):
        assert computing(short(), space, Settings(executor=executor)) == (Settings(executor=executor), "")


def test_a_run_keeps_the_executor_that_was_chosen_for_it(tmp_path, monkeypatch):
    """Elsewhere another one may fit: where there is no compiler, say."""
    api.search(short(), SPACE, data(), tmp_path / "run", executor="auto")
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["executor"] == "fused"
    assert "not_fused" not in json.loads((tmp_path / "run" / "environment.json").read_text())

    def refuse(recipe, space, settings):
        if settings.executor == "fused":
            raise RecipeError("no compiler")

    monkeypatch.setattr("mixop.engine.fit.check_computing", refuse)
    with pytest.raises(RecipeError, match="no compiler"):  # the run's own executor, which this machine lacks
        api.search(short(), SPACE, data(), tmp_path / "run", executor="auto")
    api.search(short(), SPACE, data(), tmp_path / "new", executor="auto")
    assert json.loads((tmp_path / "new" / "settings.json").read_text())["executor"] == "nodewise"
    assert json.loads((tmp_path / "new" / "environment.json").read_text())["not_fused"] == "no compiler"


def test_a_run_says_whose_kernels_computed_it(tmp_path, monkeypatch):
    def stop(record):
        if (tmp_path / "run" / "state.pt").exists():
            raise InterruptedError

    with pytest.raises(InterruptedError):
        api.search(short(), SPACE, data(), tmp_path / "run", executor="fused", checkpoint_seconds=0.0, observe=stop)
    monkeypatch.setattr("mixop.supernet.fused.origin", lambda width: "prebuilt")
    api.search(short(), SPACE, data(), tmp_path / "run", executor="fused")
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["kernels"] == "built on this machine"
    assert [later["kernels"] for later in environment["resumed"]] == ["prebuilt"]
    api.search(short(), SPACE, data(), tmp_path / "other", executor="nodewise")
    assert "kernels" not in json.loads((tmp_path / "other" / "environment.json").read_text())


def test_a_measurement_beforehand_takes_the_executor_that_the_search_will_take(monkeypatch):
    made = []
    build = Search.__init__

    def note(self, recipe, space, data, run, settings, *rest):
        made.append(settings.executor)
        build(self, recipe, space, data, run, settings, *rest)

    monkeypatch.setattr(Search, "__init__", note)
    search_estimate(short(), SPACE, data(), AUTO)
    assert made == ["fused"]
