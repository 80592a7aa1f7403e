"""Run directories as mixop writes them, made up from formulas: nothing is trained here."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NASBENCH201 = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
DARTS = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]
DIGITS = [str(digit) for digit in range(10)]


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
    epochs: int = 50,
    groups: Sequence[str] = ("cell",),
    classes: Sequence[str] = DIGITS,
    errors: int = 7,
    rivals: Sequence[float] = (0.9694, 0.975, 0.9583, 0.9722),
    upto: str = "score",
) -> Path:
    """A run directory as it stands after ``start``, ``search``, ``architecture`` or ``score``."""
    two = len(groups) > 1
    options = DARTS if two else NASBENCH201
    inputs, nodes = (2, 6) if two else (1, 4)
    output = [2, 3, 4, 5] if two else [3]
    pairs = full_edges(nodes, inputs)
    path.mkdir(parents=True, exist_ok=True)
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
            "space": {"type": "Darts" if two else "NasBench201", "channels": 16, "cells": 5, "classes": len(classes)},
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
            "classes": list(classes),
            "train": 1437,
            "test": 360,
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

    records: list[dict[str, Any]] = []
    for epoch in range(epochs):
        done = epoch / max(epochs - 1, 1)
        all_weights = np.concatenate([weights[epoch] for weights in mix.values()])
        train, valid = (0.1 + 2.2 * math.exp(-4 * done) + 0.05 * generator.random() + more for more in (0.0, 0.07 * done))
        records.append(
            {
                "phase": "search",
                "epoch": epoch + 1,
                "epochs": epochs,
                "seconds": 3.1 * (epoch + 1),  # since the search began
                "train_loss": train,
                "train_accuracy": math.exp(-0.45 * train),
                "valid_loss": valid,
                "valid_accuracy": math.exp(-0.45 * valid),
                "learning_rate": 0.025 * (1 - done),
                "entropy": float(-(all_weights * np.log(all_weights)).sum(-1).mean()),
                "skip_share": float(all_weights[:, skip].mean()),
                "mix": {group: weights[epoch].tolist() for group, weights in mix.items()},
                "architecture": derived(epoch),
            }
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

    confusion = confusion_matrix(len(classes), 36, errors)
    images = sum(map(sum, confusion))
    accuracies = {"found": 1 - errors / images, **{f"random {n + 1}": accuracy for n, accuracy in enumerate(rivals)}}
    for number, label in enumerate(accuracies):
        for epoch in range(20):
            loss = 0.05 + 2.2 * math.exp(-(0.2 + 0.03 * number) * epoch)
            records.append(
                {
                    "phase": "retrain",
                    "label": label,
                    "epoch": epoch + 1,
                    "epochs": 20,
                    "seconds": 1.5 * (epoch + 1),
                    "train_loss": loss,
                    "train_accuracy": math.exp(-0.4 * loss),
                    "learning_rate": 0.1,
                }
            )
    write_records(path, records)
    natives = {"found": native}
    write_json(
        path / "score.json",
        {
            "networks": [
                {
                    "label": label,
                    "architecture": natives.get(label, nasbench201_string([NASBENCH201[(n + e) % 5] for e in range(6)])),
                    "test_accuracy": accuracy,
                    "test_loss": 0.08 + 0.01 * n,
                    "parameters": 73310 + 4321 * n,
                    "flops": 1270000 + 31000 * n,
                    "seconds": 31.4,
                    "epochs": 20,
                    "seed": 0,
                }
                for n, (label, accuracy) in enumerate(accuracies.items())
            ],
            "confusion": confusion,
            "classes": list(classes),
            "protocol": {"epochs": 20, "learning_rate": 0.1, "label_smoothing": 0.1},
        },
    )
    return path


def write_records(path: Path, records: Sequence[dict[str, Any]]) -> None:
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def run_at(tmp_path: Path) -> Callable[..., Path]:
    """Makes a run directory under the test's own; arguments as `make_run`."""
    return lambda name="digits", **changes: make_run(tmp_path / "runs" / name, **changes)
