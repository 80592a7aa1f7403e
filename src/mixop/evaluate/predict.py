"""What a trained network says of new inputs, given as they are: images of any size, numbers that are not normalised."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from mixop.core.door import door
from mixop.core.errors import DataError, RunError
from mixop.core.rng import draws_unseen, fenced
from mixop.data.images.folder import read_image
from mixop.data.layouts import Layout
from mixop.data.layouts import inputs as laid_out
from mixop.data.preparation import Preparation
from mixop.evaluate.trained import read_trained
from mixop.runs.directory import RunDirectory
from mixop.runs.files import DATA
from mixop.runs.records import Score
from mixop.tasks import task_from_json
from mixop.tasks.base import Task

_BATCH = 256
"""Examples in a forward pass."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of some examples.

    Args:
        values: what the task makes of the outputs, one for each example: class numbers, numbers in the unit of the targets.
        outputs: of the network, ``(N, K)``, or ``(N, K, *positions)`` for dense tasks.
        task: gives both their meaning.
    """

    values: Tensor
    outputs: Tensor
    task: Task

    @property
    def labels(self) -> list[str]:
        """The names of the classes, one for each example.

        Raises:
            RunError: if the network does not give each example one class.
        """
        classes = self._classes()
        return [classes[int(value)] for value in self.values]

    @property
    def probabilities(self) -> Tensor:
        """Of every class, ``(N, K)``, as the network judges them.

        Raises:
            RunError: if the network does not give each example one class.
        """
        self._classes()
        return self.outputs.softmax(1)

    def _classes(self) -> Sequence[str]:
        if self.values.dtype != torch.int64 or self.values.dim() != 1 or not self.task.classes:
            raise RunError(
                f"Labels are of networks that give each example one class, but the task is {self.task.name}: read values."
            )
        return self.task.classes


@door(RunError)
def predict(run: str | os.PathLike[str], inputs: Any) -> Prediction:
    """What a run's trained network says of new inputs.

    They are given as the data of the run were. Image files are brought to the network's size, and everything is normalised as
    in the training.

    Args:
        run: the run directory of a finished retraining.
        inputs: an array or tensor of examples, ``(N, *shape)`` in the order of axes that data may have, or one example
            ``shape``; or paths of image files.

    Raises:
        RunError: if the retraining is not finished, or a file is missing, torn, changed or of another network.
        DataError: if the inputs do not fit the network.
    """
    directory = RunDirectory(Path(run))
    net, score = read_trained(directory)
    x = _read(inputs, score, bool(directory.read_json(DATA).get("dtype") == "uint8"))
    x = Preparation(mean=tuple(score.input["mean"]), std=tuple(score.input["std"])).plain(x)
    outputs = torch.cat([_outputs(net, batch) for batch in x.split(_BATCH)])
    task = task_from_json(score.task)
    return Prediction(task.predict(outputs), outputs, task)


@torch.no_grad()
def _outputs(net: nn.Module, x: Tensor) -> Tensor:
    with fenced(Generator().manual_seed(0), watch=draws_unseen(net)):  # an operation may draw noise
        return net(x, ())[0] if getattr(net, "carries", False) else net(x)


def _read(given: Any, score: Score, bytes_: bool) -> Tensor:
    """The inputs as the data of the run are stored: ``(N, *shape)``."""
    shape, tokens = tuple(score.input["shape"]), bool(score.input.get("tokens"))
    if isinstance(given, str | os.PathLike):
        given = [given]
    if isinstance(given, list | tuple) and given and all(isinstance(one, str | os.PathLike) for one in given):
        if len(shape) != 3 or not bytes_:
            raise DataError(f"The network reads inputs of shape {shape} that are no images: give arrays, not files of images.")
        size = (shape[1], shape[2])
        return torch.from_numpy(np.stack([read_image(Path(one), size, shape[0]) for one in given]))
    if tokens:
        x = torch.as_tensor(given)
        x = x[None] if x.dim() == 1 else x
        if x.dim() != 2 or x.dtype not in (torch.int64, torch.int32, torch.int16, torch.uint8) or not x.numel():
            raise DataError(f"The network reads token numbers (N, T), got {x.dtype} of shape {tuple(x.shape)}.")
        return x.long()
    array = np.asarray(given)
    if array.shape == shape:
        array = array[None]
    x = laid_out(array, "auto" if array.shape[1:] != shape else _ORDER[len(shape)], "the inputs").x
    if tuple(x.shape[1:]) != shape or not len(x):
        raise DataError(f"The network reads inputs of shape {shape}, got {tuple(x.shape[1:])} in {len(x)} examples.")
    if bytes_ != (x.dtype == torch.uint8):
        wanted = "whole numbers of 0 to 255 (uint8), as the images that it learnt" if bytes_ else "floating-point numbers"
        raise DataError(f"The network reads {wanted}, got {array.dtype}: give inputs as the data of the run are.")
    return x


_ORDER: dict[int, Layout] = {1: "nf", 2: "ncl", 3: "nchw"}
"""The order of axes of inputs that have the network's shape already."""
