"""Reading back what a retraining left in its run directory: the network with its weights, and its score."""

import hashlib
from dataclasses import replace
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Generator, nn

from mixop.core.door import door
from mixop.core.errors import DataError, RunError
from mixop.core.files import read_file
from mixop.core.names import from_file
from mixop.core.values import check_names, from_plain
from mixop.data.core import Data, Part, Source
from mixop.data.given import MapStyle, given
from mixop.evaluate.protocol import protocol_from_json
from mixop.evaluate.score import Evaluated, evaluate_network
from mixop.nets.discrete import build
from mixop.nets.modules.space import PARTS
from mixop.runs.directory import RunDirectory
from mixop.runs.files import ARCHITECTURE, DATA, SCORE, SPACE, WEIGHTS
from mixop.runs.identity import RETRAINING_FILES
from mixop.runs.load import damaged
from mixop.runs.records import Score
from mixop.spaces.core import Architecture, Space
from mixop.spaces.describe import read_architecture


def read_space(run: RunDirectory) -> Space:
    """The search space of a run, with its sizes.

    Raises:
        RunError: if ``space.json`` is missing or torn.
        RecipeError: if it names a space that does not exist here.
    """
    content = run.read_json(SPACE)
    if "space" not in content:
        raise damaged(run / SPACE, "a space in 'space'", content)
    with from_file(run / SPACE):
        space = from_plain(content["space"], Space, PARTS, "space")
        check_names(space, "space")
    return space


def check_data(run: RunDirectory, data: Data) -> None:
    """Refuses data that is not what the run began with.

    Raises:
        RunError: if a pixel, a label or a split differs.
    """
    if run.read_json(DATA).get("fingerprint") != data.fingerprint:
        raise RunError(
            f"This is not the data that {run.path} began with (its fingerprint differs): restore the original files, or name "
            "the place where they are."
        )


def read_found(run: RunDirectory, space: Space) -> Architecture:
    """The architecture that a search found, or that a retraining trains.

    Raises:
        RunError: if ``architecture.json`` is missing or torn.
        SpaceError: if it is no architecture of the space, with the file.
    """
    content = run.read_json(ARCHITECTURE)
    with from_file(run / ARCHITECTURE):
        return read_architecture(space, content)


@door(RunError)
def load_network(run: str | Path) -> nn.Module:
    """The found network of a finished retraining, with its trained weights.

    Args:
        run: the run directory.

    Returns:
        A plain module in evaluation mode, on the CPU; its input is normalised as ``input`` in ``score.json`` says.

    Raises:
        RunError: if the retraining is not finished, or a file is missing, torn, changed or of another network.
    """
    return read_trained(RunDirectory(run))[0]


@door(RunError)
def evaluate_run(run: str | Path, data: Data | Source | MapStyle, part: Part = "test") -> Evaluated:
    """Scores a run's trained network once more, on its own test set or on another one.

    Inputs are normalised as they were in the training, whatever ``data`` says, and a text is read in as many columns.

    Args:
        run: the run directory.
        data: what is scored; task, shape and number type must be those of the run.
        part: which part of it.

    Raises:
        RunError: if the retraining is not finished, or a file is missing, torn, changed or of another network.
        DataError: if the data does not fit the network.
    """
    directory = RunDirectory(run)
    data = given(data)
    net, score = read_trained(directory)
    own, now = directory.read_json(DATA), data.describe()
    for key in ("task", "shape", "dtype"):
        if own.get(key) != now[key]:
            raise DataError(
                f"{data.name} does not fit the network of {directory.path}: its {key} must be {own.get(key)}, got {now[key]}."
            )
    normalise = replace(data.augment, mean=tuple(score.input["mean"]), std=tuple(score.input["std"]))
    with from_file(directory / SCORE):
        columns = protocol_from_json(score.protocol).score_columns
    return evaluate_network(net.to(data.device), replace(data, augment=normalise), part, columns=columns)


def read_score(run: RunDirectory) -> Score:
    """The score of a finished retraining.

    Raises:
        RunError: if it is not finished, or its file is damaged.
    """
    run.require()
    if not (run / SCORE).exists():
        raise RunError(f"{run.path} has no trained network yet: finish its retraining with `mixop retrain {run.path}`.")
    return run.score()


def read_trained(run: RunDirectory) -> tuple[nn.Module, Score]:
    """The trained network of a run, in evaluation mode, and its score.

    Raises:
        RunError: as `load_network`.
    """
    score = read_score(run)
    if not {"shape", "mean", "std"} <= score.input.keys():
        raise RunError(f"{run / SCORE} is damaged (its input is incomplete): restore it, or retrain into another --out.")
    space = read_space(run)
    with from_file(run / SCORE):
        protocol = protocol_from_json(score.protocol)
    architecture = read_found(run, space)
    run.check_binding(score.bound_to, RETRAINING_FILES, SCORE)
    # The generator keeps torch's global one as it is.
    net = build(architecture, protocol.sized(space), generator=Generator(), norm=protocol.norm)
    _load_weights(net, run / WEIGHTS, score.weights_sha256)
    return net.eval(), score


def _load_weights(net: nn.Module, path: Path, digest: str) -> None:
    try:
        content = read_file(path)
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
