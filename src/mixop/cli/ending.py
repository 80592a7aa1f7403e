"""How a command ends: what it raised becomes one sentence and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mixop.cli.interrupt import SENTENCE, heed
from mixop.core.errors import MixopError, RecipeError, SpaceError
from mixop.core.launched import processes, rank
from mixop.core.trust import finding


def run(arguments: Sequence[str]) -> int:
    """Runs one command to its end; the exit code.

    Args:
        arguments: the words after ``mixop``.
    """
    try:
        with finding(Path.cwd()):
            # Imported here, so that errors during the import end in a sentence like all others.
            from mixop.cli.commands import run as command

            command(arguments)
        sys.stdout.flush()
        heed()
    except BaseException as error:
        if "--debug" in arguments:
            traceback.print_exc()
        code = _tell(error)
        _close_stdout()
        return code
    return 0


def _tell(error: BaseException) -> int:
    """Says in one sentence what ended the command, and returns its exit code."""
    if isinstance(error, BrokenPipeError):  # `mixop list | head -1`: the reader has seen enough
        return 141
    if isinstance(error, KeyboardInterrupt):
        return _say(SENTENCE, 130)
    if isinstance(error, MixopError):
        signum = getattr(error, "signum", None)  # of an InterruptedRunError, whose module needs torch
        # Of several processes, the first one says what all of them would say.
        told = rank() > 0 and (signum is not None or isinstance(error, RecipeError | SpaceError))
        return _say("" if told else str(error), 2 if signum is None else 128 + signum)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return _say(f"{place}{error.strerror or error}: check the path, its permissions and the space on the disk.", 2)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return _say("There is not enough memory: use a smaller --batch-size, or a space with fewer channels.", 2)
    if not isinstance(error, Exception):  # SystemExit, raised by a user's part
        raise error
    return _say(
        f"This is a bug in mixop ({type(error).__name__}: {error}): "
        "please report it with the output of the same command with --debug.",
        1,
    )


def _say(sentence: str, code: int) -> int:
    if not sentence:
        return code
    if processes() > 1:
        sentence = f"[process {rank()}] {sentence}"
    with suppress(OSError):  # the terminal has gone
        print(" ".join(sentence.split()), file=sys.stderr)  # noqa: T201
    return code


def _close_stdout() -> None:
    """Leaves nothing that Python could not write at its end, with a message and a code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
