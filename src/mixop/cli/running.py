"""``--runner``: who computes many runs, and the settings that this machine needs itself."""

from typing import TYPE_CHECKING

from mixop.cli.arguments import Parsed
from mixop.cli.tree import Tree
from mixop.core.errors import RecipeError, unknown
from mixop.core.values import defaults

if TYPE_CHECKING:
    from mixop.engine.settings import Settings
    from mixop.runs.runner import Runner

DEFAULT = "local"
"""The runner where none is named."""


def runner_tree(kind: str | None) -> Tree:
    """The runner of a name, at its defaults."""
    from mixop.runs.local import Local
    from mixop.runs.ray import Ray
    from mixop.runs.runner import Runner
    from mixop.runs.slurm import Slurm

    runners = {DEFAULT: Local, "slurm": Slurm, "ray": Ray}
    kind = kind or DEFAULT
    if kind not in runners:
        raise RecipeError(unknown("runner", kind, runners))
    return Tree("runner", Runner, {cls.__name__: cls for cls in runners.values()}, defaults(runners[kind]))


def runner_and_settings(parsed: Parsed) -> "tuple[Runner, Settings, str]":
    """The runner, the settings that hold on this machine, and the device of the runs.

    Where runs are computed elsewhere, this machine need not have their device.
    """
    runner, settings = parsed.build("runner"), parsed.trees["settings"]
    device = settings.plain["device"]
    if not runner.one_machine:
        settings.plain = {**settings.plain, "device": "cpu"}
    return runner, settings.build(), device
