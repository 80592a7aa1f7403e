"""Names, files and flags: who wins, and what is told when one of them is wrong."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixop.bilevel import SingleLevel
from mixop.cli.arguments import Parsed, parse
from mixop.cli.commands import COMMANDS
from mixop.cli.options import Lists, Place
from mixop.core.errors import MixopError, RecipeError
from mixop.core.schedules import Constant
from mixop.recipe.parts import recipe_to_json
from mixop.recipes import RECIPES
from mixop.regularise import DirichletKL


def told(*words: str, command: str = "search") -> Parsed:
    return parse(COMMANDS[command], words)


def build_all(*words: str) -> None:
    parsed = told(*words)
    for name in parsed.trees:
        parsed.build(name)


def test_names_choose_where_to_begin():
    parsed = told("--recipe", "gaea", "--space", "toy", "--data", "toy", "--out", "runs/x", "--quiet")
    assert parsed.build("recipe").name == "gaea"
    assert parsed.build("space").name == "toy"
    assert parsed.build("data").name == "toy"
    assert (parsed.options.out, parsed.options.quiet, parsed.options.json) == ("runs/x", True, False)


def test_flags_change_fields_in_whatever_order_and_spelling():
    parsed = told(
        "--recipe.weight-optimiser.eps=1e-6",  # of Adam, which comes later
        "--recipe.weight_optimiser",
        "Adam",
        "--epochs",
        "3",
        "--batch-size=16",
        "--space.channels",
        "8",
        "--data.split.valid",
        "0.25",
        "--seed",
        "5",
    )
    recipe = parsed.build("recipe")
    assert (recipe.weight_optimiser.eps, recipe.epochs, recipe.batch_size) == (1e-6, 3, 16)
    assert parsed.build("space").channels == 8
    assert parsed.build("data").split.valid == 0.25
    assert parsed.build("settings").seed == 5


def test_other_epochs_move_the_warmup_unless_it_is_said_as_well(tmp_path: Path):
    assert told("--recipe", "gaea_gdas", "--epochs", "10").build("recipe").warmup == 2  # 50 of 250
    assert told("--recipe", "gaea_gdas", "--epochs", "1").build("recipe").warmup == 0
    assert told("--epochs", "10", "--recipe.warmup", "4", "--recipe", "gaea_gdas").build("recipe").warmup == 4
    (tmp_path / "short.toml").write_text("[settings]\nepochs = 10\n")
    assert told("--recipe", "gaea_gdas", "--config", str(tmp_path / "short.toml")).build("recipe").warmup == 2


def test_a_variant_says_what_it_starts_from_and_what_is_different(tmp_path: Path):
    path = tmp_path / "one_level.toml"
    path.write_text('base = "drnas"\nscheme = "SingleLevel"\nweight_optimiser.lr.start = 0.1\n')
    base = RECIPES["drnas"]()
    lr = replace(base.weight_optimiser.lr, start=0.1)
    expected = replace(base, scheme=SingleLevel(), weight_optimiser=replace(base.weight_optimiser, lr=lr))
    assert told("--recipe", str(path)).build("recipe") == expected
    assert told("--recipe", str(path), "--recipe.clip", "1").build("recipe") == replace(expected, clip=1.0)
    (tmp_path / "written.json").write_text(json.dumps(recipe_to_json(expected)))
    assert told("--recipe", str(tmp_path / "written.json")).build("recipe") == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('base = "dranas"', "did you mean 'drnas'?"),
        ("base = 3", "base in .* must be a recipe's name, or package.module:function, got 3"),
        ('base = "other.toml"', "got 'other.toml'"),
        ('base = "drnas"\nscheme = "SingelLevel"', "did you mean 'SingleLevel'?"),
        ('base = "drnas"\nepoch = 3', "did you mean 'epochs'?"),
        ("", "needs --recipe.name"),
    ],
)
def test_a_variant_is_refused_in_one_sentence(tmp_path: Path, text: str, says: str):
    (tmp_path / "v.toml").write_text(text)
    with pytest.raises(RecipeError, match=says):
        told("--recipe", str(tmp_path / "v.toml")).build("recipe")


def test_a_later_flag_wins():
    assert told("--epochs", "3", "--recipe.epochs", "4").build("recipe").epochs == 4
    assert told("--recipe.epochs", "4", "--epochs", "3").build("recipe").epochs == 3


def test_a_value_may_begin_with_a_dash():
    with pytest.raises(RecipeError, match="at least 1, got -3"):
        told("--epochs", "-3").build("recipe")


TOML = """
[settings]
recipe = "darts"
space = "toy"
epochs = 7
seed = 3
out = "runs/from-file"
checkpoint-seconds = 5

[recipe]
relaxation = "Dirichlet"
regularisers = ["DirichletKL"]
weight_optimiser.lr.start = 0.05
architecture_optimiser.lr = 0.001

[data.split]
valid = 0.25
"""


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_file_changes_what_the_names_stand_for_and_flags_win(tmp_path: Path, suffix: str):
    import tomllib

    path = tmp_path / f"settings.{suffix}"
    path.write_text(TOML if suffix == "toml" else json.dumps(tomllib.loads(TOML)))
    parsed = told("--config", str(path))
    recipe = parsed.build("recipe")
    assert (recipe.name, recipe.epochs, parsed.options.out) == ("darts", 7, "runs/from-file")
    assert recipe.regularisers == (DirichletKL(),)
    assert recipe.weight_optimiser.lr.start == 0.05
    assert recipe.architecture_optimiser.lr == Constant(0.001)
    assert parsed.build("space").name == "toy"
    assert parsed.build("data").split.valid == 0.25
    assert (parsed.build("settings").seed, parsed.build("settings").checkpoint_seconds) == (3, 5.0)

    flags = (
        "--recipe.weight-optimiser.lr.start",
        "0.5",
        "--epochs",
        "2",
        "--space",
        "nasbench201",
        "--out",
        "runs/y",
        "--seed",
        "0",
    )
    parsed = told("--config", str(path), *flags)
    recipe = parsed.build("recipe")
    assert (recipe.weight_optimiser.lr.start, recipe.epochs, parsed.options.out) == (0.5, 2, "runs/y")
    assert recipe.regularisers == (DirichletKL(),)
    assert parsed.build("space").name == "nasbench201"
    assert parsed.build("settings").seed == 0


def test_the_shortcuts_of_a_retraining_are_its_protocols():
    parsed = told("runs/x", "--epochs", "2", "--protocol", "nasbench201", "--random", "0", command="retrain")
    assert parsed.build("protocol").epochs == 2
    assert parsed.build("protocol").name == "nasbench201"
    assert (parsed.options.run, parsed.options.random) == ("runs/x", 0)


@pytest.mark.parametrize("command", ["evaluate", "retrain", "resume"])
def test_without_a_name_the_data_are_the_runs_own_wherever_they_are(command: str):
    assert told("runs/x", command=command).build("data") == Place()
    moved = told("runs/x", "--data.path", "x.npz", "--data.split.index-file", "lists.json", command=command)
    assert moved.build("data") == Place(path="x.npz", split=Lists(index_file="lists.json"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--recipe", "drna"], "did you mean 'drnas'?"),
        (["--space", "nasbench"], "did you mean 'nasbench201'?"),
        (["--data", "digit"], "did you mean 'digits'?"),
        (["--epoch", "3"], "did you mean --epochs?"),
        (["--recipe.epoch", "3"], "did you mean --recipe.epochs?"),
        (["--lr", "3"], "did you mean --recipe.weight-optimiser.lr or"),
        (["--recipe.relaxation.heat", "3"], "no flag --recipe.relaxation.heat"),
        (["--zzz", "3"], "see `mixop search --help-all`"),
        (["--data", "npz"], "Npz needs --data.path TEXT: the .npz file."),
        (["--out"], "--out needs a value"),
        (["--out", "--quiet"], "--out needs a value"),
        (["--quiet=1"], "takes no value"),
        (["digits"], "does not know what to do with 'digits'"),
        (["-e", "3"], "two dashes"),
        (["--recipe", "no_such_package:recipe"], "Cannot load 'no_such_package:recipe' for --recipe (No module named"),
        (["--recipe", "os:getcwd"], "must give a Recipe, a frozen dataclass, got str"),
        (["--recipe", "mixop.recipes:no_such"], "Cannot load"),
        (["--space", "mixop.spaces:Space"], "must give a Space, a frozen dataclass"),
        (["--data", "mixop.data:digits"], "must give a Source, a frozen dataclass, got Data"),
        (["--recipe.relaxation", "Softmx"], "did you mean 'Softmax'?"),
        (["--recipe.relaxation", "Softmax", "--recipe.relaxation.temperature", "0"], "must be greater than 0"),
        (["--recipe.weight-optimiser.lr", "-0.1"], "at least 0, got -0.1"),
        (["--recipe.weight-optimiser.lr", "0"], "greater than 0"),
        (["--epochs", "0"], "at least 1, got 0"),
        (["--epochs", "2.5"], "a whole number, got '2.5'"),
        (["--seed", "-1"], "at least 0, got -1"),
        (["--device", "gpu"], "device must be 'cpu'"),
        (["--checkpoint-seconds", "-1"], "at least 0"),
        (["--space.channels", "0"], "at least 1"),
        (["--data.split.valid", "1.5"], "greater than 0 and less than 1"),
    ],
)
def test_a_sentence_says_what_is_wrong(words: list[str], says: str):
    with pytest.raises(MixopError) as raised:
        build_all(*words)
    sentence = str(raised.value)
    assert says in sentence
    assert "\n" not in sentence
    assert sentence[-1] in ".?"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("missing.toml", None, "Cannot read the file"),
        ("settings.yaml", "a: 1", "ends in .toml or .json"),
        ("torn.toml", "[recipe]\nepochs = \n", "line 2"),
        ("torn.json", '{"recipe":\n  {"epochs": 3,}}', "line 2, column 1"),  # 15 from Python 3.13 on, 16 before
        ("list.json", "[1, 2]", "must be an object, got [1, 2]"),
        ("binary.toml", b"\xff\xfe", "UTF-8"),
        ("table.toml", "[recipes]\nepochs = 3", "did you mean 'recipe'?"),
        ("flat.toml", "recipe = 3", "must be a table"),
        ("key.toml", "[recipe]\nepoch = 3", "did you mean 'epochs'?"),
        ("deep.toml", "[recipe.weight_optimiser.lr]\nstrat = 3", "did you mean 'start'?"),
        ("setting.toml", "[settings]\nsede = 3", "did you mean 'seed'?"),
        ("kind.toml", "[settings]\nrecipe = 3", "must be a name, got 3"),
        ("type.toml", '[recipe]\nepochs = "3"', "recipe.epochs must be a whole number, got '3'"),
        ("part.toml", '[recipe.relaxation]\ntype = "Softmx"', "did you mean 'Softmax'?"),
        ("range.json", '{"recipe": {"clip": NaN}}', "holds NaN, which is no finite number"),
        ("out.toml", "[settings]\nout = 3", "settings.out must be"),
        ("nested.json", "[" * 100_000, "nested more than 64 deep"),
    ],
)
def test_a_file_is_refused_in_one_sentence(tmp_path: Path, name: str, text: Any, says: str):
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MixopError) as raised:
        told("--config", str(path)).build("recipe")
    assert says in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_table_of_another_command_is_refused(tmp_path: Path):
    path = tmp_path / "settings.toml"
    path.write_text("[recipe]\nepochs = 3\n")
    with pytest.raises(RecipeError, match="There is no table for mixop retrain called 'recipe'"):
        told("runs/x", "--config", str(path), command="retrain")


def test_fields_of_a_value_need_its_name():
    with pytest.raises(RecipeError, match="add --data NAME"):
        told("runs/x", "--data.layout", "nhwc", command="evaluate")
    with pytest.raises(RecipeError, match="add --space NAME"):
        told("runs/x", "--space.cells", "2", command="retrain")


def test_a_run_directory_is_needed():
    with pytest.raises(RecipeError, match="write mixop resume RUN"):
        told(command="resume")
    with pytest.raises(RecipeError, match="no flag --run"):
        told("runs/x", "--run", "runs/y", command="resume")
