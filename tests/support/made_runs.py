"""Run directories as mixop writes them, made up from formulas: nothing is trained here. A plugin of the whole suite."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.runs.files import FORMAT
from mixop.runs.records import Column, NetworkScore, RetrainingRecord, Scope, Score, SearchRecord, to_record

NASBENCH201 = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
DARTS = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]
DIGITS = [str(digit) for digit in range(10)]


@dataclass(frozen=True)
class MadeTask:
    """A task of made-up runs: its JSON data, its measures, the shape of an input, and its measures at a given loss."""

    plain: Mapping[str, Any]
    measures: tuple[Measure, ...]
    shape: tuple[int, ...]
    at: Callable[[float], dict[str, float | None]]


CLASSES = MadeTask(
    {"type": "Classification"}, (ACCURACY, LOSS), (1, 8, 8), lambda loss: {"accuracy": math.exp(-0.45 * loss), "loss": loss}
)
HEIGHTS = MadeTask(  # lower is better, and no classes
    {"type": "Regression", "unit": "mm"},
    (
        Measure("rmse", "lower", "mm"),
        Measure("r2", "higher"),
        Measure("loss", "lower"),
    ),
    (30,),
    lambda loss: {"rmse": 12 * math.sqrt(loss), "r2": 1 - loss, "loss": loss},
)
TEXT = MadeTask(  # a single measure, the loss itself
    {"type": "LanguageModel"}, (Measure("loss", "lower", "nats a token"),), (1065, 32), lambda loss: {"loss": loss}
)
TASKS = {"classes": CLASSES, "heights": HEIGHTS, "text": TEXT}
COUNTS = {"train": 718, "valid": 719, "test": 360}


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2))


def full_edges(nodes: int, inputs: int) -> list[tuple[int, int]]:
    return [(source, target) for target in range(inputs, nodes) for source in range(target)]


def mixing_weights(epochs: int, edges: int, options: int, *, seed: int) -> np.ndarray:
    """Weights ``(T, E, O)`` that begin uniform and become decided."""
    generator = np.random.default_rng(seed)
    logits = np.cumsum(generator.normal(0, 0.12, (epochs, edges, options)), axis=0)
    logits += np.linspace(0, 1, epochs)[:, None, None] * generator.normal(0, 1.2, (edges, options))
    weights = np.exp(logits)
    return weights / weights.sum(-1, keepdims=True)


def nasbench201_string(operations: Sequence[str]) -> str:
    names = iter(operations)
    return "+".join("|" + "".join(f"{next(names)}~{source}|" for source in range(target)) for target in (1, 2, 3))


def confusion_matrix(classes: int, per_class: int, errors: int, *, seed: int = 0) -> list[list[int]]:
    """Counts with ``per_class`` images in each row, of which ``errors`` in all are wrong."""
    generator = np.random.default_rng(seed)
    counts = np.eye(classes, dtype=int) * per_class
    for _ in range(errors):
        true, shift = generator.integers(classes), generator.integers(1, classes)
        counts[true, true] -= 1
        counts[true, (true + shift) % classes] += 1
    return counts.tolist()


def make_run(
    path: Path,
    *,
    task: str = "classes",
    epochs: int = 50,
    groups: Sequence[str] = ("cell",),
    classes: Sequence[str] = DIGITS,
    errors: int = 7,
    found: float = 3.25,
    rivals: Sequence[float] | None = None,
    rival: str = "random",
    scored_on: str = "test",
    columns: Callable[[int], Mapping[str, Column]] = lambda epoch: {},
    upto: str = "score",
) -> Path:
    """A run directory as it stands after ``start``, ``search``, ``architecture`` or ``score``.

    Args:
        path: the directory.
        task: of `TASKS`.
        epochs: of the search.
        groups: one for a NAS-Bench-201 cell, two for DARTS.
        classes: their names, with 36 scored examples each.
        errors: of the found network of a classification.
        found: what it scores in another task.
        rivals: what the networks beside it score.
        rival: what these are called.
        scored_on: ``test`` or ``valid``.
        columns: what monitors added, by epoch.
        upto: how far it went.
    """
    made = TASKS[task]
    if rivals is None:
        rivals = (0.9694, 0.975, 0.9583, 0.9722) if task == "classes" else (3.5, 3.4, 3.75, 4.0)
    two = len(groups) > 1
    options = DARTS if two else NASBENCH201
    inputs, nodes = (2, 6) if two else (1, 4)
    output = [2, 3, 4, 5] if two else [3]
    pairs = full_edges(nodes, inputs)
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / "run.json", {"format": FORMAT})
    write_json(
        path / "recipe.json",
        {
            "type": "Recipe",
            "name": "drnas",
            "relaxation": {"type": "Dirichlet", "start": 1.0},
            "regulariser": {"type": "ConcentrationL2", "strength": 0.001},
            "scheme": {"type": "FirstOrder"},
            "weights": {
                "type": "Sgd",
                "lr": {"type": "Cosine", "start": 0.025, "stop": 0.001},
                "momentum": 0.9,
                "decay": 0.0003,
            },
            "derive": {"type": "Argmax"},
            "batch": 64,
            "epochs": epochs,
            "warmup": None,
        },
    )
    write_json(
        path / "space.json",
        {
            "space": {"type": "Darts" if two else "NasBench201", "channels": 16, "cells": 5},
            "groups": [
                {"name": g, "decisions": [{"source": s, "target": t, "options": options} for s, t in pairs]} for g in groups
            ],
            "graphs": {g: {"inputs": inputs, "nodes": nodes, "output": output} for g in groups},
        },
    )
    write_json(
        path / "environment.json",
        {
            "mixop": "0.1.0",
            "python": "3.11.9",
            "torch": "2.6.0+cpu",
            "platform": "Linux-6.1-x86_64",
            "processor": "AMD EPYC",
            "cores": 2,
            "threads": 2,
            "device": "cpu",
            "commit": "38f7eaf0c1",
            "seed": 0,
            "command": "mixop search --recipe drnas --space nasbench201 --data digits --out runs/digits",
            "started": "2025-03-01T12:30:05+00:00",
            "resumed": [
                {"command": command} for command in ("mixop resume runs/digits", "mixop retrain runs/digits --epochs 20")
            ],
        },
    )
    write_json(
        path / "data.json",
        {
            "name": "digits",
            "task": {**made.plain, **({"classes": list(classes)} if task == "classes" else {})},
            "measures": [measure.to_json() for measure in made.measures],
            "shape": list(made.shape),
            "tokens": task == "text",
            "counts": COUNTS,
            **({"class_counts": {part: [72] * len(classes) for part in COUNTS}} if task == "classes" else {}),
            "fingerprint": "9f2c51d0",
            "record": {"source": "scikit-learn"},
        },
    )
    if upto == "start":
        return path

    mix = {group: mixing_weights(epochs, len(pairs), len(options), seed=n) for n, group in enumerate(groups)}
    skip = options.index("skip_connect")
    generator = np.random.default_rng(1)

    def derived(epoch: int) -> str:
        best = [options[o] for o in mix[groups[0]][epoch].argmax(-1)]
        return f"normal={best}" if two else nasbench201_string(best)

    records: list[Any] = []
    for epoch in range(epochs):
        done = epoch / max(epochs - 1, 1)
        all_weights = np.concatenate([weights[epoch] for weights in mix.values()])
        train, valid = (0.1 + 2.2 * math.exp(-4 * done) + 0.05 * generator.random() + more for more in (0.0, 0.07 * done))
        records.append(
            SearchRecord(
                epoch=epoch + 1,
                epochs=epochs,
                seconds=3.1 * (epoch + 1),  # since the search began
                train=made.at(train),
                valid=made.at(valid),
                learning_rate=0.025 * (1 - done),
                architecture_rate=0.001,
                entropy=float(-(all_weights * np.log(all_weights)).sum(-1).mean()),
                skip_share=float(all_weights[:, skip].mean()),
                mix={group: tuple(map(tuple, weights[epoch].tolist())) for group, weights in mix.items()},
                architecture=derived(epoch),
                columns=columns(epoch + 1),
            )
        )
    write_records(path, records)
    if upto == "search":
        return path

    native = derived(epochs - 1)
    cells = {}
    for group in groups:
        best = mix[group][-1].argmax(-1)
        kept = [e for e, (_, t) in enumerate(pairs) if not two or e in [k for k, p in enumerate(pairs) if p[1] == t][-2:]]
        edges = [{"decision": e, "source": pairs[e][0], "target": pairs[e][1], "operation": options[best[e]]} for e in kept]
        cells[group] = {"inputs": inputs, "nodes": nodes, "output": output, "edges": edges}
    write_json(path / "architecture.json", {"space": "darts" if two else "nasbench201", "native": native, "cells": cells})
    if upto == "architecture":
        return path

    confusion = confusion_matrix(len(classes), 36, errors) if task == "classes" else []
    examples = sum(map(sum, confusion)) or COUNTS[scored_on]
    values = {
        "found": 1 - errors / examples if task == "classes" else found,
        **{f"{rival} {n + 1}": value for n, value in enumerate(rivals)},
    }
    for number, label in enumerate(values):
        for epoch in range(20):
            loss = 0.05 + 2.2 * math.exp(-(0.2 + 0.03 * number) * epoch)
            records.append(
                RetrainingRecord(
                    label=label, epoch=epoch + 1, epochs=20, seconds=1.5 * (epoch + 1), train=made.at(loss), learning_rate=0.1
                )
            )
    write_records(path, records)
    natives = {"found": native}
    score = Score(
        networks=tuple(
            NetworkScore(
                label=label,
                architecture=natives.get(label, nasbench201_string([NASBENCH201[(n + e) % 5] for e in range(6)])),
                measures={**made.at(0.08 + 0.01 * n), made.measures[0].name: value},
                parameters=73310 + 4321 * n,
                flops=1270000 + 31000 * n,
                seconds=31.4,
                epochs=20,
                seed=0,
            )
            for n, (label, value) in enumerate(values.items())
        ),
        trained_on=Scope(parts=("train", "valid"), examples=1437)
        if scored_on == "test"
        else Scope(parts=("train",), examples=718),
        scored_on=Scope(parts=(scored_on,), examples=examples),
        task=made.plain,
        measures=made.measures,
        protocol={"epochs": 20, "learning_rate": 0.1, "label_smoothing": 0.1},
        input={"shape": list(made.shape), "mean": [0.3], "std": [0.4]},
        weights_sha256="0" * 64,
        bound_to={},
        classes=tuple(classes) if confusion else (),
        confusion=tuple(map(tuple, confusion)),
    )
    write_json(path / "score.json", to_record(score))
    return path


def write_records(path: Path, records: Sequence[Any]) -> None:
    """The metrics of these records."""
    (path / "metrics.jsonl").write_text("".join(json.dumps(to_record(record)) + "\n" for record in records))


def lines_of(run: Path) -> list[dict[str, Any]]:
    """The metrics as JSON data, to be changed."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def write_lines(run: Path, lines: Sequence[Any]) -> None:
    """JSON data as the metrics."""
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def append_line(run: Path, line: Any) -> None:
    """One more, in one write, as a run that goes on does: whoever reads meanwhile never sees the file empty."""
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture
def run_at(tmp_path: Path) -> Callable[..., Path]:
    """Makes a run directory under the test's own; arguments as `make_run`."""
    return lambda name="digits", **changes: make_run(tmp_path / "runs" / name, **changes)
