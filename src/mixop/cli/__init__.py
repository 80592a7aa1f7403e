"""The command line: ``mixop COMMAND``, see `mixop.cli.commands`.

An error that the user can mend is one sentence on stderr, without a traceback; ``--debug`` shows where it came from.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from mixop.cli.interrupt import noting_ctrl_c, pressed
from mixop.core.errors import MixopError
from mixop.core.trust import finding


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after ``mixop``; default those of this process.

    Returns:
        The exit code: 0; 2 for what the user can mend; 1 for a bug in mixop; 128 + signal if asked to stop.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with noting_ctrl_c(), finding(Path.cwd()):
        try:
            # Imported here, so that Ctrl-C and errors during the import end in a sentence like all others.
            from mixop.cli.commands import run

            run(arguments)
            sys.stdout.flush()
        except BaseException as error:
            if "--debug" in arguments:
                traceback.print_exc()
            return _tell(KeyboardInterrupt() if pressed() and not isinstance(error, MixopError) else error)
    return 0


def _tell(error: BaseException) -> int:
    """Says in one sentence what ended the command, and returns its exit code."""
    if isinstance(error, BrokenPipeError):  # `mixop list | head -1`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    if isinstance(error, KeyboardInterrupt):
        return _say("Interrupted: what was saved is kept, and the same command continues from there.", 130)
    if isinstance(error, MixopError):
        signum = getattr(error, "signum", None)  # of an InterruptedRunError, whose module needs torch
        return _say(str(error), 2 if signum is None else 128 + signum)
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
    print(" ".join(sentence.split()), file=sys.stderr)  # noqa: T201
    return code
