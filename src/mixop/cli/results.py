"""``mixop evaluate | predict | report | export | list``: the results of a run, and the names to choose from.

What needs torch or matplotlib is imported where it is used.
"""

from pathlib import Path

from mixop.cli import kinds
from mixop.cli.arguments import Command, Parsed
from mixop.cli.listing import PUBLISHED, TOPICS, numbers
from mixop.cli.loading import loaded
from mixop.cli.options import EvaluateOptions, ExportOptions, ListOptions, Place, PredictOptions, ReportOptions
from mixop.cli.output import print_json
from mixop.core.errors import RecipeError, RunError, unknown
from mixop.runs.files import COMPARISON, EXPERIMENT, FIND, TUNING


def evaluate(parsed: Parsed) -> None:
    """``mixop evaluate``"""
    from mixop import api
    from mixop.evaluate.trained import evaluate_run
    from mixop.runs.directory import RunDirectory
    from mixop.runs.records import noun

    options = parsed.options
    run = RunDirectory(options.run)
    run.require()
    source, settings = parsed.build("data"), parsed.build("settings")
    own = isinstance(source, Place)
    data = loaded(lambda: api.load_data(run, source.path, source.split.index_file) if own else source.load())
    scored = evaluate_run(options.run, data.to(settings.device))
    if options.json:
        return print_json({"run": options.run, "data": data.name, "examples": scored.examples, **scored.measures})
    from mixop.cli import screens

    counted = run.score().counted is not None
    return screens.evaluation(data.name, scored, data.task.measures, noun(data.shape, tokens=data.tokens), counted=counted)


def predict(parsed: Parsed) -> None:
    """``mixop predict``"""
    from mixop.core.errors import RunError
    from mixop.data.npz import examples_in
    from mixop.evaluate.predict import predict as say

    options = parsed.options
    array = len(options.file) == 1 and examples_in(options.file[0])
    said = say(options.run, list(options.file) if array is False else array)
    names = list(options.file) if array is False else [str(number) for number in range(len(said.values))]
    try:
        labels, sure = said.labels, said.probabilities.max(1).values.tolist()
        rows = [{"label": label, "probability": round(p, 6)} for label, p in zip(labels, sure, strict=True)]
    except RunError:  # a network of another kind
        rows = [{"value": value} for value in said.values.tolist()]
    rows = [{"input": name, **row} for name, row in zip(names, rows, strict=True)]
    if options.json:
        return print_json({"run": options.run, "predictions": rows})
    from mixop.cli import screens

    return screens.predictions(rows)


def report(parsed: Parsed) -> None:
    """``mixop report``"""
    from mixop.cli import screens
    from mixop.report.html import write_report

    run = parsed.options.run
    if Path(run, EXPERIMENT).is_file():
        from mixop.experiments.page import write_experiment

        return screens.places({"Report": write_experiment(run)})
    if is_comparison(run):
        from mixop.report.comparison_page import write_comparison

        return screens.places({"Report": write_comparison(run)})
    if is_tuning(run):
        raise RunError(
            f"{run} is a tuning, and each trial is a run: mixop report {run}/trial-0 writes the page of the first one."
        )
    if Path(run, FIND).is_file():
        from mixop.finder.page import write_found

        return screens.places({"Report": write_found(run)})
    return screens.places({"Report": write_report(run)})


def is_comparison(run: str) -> bool:
    """Whether a directory is that of a comparison."""
    return Path(run, COMPARISON).is_file()


def is_tuning(run: str) -> bool:
    """Whether a directory is that of a tuning."""
    return Path(run, TUNING).is_file()


def export(parsed: Parsed) -> None:
    """``mixop export``"""
    from mixop.cli import screens
    from mixop.evaluate.export import export as write

    options = parsed.options
    written = write(options.run, options.format, options.out, inputs=options.inputs)
    difference = written["largest_difference"]
    checked = f"outputs differ by at most {difference:.0e} of the largest" if difference else "same outputs as the network"
    screens.places({"Written": written["path"], "Checked": checked})
    screens.program("It runs without mixop:", written["usage"])


def list_(parsed: Parsed) -> None:
    """``mixop list``"""
    topic = parsed.options.topic
    if topic is not None and topic not in TOPICS:
        raise RecipeError(unknown("list of", topic, TOPICS))
    topics = [topic] if topic else list(TOPICS)
    tables = {topic: TOPICS[topic]() for topic in topics}
    if parsed.options.json:
        return print_json(tables | ({PUBLISHED: numbers()} if PUBLISHED in topics else {}))
    from mixop.cli import screens

    if topic == PUBLISHED:
        from mixop.cli.survey import show

        return show()
    return screens.lists(tables)


EVALUATE = Command(
    "evaluate",
    EvaluateOptions,
    evaluate,
    values={"data": lambda kind: kinds.data(kind) if kind else kinds.place()},
    settings=("device",),
    examples=("mixop evaluate runs/x", "mixop evaluate runs/x --data npz --data.path shifted.npz"),
)

PREDICT = Command(
    "predict",
    PredictOptions,
    predict,
    examples=("mixop predict runs/x photo.jpg other.png", "mixop predict runs/x signals.npz --json"),
)

REPORT = Command("report", ReportOptions, report, examples=("mixop report runs/x",))

EXPORT = Command("export", ExportOptions, export, examples=("mixop export runs/x", "mixop export runs/x --format onnx"))

LIST = Command("list", ListOptions, list_, examples=("mixop list", "mixop list recipes"))
