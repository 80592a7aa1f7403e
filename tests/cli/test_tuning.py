"""``mixop tune``: its flags, its screens, its exit codes, and the page about it."""

import importlib.util
import json
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from mixop import api
from mixop.cli import main
from mixop.cli.arguments import parse
from mixop.cli.tuning import TUNE, _ranges
from mixop.comparison.ranges import OneOf, Range, Tuned
from mixop.core.values import from_plain
from mixop.recipe.parts import PARTS
from mixop.relax.base import Relaxation
from mixop.relax.softmax import Softmax

pytestmark = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason='needs pip install "mixop[hpo]"')

ROOT = Path(__file__).parents[2]
RATE = "recipe.architecture-optimiser.lr=1e-3:0.5:log"
SMALL = ("--recipe", "darts", "--space", "toy", "--data", "toy", "--data.n", "160", "--epochs", "2", "--batch-size", "16")


def ranges(*words: str) -> dict[str, Tuned]:
    parsed = parse(TUNE, words)
    return _ranges(parsed.options, parsed.trees)


def test_flags_say_what_is_tuned():
    assert ranges("--range", RATE, "--range", "recipe.epochs=2:5", "--range=protocol.label-smoothing=0:0.2") == {
        "recipe.architecture_optimiser.lr": Range(1e-3, 0.5, log=True),
        "recipe.epochs": Range(2, 5),
        "protocol.label_smoothing": Range(0, 0.2),
    }
    found = ranges("--choice", "recipe=darts,gaea", "--choice", "recipe.clip=1,5.5", "--choice", "space.channels=4,8")
    assert found == {
        "recipe": OneOf(("darts", "gaea")),
        "recipe.clip": OneOf((1, 5.5)),
        "space.channels": OneOf((4, 8)),
    }
    assert isinstance(found["space.channels"], OneOf)
    assert [type(option) for option in found["space.channels"].options] == [int, int]
    assert ranges("--choice", "recipe.perturbation=none,RandomSmoothing")["recipe.perturbation"] == OneOf(
        (None, "RandomSmoothing")
    )
    assert ranges("--choice", "recipe.architecture_augment=yes,no") == {"recipe.architecture_augment": OneOf((True, False))}
    assert ranges("--space", "resnet", "--choice", 'space.blocks=["1,1","2,2"]')["space.blocks"] == OneOf(([1, 1], [2, 2]))


def test_a_file_says_the_same(tmp_path: Path):
    file = tmp_path / "t.toml"
    file.write_text(f'[settings]\nrange = ["{RATE}"]\nchoice = ["recipe=darts,gaea"]\n')
    assert ranges("--config", str(file)) == ranges("--range", RATE, "--choice", "recipe=darts,gaea")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Nothing is tuned"),
        (("--range", "recipe.clip"), "--range takes FIELD=LOW:HIGH"),
        (("--range", "recipe.clip=3"), "--range takes FIELD=LOW:HIGH"),
        (("--range", "recipe.clip=1:2:linear"), "--range takes FIELD=LOW:HIGH"),
        (("--range", "recipe.clip=a:2"), "The bounds of --range are numbers, got 'a'"),
        (("--range", "recipe.clip=2:1"), "from a lower to a higher number"),
        (("--range", "recipe.clop=1:2"), "did you mean recipe.clip?"),
        (("--range", "recipe.clip=1:2", "--choice", "recipe.clip=1,2"), "recipe.clip is tuned twice"),
        (("--choice", "recip=darts"), "did you mean 'recipe'"),
        (("--choice", "recipe=dartz"), "did you mean 'darts'"),
        (("--range", RATE, "--sampler", "grid"), "tune.sampler|sampler must be"),
        (("--range", RATE, "--trials", "0"), "trials must be at least 1"),
        (("--range", RATE, "--cost", "flops", "--pruner", "median"), "Optuna prunes by one objective"),
        (("--range", RATE, "--table", "x", "--evaluate", "optimum"), "are for --evaluate table"),
        (("--range", RATE, "--storage", "nosql://x"), "Cannot open the storage"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_code_2(words: tuple[str, ...], sentence: str, tmp_path: Path, capsys: Any):
    assert main(["tune", *SMALL, "--out", str(tmp_path / "t"), *words]) == 2
    said = capsys.readouterr().err
    assert re.search(sentence.replace("?", r"\?"), said)
    assert said.count("\n") == 1


def test_its_screen_fits_and_its_settings_are_flags(tmp_path: Path, monkeypatch: Any, capsys: Any):
    monkeypatch.setenv("COLUMNS", "80")
    out = tmp_path / "t"
    parts = ["--choice", 'recipe.relaxation=["Softmax",{"type":"Softmax","temperature":2.0}]']
    words = ["tune", *SMALL, "--range", RATE, *parts, "--trials", "3", "--out", str(out)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == ["Trial 0", "Trial 1", "Trial 2", "3 trials"]
    assert all(len(line) <= 80 or str(tmp_path) in line or "--recipe" in line for line in lines)
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    for word, sentence in (("resume", "repeat the same `mixop tune`"), ("report", "each trial is a run: mixop report")):
        assert main([word, str(out)]) == 2
        assert sentence in capsys.readouterr().err
    assert (told["tuning"], told["study"], len(told["trials"])) == (str(out), "t", 3)
    flags = shlex.split(" ".join(line for line in lines if line.startswith("    --")))
    best = told["trials"][told["best"]]
    assert main(["search", *SMALL, *flags, "--out", str(tmp_path / "again"), "--quiet"]) == 0
    again, tuned = (api.read_recipe(api.RunDirectory(place)) for place in (tmp_path / "again", best["run"]))
    assert again == tuned
    wanted = best["settings"]["recipe.relaxation"]
    assert again.relaxation == (Softmax() if wanted == "Softmax" else from_plain(wanted, Relaxation, PARTS))


def test_where_all_fail_it_says_so_with_code_2(tmp_path: Path, capsys: Any):
    diverging = ["--recipe.weight-optimiser.lr", "1e30", "--choice", "recipe.clip=0,1e30"]
    assert main(["tune", *SMALL, *diverging, "--trials", "2", "--out", str(tmp_path / "t")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"None of the 2 trials in {tmp_path / 't'} has a score, for example trial 0: The gradient")
    assert said.count("\n") == 1


def test_a_signal_has_its_exit_code(tmp_path: Path, monkeypatch: Any, capsys: Any):
    words = ["tune", *SMALL, "--range", RATE, "--trials", "2", "--out", str(tmp_path / "t"), "--quiet"]
    from mixop.comparison import tune

    search = tune.search_and_score

    def pressed(*arguments: Any, **options: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return search(*arguments, **options)

    with monkeypatch.context() as changed:
        changed.setattr(tune, "search_and_score", pressed)
        assert main(words) == 128 + signal.SIGTERM
    assert main(words) == 0
    assert "2 trials: 2 scored" in capsys.readouterr().out


def test_the_page_is_true(tmp_path: Path, monkeypatch: Any, capsys: Any):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "tune.md").read_text()
    commands = [
        line for block in re.findall(r"^```sh\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE) for line in block.splitlines()
    ]
    assert len(commands) >= 3
    for line in commands:
        word, *words = shlex.split(line, comments=True)[1:]
        small = ["--trials", "2", "--epochs", "1", "--recipe.warmup", "0", "--space.channels", "2"] if word == "tune" else []
        if word == "tune" and "toy" in words:
            small = ["--trials", "2"]
        assert main([word, *words, *small]) == 0, capsys.readouterr().err
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE))
    assert "trials=20" in code
    exec(code.replace("trials=20", "trials=2"), {})
