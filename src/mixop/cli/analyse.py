"""``mixop analyse ...``: what a finished search can be asked afterwards."""

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal

from mixop.cli import kinds
from mixop.cli.arguments import Command, Parsed
from mixop.cli.loading import loaded
from mixop.cli.output import print_json
from mixop.cli.table import Converting, in_table
from mixop.cli.words import count
from mixop.core.errors import RecipeError
from mixop.runs.files import FLATNESS, RANKING

if TYPE_CHECKING:
    from mixop.data.core import Data
    from mixop.evaluate.ranking import Ranking
    from mixop.runs.directory import RunDirectory


@dataclass(frozen=True)
class RankOptions:
    """Say how far the shared weights of a search rank architectures as their own trainings do.

    Architectures are drawn from the search space. Each is scored on the validation split as one path of the supernet, and
    looked up in a table of trained ones. Kendall's tau and Spearman's rho say how far both orders agree, from -1 to 1. The
    result is also written into the run directory, as ranking.json.

    Args:
        run: the run directory of a finished search.
        table: trained architectures of the same space: a table made by mixop table, or the name of one that comes with mixop.
        dataset: the data set within the table. [the only one]
        test: look test scores of the table up in place of validation scores.
        architectures: how many to draw. [100, or all if there are fewer]
        seed: of the draw.
        batches: score on this many batches of the validation split, the first ones. [all of it]
        norm: what batch norm uses: batch, the statistics of each batch; running, those of the search; recalibrated, statistics
            measured again for each architecture on training batches. The latter two need a supernet that keeps statistics.
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    table: str | None = None
    dataset: str | None = None
    test: bool = False
    architectures: int | None = None
    seed: int = 0
    batches: int | None = None
    norm: Literal["batch", "running", "recalibrated"] = "batch"
    quiet: bool = False
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


def rank(parsed: Parsed) -> None:
    """``mixop analyse rank``"""
    from mixop.comparison.evaluators import tabular
    from mixop.core.surroundings import using
    from mixop.evaluate.ranking import rank as ranked
    from mixop.runs.directory import RunDirectory
    from mixop.runs.records import to_record
    from mixop.tables.catalogue import open_table, shipped_names

    options, settings = parsed.options, parsed.build("settings")
    run = RunDirectory(options.run)
    run.require()
    if options.table is None:
        known = ", ".join(shipped_names())
        raise RecipeError(f"mixop analyse rank needs --table, a file, or the name of one that comes with mixop ({known}).")
    table = tabular(options.table, options.dataset, test=options.test)
    data = _data(run, parsed)
    with (
        using(settings.threads),
        Converting(
            f"Scoring architectures with the shared weights of {options.run}", quiet=options.quiet or options.json
        ) as bar,
    ):
        ranking = ranked(
            run,
            data,
            open_table(table.table),
            dataset=table.dataset,
            split="test" if table.test else "valid",
            epochs=table.epochs,
            architectures=options.architectures,
            seed=options.seed,
            batches=options.batches,
            norm=options.norm,
            device=settings.device,
            observe=bar,
        )
    content = to_record(ranking)
    run.write_json(RANKING, content)
    if options.json:
        return print_json(content)
    return _show(ranking, str(run / RANKING))


def _data(run: "RunDirectory", parsed: Parsed) -> "Data":
    """What a run searched on, from where it lies now."""
    from mixop import api

    place = parsed.build("data")
    return loaded(lambda: api.load_data(run, place.path, place.split.index_file))


_STATISTICS = {
    "batch": "the statistics of each batch",
    "running": "the running statistics of the search",
    "recalibrated": "statistics measured again for each",
}


def _show(ranking: "Ranking", file: str) -> None:
    from mixop.cli import screens
    from mixop.report.words import word

    split = "test" if ranking.split == "test" else "validation"
    number = len(ranking.architectures)
    seen = "" if ranking.held_out else ", which the weights were trained on too"
    lines: dict[str, object] = {
        "Kendall's tau": _written(ranking.tau),
        "Spearman's rho": _written(ranking.rho),
        "Architectures": f"{number:,} of {ranking.of:,}, "
        + ("all of them" if number == ranking.of else f"drawn with seed {ranking.seed}"),
    }
    if ranking.missing:
        lines["Architectures"] = f"{lines['Architectures']}; {ranking.missing:,} more are not in the table"
    lines["Shared weights"] = (
        f"validation {word(ranking.measure)} on {count(ranking.examples, 'example')} of {ranking.data}{seen}, batch norm by "
        f"{_STATISTICS[ranking.norm]}"
    )
    after = count(ranking.epochs, "epoch")
    lines["Trained"] = f"{split} {word(ranking.table_measure)} on {ranking.dataset} after {after}, table {ranking.table}"
    for title, index in (("Best by shared weights", ranking.best_shared), ("Best by the table", ranking.best_trained)):
        one = ranking.architectures[index]
        trained = in_table(ranking.table_measure, ranking.table_measure.scale * one.trained, 2) + ranking.table_measure.suffix
        lines[title] = (
            f"{ranking.measure.written(one.shared)} with shared weights, {trained} trained, place {ranking.place(index):,} of "
            f"{number:,}: {one.architecture}"
        )
    screens.places(lines | {"Written": file})


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _written(correlation: float | None) -> str:
    return "not defined: all scores of one kind are equal" if correlation is None else f"{correlation:.3f}"


@dataclass(frozen=True)
class FlatnessOptions:
    """Say how flat the minimum is that the weights of a search ended in.

    It measures the curvature of the training loss in the weights of the supernet, under the mixing weights that the search
    ended with: the largest eigenvalue of the Hessian by Lanczos, and its trace by Hutchinson's estimate. The result is also
    written into the run directory, as flatness.json.

    Args:
        run: the run directory of a finished search.
        examples: of the batch of training examples; all if there are fewer.
        samples: random vectors of the estimate of the trace.
        seed: of the batch and of these vectors.
        json: print the result as one JSON object, and nothing else.
        trust: a module of your own, or of somebody you trust, that files of a run or of settings may name; may be repeated.
        debug: after an error, show where it came from.
    """

    run: str
    _: KW_ONLY
    examples: int = 256
    samples: int = 16
    seed: int = 0
    json: bool = False
    trust: tuple[str, ...] = ()
    debug: bool = False


def flatness(parsed: Parsed) -> None:
    """``mixop analyse flatness``"""
    from mixop.cli import screens
    from mixop.core.surroundings import using
    from mixop.evaluate.flatness import flatness as measured
    from mixop.runs.directory import RunDirectory
    from mixop.runs.records import to_record

    options, settings = parsed.options, parsed.build("settings")
    run = RunDirectory(options.run)
    run.require()
    data = _data(run, parsed)
    with using(settings.threads):
        found = measured(
            run, data, examples=options.examples, samples=options.samples, seed=options.seed, device=settings.device
        )
    content = to_record(found)
    run.write_json(FLATNESS, content)
    if options.json:
        return print_json(content)
    return screens.places(
        {
            "Largest eigenvalue": _number(found.largest),
            "Trace": f"{_number(found.trace)}, standard error {_number(found.trace_error)} of {count(found.samples, 'sample')}",
            "Loss": f"{_number(found.loss)} on {count(found.examples, 'training example')}",
            "Weights": f"{found.weights:,}",
            "Written": str(run / FLATNESS),
        }
    )


ANALYSE = (
    Command(
        "analyse rank",
        RankOptions,
        rank,
        values={"data": lambda _: kinds.place()},
        settings=("device", "threads"),
        rare=("trust", "threads"),
        examples=(
            "mixop analyse rank runs/x --table nasbench201-digits",
            "mixop analyse rank runs/x --table nasbench201.table --dataset cifar10 --architectures 500 --batches 10",
        ),
    ),
    Command(
        "analyse flatness",
        FlatnessOptions,
        flatness,
        values={"data": lambda _: kinds.place()},
        settings=("device", "threads"),
        rare=("trust", "threads"),
        examples=("mixop analyse flatness runs/x",),
    ),
)
