"""TensorBoard as a view of a run's metrics: they stay the truth, the event files can be written again at any time."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mixop.core.errors import MissingExtraError, RunError
from mixop.runs.directory import RunDirectory
from mixop.runs.files import ENVIRONMENT, SCORE, SPACE, TENSORBOARD
from mixop.runs.load import Record
from mixop.runs.records import NetworkScore, Score, SearchRecord

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

Names = Mapping[str, list[tuple[str, list[str]]]]
"""For each group its decisions in the order of the mixing weights: nodes ``source-target``, and the options."""


def write_tensorboard(run: str | Path) -> Path:
    """Writes a run's metrics as TensorBoard event files, in place of those written before.

    The search and every retrained network are a TensorBoard run of their own: ``search``, ``found``, ``random-1`` and so on.
    Every number that a record holds is a scalar: measures as ``loss/train`` and ``loss/valid``, what monitors added as
    ``monitors/eigenvalue``, each mixing weight as ``cell 0-1/skip_connect``. The weights of a group together are a histogram,
    texts of monitors are texts, and the score of a finished network is a point at its last epoch: ``accuracy/test``, or
    ``accuracy/validation`` where it was scored on validation examples.

    Args:
        run: the run directory.

    Returns:
        The folder of the event files, ``RUN/tensorboard``.

    Raises:
        MissingExtraError: if TensorBoard is not installed.
        RunError: if it is not a run directory, its metrics are torn, or the files cannot be written.
    """
    if find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard", "trackers", "Writing event files")
    from torch.utils.tensorboard.writer import SummaryWriter

    directory = RunDirectory(run)
    directory.require()
    folder = directory / TENSORBOARD
    parts: dict[str, list[Record]] = {}
    for record in directory.records():
        name = record.phase if isinstance(record, SearchRecord) else record.label.replace(" ", "-")
        parts.setdefault(name, []).append(record)
    try:
        score = directory.score() if directory.has(SCORE) else None
        names, began = _decisions(directory), _began(directory)
        for old in folder.glob("*/events.out.tfevents.*"):
            old.unlink()
        folder.mkdir(exist_ok=True)
        for part, records in parts.items():
            with SummaryWriter(str(folder / part)) as writer:
                for record in records:
                    _write(writer, record, names, began + record.seconds)
                for tag, value in _scores(score, part):
                    writer.add_scalar(tag, value, records[-1].epoch, began + records[-1].seconds)
    except OSError as error:
        raise RunError(f"Cannot write {folder} ({error.strerror or error}): make room, or change its permissions.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"The files of {directory.path} are damaged ({type(error).__name__}: {error}): restore them or start the run again."
        ) from error
    return folder


def _scalars(record: Record) -> Iterator[tuple[str, float | None]]:
    """Every number of a record with its tag, mixing weights aside."""
    yield from ((f"{name}/train", value) for name, value in record.train.items())
    yield from ((f"{name}/valid", value) for name, value in record.valid.items())
    yield "learning rate/weights", record.learning_rate
    if isinstance(record, SearchRecord):
        yield "learning rate/architecture", record.architecture_rate
        yield "mixing weights/entropy", record.entropy
        yield "mixing weights/skip share", record.skip_share
        yield from ((f"monitors/{name}", value) for name, value in record.columns.items() if not isinstance(value, str))


def _write(writer: "SummaryWriter", record: Record, names: Names, at: float) -> None:
    for tag, value in _scalars(record):
        if value is not None:
            writer.add_scalar(tag, value, record.epoch, at)
    if not isinstance(record, SearchRecord):
        return
    for name, text in {**record.columns, "action": record.action}.items():
        if isinstance(text, str) and text:
            writer.add_text(f"monitors/{name}", text, record.epoch, at)
    for group, rows in record.mix.items():
        writer.add_histogram(f"mixing weights/{group}", torch.tensor(rows), record.epoch, walltime=at)
        for row, (edge, options) in zip(rows, names[group], strict=True):
            for share, option in zip(row, options, strict=True):
                writer.add_scalar(f"{group} {edge}/{option}", share, record.epoch, at)


def _scores(score: Score | None, part: str) -> Iterator[tuple[str, float]]:
    """The measures of a finished network with their tags."""
    if score is None:
        return
    networks: dict[str, NetworkScore] = {network.label.replace(" ", "-"): network for network in score.networks}
    if part in networks:
        for name, value in networks[part].measures.items():
            if value is not None:
                yield f"{name}/{score.scored_on.word}", value


def _decisions(run: RunDirectory) -> Names:
    return {
        group["name"]: [(f"{d['source']}-{d['target']}", d["options"]) for d in group["decisions"]]
        for group in run.read_json(SPACE)["groups"]
    }


def _began(run: RunDirectory) -> float:
    """When the run began, in seconds of the epoch: records count their time from there."""
    return datetime.fromisoformat(run.read_json(ENVIRONMENT)["started"]).timestamp()
