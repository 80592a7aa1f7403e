"""What texts may name, and where modules of the user are found."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import mixop.cli
from mixop.core import trust
from mixop.core.errors import RecipeError
from mixop.core.names import check_name, load
from mixop.core.trust import allow, finding, grant, imported, may_name, named_in


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with modules that leave a trace when they run; none of them stays imported."""
    for name in ("mine_a", "mine_b", "triton_like"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / name)!r}, 'w').close()\nvalue = 7\n")
    (tmp_path / "mine_c.py").write_text("import mine_b\n\ndef later():\n    import triton_like\n    return triton_like.value\n")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("mine_", "triton_like")):
            del sys.modules[name]


def test_a_name_leads_to_what_is_imported_or_ours_and_to_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(
        RecipeError, match=r"^recipe.relaxation names 'mine_a:value', which would run code of mine_a: .*--trust mine_a"
    ):
        load("mine_a:value", "recipe.relaxation")
    assert not (folder / "mine_a").exists()
    assert load("numpy:ndarray", "it") is sys.modules["numpy"].ndarray
    imported("mine_a")
    assert load("mine_a:value", "it") == 7


@pytest.mark.parametrize("name", ["os:system", "subprocess:run", "builtins:exec", "posix:system", "importlib:import_module"])
def test_the_standard_library_is_nobodys_part(name: str):
    with pytest.raises(RecipeError, match="would run code of"):
        check_name(name, "the task")


def test_no_way_leads_through_a_module_to_another(monkeypatch: pytest.MonkeyPatch):
    module = ModuleType("somebodys_parts")
    module.os, module.system, module.cli, module.fine = os, os.system, mixop.cli, np.sum  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "somebodys_parts", module)
    for name in ("os", "os.system", "system", "cli.main"):
        with pytest.raises(RecipeError, match=r"would run code of|named without a module"):
            load(f"somebodys_parts:{name}", "the task", "function")
    assert load("somebodys_parts:fine", "the task", "function") is np.sum


def test_the_commands_of_mixop_are_no_parts(folder: Path):
    with finding(folder):
        for name in ("mixop.cli:main", "mixop.__main__:main", "mixop:api"):
            with pytest.raises(RecipeError, match="named without a module: write its bare name"):
                load(name, "base")
        with pytest.raises(RecipeError, match="a script or a notebook, which this process does not run"):
            load("__main__:main", "base")


def test_an_allowed_module_of_the_folder_is_found_and_no_other(folder: Path):
    before = list(sys.path)
    with finding(folder):
        allow(["mine_a"])
        assert load("mine_a:value", "it") == 7
        assert sys.path == before
        with pytest.raises(ModuleNotFoundError):  # as torch tries it
            __import__("triton_like")
        with pytest.raises(ModuleNotFoundError):
            imported("triton_like")
        with pytest.raises(ModuleNotFoundError):
            imported("mine_b")
    assert not may_name("mine_nowhere")
    assert not (folder / "triton_like").exists()


def test_a_module_of_the_folder_may_import_its_neighbours_then_and_later(folder: Path):
    with finding(folder):
        allow(["mine_c"])
        assert load("mine_c:later", "it")() == 7
        assert (folder / "mine_b").exists()
        given = grant()
    assert given.folder == str(folder)
    assert given.found == ("mine_c", "mine_b", "triton_like")
    assert "mine_c" in given.modules
    assert "os" not in given.modules
    assert not any(isinstance(finder, trust._Beside) for finder in sys.meta_path)


@pytest.mark.parametrize("name", ["missing", "mine_a.missing"])
def test_an_allowed_module_that_does_not_exist_is_one_sentence(folder: Path, name: str):
    with finding(folder):
        allow([name])
        with pytest.raises(RecipeError, match=f"Cannot load '{name}:X' for it"):
            load(f"{name}:X", "it")


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("mine.parts:Warm", ["mine.parts"]),
        ("darts,mine:recipe,other:recipe", ["mine", "other"]),
        ('[{"type": "mine:Warm"}]', ["mine"]),
        ("none,skip_connect,mine.ops:wide", ["mine.ops"]),
        ("DARTS_V2", []),
        ("http://host:80/x", []),
        ("/data/a:b", []),
        ("data:b/c", []),
        ("12:30", []),
        ("", []),
    ],
)
def test_the_users_words_name_modules(text: str, modules: list[str]):
    assert named_in(text) == modules


WORKER = """
import sys
from mixop.core.trust import Grant, receive
receive(Grant(frozenset({"mine_c"}), sys.argv[1], ("mine_c", "mine_b")))
import pickle
print(pickle.loads(b"cmine_c\\nlater\\n.").__name__, sys.argv[1] in sys.path)
"""


def test_a_worker_finds_what_its_parent_found(folder: Path):
    done: Any = subprocess.run([sys.executable, "-c", WORKER, str(folder)], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("later False", "")
