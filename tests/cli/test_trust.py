"""A directory that comes from someone else runs no code; a user's own modules do, once they are named."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mixop.cli
from mixop.cli import main

TOY = ("--space", "toy", "--data", "toy", "--data.n", "96", "--batch-size", "16")
SRC = str(Path(mixop.cli.__file__).parents[2])
PART = (
    "from dataclasses import dataclass\nfrom pathlib import Path\nfrom mixop.relax.softmax import Softmax\n"
    "Path(__file__).with_name('it_ran').touch()\n"
    "@dataclass(frozen=True, kw_only=True)\nclass X(Softmax):\n    pass\n"
    "def same(batch, generator):\n    return batch\n"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search with its retraining."""
    out = tmp_path_factory.mktemp("runs") / "r"
    assert main(["search", *TOY, "--epochs", "1", "--out", str(out), "--quiet"]) == 0
    assert main(["retrain", str(out), "--epochs", "1", "--random", "0", "--quiet"]) == 0
    return out


@pytest.fixture
def poisoned(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Copies the run, with a module in it that could be imported, which one of its files names."""
    here = tmp_path / "r"
    shutil.copytree(run, here)
    (here / "evilmod.py").write_text(PART)
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)

    def poison(file: str, *path: str | int, value: Any) -> Path:
        content = json.loads((here / file).read_text())
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (here / file).write_text(json.dumps(content))
        return here

    return poison


CLASS, FUNCTION = {"type": "evilmod:X"}, {"type": "Preparation", "function": "evilmod:same"}


@pytest.mark.parametrize(
    ("command", "poison"),
    [
        (("resume",), ("recipe.json", "relaxation", CLASS)),
        (("resume",), ("space.json", "space", CLASS)),
        (("resume",), ("data.json", "source", CLASS)),
        (("resume",), ("retrain.json", "protocol", CLASS)),
        (("retrain",), ("space.json", "space", CLASS)),
        (("retrain",), ("data.json", "source", CLASS)),
        (("evaluate",), ("data.json", "source", CLASS)),
        (("evaluate",), ("score.json", "protocol", CLASS)),
        (("evaluate",), ("space.json", "space", CLASS)),
        (("export",), ("space.json", "space", CLASS)),
        (("export",), ("score.json", "protocol", CLASS)),
    ],
    ids=lambda value: " ".join(map(str, value[:2])),
)
def test_a_module_that_a_file_names_is_not_imported(
    poisoned: Callable[..., Path], capsys: pytest.CaptureFixture[str], command: tuple[str, ...], poison: tuple[Any, ...]
):
    file, *path, value = poison
    here = poisoned(file, *path, value=value)
    if command[0] == "resume" and file in ("recipe.json",):
        (here / "retrain.json").unlink()
    assert main([*command, str(here)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{here / file}: ")
    assert "'evilmod:X', which would run code of evilmod" in told
    assert "--trust evilmod" in told
    assert told.count("\n") == 1
    assert not (here / "it_ran").exists()


def test_a_function_that_a_file_names_is_not_imported(poisoned: Callable[..., Path], capsys: pytest.CaptureFixture[str]):
    here = poisoned("data.json", "source", value={"type": "Npz", "path": "x.npz", "augment": FUNCTION})
    assert main(["evaluate", str(here)]) == 2
    assert capsys.readouterr().err.startswith(f"{here / 'data.json'}: data names 'evilmod:same', which would run code")
    assert not (here / "it_ran").exists()


def test_what_the_user_trusts_is_imported_and_then_its_type_is_checked(
    poisoned: Callable[..., Path], capsys: pytest.CaptureFixture[str]
):
    here = poisoned("space.json", "space", value=CLASS)
    assert main(["evaluate", str(here), "--trust", "somebody.parts", "--trust", "evilmod"]) == 2
    assert "space.json: space must be Space, got 'evilmod:X'" in capsys.readouterr().err
    assert (here / "it_ran").exists()
    sys.modules.pop("evilmod")


@pytest.mark.parametrize("word", ["evil mod", "evil-mod", "evilmod:X", "../evil", ""])
def test_trust_takes_the_name_of_a_module(run: Path, capsys: pytest.CaptureFixture[str], word: str):
    assert main(["evaluate", str(run), f"--trust={word}"]) == 2
    assert f"--trust takes the name of a module, package.module, got {word!r}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ({"settings": {"trust": ["evilmod"]}}, "trust is given on the command line only"),
        ({"settings": {"recipe": "evilmod:X"}}, "--recipe names 'evilmod:X', which would run code"),
        ({"recipe": {"relaxation": "evilmod:X"}}, "recipe.relaxation names 'evilmod:X', which would run code"),
        ({"data": {"augment": FUNCTION}, "settings": {"data": "npz"}}, "--data.path"),
        ({"data": {"path": "x", "augment": FUNCTION}, "settings": {"data": "npz"}}, "data names 'evilmod:same'"),
        (
            {"space": {"type": "CellSpace", "operations": ["none", "evilmod:same"]}},
            "space names 'evilmod:same', which would run",
        ),
    ],
)
def test_a_settings_file_chooses_no_module(
    poisoned: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, text: dict[str, Any], says: str
):
    here, file = poisoned("run.json", "format", value=0), tmp_path / "settings.json"
    file.write_text(json.dumps(text))
    assert main(["search", "--config", str(file), "--out", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert str(file) in told or "--data.path" in told or "--recipe names" in told
    assert not (here / "it_ran").exists()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("text", [{"base": "evilmod:X"}, {"base": "darts", "relaxation": {"type": "evilmod:X"}}])
def test_a_recipe_file_chooses_no_module(
    poisoned: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, text: dict[str, Any]
):
    here, file = poisoned("run.json", "format", value=0), tmp_path / "mine.json"
    file.write_text(json.dumps(text))
    assert main(["search", "--recipe", str(file), *TOY, "--out", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{file}: ")
    assert "'evilmod:X', which would run code of evilmod" in told
    assert not (here / "it_ran").exists()


def test_a_file_beside_the_user_is_taken_for_nothing_that_is_imported(tmp_path: Path):
    """``python -m mixop`` puts the working directory first on the path; torch tries to import triton and torch_xla."""
    for name in ("triton", "torch_xla", "numpy", "rich", "apex", "optuna"):
        (tmp_path / f"{name}.py").write_text("from pathlib import Path\nPath(__file__).with_name('it_ran').touch()\n")
    (tmp_path / "evilmod.py").write_text(PART.replace("it_ran", "mine_ran"))
    # With the preloaded server of a comparison too: its workers unpickle a class of the user's own.
    words = (
        "--space",
        "toy",
        "--data",
        "toy",
        "--recipes",
        "darts,evilmod:recipe",
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--quiet",
        "--out",
        "c",
    )
    (tmp_path / "evilmod.py").write_text(
        PART.replace("it_ran", "mine_ran")
        + "def recipe():\n    from dataclasses import replace\n    from mixop.recipes import darts\n"
        "    return replace(darts(epochs=1), name='mine', relaxation=X())\n"
    )
    environment = {**os.environ, "PYTHONPATH": SRC}
    done = subprocess.run(
        [sys.executable, "-m", "mixop", "compare", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "mine_ran").exists()
    assert not (tmp_path / "it_ran").exists()
    written = json.loads((tmp_path / "c" / "recipe-0" / "recipe.json").read_text())
    assert written["relaxation"]["type"] == "evilmod:X"
