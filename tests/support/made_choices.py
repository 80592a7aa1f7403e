"""Runs over the choices in a model, made up: a run of cells with other decisions. A plugin of the whole suite."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import lines_of, make_run, mixing_weights, write_json, write_lines

BLOCK = {
    "conv": ["conv3", "conv5", "conv7", "separable_with_a_long_name"],
    "conv.conv3.norm": ["batch", "group"],
    "attend": ["none", "heads4"],
}


def choices_run(path: Path, *, blocks: int = 6, epochs: int = 30, upto: str = "score") -> Path:
    """A run directory over some blocks, each with a choice inside of a choice, and a choice of inputs.

    In every block that takes another option than conv3, the inner choice is not reached.
    """
    make_run(path, epochs=epochs, upto=upto)
    shapes = {f"stages.0.blocks.{k}.{name}": options for k in range(blocks) for name, options in BLOCK.items()}
    shapes = {"width": ["0.5", "1.0"], **shapes}
    inputs = ["stem", *(f"block{k}" for k in range(blocks))]
    groups = [{"name": n, "decisions": [{"source": 0, "target": 1, "options": o}]} for n, o in shapes.items()]
    rows = [{"source": k, "target": len(inputs), "options": ["leave", "take"]} for k in range(len(inputs))]
    groups.append({"name": "pick", "decisions": rows, "inputs": inputs})
    plain = {"type": "ModuleSpace", "factory": "my_package.nets:Net", "arguments": {"width": 16}, "name": "Net"}
    write_json(path / "space.json", {"space": plain, "groups": groups, "graphs": {}})
    mix: dict[str, np.ndarray] = {
        g["name"]: mixing_weights(epochs, len(g["decisions"]), len(g["decisions"][0]["options"]), seed=n)
        for n, g in enumerate(groups)
    }

    def derived(epoch: int) -> dict[str, Any]:
        best = {name: options[mix[name][epoch, 0].argmax()] for name, options in shapes.items()}
        kept = {n: o for n, o in best.items() if not n.endswith(".norm") or best[n.removesuffix(".conv3.norm")] == "conv3"}
        return {**kept, "pick": [inputs[k] for k in range(len(inputs)) if mix["pick"][epoch, k, 1] > 0.5]}

    def native(epoch: int) -> str:
        told = derived(epoch)
        return ", ".join(f"{n}={'+'.join(v) or 'none' if isinstance(v, list) else v}" for n, v in told.items())

    lines = lines_of(path) if (path / "metrics.jsonl").exists() else []
    for line in lines:
        if line.get("phase", "search") == "search" and "mix" in line:
            epoch = line["epoch"] - 1
            line["mix"] = {name: weights[epoch].tolist() for name, weights in mix.items()}
            line["architecture"] = native(epoch)
    if lines:
        write_lines(path, lines)
    if (path / "architecture.json").exists():
        costs = {
            name: {option: {"flops": 1000.0 * n, "parameters": 10.0 * n} for n, option in enumerate(options)}
            for name, options in shapes.items()
        }
        found = {"space": "Net", "native": native(epochs - 1), "cells": {}, "choices": derived(epochs - 1)}
        write_json(path / "architecture.json", found)
        write_json(path / "costs.json", costs)
    if (path / "score.json").exists():
        score = json.loads((path / "score.json").read_text())
        for n, network in enumerate(score["networks"]):
            network["architecture"] = native(max(epochs - 1 - n, 0))
        write_json(path / "score.json", score)
    return path


@pytest.fixture
def choices_at(tmp_path: Path) -> Callable[..., Path]:
    """Makes a run directory under the test's own; arguments as `choices_run`."""
    return lambda name="choices", **changes: choices_run(tmp_path / "runs" / name, **changes)
