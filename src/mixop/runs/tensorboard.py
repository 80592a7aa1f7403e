"""TensorBoard as a view of a run's metrics: ``metrics.jsonl`` stays the truth, the event files can be made anew at any time."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mixop.core.errors import MissingExtraError, RunError
from mixop.runs.directory import RunDirectory

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

FOLDER = "tensorboard"

_SCALARS = {
    "train_loss": "loss/train",
    "valid_loss": "loss/valid",
    "train_accuracy": "accuracy/train",
    "valid_accuracy": "accuracy/valid",
    "entropy": "mixing weights/entropy",
    "skip_share": "mixing weights/skip share",
    "learning_rate": "learning rate/weights",
    "architecture_rate": "learning rate/architecture",
}

Names = Mapping[str, list[tuple[str, list[str]]]]
"""For each group its decisions in the order of the mixing weights: nodes ``source-target``, and the options."""


def write_tensorboard(run: str | Path) -> Path:
    """Writes a run's metrics as TensorBoard event files, in place of those written before.

    The search and every retrained network are a TensorBoard run of their own: ``search``, ``found``, ``random-1`` and so on.
    Besides what is measured every epoch, each mixing weight is a scalar, ``cell 0-1/skip_connect``, those of a group
    together are a histogram, and the test accuracy of a finished network is a point at its last epoch.

    Args:
        run: the run directory.

    Returns:
        The folder of the event files, ``RUN/tensorboard``.

    Raises:
        MissingExtraError: if TensorBoard is not installed.
        RunError: if it is no run directory, its metrics are torn, or the files cannot be written.
    """
    if find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard", "trackers", "Writing event files")
    from torch.utils.tensorboard.writer import SummaryWriter

    directory = RunDirectory(run)
    directory.require()
    folder = directory / FOLDER
    parts: dict[str, list[dict[str, Any]]] = {}
    try:
        for record in directory.records():
            parts.setdefault(str(record.get("label", record["phase"])).replace(" ", "-"), []).append(record)
        tests, names, began = dict(_tests(directory)), _decisions(directory), _began(directory)
        for old in folder.glob("*/events.out.tfevents.*"):
            old.unlink()
        folder.mkdir(exist_ok=True)
        for part, records in parts.items():
            with SummaryWriter(str(folder / part)) as writer:
                for record in records:
                    _write(writer, record, names, began + record["seconds"])
                if part in tests:
                    writer.add_scalar("accuracy/test", tests[part], records[-1]["epoch"], began + records[-1]["seconds"])
    except OSError as error:
        raise RunError(f"Cannot write {folder} ({error.strerror or error}): make room, or change its permissions.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"The files of {directory.path} are damaged ({type(error).__name__}: {error}): restore them or start the run anew."
        ) from error
    return folder


def _write(writer: "SummaryWriter", record: Mapping[str, Any], names: Names, at: float) -> None:
    epoch = record["epoch"]
    for key, tag in _SCALARS.items():
        if record.get(key) is not None:
            writer.add_scalar(tag, record[key], epoch, at)
    for group, rows in record.get("mix", {}).items():
        writer.add_histogram(f"mixing weights/{group}", torch.tensor(rows), epoch, walltime=at)
        for row, (edge, options) in zip(rows, names[group], strict=True):
            for share, option in zip(row, options, strict=True):
                writer.add_scalar(f"{group} {edge}/{option}", share, epoch, at)


def _decisions(run: RunDirectory) -> Names:
    return {
        group["name"]: [(f"{d['source']}-{d['target']}", d["options"]) for d in group["decisions"]]
        for group in run.read_json("space.json")["groups"]
    }


def _tests(run: RunDirectory) -> Iterator[tuple[str, float]]:
    if (run / "score.json").exists():
        for network in run.read_json("score.json")["networks"]:
            yield network["label"].replace(" ", "-"), network["test_accuracy"]


def _began(run: RunDirectory) -> float:
    """When the run began, in seconds of the epoch: records count their time from there."""
    return datetime.fromisoformat(run.read_json("environment.json")["started"]).timestamp()
