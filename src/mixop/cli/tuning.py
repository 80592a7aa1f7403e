"""``mixop tune``: settings of a search, tuned. What needs torch is imported where it is used."""

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixop.cli import kinds
from mixop.cli.arguments import Command, Parsed, Shortcut
from mixop.cli.loading import loaded
from mixop.cli.options import TuneOptions
from mixop.cli.output import print_json
from mixop.cli.running import runner_and_settings, runner_tree
from mixop.cli.tree import Tree, flag_of, written
from mixop.cli.words import short
from mixop.core.errors import RecipeError, unknown
from mixop.core.outside import parse_json

if TYPE_CHECKING:
    from mixop.comparison.ranges import OneOf, Range
    from mixop.comparison.tuned import TuneResult

_SETTINGS = ("seed", "device", "checkpoint_seconds", "threads", "executor")
_WORDS = ("recipe", "space", "protocol")


def tune(parsed: Parsed) -> None:
    """``mixop tune``"""
    from dataclasses import replace

    from mixop.cli import screens, tuning_screen
    from mixop.cli.contestants import evaluator, source_for
    from mixop.comparison.evaluators import Retrain, default_evaluator
    from mixop.comparison.tune import tune as run

    options = parsed.options
    recipe, space, protocol = (parsed.build(name) for name in _WORDS)
    runner, settings, device = runner_and_settings(parsed)
    ranges = _ranges(options, parsed.trees)
    scored = evaluator(options, space) or default_evaluator(space)
    if isinstance(scored, Retrain):
        scored = replace(scored, protocol=protocol)
    data = loaded((parsed.build("data") or source_for(space)).load)
    out = options.out or str(Path("runs", f"tune-{short(options.recipe)}-{short(options.space)}"))
    with screens.telling_lines(quiet=options.quiet or options.json) as (tell, observe):
        result = run(
            recipe,
            space,
            data,
            out,
            ranges=ranges,
            trials=options.trials,
            evaluate=scored,
            cost=options.cost,
            sampler=options.sampler,
            pruner=options.pruner,
            storage=options.storage,
            rates=options.rates,
            tell=tell,
            observe=observe,
            jobs=options.jobs,
            runner=runner,
            **{**{name: getattr(settings, name) for name in _SETTINGS}, "device": device},
        )
    if options.json:
        return print_json(_json(result))
    return tuning_screen.tuned(result, flags_of(result))


def _json(result: "TuneResult") -> dict[str, Any]:
    def of(trial: Any) -> dict[str, Any]:
        kept = ("number", "state", "settings", "score", "cost", "epochs", "architecture", "error")
        return {**{name: getattr(trial, name) for name in kept}, "run": str(trial.path)}

    return {
        "tuning": str(result.out),
        "study": result.study,
        "measure": result.measure.to_json(),
        "best": result.best.number if result.complete else None,
        "front": [trial.number for trial in result.front],
        "trials": [of(trial) for trial in result.trials],
    }


def flags_of(result: "TuneResult") -> list[str]:
    """The best settings, as one writes them for `mixop search` or `mixop retrain`."""
    if not result.complete:
        return []
    texts = {
        name: json.dumps(value) if isinstance(value, dict | list) else written(value)
        for name, value in result.best.settings.items()
    }
    return [f"{flag_of(name.split('.'))} {shlex.quote(text)}" for name, text in texts.items()]


def _ranges(options: TuneOptions, trees: dict[str, Tree]) -> "dict[str, Range | OneOf]":
    """What is tuned, by field."""
    from mixop.comparison.ranges import OneOf

    found: dict[str, Range | OneOf] = {}
    for text in options.range:
        name, bounds = _entry("--range", text, "LOW:HIGH, or LOW:HIGH:log")
        _add(found, name, _range(text, bounds))
    for text in options.choice:
        name, values = _entry("--choice", text, "VALUE,VALUE")
        word, *path = name.split(".")
        if word not in _WORDS:
            raise RecipeError(f"{unknown('value with fields to tune', word, _WORDS)} A tuned field begins with one of them.")
        entries = parse_json(values) if values.startswith("[") else [value.strip() for value in values.split(",")]
        if path:
            options_given = [trees[word].read(path, entry) if isinstance(entry, str) else entry for entry in entries]
        else:
            options_given = [_whole(word, str(entry)) for entry in entries]
        _add(found, name, OneOf(tuple(options_given)))
    return found


def _entry(flag: str, text: str, takes: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    if not equals or not name or not rest:
        raise RecipeError(f"{flag} takes FIELD={takes}, got {text!r}: write {flag} recipe.FIELD=...")
    return name, rest.strip()


def _add(found: "dict[str, Range | OneOf]", name: str, tuned: "Range | OneOf") -> None:
    if name in found:
        raise RecipeError(f"{name} is tuned twice: give it one range or one choice.")
    found[name] = tuned


def _range(text: str, bounds: str) -> "Range":
    from mixop.comparison.ranges import Range

    low, colon, rest = bounds.partition(":")
    high, *log = rest.split(":")
    if not colon or log not in ([], ["log"]):
        raise RecipeError(f"--range takes FIELD=LOW:HIGH, or FIELD=LOW:HIGH:log, got {text!r}.")
    return Range(_number(text, low), _number(text, high), log=bool(log))


def _number(text: str, written: str) -> float:
    """A number; whole where it is written so."""
    try:
        return int(written) if re.fullmatch(r"\s*[+-]?[0-9]{1,15}\s*", written) else float(written)
    except ValueError:
        raise RecipeError(f"The bounds of --range are numbers, got {written!r} in {text!r}.") from None


def _whole(word: str, name: str) -> Any:
    """A whole recipe, space or protocol: by its name in the table, else what `--recipe` and its like would make of it."""
    from mixop.evaluate.protocol import PROTOCOLS
    from mixop.recipes import RECIPES
    from mixop.spaces import SPACES

    tables, makers = {"recipe": RECIPES, "space": SPACES, "protocol": PROTOCOLS}, {"recipe": kinds.recipe, "space": kinds.space}
    return name if name in tables[word] else makers.get(word, kinds.protocol)(name).build()


def _protocol(kind: str | None) -> Tree:
    """The protocol of a name; without one the short training of a comparison."""
    tree = kinds.protocol(kind)
    if kind is None:
        from mixop.comparison.conditions import SHORT

        tree.plain = {**tree.plain, "name": SHORT.name, "epochs": SHORT.epochs}
    return tree


TUNE = Command(
    "tune",
    TuneOptions,
    tune,
    values={
        "recipe": kinds.recipe,
        "space": kinds.space,
        "data": lambda kind: kinds.data(kind) if kind else None,
        "protocol": _protocol,
        "runner": runner_tree,
    },
    names=("range", "choice"),
    repeated=("range", "choice"),
    settings=_SETTINGS,
    shortcuts={
        "epochs": Shortcut(
            ("recipe", "epochs"), "passes over the training data.", "the recipe's own", prepare=kinds.keep_warmup_share
        ),
        "batch_size": Shortcut(("recipe", "batch_size"), "examples in a batch.", "the recipe's own"),
    },
    rare=("trust", "rates", "dataset", "protocol", "runner", "jobs", "checkpoint_seconds", "threads", "executor"),
    examples=(
        "mixop tune --recipe darts --range recipe.epochs=5:50 --range recipe.weight-optimiser.lr=0.01:1:log",
        "mixop tune --choice recipe=darts,gaea --cost flops",
    ),
)
"""The command."""
