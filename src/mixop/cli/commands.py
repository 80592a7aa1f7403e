"""The table of commands, and how one is found and run. Modules that need torch are imported when a command runs."""

import shlex
from collections.abc import Mapping, Sequence

from mixop import __version__
from mixop.cli import help
from mixop.cli.analyse import ANALYSE
from mixop.cli.arguments import HELP, HELP_ALL, Command, parse
from mixop.cli.compare import COMPARE
from mixop.cli.finding import FIND
from mixop.cli.interrupt import heed
from mixop.cli.reproducing import REPRODUCE
from mixop.cli.results import EVALUATE, EXPORT, LIST, PREDICT, REPORT
from mixop.cli.speed import SPEED
from mixop.cli.table import TABLE
from mixop.cli.tracking import TRACK, trackers_told
from mixop.cli.training import RESUME, RETRAIN, SEARCH
from mixop.cli.tuning import TUNE
from mixop.cli.watching import WATCH
from mixop.core.errors import RecipeError, unknown
from mixop.core.launched import processes

COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        FIND,
        SEARCH,
        COMPARE,
        TUNE,
        RESUME,
        RETRAIN,
        EVALUATE,
        PREDICT,
        SPEED,
        *ANALYSE,
        *TABLE,
        REPRODUCE,
        WATCH,
        REPORT,
        TRACK,
        EXPORT,
        LIST,
    )
}
"""Every command by its word."""

TOGETHER = (SEARCH, RESUME, RETRAIN)
"""Commands that several processes of torchrun run together."""

RENAMED = {"bench": "speed", "benchmark": "table"}
"""Names of earlier versions, and what the commands are called now."""


def run(words: Sequence[str]) -> None:
    """Runs the command that the words name.

    Raises:
        MixopError: what the user can mend.
    """
    if "--version" in words[:1]:
        print(__version__)  # noqa: T201
        return
    if not words or words[0] in (*HELP, HELP_ALL, "help"):
        print(help.overview(list(COMMANDS.values()), __version__))  # noqa: T201
        return
    name, *rest = words
    if name.startswith("-"):
        *others, last = dict.fromkeys(known.partition(" ")[0] for known in COMMANDS)
        raise RecipeError(f"The command comes first, got {name!r}: mixop {', '.join(others)} or {last}.")
    if name in RENAMED:
        new = RENAMED[name]
        raise RecipeError(f"mixop {name} is called mixop {new} now: {shlex.join(['mixop', new, *rest])}")
    if rest and f"{name} {rest[0]}" in COMMANDS:  # mixop table show
        name, rest = f"{name} {rest[0]}", rest[1:]
    group = [command for command in COMMANDS.values() if command.name.startswith(f"{name} ")]
    if group and rest[:1] and rest[0] in (*HELP, HELP_ALL):
        print(help.overview(group, __version__, first_run=False))  # noqa: T201
        return
    if group:
        known = ", ".join(f"mixop {command.name}" for command in group)
        given = f", not {rest[0]!r}" if rest else ""
        raise RecipeError(f"mixop {name} is followed by another word{given}: {known}.")
    if name not in COMMANDS:
        raise RecipeError(unknown("command", name, COMMANDS))
    command = COMMANDS[name]
    if HELP_ALL not in rest and any(word in HELP for word in rest):
        print(help.page(command))  # noqa: T201
        return
    if processes() > 1 and command not in TOGETHER:
        raise RecipeError(
            f"mixop {name} runs in one process, but torchrun started {processes()}: only search, resume and retrain divide "
            "their batches among several."
        )
    parsed = parse(command, rest)
    heed()
    if parsed.help:
        print(help.full_page(command, parsed))  # noqa: T201
        return
    with trackers_told():
        command.run(parsed)
