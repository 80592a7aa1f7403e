"""Exact resume: a child process is killed at random steps and resumed until it is done; its state equals, bit for bit,
that of the run left alone. For every recipe."""

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from mixop import api
from mixop.recipes import RECIPES
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.testing import first_difference, small_space

# Children are forked from one process that has imported everything: starting Python and torch anew takes seconds, and so does
# torch._dynamo, which optimisers import at their first step.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch._dynamo", "mixop.testing", "mixop.recipes"])


def search(name: str, out: Path, pipe: Connection) -> None:
    """What a child does: a search that saves after every step and tells each."""
    torch.set_num_threads(1)
    recipe = RECIPES[name]()
    stages = tuple(replace(stage, cells=min(stage.cells, number)) for number, stage in enumerate(recipe.stages))
    epochs = max(4, 2 * len(stages))  # of 3 steps
    recipe = replace(recipe, epochs=epochs, batch_size=16, warmup=min(recipe.warmup, 1), stages=stages)
    space, data = small_space(recipe)
    api.search(recipe, space, data, out, seed=3, checkpoint_seconds=0, observe=lambda r: pipe.send(r.get("event")))


def child(name: str, out: Path, then: Callable[[Any, Connection], Any]) -> Any:
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=search, args=(name, out, theirs))
    process.start()
    theirs.close()
    with ours:
        result = then(process, ours)
    process.join()
    process.close()
    return result


def finish(name: str, out: Path) -> None:
    def wait(process: Any, pipe: Connection) -> None:
        try:
            while True:
                pipe.recv()
        except EOFError:
            process.join()
        assert process.exitcode == 0

    child(name, out, wait)


def kill_after(name: str, out: Path, steps: int, pause: float) -> bool:
    """Starts a child and kills it a moment after that many steps; whether it was killed before it was done."""

    def kill(process: Any, pipe: Connection) -> bool:
        for _ in range(steps):
            pipe.recv()
        time.sleep(pause)
        process.kill()
        process.join()
        return process.exitcode < 0

    return child(name, out, kill)


@pytest.mark.parametrize("name", RECIPES)
def test_a_search_killed_at_random_steps_ends_bit_for_bit_like_one_left_alone(name, tmp_path):
    rng = random.Random(name)
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    finish(name, whole)
    kills = sum(kill_after(name, torn, rng.randint(1, 6), rng.random() * 0.003) for _ in range(2))
    assert kills == 2, "the child must have been killed in the middle"
    finish(name, torn)
    one, other = (checkpoint.load(out / "state.pt")["search"] for out in (whole, torn))
    assert first_difference(one, other) is None
    assert (whole / "architecture.json").read_bytes() == (torn / "architecture.json").read_bytes()
    records = [[replace(r, seconds=0.0) for r in RunDirectory(out).records()] for out in (whole, torn)]
    assert records[0] == records[1]
    assert [r.epoch for r in records[0]] == list(range(1, len(records[0]) + 1))


def test_the_environment_notes_every_continuation(tmp_path):
    kill_after("darts", tmp_path / "run", 2, 0.0)
    finish("darts", tmp_path / "run")
    environment = RunDirectory(tmp_path / "run").read_json("environment.json")
    assert len(environment["resumed"]) == 1
    assert environment["torch"]
    assert os.cpu_count() == environment["cores"]
