"""The tables that are part of the package."""

from pathlib import Path

from mixop.benchmarks.table import Table
from mixop.errors import DataError, unknown

FOLDER = Path(__file__).with_name("tables")
"""Where they lie."""


def shipped_names() -> tuple[str, ...]:
    """Names of the tables that come with mixop."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.table")))


def shipped(name: str) -> Table:
    """Opens a table that comes with mixop.

    Args:
        name: one of `shipped_names`.

    Raises:
        DataError: if there is none of that name.
    """
    if name not in shipped_names():
        raise DataError(unknown("table in this package", name, shipped_names()))
    return Table.open(FOLDER / f"{name}.table")
