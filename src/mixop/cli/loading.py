"""Loading data for a command: what was left out is said in one line, not as a warning of Python."""

import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from mixop.core.errors import DataWarning

if TYPE_CHECKING:
    from mixop.data.core import Data


def loaded(load: Callable[[], "Data"]) -> "Data":
    """The data that a function loads; on standard error one line of what a reader left out, or read in an unexpected way.

    Args:
        load: gives the data.
    """
    from mixop.data.notes import told

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        data = load()
    if line := told(data.name, data.record):
        print(line, file=sys.stderr)  # noqa: T201
    return data
