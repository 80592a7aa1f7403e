"""What any worker does with a task, wherever it is: it tells what happens, and says in a sentence why it fails."""

import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from mixop.core.errors import MixopError
from mixop.runs.interrupt import InterruptedRunError
from mixop.runs.runner import Assignment

Observer = Callable[[Mapping[str, Any]], None]
"""As `mixop.engine.driver.Observer`."""


class UnheardError(Exception):
    """Who listens cannot: the parent was killed, or the caller's own function failed, which is then the cause."""


def done(task: Assignment, tell: Observer, *, pause: float = 0.1, trace: bool = False) -> str | None:
    """Does a task.

    Args:
        task: what to do.
        tell: called with every record, but few of the steps.
        pause: least time between two steps that are told, in seconds.
        trace: whether to print where an error came from that is a bug, on standard error: into the log of a worker.

    Returns:
        The sentence why it failed; None if it has not.

    Raises:
        InterruptedRunError: if it was asked to stop, and has saved.
        UnheardError: as ``tell`` raises it.
    """
    try:
        task.run(**task.arguments, observe=_sparing(tell, pause))
    except (InterruptedRunError, UnheardError):
        raise
    except MixopError as error:
        return str(error)
    except MemoryError:
        return f"There is not enough memory for {task.name}: try again with fewer --jobs."
    except Exception as error:
        if trace:
            traceback.print_exc()
        lines = traceback.extract_tb(error.__traceback__)
        return f"{type(error).__name__} in {task.name}: {error} ({lines[-1].filename}, line {lines[-1].lineno})"
    return None


def _sparing(tell: Observer, pause: float) -> Observer:
    """Tells every record, but few of the steps and no mixing weights."""
    last = 0.0

    def send(record: Mapping[str, Any]) -> None:
        nonlocal last
        now = time.monotonic()
        if record.get("event") == "step":
            if now - last < pause:  # steps come by the thousand
                return
            last = now
        tell({key: value for key, value in record.items() if key != "mix"})

    return send
