"""Makes a table from a file of any known kind."""

import os
from collections.abc import Sequence
from pathlib import Path

from mixop.core.errors import DataError
from mixop.core.measure import Measure
from mixop.spaces.core import Space
from mixop.tables.archives import Observer, convert_official, is_archive
from mixop.tables.layout import USUAL
from mixop.tables.nasbench101 import convert_nasbench101
from mixop.tables.plain import convert_csv, convert_npz


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    name: str | None = None,
    space: Space | None = None,
    measures: Sequence[Measure] = USUAL,
    curves: bool = False,
    observe: Observer | None = None,
) -> Path:
    """Makes a table; the name of the source says what kind it is.

    Args:
        source: ``.npz`` or ``.csv`` (see `convert_npz`, `convert_csv`, `convert_built`), ``.pth``, ``.pickle.pbz2``, or a
            directory of the benchmark's files (see `convert_official`); ``.tfrecord``, ``.json`` or ``.jsonl`` of NAS-Bench-101
            (see `convert_nasbench101`).
        target: the table, usually ``NAME.table``.
        name: of the table; None for the name of the source.
        space: the space of the architectures, for ``.npz`` and ``.csv``; None to recognise that of NAS-Bench-201.
        measures: what the networks were measured by, for ``.npz`` and ``.csv`` (see `convert_npz`); the files of a built
            benchmark say it themselves.
        curves: for official files, whether to keep every epoch; of NAS-Bench-101 what was measured half way.
        observe: called with how much is done, and with the total.

    Raises:
        DataError: if the source is of no known kind, missing or damaged, or the table cannot be written.
        SpaceError: if an architecture is not in the space.
    """
    path = Path(source)
    if not path.exists():
        raise DataError(f"There is no file or directory {str(path)!r}.")
    if path.suffix == ".npz":
        return convert_npz(path, target, name=name, space=space, measures=measures, observe=observe)
    if path.suffix == ".csv":
        return convert_csv(path, target, name=name, space=space, measures=measures, observe=observe)
    if path.suffix in (".tfrecord", ".json", ".jsonl"):
        return convert_nasbench101(path, target, name=name, curves=curves, observe=observe)
    if path.suffix in (".pth", ".pbz2", ".pickle") or is_archive(path):
        return convert_official(path, target, name=name, curves=curves, observe=observe)
    raise DataError(
        f"A table is made from a .npz, .csv, .pth, .pickle.pbz2, .tfrecord or .json file, or from a directory with one file "
        f"per architecture (000123.pickle.pbz2, 000123-FULL.pth), got {str(path)!r}."
    )
