"""The commands. What needs torch, matplotlib or the data is imported where it is used: help comes at once."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mixop import __version__
from mixop.cli import help, kinds
from mixop.cli.arguments import Command, Parsed, parse
from mixop.cli.tree import first_line
from mixop.errors import RecipeError, unknown

if TYPE_CHECKING:
    from mixop.api import RetrainResult, SearchResult
    from mixop.cli.progress import Progress
    from mixop.engine.rundir import RunDirectory

Topic = Literal["recipes", "spaces", "data", "relaxations", "protocols", "operations"]


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Search a space for an architecture.

    The run directory keeps everything: the method, the metrics of every epoch, checkpoints, the architecture and a report.
    Given again, the same command goes on where it stopped.

    Args:
        recipe: the method: a name (see mixop list recipes), package.module:function of one's own, or a .json or .toml file
            such as the recipe.json of another run. [drnas]
        space: the search space: a name (see mixop list spaces), or package.module:name of one's own. Sizes left open are
            taken from the data. [nasbench201]
        data: the data set: a name (see mixop list data), or package.module:name of one's own. [digits]
        out: the run directory, new or this search's own. [runs/RECIPE-SPACE-DATA]
        config: file of settings, .toml or .json; see the end of this page.
        quiet: show nothing while it runs, only the last screen.
        json: write the result as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    recipe: str = "drnas"
    space: str = "nasbench201"
    data: str = "digits"
    out: str | None = None
    config: str | None = None
    quiet: bool = False
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class ResumeOptions:
    """Go on with what a run directory has not finished: its search, or its retraining.

    It gives what the run would have given had it never been stopped.

    Args:
        run: the run directory.
        quiet: show nothing while it runs, only the last screen.
        json: write the result as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    quiet: bool = False
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class RetrainOptions:
    """Train the found architecture from scratch, and random ones beside it, and score them on the test set.

    All training examples are used, those of both splits of the search. Random architectures are trained in the same way, so
    that one sees whether searching was better than picking at random; each of them takes about as long as the found one.

    Args:
        run: the run directory of a finished search.
        protocol: how to train: a name (see mixop list protocols), or package.module:name of one's own. [quick]
        random: how many random architectures to train beside the found one. [5]
        out: another run directory for the result. [RUN]
        config: file of settings, .toml or .json; see the end of this page.
        quiet: show nothing while it runs, only the last screen.
        json: write the result as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    protocol: str = "quick"
    random: int = 5
    out: str | None = None
    config: str | None = None
    quiet: bool = False
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class EvaluateOptions:
    """Score a run's trained network anew, on its own test set or on another one.

    Args:
        run: the run directory of a finished retraining.
        data: whose test set to use, as in mixop search; images and classes must be like those of the run. [the run's own]
        config: file of settings, .toml or .json; see the end of this page.
        json: write the result as one JSON object, and nothing else, on standard output.
        debug: with an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    data: str | None = None
    config: str | None = None
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class ReportOptions:
    """Write report.html of a run: the cell, the weights over time, the scores, and how to repeat it.

    Args:
        run: the run directory, finished or not.
        tensorboard: also write the metrics for TensorBoard, into RUN/tensorboard (needs the extra trackers).
        debug: with an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    tensorboard: bool = False
    debug: bool = False


@dataclass(frozen=True)
class ExportOptions:
    """Write the trained network as a file that runs without mixop.

    The file is loaded again and compared with the network on the same images before it is kept.

    Args:
        run: the run directory of a finished retraining.
        format: pt2 for torch.export, onnx for ONNX (needs the extra onnx). [pt2]
        out: the file. [RUN/model.FORMAT]
        debug: with an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    format: Literal["pt2", "onnx"] = "pt2"
    out: str | None = None
    debug: bool = False


@dataclass(frozen=True)
class ListOptions:
    """List recipes, search spaces, data sets, relaxations, training protocols or operations.

    Args:
        topic: one of recipes, spaces, data, relaxations, protocols, operations. [all of them]
        json: write one JSON object of names and descriptions on standard output.
        debug: with an error, show where it came from.
    """

    topic: Topic | None = None
    _: KW_ONLY
    json: bool = False
    debug: bool = False


def search(told: Parsed) -> None:
    """``mixop search``"""
    options = told.options
    recipe, space, source, settings = (told.build(name) for name in ("recipe", "space", "data", "settings"))
    names = (_short(kind) for kind in (options.recipe, options.space, options.data))
    out = options.out or str(Path("runs", "-".join(names)))
    data = source.load()

    from mixop import api

    title = f"Searching {space.name} with {recipe.name} on {data.name}, {recipe.epochs} epochs, into {out}"
    with _progress(options, title) as progress:
        result = api.search(recipe, space, data, out, **_run_settings(settings), observe=progress)
    _finish_search(result, progress, options)


def resume(told: Parsed) -> None:
    """``mixop resume``"""
    from mixop import api
    from mixop.engine.rundir import RunDirectory

    options = told.options
    run = RunDirectory(options.run)
    run.require()
    settings = _run_settings(told.build("settings"))
    del settings["seed"]  # the run has its own
    labels = _labels(run)
    with _progress(options, f"Going on with {options.run}", labels) as progress:
        result = api.resume(options.run, **settings, observe=progress)
    if isinstance(result, api.RetrainResult):
        _finish_retraining(result, options)
    else:
        _finish_search(result, progress, options)


def retrain(told: Parsed) -> None:
    """``mixop retrain``"""
    from mixop import api
    from mixop.engine.rundir import RunDirectory
    from mixop.evaluate.trained import read_space
    from mixop.spaces.describe import read_architecture

    options = told.options
    protocol, settings = told.build("protocol"), told.build("settings")
    run = RunDirectory(options.run)
    run.require()
    space = read_space(run)
    architecture = read_architecture(space, run.read_json("architecture.json"))
    data = api.load_data(run)
    api.check_data(run, data)
    labels = ["found", *(f"random {k}" for k in range(1, options.random + 1))]
    title = f"Training {_count(len(labels), 'network')} by protocol {protocol.name} on {data.name}, {protocol.epochs} epochs each"
    with _progress(options, title, labels) as progress:
        result = api.retrain(
            architecture,
            space,
            data,
            options.out or options.run,
            protocol=protocol,
            random=options.random,
            **_run_settings(settings),
            observe=progress,
        )
    _finish_retraining(result, options)


def evaluate(told: Parsed) -> None:
    """``mixop evaluate``"""
    from mixop import api
    from mixop.engine.rundir import RunDirectory
    from mixop.evaluate.trained import evaluate_run

    options = told.options
    run = RunDirectory(options.run)
    run.require()
    source, settings = told.build("data"), told.build("settings")
    data = api.load_data(run) if source is None else source.load()
    score = evaluate_run(options.run, data.to(settings.device))
    if options.json:
        return _print_json({"run": options.run, "data": data.name, "images": len(data.test_x), **score})
    from mixop.cli import screens

    return screens.evaluation(data.name, len(data.test_x), score)


def report(told: Parsed) -> None:
    """``mixop report``"""
    from mixop.cli import screens
    from mixop.report.html import write_report

    run = told.options.run
    screens.places({"Report": write_report(run)})
    if told.options.tensorboard:
        from mixop.trackers import write_tensorboard

        folder = write_tensorboard(run)
        screens.places({"TensorBoard": folder, "Show it": f"tensorboard --logdir {folder}"})


def export(told: Parsed) -> None:
    """``mixop export``"""
    from mixop.cli import screens
    from mixop.evaluate.export import export as write

    options = told.options
    written = write(options.run, options.format, options.out)
    screens.places(
        {"Written": written["path"], "Checked": f"differs from the network by {written['largest_difference']:.0e} of its logits"}
    )


def list_(told: Parsed) -> None:
    """``mixop list``"""
    topics = [told.options.topic] if told.options.topic else list(_TOPICS)
    tables = {topic: _TOPICS[topic]() for topic in topics}
    if told.options.json:
        return _print_json(tables)
    from mixop.cli import screens

    return screens.lists(tables)


def _recipes() -> dict[str, str]:
    from mixop.recipes import RECIPES

    return {name: first_line(function) for name, function in RECIPES.items()}


def _spaces() -> dict[str, str]:
    from mixop.spaces import SPACES

    return {name: first_line(cls) for name, cls in SPACES.items()}


def _data() -> dict[str, str]:
    from mixop.data import SOURCES

    return {name: first_line(cls) for name, cls in SOURCES.items()}


def _relaxations() -> dict[str, str]:
    from mixop.relax import ALL

    return {cls.__name__: first_line(cls) for cls in ALL.values()}


def _protocols() -> dict[str, str]:
    from mixop.evaluate.protocol import PROTOCOLS

    return {
        name: f"{p.epochs} epochs of {type(p.optimiser).__name__}, batches of {p.batch_size}" for name, p in PROTOCOLS.items()
    }


def _operations() -> dict[str, str]:
    from mixop.ops import OPERATIONS, BatchNorm

    operations = {name: make(4, 1, BatchNorm()) for name, make in OPERATIONS.items()}
    return {name: " - ".join(_layer(module) for module in [*net.children()] or [net]) for name, net in operations.items()}


def _layer(module: Any) -> str:
    if type(module).__module__.startswith("mixop."):
        return first_line(type(module))
    kernel = getattr(module, "kernel_size", None)
    kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    return type(module).__name__ + (f" {kernel[0]}x{kernel[1]}" if kernel[0] else "")


_TOPICS: Mapping[str, Callable[[], dict[str, str]]] = {
    "recipes": _recipes,
    "spaces": _spaces,
    "data": _data,
    "relaxations": _relaxations,
    "protocols": _protocols,
    "operations": _operations,
}


def _progress(options: Any, title: str, labels: Sequence[str] = ()) -> "Progress":
    from mixop.cli.progress import Progress

    return Progress(title, labels, quiet=options.quiet or options.json)


def _finish_search(result: "SearchResult", progress: "Progress", options: Any) -> None:
    from mixop.report.html import write_report

    page = write_report(result.out)
    if options.json:
        return _print_json({"architecture": result.native, "run": str(result.out), "report": str(page)})
    from mixop.cli import screens

    return screens.found(result.native, result.recipe.name, result.history, result.out, page)


def _finish_retraining(result: "RetrainResult", options: Any) -> None:
    from mixop.report.html import write_report

    page = write_report(result.out)
    if options.json:
        return _print_json({**result.score, "run": str(result.out), "report": str(page)})
    from mixop.cli import screens

    return screens.compared(result.out, page)


def _run_settings(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("seed", "device", "checkpoint_seconds")}


def _labels(run: "RunDirectory") -> list[str]:
    """Labels of the networks that a run retrains; none if it is a search."""
    if not (run / "retrain.json").exists():
        return []
    networks = run.read_json("retrain.json").get("networks", [])
    return [str(network[0]) for network in networks]


def _short(kind: str) -> str:
    """A name fit for a folder: of ``package.module:name`` the name, of a file its stem."""
    return Path(kind).stem if kind.endswith((".json", ".toml")) else kind.rpartition(":")[2]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_json(content: Any) -> None:
    sys.stdout.write(json.dumps(content) + "\n")


_RUN_SETTINGS = ("seed", "device", "checkpoint_seconds")

COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command(
            "search",
            SearchOptions,
            search,
            values={"recipe": kinds.recipe, "space": kinds.space, "data": kinds.data},
            settings=_RUN_SETTINGS,
            shortcuts={"epochs": ("recipe", "epochs"), "batch_size": ("recipe", "batch_size")},
            examples=(
                "mixop search --recipe drnas --space nasbench201 --data digits --epochs 3 --out runs/x",
                "mixop search --recipe darts --data npz --data.path faces.npz --space.channels 8",
            ),
        ),
        Command(
            "resume", ResumeOptions, resume, settings=("device", "checkpoint_seconds"), examples=("mixop resume runs/x",)
        ),
        Command(
            "retrain",
            RetrainOptions,
            retrain,
            values={"protocol": kinds.protocol},
            settings=_RUN_SETTINGS,
            shortcuts={"epochs": ("protocol", "epochs"), "batch_size": ("protocol", "batch_size")},
            examples=("mixop retrain runs/x", "mixop retrain runs/x --protocol nasbench201 --random 0 --out runs/x-final"),
        ),
        Command(
            "evaluate",
            EvaluateOptions,
            evaluate,
            values={"data": lambda kind: kinds.data(kind) if kind else None},
            settings=("device",),
            examples=("mixop evaluate runs/x", "mixop evaluate runs/x --data npz --data.path shifted.npz"),
        ),
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
        raise RecipeError(f"A command comes first, got {name!r}: mixop search, resume, retrain, evaluate, report, export or list.")
    if name not in COMMANDS:
        raise RecipeError(unknown("command", name, COMMANDS))
    command = COMMANDS[name]
    told = parse(command, rest)
    if told.help:
        print(help.screen(command, told))  # noqa: T201
        return
    command.run(told)
