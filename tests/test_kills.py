"""SIGKILL at any moment, for every recipe on every executor: a resumed search is the uninterrupted one, bit for bit.

Slow: about 3 seconds for each of some hundred pairs. Each is killed twice, once between two steps and once between the two
renames of a checkpoint, where the file of that name is missing.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mixop import api
from mixop.core.errors import MixopError
from mixop.data import digits
from mixop.data.core import Data
from mixop.data.toy import toy_set
from mixop.engine.fit import check_fit
from mixop.engine.settings import Settings
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.runs import checkpoint
from mixop.spaces import darts, nasbench201
from mixop.spaces.core import Space
from mixop.spaces.toy import Toy
from mixop.supernet.executors import EXECUTORS
from mixop.testing import first_difference

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.test_kills", "torch._dynamo"])


@cache
def images() -> Data:
    whole = digits(valid=0.5, seed=0)
    return whole.with_indices(whole.train[:48], whole.valid[:48])


def short(name: str) -> Recipe:
    recipe = RECIPES[name]()
    return replace(recipe, epochs=max(3, 2 * len(recipe.stages)), batch_size=16, warmup=min(recipe.warmup, 1))


@cache
def place(name: str, executor: Any) -> tuple[Space, Data] | None:
    """The first small space that a recipe and an executor can search; None if there is none."""
    candidates: list[Callable[[], tuple[Space, Data]]] = [
        lambda: (Toy(), toy_set(Toy(), n=96)),
        lambda: (nasbench201(channels=4, cells=1, stages=1), images()),
        lambda: (darts(cells=1, channels=16), images()),
    ]
    for candidate in candidates:
        space, data = candidate()
        try:
            check_fit(short(name), space.fit(data), data, Settings(executor=executor))
        except MixopError:
            continue
        return space, data
    return None


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def search_and_die(name: str, executor: Any, out: Path, moment: str) -> None:
    """A search, or its continuation, that kills its own process."""
    found = place(name, executor)
    assert found is not None
    replaced = 0
    rename = Path.replace

    def count(self: Path, target: Any) -> Path:
        nonlocal replaced
        moved = rename(self, target)
        if moment == "rename" and str(target).endswith(".pt.previous"):
            replaced += 1
            if replaced == 4:
                die()
        return moved

    def watch(record: Mapping[str, Any]) -> None:
        if moment == "step" and record.get("event") == "step" and (record["epoch"], record["step"]) == (2, 2):
            die()

    Path.replace = count  # type: ignore[method-assign]
    api.search(short(name), *found, out, seed=1, checkpoint_seconds=0, executor=executor, observe=watch)


@pytest.mark.slow
@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_search_continues_bit_for_bit(name: str, executor: Any, tmp_path: Path):
    found = place(name, executor)
    if found is None:
        pytest.skip(f"{executor} does not compute {name} on any of the small spaces")
    api.search(short(name), *found, tmp_path / "whole", seed=1, executor=executor)
    for moment in ("rename", "step"):
        child = _CONTEXT.Process(target=search_and_die, args=(name, executor, tmp_path / "torn", moment))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    api.resume(tmp_path / "torn", found[1])
    whole, torn = (checkpoint.load(tmp_path / run / "state.pt")["search"] for run in ("whole", "torn"))
    assert first_difference(whole, torn) is None
