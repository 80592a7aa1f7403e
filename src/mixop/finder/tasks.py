"""What the workers of `find` do: train a network, search a space, or time one of the two; they leave a note when it is done."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixop.api import retrain, search
from mixop.core.errors import DivergedError
from mixop.core.surroundings import using
from mixop.data.portable import Portable
from mixop.engine.driver import Observer
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import Protocol
from mixop.measure.foresight import retraining_estimate, search_estimate
from mixop.recipe.core import Recipe
from mixop.runs.local import VISIBLE
from mixop.runs.write import write_bytes
from mixop.spaces.core import Architecture, Space


def train(
    *,
    architecture: Architecture,
    space: Space,
    data: Portable,
    protocol: Protocol,
    scope: Mapping[str, Any],
    folder: Path,
    note: Path,
    seed: int,
    device: str,
    threads: int,
    observe: Observer,
) -> None:
    """Trains a network in an ordinary run directory; that it diverged is a result, and noted.

    Args:
        scope: the parts that it is trained and scored on, as `mixop.retrain` takes them.
        note: the file of the note.
    """
    given = {"protocol": protocol, "seed": seed, "device": device, "threads": threads, "observe": observe, "progress": False}
    noted: dict[str, Any] = _where(device)
    try:
        retrain(architecture, space, data.load(), folder, **given, **scope)
    except DivergedError as error:
        noted["diverged"] = str(error)
    _write(note, noted)


def search_space(
    *,
    recipe: Recipe,
    space: Space,
    data: Portable,
    folder: Path,
    note: Path,
    seed: int,
    device: str,
    threads: int,
    observe: Observer,
) -> None:
    """Searches in an ordinary run directory.

    Args:
        note: the file of the note.
    """
    given = {"rates": "paper", "seed": seed, "device": device, "threads": threads, "executor": "auto"}
    search(recipe, space, data.load(), folder, **given, observe=observe, progress=False)
    _write(note, _where(device))


def time_trainings(
    *,
    networks: Sequence[tuple[str, Architecture, Space]],
    data: Portable,
    protocol: Protocol,
    note: Path,
    device: str,
    threads: int,
    observe: Observer,  # noqa: ARG001  # every task is given one
) -> None:
    """Notes the seconds that the training of each network would take, by its label.

    Args:
        networks: label, architecture and space of each.
        note: the file of the note.
    """
    loaded = data.load().to(device)
    with using(threads):
        found = {
            label: retraining_estimate(architecture, space, loaded, protocol, device=device).seconds
            for label, architecture, space in networks
        }
    _write(note, found)


def time_search(
    *,
    recipe: Recipe,
    space: Space,
    data: Portable,
    note: Path,
    seed: int,
    device: str,
    threads: int,
    observe: Observer,  # noqa: ARG001  # every task is given one
) -> None:
    """Notes the seconds that a search would take.

    Args:
        note: the file of the note.
    """
    settings = Settings(seed=seed, device=device, threads=threads, executor="auto")
    with using(threads):
        _write(note, {"seconds": search_estimate(recipe, space, data.load().to(device), settings).seconds})


def _where(device: str) -> dict[str, Any]:
    """The machine that this is, and the GPUs that its worker was given."""
    gpus = os.environ.get(VISIBLE, "") if device.startswith("cuda") else ""
    return {"machine": socket.gethostname(), **({"gpus": gpus} if gpus else {})}


def _write(note: Path, content: Mapping[str, Any]) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(note, json.dumps(content).encode())
