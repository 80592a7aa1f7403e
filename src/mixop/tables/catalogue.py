"""The tables that come with the package."""

import os
from pathlib import Path

from mixop.core.errors import DataError, unknown
from mixop.tables.table import Table

FOLDER = Path(__file__).with_name("shipped")
"""Their folder; each table is named after its space."""


def shipped_names() -> tuple[str, ...]:
    """Names of the tables that come with mixop; each is the name of its space."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.table")))


def open_table(table: str | os.PathLike[str]) -> Table:
    """Opens a table.

    Args:
        table: its file, or one of `shipped_names`.

    Raises:
        DataError: if there is no such table, or the file is damaged.
    """
    if table in shipped_names() and not Path(table).exists():
        return Table.open(FOLDER / f"{table}.table")
    if not Path(table).exists() and Path(table).name == str(table) and "." not in str(table):
        raise DataError(unknown("table", str(table), shipped_names()) + " You can also give a file.")
    return Table.open(table)
