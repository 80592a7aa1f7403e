"""Exact resume: a search whose process is killed equals, bit for bit, the search left alone.

Every search kills itself twice: between the two renames of a checkpoint, where the file of that name is missing, and
between two steps. No moment depends on how fast the machine is. `mixop.testing.check_recipe` stops every recipe within its
process; killing all of them, on every executor, is slow.
"""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from killed import CONTEXT

from mixop import api
from mixop.core.errors import MixopError
from mixop.data import digits, from_text
from mixop.data.core import Data
from mixop.data.toy import toy_set
from mixop.engine.fit import check_fit
from mixop.engine.settings import Settings
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.spaces import DartsRnn, darts, nasbench201
from mixop.spaces.core import Space
from mixop.spaces.toy import Toy
from mixop.supernet.executors import EXECUTORS
from mixop.testing import first_difference

SIX = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3")
"""One option more than the second stage of P-DARTS keeps, of each kind one."""

Moment = Literal["rename", "step", "never"]

EVERY_DAY = ("darts2", "darts_pt", "drnas_progressive_201", "bayesnas", "darts_rnn")
"""Recipes that keep most besides weights: momenta, decisions, stages, widened weights, relevance, hidden states."""


@cache
def images() -> Data:
    whole = digits(valid=0.5, seed=0)
    return whole.with_indices(whole.train[:48], whole.valid[:48])


@cache
def text() -> tuple[Space, Data]:
    said = "the cat sat on the mat\nthe mat was red\n"
    return DartsRnn(hidden=6, nodes=3), from_text(train=said * 12, valid=said * 8, test=said, window=5)


def short(name: str) -> Recipe:
    recipe = RECIPES[name]()
    stages = tuple(replace(stage, cells=min(stage.cells, number)) for number, stage in enumerate(recipe.stages))
    epochs = max(4, 2 * len(stages))  # of 3 steps
    return replace(recipe, epochs=epochs, batch_size=16, warmup=min(recipe.warmup, 1), stages=stages)


@cache
def place(name: str, executor: Any) -> tuple[Space, Data] | None:
    """The first small space that a recipe and an executor can search; None if there is none."""
    candidates: list[Callable[[], tuple[Space, Data]]] = [
        lambda: (Toy(), toy_set(Toy(), n=96)),
        lambda: (nasbench201(channels=4, cells=1, stages=1), images()),
        lambda: (darts(cells=1, channels=12, operations=SIX), images()),
        text,
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


def search(name: str, executor: Any, out: Path, moment: Moment) -> None:
    """What a child does: a search, or its continuation, that saves after every step and kills its own process."""
    found = place(name, executor)
    assert found is not None
    saved = 0
    rename = Path.replace

    def renamed(self: Path, target: Any) -> Path:
        nonlocal saved
        moved = rename(self, target)
        saved += str(target).endswith("state.pt.previous")
        if moment == "rename" and saved == 3:
            die()
        return moved

    def watch(record: Mapping[str, Any]) -> None:
        if moment == "step" and record.get("event") == "step" and (record["epoch"], record["step"]) == (3, 2):
            die()

    Path.replace = renamed  # type: ignore[method-assign]
    api.search(short(name), *found, out, seed=3, checkpoint_seconds=0, threads=1, executor=executor, observe=watch)


def run(name: str, executor: Any, out: Path, moment: Moment) -> None:
    child = CONTEXT.Process(target=search, args=(name, executor, out, moment))
    child.start()
    child.join()
    assert child.exitcode == (0 if moment == "never" else -signal.SIGKILL)
    child.close()


PAIRS = [
    pytest.param(name, executor, marks=() if executor == "nodewise" and name in EVERY_DAY else pytest.mark.slow)
    for name in RECIPES
    for executor in EXECUTORS
]


@pytest.mark.parametrize(("name", "executor"), PAIRS)
def test_a_killed_search_ends_bit_for_bit_like_one_left_alone(name: str, executor: Any, tmp_path: Path):
    if place(name, executor) is None:
        pytest.skip(f"{executor} does not compute {name} on any of the small spaces")
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    run(name, executor, whole, "never")
    for moment in ("rename", "step", "never"):
        run(name, executor, torn, moment)
    one, other = (checkpoint.load(out / "state.pt")["search"] for out in (whole, torn))
    assert first_difference(one, other) is None
    assert (whole / "architecture.json").read_bytes() == (torn / "architecture.json").read_bytes()
    records = [[replace(r, seconds=0.0) for r in RunDirectory(out).records()] for out in (whole, torn)]
    assert records[0] == records[1]
    assert [r.epoch for r in records[0]] == list(range(1, len(records[0]) + 1))


def test_the_environment_notes_every_continuation(tmp_path: Path):
    for moment in ("rename", "never"):
        run("darts", "nodewise", tmp_path / "run", moment)
    environment = RunDirectory(tmp_path / "run").read_json("environment.json")
    assert len(environment["resumed"]) == 1
    assert environment["torch"]
    assert os.cpu_count() == environment["cores"]
