"""The command line: ``mixop COMMAND``, see `mixop.cli.commands`.

An error that the user can mend is one sentence on stderr, without a traceback; ``--debug`` shows where it came from.
"""

# Nothing more is imported here: `main` minds signals before anything that takes time.
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: "Sequence[str] | None" = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after ``mixop``; default those of this process, which is then the command's own: a signal ends it.

    Returns:
        The exit code: 0; 2 for what the user can mend; 1 for a bug in mixop; 128 + signal if asked to stop.
    """
    from mixop.cli import interrupt

    if argv is None:
        interrupt.mind_signals()
        if isinstance(sys.stdout, TextIOWrapper):  # a name that a console of Windows has no letters for is no error
            sys.stdout.reconfigure(errors="backslashreplace")
        from mixop.cli.ending import run
        from mixop.core.machine import keep_freed_memory

        keep_freed_memory()
        return interrupt.said(run(sys.argv[1:]))
    with interrupt.Noting():
        from mixop.cli.ending import run

        return run(list(argv))
