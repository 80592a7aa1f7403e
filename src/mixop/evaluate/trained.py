"""Reading back what a retraining left in its run directory: the network with its weights, and its score."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Generator, nn

from mixop.core.errors import DataError, RunError
from mixop.core.values import from_plain
from mixop.data.core import Data
from mixop.evaluate.protocol import protocol_from_json
from mixop.evaluate.score import evaluate_network
from mixop.nets.discrete import build
from mixop.runs.directory import RunDirectory
from mixop.spaces import SPACE_TYPES
from mixop.spaces.core import Space
from mixop.spaces.describe import read_architecture, with_shape

_INPUT = ("channels", "size", "mean", "std")


def read_space(run: RunDirectory) -> Space:
    """The search space of a run, with its sizes.

    Raises:
        RunError: if ``space.json`` is missing or torn.
        RecipeError: if it names a space that does not exist here.
    """
    content = run.read_json("space.json")
    try:
        return from_plain(with_shape(content["space"]), Space, SPACE_TYPES, "space")
    except (KeyError, TypeError) as error:
        raise _damaged(run / "space.json", error) from error


def load_network(run: str | Path) -> nn.Module:
    """The found network of a finished retraining, with its trained weights.

    Args:
        run: the run directory.

    Returns:
        A plain module in evaluation mode, on the CPU; its input is normalised as ``input`` in ``score.json`` says.

    Raises:
        RunError: if the retraining is not finished, or a file is missing, torn, changed or of another network.
    """
    return _load(RunDirectory(run))[0]


def evaluate_run(run: str | Path, data: Data) -> dict[str, Any]:
    """Scores a run's trained network anew, on its own test set or on another one.

    Images are normalised as they were in the training, whatever ``data`` says.

    Args:
        run: the run directory.
        data: its test set is read; classes, shape and number type must be those of the run.

    Returns:
        As `evaluate_network`.

    Raises:
        RunError: if the retraining is not finished, or a file is missing, torn, changed or of another network.
        DataError: if the data does not fit the network.
    """
    directory = RunDirectory(run)
    net, score = _load(directory)
    own, given = directory.read_json("data.json"), data.describe()
    for key in ("classes", "shape", "dtype"):
        if own.get(key) != given[key]:
            raise DataError(
                f"{data.name} does not fit the network of {directory.path}: its {key} must be {own.get(key)}, got {given[key]}."
            )
    normalise = replace(data.augment, mean=tuple(score["input"]["mean"]), std=tuple(score["input"]["std"]))
    return evaluate_network(net.to(data.x.device), replace(data, augment=normalise))


def _load(run: RunDirectory) -> tuple[nn.Module, dict[str, Any]]:
    """The network and the content of ``score.json``."""
    run.require()
    if not (run / "score.json").exists():
        raise RunError(f"{run.path} has no trained network yet: finish its retraining with `mixop retrain {run.path}`.")
    score = run.read_json("score.json")
    try:
        plain, digest, _ = score["protocol"], score["weights_sha256"], [score["input"][key] for key in _INPUT]
    except (KeyError, TypeError) as error:
        raise _damaged(run / "score.json", error) from error
    space, protocol = read_space(run), protocol_from_json(plain)
    architecture = read_architecture(space, run.read_json("architecture.json"))
    # The generator keeps torch's global one as it is.
    net = build(architecture, protocol.sized(space), generator=Generator(), norm=protocol.norm)
    _load_weights(net, run / "weights.safetensors", digest)
    return net.eval(), score


def _load_weights(net: nn.Module, path: Path, digest: str) -> None:
    try:
        content = path.read_bytes()
        weights = safetensors.torch.load(content)
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{path} is missing or torn ({error}): restore it, or retrain into another --out.") from error
    expected = {name: list(value.shape) for name, value in net.state_dict().items()}
    given = {name: list(value.shape) for name, value in weights.items()}
    for name in [*expected, *given]:
        if given.get(name) != expected.get(name):
            raise RunError(
                f"{path} holds the weights of another network (shape of {name}: {expected.get(name, 'absent')} expected, "
                f"{given.get(name, 'absent')} found): restore it, or retrain into another --out."
            )
    if hashlib.sha256(content).hexdigest() != digest:
        raise RunError(
            f"{path} was changed after its training (its checksum is not the one in score.json): "
            "restore it, or retrain into another --out."
        )
    net.load_state_dict(weights)


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path} is damaged ({type(error).__name__}: {error}): restore it, or retrain into another --out.")
