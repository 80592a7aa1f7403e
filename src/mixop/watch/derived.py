"""What a search would find if it ended now: the architecture of its last epoch, as the found one is drawn."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mixop.core.errors import MixopError
from mixop.core.values import from_plain
from mixop.runs.read import RunContents
from mixop.spaces import SPACE_TYPES
from mixop.spaces.core import Space
from mixop.spaces.describe import describe_architecture, with_shape


def as_derived(run: RunContents) -> RunContents:
    """The run with the architecture that was derived after its last epoch in the place of the found one.

    A run that has found one is returned as it is, and so is one whose space is a class of the user's own: that would need the
    user's code. Of the choices in a model, options and inputs are those that the text of the architecture names.
    """
    if run.native is not None or run.search is None or not run.search.architectures[-1]:
        return run
    native = run.search.architectures[-1]
    if run.factory:
        return replace(run, native=native, choices=_choices(native, run))
    try:
        space = from_plain(with_shape(run.space.get("space")), Space, SPACE_TYPES, "space")
        found = describe_architecture(space, space.from_native(native))
    except MixopError:
        return run
    return replace(run, native=native, cells=found["cells"])


def _choices(native: str, run: RunContents) -> Mapping[str, str | tuple[str, ...]]:
    """The options, or the inputs that are read, by decision: ``stem=conv3, skips=a+b``."""
    choices: dict[str, Any] = {}
    for piece in native.split(", "):
        name, _, taken = piece.partition("=")
        if name in run.inputs:
            choices[name] = () if taken == "none" else tuple(taken.split("+"))
        elif name in run.decisions:
            choices[name] = taken
    return choices
