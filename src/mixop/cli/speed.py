"""``mixop speed``: how fast a search step is on this machine. What needs torch is imported where it is used."""

from typing import Any

from mixop.cli import kinds
from mixop.cli.arguments import Command, Parsed, Shortcut
from mixop.cli.options import SpeedOptions
from mixop.cli.output import print_json


def speed(parsed: Parsed) -> None:
    """``mixop speed``"""
    from mixop.cli import screens
    from mixop.measure import speed as measuring
    from mixop.spaces.sizes import Sizes

    options = parsed.options
    recipe, space, settings = (parsed.build(name) for name in ("recipe", "space", "settings"))
    usual = space.usual
    shape, dense, tokens = space.input_shape or usual.shape, space.dense or usual.dense, space.tokens or usual.tokens
    sizes = Sizes(shape, space.outputs or (shape[0] if tokens else usual.outputs), dense, tokens)
    case = measuring.Case(recipe=recipe, space=space.fit(sizes), settings=settings)
    names = _executors(case) if options.executors is None else [name.strip() for name in options.executors.split(",")]
    with screens.telling(quiet=options.json) as tell:
        result = measuring.measure(case, names, repeats=options.repeats, memory=not options.skip_memory, observe=tell)
    if options.json:
        return print_json(result.to_json())
    return screens.speed(result, f"{recipe.name} on {space.name}, batches of {recipe.batch_size}")


def _executors(case: Any) -> list[str]:
    """The executors that can compute a case, the plain one first."""
    from mixop.core.errors import MixopError
    from mixop.engine.fit import check_computing

    names = ["plain", "nodewise"]
    try:
        check_computing(case.recipe, case.space, case.by("fused").settings)
    except MixopError:
        return names
    return [*names, "fused"]


SPEED = Command(
    "speed",
    SpeedOptions,
    speed,
    values={"recipe": kinds.recipe, "space": kinds.space},
    settings=("device", "threads", "precision", "channels_last", "compile", "capture"),
    shortcuts={"batch": Shortcut(("recipe", "batch_size"), "images in a batch.", "the recipe's own")},
    rare=("trust", "precision", "channels_last", "compile", "capture"),
    examples=("mixop speed --space nasbench201 --batch 32", "mixop speed --space darts --batch 16 --recipe pcdarts"),
)
"""The command."""
