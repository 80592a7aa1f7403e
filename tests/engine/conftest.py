"""Toy data and short recipes for the engine's tests."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mixop.data.core import Data
from mixop.data.toy import toy_set
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.recipe.core import Recipe
from mixop.recipes import darts
from mixop.runs.directory import RunDirectory
from mixop.spaces.toy import Toy


@pytest.fixture(scope="module")
def toy_data() -> Data:
    return toy_set(Toy(), n=96)


@pytest.fixture
def short() -> Callable[..., Recipe]:
    """DARTS for a few steps, with changes."""
    return lambda **changes: replace(darts(), **{"epochs": 4, "batch_size": 16, **changes})


@pytest.fixture
def job(tmp_path: Path, toy_data: Data) -> Callable[..., Search]:
    """A search of the toy space, not begun."""

    def make(recipe: Recipe, out: str = "run", **settings: object) -> Search:
        (tmp_path / out).mkdir(exist_ok=True)
        return Search(recipe, Toy(), toy_data, RunDirectory(tmp_path / out), Settings(**settings))

    return make
