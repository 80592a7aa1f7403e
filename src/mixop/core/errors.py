"""The errors that mixop raises on purpose: one sentence saying what was expected, what came and what to do.

The command line prints exactly that sentence and exits with 2. Anything that is not a `MixopError` is a bug of ours.
"""

import difflib
from collections.abc import Iterable

_LONGEST = 80


class MixopError(Exception):
    """Base of everything that a user can cause and can mend."""


class RecipeError(MixopError, ValueError):
    """A recipe, or one of its parts, has a value out of range or parts that do not fit together."""


class SpaceError(MixopError, ValueError):
    """A search space or an architecture is malformed, or the two do not belong together."""


class DataError(MixopError, ValueError):
    """A data set is missing, damaged, empty or of another shape than promised."""


class DataWarning(UserWarning):
    """A data set was read, but not all of what was there, or nothing can be learnt from it; the set's record says the same."""


class TrackerWarning(UserWarning):
    """A tracker could not be given all of a run; the run goes on, and its directory has everything."""


class RunError(MixopError, RuntimeError):
    """A run directory cannot be used: not writable, another recipe's, torn, tampered with, or the disk is full."""


class DivergedError(RunError):
    """A loss left the finite numbers; the last good state is kept."""


class MemoryLimitError(RunError):
    """A batch does not fit into the memory."""


class MissingExtraError(MixopError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'mixop[{extra}]'")


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not in a table, with the nearest name that is.

    Args:
        kind: what was looked up, in the singular ("recipe").
        name: what the user wrote.
        known: the names that exist.
    """
    known = sorted(known)
    name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."  # of a damaged file
    if not known:
        return f"There is no {kind} {name!r}: there are none at all."
    by_lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    hint = f"did you mean {by_lower[near[0]]!r}?" if near else f"choose one of {', '.join(known)}."
    return f"There is no {kind} {name!r}: {hint}"
