"""``mixop speed``: how fast a search step is on this machine. What needs torch is imported where it is used."""

from typing import Any

from mixop.cli import kinds
from mixop.cli.arguments import Command, Parsed, Shortcut
from mixop.cli.loading import loaded
from mixop.cli.options import SpeedOptions
from mixop.cli.output import print_json
from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range


def speed(parsed: Parsed) -> None:
    """``mixop speed``"""
    from mixop.cli import screens
    from mixop.measure import speed as measuring
    from mixop.spaces.sizes import Sizes

    options = parsed.options
    if options.latency is not None:
        return _latency(parsed)
    if options.data is not None:
        raise RecipeError("--data says what networks a latency table is for: add --latency FILE, or leave it out.")
    if options.retrain is not None:
        return _training(parsed)
    recipe, space, settings = (parsed.build(name) for name in ("recipe", "space", "settings"))
    usual = space.usual
    dense, tokens = space.dense or usual.dense, space.tokens or usual.tokens
    shape = _sized(space.input_shape or usual.shape, options.size, side=not tokens)
    sizes = Sizes(shape, space.outputs or (shape[0] if tokens else usual.outputs), dense, tokens)
    case = measuring.Case(recipe=recipe, space=space.fit(sizes), settings=settings)
    names = _executors(case) if options.executors is None else [name.strip() for name in options.executors.split(",")]
    with screens.telling(quiet=options.json) as tell:
        result = measuring.measure(case, names, repeats=options.repeats, memory=not options.skip_memory, observe=tell)
    if options.json:
        return print_json(result.to_json())
    return screens.speed(result, f"{recipe.name} on {space.name}, batches of {recipe.batch_size}")


def _training(parsed: Parsed) -> None:
    """``mixop speed --retrain NETWORK``"""
    from dataclasses import replace

    from mixop.cli import screens
    from mixop.core.errors import unknown
    from mixop.measure.retraining import TrainingCase, measure_training
    from mixop.spaces.published import ARCHITECTURES
    from mixop.spaces.sizes import Sizes

    options, text = parsed.options, parsed.options.retrain
    known = ARCHITECTURES.get(text)
    if known is None and text.isidentifier():
        raise RecipeError(unknown("published architecture", text, ARCHITECTURES))
    elsewhere = known is not None and known.space != options.space
    space = kinds.space(known.space).build() if known is not None and elsewhere else parsed.build("space")
    space = space.fit(Sizes(_sized(space.input_shape or (3, 32, 32), options.size), space.outputs or 10))
    protocol = parsed.build("protocol") or kinds.protocol(_PUBLISHED.get(space.name)).build()
    protocol = replace(protocol, batch_size=parsed.build("recipe").batch_size)
    architecture = space.from_native(text) if known is None else known
    case = TrainingCase(architecture=architecture, space=space, protocol=protocol, settings=parsed.build("settings"))
    names = [name.strip() for name in (options.executors or "plain,nodewise").split(",")]
    with screens.telling(quiet=options.json) as tell:
        result = measure_training(case, names, repeats=options.repeats, observe=tell)
    if options.json:
        return print_json(result.to_json())
    return screens.training_speed(result, f"{text} by protocol {protocol.name}, batches of {protocol.batch_size}")


def _sized(shape: tuple[int, ...], size: int | None, *, side: bool = True) -> tuple[int, ...]:
    """The shape of an example with other sides.

    Args:
        shape: of an example as the space has it.
        size: of each side; None leaves it as it is.
        side: whether it has sides: a text has none.
    """
    if size is None:
        return shape
    if not side or len(shape) < 2:
        raise RecipeError("--size is the side of images or the length of signals, and this space reads neither: leave it out.")
    check_range("--size", size, at_least=1)
    return shape[0], *(size for _ in shape[1:])


_PUBLISHED = {"darts": "darts-cifar10", "nasbench201": "nasbench201"}
"""The protocol that a space's networks were published with."""


def _latency(parsed: Parsed) -> None:
    """``mixop speed --latency FILE``"""
    from mixop.cli import screens
    from mixop.core.surroundings import using
    from mixop.nets.latency import write_latency_table

    options, settings = parsed.options, parsed.build("settings")
    where = {"device": settings.device, "name": options.device_name}
    with using(threads=settings.threads), screens.telling(quiet=options.json) as tell:
        if options.data is None:
            from mixop.measure.latency import latency_table
            from mixop.spaces.sizes import Sizes

            space = parsed.build("space")
            sizes = Sizes(space.input_shape or (3, 32, 32), space.outputs or 10, bool(space.dense), bool(space.tokens))
            tell(f"timing the layers of {space.name}")
            table = latency_table(space.fit(sizes), **where)
        else:
            from mixop.finder.latency import latency_table_for

            data = loaded(parsed.build("data").load)
            tell(f"timing the layers of all that mixop find builds for {data.name}")
            table = latency_table_for(data, **where)
    write_latency_table(table, options.latency)
    if options.json:
        from mixop.core.values import to_plain

        return print_json(to_plain(table))
    return screens.latency(table, options.latency)


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
    values={
        "recipe": kinds.recipe,
        "space": kinds.space,
        "protocol": lambda kind: kinds.protocol(kind) if kind else None,
        "data": kinds.recognised_if_named,
    },
    settings=("device", "threads", "precision", "channels_last", "compile", "capture"),
    shortcuts={"batch": Shortcut(("recipe", "batch_size"), "images in a batch, or columns of a text.", "the recipe's own")},
    rare=("trust", "precision", "channels_last", "compile", "capture", "device_name"),
    examples=(
        "mixop speed --space nasbench201 --batch 32",
        "mixop speed --space darts --batch 16 --recipe pcdarts",
        "mixop speed --retrain DARTS_V2 --batch 16",
        "mixop speed --latency board.json --data photos/",
    ),
)
"""The command."""
