"""A variant of a recipe means the same in Python, in a file of settings and in a recipe file; so do its mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest

from mixop import recipes
from mixop.cli.arguments import parse
from mixop.cli.commands import COMMANDS
from mixop.core.errors import MixopError, RecipeError
from mixop.core.schedules import Constant
from mixop.recipe.core import Recipe
from mixop.relax.dirichlet import Dirichlet

CHANGES: list[dict[str, Any]] = [
    {},
    {"architecture_optimiser": {"lr": 0.001}},
    {"relaxation": "Dirichlet"},
    {"relaxation": {"type": "Dirichlet", "ranking": "softmax"}},
    {"relaxation": {"temperature": 2.0}},
    {"epochs": 3, "batch_size": 16, "name": "mine"},
    {"clip": 1},
    {"weight_optimiser": "Adam"},
    {"weight_optimiser": "SGD"},
    {"weight_optimiser": {"momentum": 0.5, "lr": {"start": 0.1}}},
    {"weight_optimiser": {"type": "SGD", "momentum": 0.5}},
    {"weight_optimiser": {"type": "Adam", "lr": 0.01, "betas": [0.9, 0.99]}},
    {"weight_optimiser": {"type": "TorchOptimiser", "name": "RMSprop", "options": {"momentum": 0.9}}},
    {"weight_optimiser": {"lr": {"type": "Linear", "start": 0.1, "stop": 0.0}}},
    {"weight_optimiser": {"lr": {"type": "Constant", "value": 1}}},
    {"regularisers": ["AnchorL2"]},
    {"regularisers": [{"type": "AnchorL2", "weight": 0.5}, "Entropy"]},
    {"regularisers": []},
    {"regularisers": [{"type": "ExpectedCost", "cost": "parameters", "weight": 0.5}, {"type": "CostCeiling", "share": 0.5}]},
    {"perturbation": "RandomSmoothing"},
    {"perturbation": None},
    {"perturbation": "none"},
    {"monitors": [{"type": "Collapse", "every": 5}], "wraps": ["AuxiliarySkip"]},
    {"stages": [{"type": "Stage", "wraps": ["DropPath"]}, {"type": "Stage", "options": 3}]},
    {"norm": {"affine": True}},
    # Neither half of these fits alone.
    {"relaxation": "SimplexPoint", "architecture_optimiser": "ExponentiatedGradient"},
]

MISTAKES: list[dict[str, Any]] = [
    {"epoch": 3},
    {"epochs": 0},
    {"epochs": "3"},
    {"epochs": 2.5},
    {"clip": True},
    {"relaxation": "Dirichle"},
    {"relaxation": "SGD"},
    {"relaxation": 3},
    {"relaxation": None},
    {"relaxation": {"heat": 3}},
    {"relaxation": {"type": "Softmx"}},
    {"relaxation": {"type": 3}},
    {"relaxation": {"type": "Softmax", "temperature": 0}},
    {"relaxation": "no_such_module:Part"},
    {"relaxation": "SimplexPoint"},  # the optimiser does not fit
    {"architecture_optimiser": {"lr": -1}},
    {"architecture_optimiser": {"lr": "fast"}},
    {"architecture_optimiser": {"lr": {"type": "Cosine", "strat": 3}}},
    {"architecture_optimiser": {"betas": [0.5]}},
    {"regularisers": "AnchorL2"},
    {"regularisers": ["AnchorL"]},
    {"regularisers": [{"weight": 3}]},
    {"perturbation": {"radius": 1}},
    {"order": "weights"},
    {"type": "SGD"},
]


def by_python(changes: dict[str, Any]) -> Recipe:
    return recipes.variant(recipes.darts(), changes)


def by_config(changes: dict[str, Any], folder: Path) -> Recipe:
    path = folder / "settings.json"
    path.write_text(json.dumps({"settings": {"recipe": "darts"}, "recipe": changes}))
    return parse(COMMANDS["search"], ["--config", str(path)]).build("recipe")


def by_recipe_file(changes: dict[str, Any], folder: Path) -> Recipe:
    path = folder / "variant.json"
    path.write_text(json.dumps({"base": "darts", **changes}))
    return parse(COMMANDS["search"], ["--recipe", str(path)]).build("recipe")


@pytest.mark.parametrize("changes", CHANGES, ids=json.dumps)
def test_every_door_gives_the_same_recipe(changes: dict[str, Any], tmp_path: Path):
    expected = by_python(changes)
    assert by_config(changes, tmp_path) == expected
    assert by_recipe_file(changes, tmp_path) == expected


@pytest.mark.parametrize("changes", MISTAKES, ids=json.dumps)
def test_every_door_refuses_in_the_same_words(changes: dict[str, Any], tmp_path: Path):
    with pytest.raises(MixopError) as expected:
        by_python(changes)
    for door in (by_config, by_recipe_file):
        with pytest.raises(MixopError) as raised:
            door(changes, tmp_path)
        name = {by_config: "settings.json", by_recipe_file: "variant.json"}[door]
        assert str(raised.value) == f"{tmp_path / name}: {expected.value}"
        assert type(raised.value) is type(expected.value)


def test_the_issues_two_changes():
    assert by_python({"architecture_optimiser": {"lr": 0.001}}).architecture_optimiser.lr == Constant(0.001)
    assert by_python({"relaxation": "Dirichlet"}).relaxation == Dirichlet()


def test_only_what_is_missing_is_told_by_its_flag_on_the_command_line(tmp_path: Path):
    changes = {"architecture_optimiser": {"lr": "Linear"}}
    with pytest.raises(RecipeError, match=r"recipe\.architecture_optimiser\.lr \(Linear\) is incomplete: 'start' is missing"):
        by_python(changes)
    with pytest.raises(RecipeError, match=r"needs --recipe\.architecture-optimiser\.lr\.start NUMBER"):
        by_config(changes, tmp_path)


def test_python_also_takes_values():
    recipe = recipes.variant(recipes.darts(), {"relaxation": Dirichlet(ranking="softmax"), "regularisers": ()})
    assert recipe.relaxation == Dirichlet(ranking="softmax")
    with pytest.raises(RecipeError, match="Changes to recipe are written as an object of settings, got 'Dirichlet'"):
        recipes.variant(recipes.darts(), "Dirichlet")  # type: ignore[arg-type]
