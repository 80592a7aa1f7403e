"""The commands. What needs torch, matplotlib or the data is imported where it is used: help comes at once."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixop import __version__
from mixop.cli import help, kinds
from mixop.cli.arguments import Command, Parsed, parse
from mixop.cli.interrupt import heed
from mixop.cli.listing import TOPICS
from mixop.cli.options import (
    CompareOptions,
    EvaluateOptions,
    ExportOptions,
    ListOptions,
    ReportOptions,
    ResumeOptions,
    RetrainOptions,
    SearchOptions,
    SpeedOptions,
)
from mixop.cli.output import print_json
from mixop.cli.reproducing import REPRODUCE
from mixop.cli.table import TABLE
from mixop.core.errors import RecipeError, RunError, unknown
from mixop.runs.files import (
    ARCHITECTURE,
    COMPARISON,
    COMPARISON_REPORT,
    RECIPE,
    RETRAINING,
    RETRAINING_STATE,
    SCORE,
    STATE,
)

if TYPE_CHECKING:
    from mixop.api import RetrainResult, SearchResult
    from mixop.cli.progress import ProgressView
    from mixop.data.core import Data
    from mixop.engine.estimate import Estimate
    from mixop.recipe.core import Recipe
    from mixop.runs.directory import RunDirectory
    from mixop.spaces.core import Architecture, Space
    from mixop.tasks.measure import Measure


def search(told: Parsed) -> None:
    """``mixop search``"""
    options = told.options
    recipe, space, source, settings = (told.build(name) for name in ("recipe", "space", "data", "settings"))
    if options.watch:
        recipe = _watched(recipe, options.watch)
    names = (_short(kind) for kind in (options.recipe, options.space, options.data))
    out = options.out or str(Path("runs", "-".join(names)))
    data = source.load()

    from mixop import api

    if "batch_size" in told.automatic:
        recipe = _with_fitting_batch(recipe, space, data, settings, out)
    _foresee(
        options,
        (settings, recipe.epochs * len(data.train) // recipe.batch_size, out),
        lambda foresight: foresight.search_estimate(recipe, space, data, settings),
    )
    title = f"Searching {space.name} with {recipe.name} on {data.name} for {_count(recipe.epochs, 'epoch')}, into {out}"
    with _progress(options, title, data.task.measures) as progress:
        result = api.search(recipe, space, data, out, **_run_settings(settings, _SEARCH_SETTINGS), observe=progress)
    _finish_search(result, options)


def compare(told: Parsed) -> None:
    """``mixop compare``"""
    from mixop.cli.comparing import Comparing
    from mixop.cli.contestants import contestants, evaluator, searchers, source_for
    from mixop.comparison.compare import compare as run

    options = told.options
    space, settings = told.build("space"), told.build("settings")
    source = told.build("data") or source_for(space)
    data = source.load()
    scored = evaluator(options, space)
    recipes, left_out, note = contestants(options, space, data)
    black_boxes = searchers(options, space, scored)
    if not recipes and not black_boxes:
        raise RecipeError("Random search takes part in any case: name a recipe or another searcher in --recipes beside it.")
    if not recipes and options.budget is None:
        raise RecipeError("Searchers have as much time as recipes take, and --recipes names none: give --budget in seconds.")
    if not 1 <= options.seeds <= 1000:
        raise RecipeError(f"--seeds must be a number of runs from 1 to 1000, got {options.seeds}.")
    if options.first_seed < 0:
        raise RecipeError(f"--first-seed must be at least 0, got {options.first_seed}.")
    out = options.out or str(Path("runs", f"compare-{_short(options.space)}-{_short(options.data or data.name)}"))
    others = [_count(len(recipes), "recipe")] * bool(recipes) + [_count(len(black_boxes), "searcher")] * bool(black_boxes)
    what = f"{', '.join(others)} and random search on {data.name}, {_count(options.seeds, 'seed')} each"
    with Comparing(f"Comparing {what}, into {out}", quiet=options.quiet or options.json) as progress:
        result = run(
            recipes,
            space,
            data,
            out,
            searchers=black_boxes,
            budget_seconds=options.budget,
            seeds=range(options.first_seed, options.first_seed + options.seeds),
            jobs=options.jobs,
            evaluate=scored,
            note=" ".join([note, *left_out]),
            device=settings.device,
            checkpoint_seconds=settings.checkpoint_seconds,
            observe=progress,
        )
    if options.json:
        return print_json(
            {
                "comparison": out,
                "report": str(Path(out, COMPARISON_REPORT)),
                "measure": result.measure.to_json(),
                "methods": result.summary(),
            }
        )
    from mixop.cli import screens

    return screens.comparison(result)


def resume(told: Parsed) -> None:
    """``mixop resume``"""
    from mixop import api
    from mixop.runs.directory import RunDirectory

    options = told.options
    run = RunDirectory(options.run)
    if _is_comparison(options.run):
        raise RunError(f"{options.run} is a comparison: give the same `mixop compare` again and it goes on.")
    run.require()
    settings = _run_settings(told.build("settings"))
    del settings["seed"]  # the run has its own
    labels = _labels(run)
    done = run.has(SCORE if labels else ARCHITECTURE)
    title = f"Nothing is left to do in {options.run}" if done else f"Going on with {options.run}"
    with _progress(options, title, run.measures(), labels) as progress:
        result = api.resume(options.run, **settings, observe=progress)
    if isinstance(result, api.RetrainResult):
        _finish_retraining(result, options)
    else:
        _finish_search(result, options)


def retrain(told: Parsed) -> None:
    """``mixop retrain``"""
    from mixop import api

    options = told.options
    protocol, settings = told.build("protocol"), told.build("settings")
    architecture, space, data, out = _given(told) if options.run is None else _searched(options)
    random = options.random if options.random is not None else 0 if options.run is None else 5
    steps = (1 + random) * protocol.epochs * (len(data.train) + len(data.valid)) // protocol.batch_size
    _foresee(
        options,
        (settings, steps, out),
        lambda foresight: foresight.retraining_estimate(
            architecture, space, data, protocol, networks=1 + random, device=settings.device
        ),
    )
    labels = ["found", *(f"random {k}" for k in range(1, random + 1))]
    each = f"{_count(protocol.epochs, 'epoch')} each"
    title = f"Training {_count(len(labels), 'network')} by protocol {protocol.name} on {data.name}, {each}"
    with _progress(options, title, data.task.measures, labels) as progress:
        result = api.retrain(
            architecture,
            space,
            data,
            out,
            protocol=protocol,
            random=random,
            **_run_settings(settings),
            observe=progress,
        )
    _finish_retraining(result, options)


def _searched(options: Any) -> tuple["Architecture", "Space", "Data", str]:
    """What a finished search found, its space and data, and where the retraining goes."""
    from mixop import api
    from mixop.evaluate.trained import read_space
    from mixop.runs.directory import RunDirectory
    from mixop.spaces.describe import read_architecture

    given = [f"--{name}" for name in ("architecture", "space", "data") if getattr(options, name) is not None]
    if given:
        raise RecipeError(f"The run directory {options.run} says what to train, so leave out {' and '.join(given)}.")
    run = RunDirectory(options.run)
    run.require()
    if not run.has(ARCHITECTURE):
        raise RunError(f"The search in {options.run} is not finished: first `mixop resume {shlex.quote(options.run)}`.")
    space = read_space(run)
    architecture = read_architecture(space, run.read_json(ARCHITECTURE))
    data = api.load_data(run)
    api.check_data(run, data)
    return architecture, space, data, options.out or options.run


def _given(told: Parsed) -> tuple["Architecture", "Space", "Data", str]:
    """A published architecture, or one in its space's notation, its space and data, and where the retraining goes."""
    from mixop.data.images.digits import Digits
    from mixop.spaces.darts import Darts
    from mixop.spaces.published import ARCHITECTURES

    options = told.options
    text = options.architecture
    if text is None:
        raise RecipeError("mixop retrain needs the run directory of a search, or --architecture: write mixop retrain RUN.")
    space, data = told.build("space") or Darts(), (told.build("data") or Digits()).load()
    if text in ARCHITECTURES:
        architecture, name = ARCHITECTURES[text], text
    elif text.isidentifier():
        raise RecipeError(unknown("published architecture", text, ARCHITECTURES))
    else:
        architecture, name = space.from_native(text), space.name
    return architecture, space, data, options.out or str(Path("runs", f"{name}-{data.name}"))


def speed(told: Parsed) -> None:
    """``mixop speed``"""
    from mixop.cli import screens
    from mixop.measure import speed as measuring
    from mixop.spaces.sizes import Sizes

    options = told.options
    recipe, space, settings = (told.build(name) for name in ("recipe", "space", "settings"))
    sizes = Sizes(space.input_shape or (3, 32, 32), space.outputs or 10, bool(space.dense), bool(space.tokens))
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


def evaluate(told: Parsed) -> None:
    """``mixop evaluate``"""
    from mixop import api
    from mixop.evaluate.trained import evaluate_run
    from mixop.runs.directory import RunDirectory
    from mixop.runs.records import noun

    options = told.options
    run = RunDirectory(options.run)
    run.require()
    source, settings = told.build("data"), told.build("settings")
    data = api.load_data(run) if source is None else source.load()
    scored = evaluate_run(options.run, data.to(settings.device))
    if options.json:
        return print_json({"run": options.run, "data": data.name, "examples": scored.examples, **scored.measures})
    from mixop.cli import screens

    counted = run.score().counted is not None
    return screens.evaluation(data.name, scored, data.task.measures, noun(data.shape, tokens=data.tokens), counted=counted)


def report(told: Parsed) -> None:
    """``mixop report``"""
    from mixop.cli import screens
    from mixop.report.html import write_report

    run = told.options.run
    if _is_comparison(run):
        from mixop.report.comparison_page import write_comparison

        return screens.places({"Report": write_comparison(run)})
    lines: dict[str, object] = {"Report": write_report(run)}
    if told.options.tensorboard:
        from mixop.runs.tensorboard import write_tensorboard

        folder = write_tensorboard(run)
        lines |= {"TensorBoard": folder, "To see it": f"tensorboard --logdir {shlex.quote(str(folder))}"}
    return screens.places(lines)


def export(told: Parsed) -> None:
    """``mixop export``"""
    from mixop.cli import screens
    from mixop.evaluate.export import export as write

    options = told.options
    written = write(options.run, options.format, options.out)
    difference = written["largest_difference"]
    checked = f"logits differ by at most {difference:.0e} of the largest" if difference else "gives the network's very logits"
    screens.places({"Written": written["path"], "Checked": checked})


def list_(told: Parsed) -> None:
    """``mixop list``"""
    topic = told.options.topic
    if topic is not None and topic not in TOPICS:
        raise RecipeError(unknown("list of", topic, TOPICS))
    topics = [topic] if topic else list(TOPICS)
    tables = {topic: TOPICS[topic]() for topic in topics}
    if told.options.json:
        return print_json(tables)
    from mixop.cli import screens

    return screens.lists(tables)


def _with_fitting_batch(recipe: "Recipe", space: "Space", data: "Data", settings: Any, out: str) -> "Recipe":
    """The recipe with a batch size that fits; in a run that was begun, with that run's."""
    from dataclasses import replace

    from mixop import api
    from mixop.measure.foresight import fitting_batch
    from mixop.runs.directory import RunDirectory

    run = RunDirectory(out)
    begun = run.has(RECIPE)
    batch = api.read_recipe(run).batch_size if begun else fitting_batch(recipe, space, data, settings)
    return replace(recipe, batch_size=batch)


def _watched(recipe: "Recipe", every: int) -> "Recipe":
    """The recipe with a monitor that warns of a collapse."""
    from dataclasses import replace

    from mixop.monitors.collapse import Collapse

    others = tuple(monitor for monitor in recipe.monitors if not isinstance(monitor, Collapse))
    return replace(
        recipe, monitors=(*others, Collapse(every=every, eigenvalue=recipe.relaxation.differentiable_mean, gap=True))
    )


def _is_comparison(run: str) -> bool:
    return Path(run, COMPARISON).is_file()


def _foresee(options: Any, run: tuple[Any, int, str], estimate: Callable[[Any], "Estimate"]) -> None:
    """Says what a long run will take; refuses one whose batches do not fit into the memory.

    Args:
        options: of the command.
        run: its settings, its number of steps, and its directory: one that was begun is not estimated again.
        estimate: measures, given the module `mixop.measure.foresight`.
    """
    from mixop.measure import foresight

    settings, steps, out = run
    if steps < FORESEEN_STEPS or any(Path(out, name).exists() for name in (STATE, RETRAINING_STATE)):
        return
    found = estimate(foresight)
    if found.seconds >= FORESEEN_SECONDS and not (options.quiet or options.json):
        from mixop.cli import screens

        screens.places({"Estimate": f"{found} on {settings.device}"})


def _progress(options: Any, title: str, measures: Sequence["Measure"], labels: Sequence[str] = ()) -> "ProgressView":
    from mixop.cli.progress import ProgressView

    return ProgressView(title, measures, labels, quiet=options.quiet or options.json)


def _finish_search(result: "SearchResult", options: Any) -> None:
    from mixop.report.html import write_report

    page = write_report(result.out)
    if options.json:
        return print_json({"architecture": result.native, "run": str(result.out), "report": str(page)})
    from mixop.cli import screens

    return screens.found(result.recipe.name, result.out, page)


def _finish_retraining(result: "RetrainResult", options: Any) -> None:
    from mixop.report.html import write_report

    page = write_report(result.out)
    if options.json:
        from mixop.runs.records import to_record

        return print_json({**to_record(result.score), "run": str(result.out), "report": str(page)})
    from mixop.cli import screens

    return screens.compared(result.out, page)


def _run_settings(settings: Any, names: Sequence[str] = ()) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in names or _RUN_SETTINGS}


def _labels(run: "RunDirectory") -> list[str]:
    """Labels of the networks that a run retrains; none if it is a search."""
    if not run.has(RETRAINING):
        return []
    networks = run.read_json(RETRAINING).get("networks", [])
    return [str(network[0]) for network in networks]


def _short(kind: str) -> str:
    """A name fit for a folder: of ``package.module:name`` the name, of a file its stem."""
    return Path(kind).stem if kind.endswith((".json", ".toml")) else kind.rpartition(":")[2]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


FORESEEN_STEPS = 200
"""Steps from which a run is measured beforehand; shorter ones are over before."""

FORESEEN_SECONDS = 60
"""Estimated length from which a run is announced."""

_RUN_SETTINGS = ("seed", "device", "checkpoint_seconds", "threads")
_SEARCH_SETTINGS = (*_RUN_SETTINGS, "executor", "precision", "channels_last", "compile", "capture")

COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command(
            "search",
            SearchOptions,
            search,
            values={"recipe": kinds.recipe, "space": kinds.space, "data": kinds.data},
            settings=_SEARCH_SETTINGS,
            shortcuts={"epochs": ("recipe", "epochs"), "batch_size": ("recipe", "batch_size")},
            prepare={"epochs": kinds.keep_warmup_share},
            automatic=("batch_size",),
            examples=(
                "mixop search --recipe drnas --space nasbench201 --data digits --epochs 3 --out runs/x",
                "mixop search --recipe darts --data npz --data.path faces.npz --space.channels 8",
            ),
        ),
        Command(
            "compare",
            CompareOptions,
            compare,
            values={"space": kinds.space, "data": lambda kind: kinds.data(kind) if kind else None},
            settings=("device", "checkpoint_seconds"),
            examples=(
                "mixop compare --recipes all --space toy --seeds 5",
                "mixop compare --recipes darts,drnas,gaea --space nasbench201 --space.channels 4 --space.cells 1 --epochs 20",
            ),
        ),
        Command(
            "resume",
            ResumeOptions,
            resume,
            settings=("device", "checkpoint_seconds", "threads"),
            examples=("mixop resume runs/x",),
        ),
        Command(
            "retrain",
            RetrainOptions,
            retrain,
            values={
                "protocol": kinds.protocol,
                "space": lambda kind: kinds.space(kind) if kind else None,
                "data": lambda kind: kinds.data(kind) if kind else None,
            },
            settings=_RUN_SETTINGS,
            shortcuts={"epochs": ("protocol", "epochs"), "batch_size": ("protocol", "batch_size")},
            examples=(
                "mixop retrain runs/x",
                "mixop retrain runs/x --protocol nasbench201 --random 0 --out runs/x-final",
                "mixop retrain --architecture DARTS_V2 --data cifar10 --data.path data --protocol darts-cifar10",
            ),
        ),
        Command(
            "evaluate",
            EvaluateOptions,
            evaluate,
            values={"data": lambda kind: kinds.data(kind) if kind else None},
            settings=("device",),
            examples=("mixop evaluate runs/x", "mixop evaluate runs/x --data npz --data.path shifted.npz"),
        ),
        Command(
            "speed",
            SpeedOptions,
            speed,
            values={"recipe": kinds.recipe, "space": kinds.space},
            settings=("device", "threads", "precision", "channels_last", "compile", "capture"),
            shortcuts={"batch": ("recipe", "batch_size")},
            examples=("mixop speed --space nasbench201 --batch 32", "mixop speed --space darts --batch 16 --recipe pcdarts"),
        ),
        *TABLE,
        REPRODUCE,
        Command("report", ReportOptions, report, examples=("mixop report runs/x",)),
        Command("export", ExportOptions, export, examples=("mixop export runs/x", "mixop export runs/x --format onnx")),
        Command("list", ListOptions, list_, examples=("mixop list", "mixop list recipes")),
    )
}
"""Every command by its word."""


def run(words: Sequence[str]) -> None:
    """Runs the command that the words say.

    Raises:
        MixopError: what the user can mend.
    """
    if "--version" in words[:1]:
        print(__version__)  # noqa: T201
        return
    if not words or words[0] in ("-h", "--help", "help"):
        print(help.overview(list(COMMANDS.values()), __version__))  # noqa: T201
        return
    name, *rest = words
    if name.startswith("-"):
        raise RecipeError(
            f"A command comes first, got {name!r}: mixop search, compare, resume, retrain, evaluate, bench, benchmark, "
            "reproduce, report, export or list."
        )
    if rest and f"{name} {rest[0]}" in COMMANDS:  # mixop table show
        name, rest = f"{name} {rest[0]}", rest[1:]
    group = [command for command in COMMANDS.values() if command.name.startswith(f"{name} ")]
    if group and rest[:1] in (["-h"], ["--help"]):
        print(help.overview(group, __version__))  # noqa: T201
        return
    if group:
        known = ", ".join(f"mixop {command.name}" for command in group)
        given = f" and not {rest[0]!r}" if rest else ""
        raise RecipeError(f"mixop {name} is the first word of several commands{given}: {known}.")
    if name not in COMMANDS:
        raise RecipeError(unknown("command", name, COMMANDS))
    command = COMMANDS[name]
    told = parse(command, rest)
    heed()
    if told.help:
        print(help.screen(command, told))  # noqa: T201
        return
    command.run(told)
