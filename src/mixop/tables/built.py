"""Tables from the ``.npz`` files that building a benchmark writes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError, RecipeError
from mixop.core.measure import ACCURACY, Measure, measure_from_json
from mixop.core.outside import MalformedError, parse_json
from mixop.spaces.core import Space
from mixop.tables.archives import Observer
from mixop.tables.arrays import read_npz, recognised, refuse_shape, strings_of
from mixop.tables.layout import USUAL
from mixop.tables.write import Column, source_of, write_table

SPLITS = ("valid", "test")
"""What the networks of a build are scored on."""


def convert_built(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    name: str | None = None,
    space: Space | None = None,
    dataset: str | None = None,
    observe: Observer | None = None,
) -> Path:
    """Makes a table from the ``.npz`` file that building a benchmark writes.

    It holds ``arch`` ``(n,)``; ``measures``, a JSON text, the ranking measure first; for each measure ``valid_NAME`` and
    ``test_NAME`` ``(n, R, T)`` in the measure's unit, shares in [0, 1]; ``train_loss`` of the same shape; ``epochs`` ``(T,)``
    (finished epochs, of one training), ``seeds`` ``(R,)``, ``valid_examples`` and ``test_examples`` (sizes of the splits);
    ``params``, ``flops`` and ``seconds``, ``(n,)`` or ``(n, R)``, of the whole training.

    Files of mixop 0.1 have no measures: ``valid_correct`` and ``test_correct`` count the images that were right, of
    ``valid_images`` and ``test_images``.

    Args:
        source: the file.
        target: the table.
        name: of the table; None for the name of the source.
        space: the space; None for nasbench201 with the operations that occur.
        dataset: the data set; None for the file's entry ``dataset``, or else what follows the last dash of the name.
        observe: called with the arrays read and their total.

    Raises:
        DataError: if the file is missing, damaged, its arrays do not fit together, or the table cannot be written.
        SpaceError: if an architecture is not in the space.
    """
    path = Path(source)
    return convert_arrays(path, target, read_npz(path, observe), name=name, space=space, dataset=dataset)


def is_built(arrays: Mapping[str, Any]) -> bool:
    """Whether the arrays of a file are those of a built benchmark."""
    return "valid_correct" in arrays or "measures" in arrays


def convert_arrays(
    path: Path,
    target: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    *,
    name: str | None = None,
    space: Space | None = None,
    dataset: str | None = None,
) -> Path:
    """`convert_built` with the arrays of the file already read."""
    measures = _measures(arrays, path)
    counts = "measures" not in arrays
    sizes = {split: f"{split}_images" if counts else f"{split}_examples" for split in SPLITS}
    words = ["correct"] if counts else [measure.name for measure in measures]
    scored = [f"{split}_{word}" for split in SPLITS for word in words]
    for key in ("arch", *scored, "train_loss", "epochs", "seeds", *sizes.values(), "params", "flops", "seconds"):
        if key not in arrays:
            raise DataError(f"{str(path)!r} must hold {key}, as files of built benchmarks do, but does not.")
    texts = strings_of(arrays["arch"], path)
    epochs, seeds = (_whole(arrays, key, path) for key in ("epochs", "seeds"))
    shape = (len(texts), len(seeds), len(epochs))
    for key in (*scored, "train_loss"):
        if arrays[key].shape != shape:
            raise DataError(f"{key} of {str(path)!r} must have the shape {shape}, got {arrays[key].shape}.")
        if arrays[key].dtype.kind not in "iuf":
            raise DataError(f"{key} of {str(path)!r} must hold numbers, got {arrays[key].dtype}.")
    for key in ("params", "flops", "seconds"):
        refuse_shape(key, arrays[key], len(texts), path)
    name = name or path.stem
    if dataset is None:
        dataset = str(arrays["dataset"]) if "dataset" in arrays else name.rpartition("-")[2]
    here: dict[str, Any] = {"dataset": dataset, "epochs": epochs[-1], "seeds": seeds, "after": epochs}
    columns = []
    for split in SPLITS:
        (examples,) = _whole(arrays, sizes[split], path, single=True)
        if counts:
            percent = _percent(arrays[f"{split}_correct"], examples, f"{split}_correct of {str(path)!r}")
            columns.append(Column(metric=ACCURACY.name, split=split, values=percent, images=examples, **here))
            continue
        for measure in measures:
            values = measure.scale * arrays[f"{split}_{measure.name}"].astype(np.float64)
            images = examples if measure.style == "percent" else None
            columns.append(Column(metric=measure.name, split=split, values=values, images=images, **here))
    columns.append(Column(metric="loss", split="train", values=arrays["train_loss"], **here))
    seconds = arrays["seconds"]
    runs = seeds if seconds.ndim == 2 and seconds.shape[1] == len(seeds) else None
    if seconds.ndim == 2 and runs is None:
        raise DataError(f"seconds of {str(path)!r} must have the shape {shape[:1]} or {shape[:2]}, got {seconds.shape}.")
    columns.append(
        Column(metric="seconds", split="train", values=seconds, dataset=dataset, epochs=epochs[-1], seeds=runs, linear=True)
    )
    columns += [Column(metric=metric, values=arrays[metric], dataset=dataset) for metric in ("params", "flops")]
    return write_table(
        target,
        columns,
        name=name,
        architectures=texts,
        space=space or recognised(texts, only=True),
        space_name="unknown",
        measures=measures,
        source=source_of(path),
    )


def _whole(arrays: Mapping[str, NDArray[Any]], key: str, path: Path, *, single: bool = False) -> tuple[int, ...]:
    """The whole numbers of an array."""
    values = np.atleast_1d(arrays[key])
    if values.dtype.kind not in "iu" or values.ndim != 1 or not len(values) or (single and len(values) > 1):
        what = "a whole number" if single else "a list of whole numbers"
        raise DataError(f"{key} of {str(path)!r} must be {what}, got {arrays[key].dtype} {arrays[key].shape}.")
    return tuple(values.tolist())


def _measures(arrays: Mapping[str, NDArray[Any]], path: Path) -> tuple[Measure, ...]:
    if "measures" not in arrays:
        return USUAL
    try:
        given = parse_json(str(arrays["measures"]))
        measures = tuple(measure_from_json(measure) for measure in (given if isinstance(given, list) else [given]))
    except (MalformedError, RecipeError) as error:
        raise DataError(f"measures of {str(path)!r} must be a JSON list of measures, but are not: {error}") from error
    if not measures:
        raise DataError(f"measures of {str(path)!r} must name at least one measure, got none.")
    return measures


def _percent(correct: NDArray[Any], images: int, what: str) -> NDArray[np.float64]:
    if correct.max() > images:
        raise DataError(f"{what} counts {correct.max()} of {images} images.")
    return 100 * correct.astype(np.float64) / images
