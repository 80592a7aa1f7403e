"""``mixop search | resume | retrain``: the commands that train. What needs torch is imported where it is used."""

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from mixop.cli import kinds
from mixop.cli.arguments import Command, Parsed, Shortcut
from mixop.cli.loading import loaded
from mixop.cli.options import Place, ResumeOptions, RetrainOptions, SearchOptions
from mixop.cli.output import print_json
from mixop.cli.results import is_comparison, is_tuning
from mixop.cli.tracking import check_trackers, send_again
from mixop.cli.words import count, short
from mixop.core.errors import RecipeError, RunError, unknown
from mixop.core.launched import processes, rank
from mixop.core.outside import shortened
from mixop.runs.files import ARCHITECTURE, KNOWN, RECIPE, RETRAINING, RETRAINING_STATE, SCORE, STATE

if TYPE_CHECKING:
    from mixop.api import RetrainResult, SearchResult
    from mixop.cli.progress import ProgressView
    from mixop.core.measure import Measure
    from mixop.data.core import Data
    from mixop.engine.estimate import Estimate
    from mixop.evaluate.protocol import Protocol
    from mixop.recipe.core import Recipe
    from mixop.runs.directory import RunDirectory
    from mixop.spaces.core import Architecture, Space

FORESEEN_STEPS = 200
"""Steps from which a run is measured beforehand; shorter ones are over sooner than the measurement."""

FORESEEN_SECONDS = 60
"""Estimated length from which a run is announced."""

DRAWN = re.compile(r"random(?::([0-9]{1,9}))?")
"""An architecture that is drawn from its space, by a seed."""

GIVEN_SPACE, GIVEN_DATA = "darts", "digits"
"""Of an architecture that is given to a retraining without them; a published one knows its space."""

RANDOM = 5
"""Random architectures that a retraining trains beside what a search found."""

KNOWN_NETWORKS = 1
"""Known networks that are trained after a retraining, for as long as the search and the training took."""

_RUN_SETTINGS = ("seed", "device", "checkpoint_seconds", "threads")
_RETRAIN_SETTINGS = (*_RUN_SETTINGS, "executor")
_SEARCH_SETTINGS = (*_RUN_SETTINGS, "executor", "precision", "channels_last", "compile", "capture", "accumulate")


def search(parsed: Parsed) -> None:
    """``mixop search``"""
    options = parsed.options
    check_trackers(options)
    _check_together(options, seeds=options.seeds > 1, batch_size="batch_size" in parsed.automatic)
    recipe, space, source, settings = (parsed.build(name) for name in ("recipe", "space", "data", "settings"))
    if options.watch:
        recipe = _watched(recipe, options.watch)
    if options.seeds < 1:
        raise RecipeError(f"--seeds must be at least 1, got {options.seeds}.")
    names = (short(kind) for kind in (options.recipe, options.space, options.data))
    out = options.out or str(Path("runs", "-".join(names)))
    data = loaded(source.load)
    seeds = range(settings.seed, settings.seed + options.seeds)
    places = [out] if len(seeds) == 1 else [str(Path(out, f"seed-{seed}")) for seed in seeds]

    from mixop import api

    if "batch_size" in parsed.automatic:
        recipe = _with_fitting_batch(recipe, space, data, settings, places[0])
    if options.minutes is not None:
        recipe = _in_minutes(options.minutes, recipe, space, data, settings, places[0])
    published, recipe = recipe, api.at_rates(recipe, data, options.rates)
    _say_rate(published, recipe, options)
    _foresee(
        options,
        (settings, recipe.epochs * len(data.train) // recipe.batch_size, places[0]),
        lambda foresight: foresight.search_estimate(recipe, space, data, settings),
    )
    title = f"Searching {space.name} with {recipe.name} on {data.name} for {count(recipe.epochs, 'epoch')}, into "
    given, results = _run_settings(settings, _SEARCH_SETTINGS), []
    for seed, place in zip(seeds, places, strict=True):
        with _progress(options, title + place, data.task.measures) as progress:
            results.append(
                api.search(
                    recipe,
                    space,
                    data,
                    place,
                    rates="paper",
                    **{**given, "seed": seed},
                    track=options.track,
                    observe=progress,
                )
            )
    _finish_search(results[0] if len(results) == 1 else _best(results, data, out, settings, options), options)


def _check_together(options: Any, **measured: bool) -> None:
    """Refuses, in several processes, what one process does by its own clock or alone.

    Args:
        options: of the command.
        measured: by the names of flags, whether they ask for such a thing.
    """
    if processes() == 1:
        return
    measured["minutes"] = getattr(options, "minutes", None) is not None
    asked = next((name for name, there in measured.items() if there), "")
    if asked:
        flag = "--" + asked.replace("_", "-")
        raise RecipeError(f"{flag} is for one process, but torchrun started {processes()}: leave it out.")


def _silent(options: Any) -> bool:
    """Whether nothing is to be said for people: of several processes only the first one speaks."""
    return options.quiet or options.json or rank() > 0


def _best(results: Sequence["SearchResult"], data: "Data", out: str, settings: Any, options: Any) -> "SearchResult":
    """The best of several searches by a short training of each architecture."""
    from dataclasses import replace

    from mixop.comparison.select import read_selection, select
    from mixop.evaluate.protocol import PROTOCOLS

    quick = PROTOCOLS["quick"]
    protocol = replace(quick, batch_size=min(quick.batch_size, len(data.train)))
    place = Path(out, "selection")
    title = f"Training what {len(results)} searches found, briefly, on the split for the weights"
    labels = ["found", *(f"candidate {k}" for k in range(2, len(results) + 1))]
    with _progress(options, title, data.task.measures, labels) as progress:
        best = select(results, data, place, protocol=protocol, seed=settings.seed, device=settings.device, observe=progress)
    if not _silent(options):
        from mixop.cli import screens

        screens.selected(read_selection(place))
    return best


def _in_minutes(minutes: float, recipe: "Recipe", space: "Space", data: "Data", settings: Any, out: str) -> "Recipe":
    """The recipe with as many epochs as there is time for; of a run that has started, with that run's."""
    from dataclasses import replace

    from mixop import api
    from mixop.measure.foresight import recipe_in
    from mixop.runs.directory import RunDirectory

    run = RunDirectory(out)
    if run.has(RECIPE):
        kept = api.read_recipe(run)
        return replace(recipe, epochs=kept.epochs, warmup=kept.warmup)
    return recipe_in(minutes, recipe, space, data, settings)


def _say_rate(published: "Recipe", recipe: "Recipe", options: Any) -> None:
    """Says that the architecture's learning rate is not the published one."""
    if recipe == published or _silent(options):
        return
    from mixop.cli import screens

    before, now = (one.architecture_optimiser.lr.bounds[1] for one in (published, recipe))
    screens.places({"Rate": f"{now:.3g} for the architecture, {now / before:.3g} times the published one for the short search"})


def resume(parsed: Parsed) -> None:
    """``mixop resume``"""
    from mixop import api
    from mixop.runs.directory import RunDirectory

    options = parsed.options
    check_trackers(options)
    _check_together(options)
    run = RunDirectory(options.run)
    if is_comparison(options.run):
        raise RunError(f"{options.run} is a comparison: repeat the same `mixop compare` to continue it.")
    if is_tuning(options.run):
        raise RunError(f"{options.run} is a tuning: repeat the same `mixop tune` to continue it.")
    run.require()
    settings, place = _run_settings(parsed.build("settings")), parsed.build("data")
    del settings["seed"]  # the run has its own
    labels = _labels(run)
    done = run.has(SCORE if labels else ARCHITECTURE)
    data = loaded(lambda: api.load_data(run, place.path, place.split.index_file))
    title = f"Nothing is left to do in {options.run}" if done else f"Continuing {options.run}"
    with _progress(options, title, run.measures(), labels) as progress:
        result = api.resume(options.run, data, **settings, track=options.track, observe=progress)
    if isinstance(result, api.RetrainResult):
        planned = run.read_json(KNOWN).get("planned", ()) if run.has(KNOWN) else ()
        _train_known(result, None, len(planned), data, options, parsed.build("settings"))
        _finish_retraining(result, options)
    else:
        _finish_search(result, options)


def retrain(parsed: Parsed) -> None:
    """``mixop retrain``"""
    from mixop import api

    options = parsed.options
    check_trackers(options)
    _check_together(options, known=bool(options.known))
    protocol, settings = parsed.build("protocol"), parsed.build("settings")
    architecture, space, data, out = _given(parsed) if options.run is None else _searched(parsed)
    random = options.random if options.random is not None else 0 if options.run is None else RANDOM
    if options.minutes is not None:
        protocol = _protocol_in_minutes(options.minutes, architecture, space, data, protocol, 1 + random, settings, out)
    steps = (1 + random) * protocol.epochs * (len(data.train) + len(data.valid)) // protocol.batch_size
    _foresee(
        options,
        (settings, steps, out),
        lambda foresight: foresight.retraining_estimate(
            architecture, space, data, protocol, networks=1 + random, device=settings.device
        ),
    )
    labels = ["found", *(f"random {k}" for k in range(1, random + 1))]
    each = f"{count(protocol.epochs, 'epoch')} each"
    if options.start == "supernet" and options.run is None:
        raise RecipeError("--start supernet begins from the weights of a search: write mixop retrain RUN --start supernet.")
    kept = ", from the supernet's weights" if options.start == "supernet" else ""
    title = f"Training {count(len(labels), 'network')} by protocol {protocol.name} on {data.name}, {each}{kept}"
    with _progress(options, title, data.task.measures, labels) as progress:
        result = api.retrain(
            architecture,
            space,
            data,
            out,
            protocol=protocol,
            random=random,
            start=options.start,
            supernet=options.run if kept else None,
            **_run_settings(settings, _RETRAIN_SETTINGS),
            track=options.track,
            observe=progress,
        )
    known = options.known
    if known is None:
        known = KNOWN_NETWORKS if random and options.minutes is None and processes() == 1 else 0
    _train_known(result, options.run, known, data, options, settings)
    _finish_retraining(result, options)


def _train_known(result: "RetrainResult", searched: str | None, count: int, data: "Data", options: Any, settings: Any) -> None:
    """Trains known networks beside a finished retraining; those that are trained already are kept."""
    from mixop.finder.portfolio import by_hand
    from mixop.runs.load import read_known

    labels = [family.label for family in by_hand(data)[:count]]
    there = read_known(result.out / KNOWN)
    if len(labels) <= (len(there.networks) if there else 0):
        return
    from mixop.finder.known import train_known
    from mixop.report.html import write_report

    write_report(result.out)  # what is known so far, should this one be stopped
    title = f"Training {' and '.join(labels)} beside it, for as long as it took in all"
    kept = _run_settings(settings)
    del kept["seed"]  # that of the found network
    with _progress(options, title, data.task.measures, labels) as progress:
        train_known(result.out, data, count=count, searched=searched, **kept, observe=progress)
    if options.track:
        write_report(result.out)
        send_again(result.out, options.track)


def _protocol_in_minutes(
    minutes: float,
    architecture: "Architecture",
    space: "Space",
    data: "Data",
    protocol: "Protocol",
    networks: int,
    settings: Any,
    out: str,
) -> "Protocol":
    """The protocol with as many epochs as there is time for; of a retraining that has started, with that one's."""
    from dataclasses import replace

    from mixop.evaluate.protocol import protocol_from_json
    from mixop.measure.foresight import protocol_in
    from mixop.runs.directory import RunDirectory

    run = RunDirectory(out)
    if run.has(RETRAINING):
        return replace(protocol, epochs=protocol_from_json(run.read_json(RETRAINING).get("protocol")).epochs)
    return protocol_in(minutes, architecture, space, data, protocol, networks=networks, device=settings.device)


def _searched(parsed: Parsed) -> tuple["Architecture", "Space", "Data", str]:
    """What a finished search found, its space and data, and where the retraining goes."""
    from mixop import api
    from mixop.evaluate.trained import read_space
    from mixop.runs.directory import RunDirectory

    options, place = parsed.options, parsed.build("data")
    given = [f"--{name}" for name in ("architecture", "space", "data") if getattr(options, name) is not None]
    if given:
        raise RecipeError(f"The run directory {options.run} says what to train: leave out {' and '.join(given)}.")
    run = RunDirectory(options.run)
    run.require()
    if not run.has(ARCHITECTURE):
        raise RunError(f"The search in {options.run} is not finished: first `mixop resume {shlex.quote(options.run)}`.")
    space = read_space(run)
    architecture = api.found_architecture(run, space)
    data = loaded(lambda: api.load_data(run, place.path, place.split.index_file))
    return architecture, space, data, options.out or options.run


def _given(parsed: Parsed) -> tuple["Architecture", "Space", "Data", str]:
    """A published architecture, or one in its space's notation, its space and data, and where the retraining goes."""
    from mixop.spaces.published import ARCHITECTURES, SIZES

    options = parsed.options
    text = options.architecture
    if text is None:
        raise RecipeError("mixop retrain needs the run directory of a search, or --architecture: write mixop retrain RUN.")
    known = ARCHITECTURES.get(text)
    space = parsed.build("space")
    if space is None:
        tree = kinds.space(GIVEN_SPACE if known is None else known.space)
        tree.merge(SIZES.get(text, {}))
        space = tree.build()
    data = parsed.build("data")
    if isinstance(data, Place):
        if data != Place():
            raise RecipeError("There are settings for data, but no data is named: add --data NAME.")
        data = kinds.data(GIVEN_DATA).build()
    data = loaded(data.load)
    if known is not None:
        architecture, name = known, text
    elif (drawn := DRAWN.fullmatch(text)) is not None:
        space = space.fit(data)
        architecture, name = space.random(Random(int(drawn[1] or parsed.build("settings").seed))), space.name
    elif text.startswith("random:"):
        raise RecipeError(
            "--architecture random:SEED draws by a seed, a whole number from 0 to 999999999 as in random:7, got "
            f"{shortened(text)}: write one, or random for the seed of the run."
        )
    elif text.isidentifier():
        raise RecipeError(unknown("published architecture", text, ARCHITECTURES))
    else:
        architecture, name = space.fit(data).from_native(text), space.name
    return architecture, space, data, options.out or str(Path("runs", f"{name}-{data.name}"))


def _with_fitting_batch(recipe: "Recipe", space: "Space", data: "Data", settings: Any, out: str) -> "Recipe":
    """The recipe with a batch size that fits; for a run that has started, with that run's."""
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


def _foresee(options: Any, run: tuple[Any, int, str], estimate: Callable[[Any], "Estimate"]) -> None:
    """Says how long a long run will take; refuses one whose batches do not fit into the memory.

    Args:
        options: of the command.
        run: its settings, its number of steps, and its directory: a run that has started is not estimated again, nor is one of
            several processes.
        estimate: measures, given the module `mixop.measure.foresight`.
    """
    from mixop.measure import foresight

    settings, steps, out = run
    if processes() > 1 or steps < FORESEEN_STEPS or any(Path(out, name).exists() for name in (STATE, RETRAINING_STATE)):
        return
    found = estimate(foresight)
    if found.seconds >= FORESEEN_SECONDS and not _silent(options):
        from mixop.cli import screens

        screens.places({"Estimate": f"{found} on {settings.device}"})


def _progress(options: Any, title: str, measures: Sequence["Measure"], labels: Sequence[str] = ()) -> "ProgressView":
    from mixop.cli.progress import ProgressView

    return ProgressView(title, measures, labels, quiet=_silent(options))


def _finish_search(result: "SearchResult", options: Any) -> None:
    from mixop.report.html import write_report

    if rank():
        return None
    page = write_report(result.out)
    if options.json:
        what = {"architecture": result.native, "remarks": result.remarks, "run": str(result.out), "report": str(page)}
        return print_json(what)
    from mixop.cli import screens

    return screens.found(result.recipe.name, result.out, page)


def _finish_retraining(result: "RetrainResult", options: Any) -> None:
    from mixop.report.html import write_report

    if rank():
        return None
    page = write_report(result.out)
    if options.json:
        from mixop.runs.load import read_known
        from mixop.runs.records import to_record

        known = read_known(result.out / KNOWN)
        beside = {} if known is None else {"known": to_record(known)}
        return print_json({**to_record(result.score), **beside, "run": str(result.out), "report": str(page)})
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


SEARCH = Command(
    "search",
    SearchOptions,
    search,
    values={"recipe": kinds.recipe, "space": kinds.space, "data": kinds.data},
    settings=_SEARCH_SETTINGS,
    shortcuts={
        "epochs": Shortcut(
            ("recipe", "epochs"), "passes over the training data.", "the recipe's own", prepare=kinds.keep_warmup_share
        ),
        "batch_size": Shortcut(
            ("recipe", "batch_size"),
            "examples in a batch; auto halves it until a batch fits into the free memory.",
            "the recipe's own",
            "INT|auto",
            automatic=True,
        ),
    },
    rare=("trust", "rates", "track", *(name for name in _SEARCH_SETTINGS if name not in ("seed", "device"))),
    examples=(
        "mixop search --recipe drnas --space nasbench201 --data digits --epochs 3 --out runs/x",
        "mixop search --recipe darts --data npz --data.path faces.npz --space.channels 8",
        "mixop search --recipe darts --data npz --data.path faces.npz --space my_package.nets:Net --space.width 16",
    ),
)

RESUME = Command(
    "resume",
    ResumeOptions,
    resume,
    values={"data": lambda _: kinds.place()},
    settings=("device", "checkpoint_seconds", "threads"),
    examples=("mixop resume runs/x", "mixop resume runs/x --data.path elsewhere/faces.npz"),
)

RETRAIN = Command(
    "retrain",
    RetrainOptions,
    retrain,
    values={
        "protocol": kinds.protocol,
        "space": lambda kind: kinds.space(kind) if kind else None,
        "data": lambda kind: kinds.data(kind) if kind else kinds.place(),
    },
    settings=_RETRAIN_SETTINGS,
    shortcuts={
        "epochs": Shortcut(("protocol", "epochs"), "passes over the training data.", "the protocol's own"),
        "batch_size": Shortcut(("protocol", "batch_size"), "examples in a batch.", "the protocol's own"),
    },
    rare=("track", "checkpoint_seconds", "threads", "executor"),
    examples=(
        "mixop retrain runs/x",
        "mixop retrain runs/x --protocol nasbench201 --random 0 --out runs/x-final",
        "mixop retrain runs/x --start supernet --protocol finetune --out runs/y",
        "mixop retrain --architecture DARTS_V2 --data cifar10 --data.path data --protocol darts-cifar10",
    ),
)
