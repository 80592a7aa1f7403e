"""``mixop find``: a network in a given time. What needs torch is imported where it is used."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixop.cli import kinds
from mixop.cli.arguments import Command, Parsed
from mixop.cli.loading import loaded
from mixop.cli.options import FindOptions
from mixop.cli.output import print_json
from mixop.cli.running import runner_and_settings, runner_tree
from mixop.cli.words import short

if TYPE_CHECKING:
    from mixop.data.core import Data
    from mixop.finder.result import FindResult

_SETTINGS = ("seed", "device", "threads")


def find(parsed: Parsed) -> None:
    """``mixop find``"""
    options = parsed.options
    runner, settings, device = runner_and_settings(parsed)
    source = parsed.build("data")
    data = loaded(source.load)

    from mixop.cli import screens
    from mixop.finder import find as finding

    quiet = options.quiet or options.json
    out = options.out or str(Path("runs", f"find-{short(data.name)}"))
    with screens.telling_lines(quiet=quiet) as (tell, observe):
        result = finding.find(
            data,
            out,
            minutes=options.minutes,
            max_params=options.max_params,
            max_flops=options.max_flops,
            max_latency_ms=options.max_latency_ms,
            latency=options.latency,
            recipe=options.recipe,
            tell=tell,
            observe=observe,
            runner=runner,
            jobs=options.jobs,
            **{**{name: getattr(settings, name) for name in _SETTINGS}, "device": device},
        )
    _finish(result, data, options)


def _finish(result: "FindResult", data: "Data", options: Any) -> None:
    from mixop.finder.page import write_found
    from mixop.report.html import write_report

    write_report(result.final)
    page = write_found(result.out)
    if options.json:
        from mixop.runs.records import to_record

        return print_json(
            {
                "winner": result.winner,
                "architecture": result.space.to_native(result.architecture),
                "test": dict(result.score.networks[0].measures),
                "trials": [to_record(trial) for trial in result.trials],
                "sentences": list(result.sentences),
                "run": str(result.final),
                "report": str(page),
            }
        )
    from mixop.cli import finding_screen

    return finding_screen.found(result, data.task, len(data.valid), page)


FIND = Command(
    "find",
    FindOptions,
    find,
    values={"data": kinds.recognised, "runner": runner_tree},
    settings=_SETTINGS,
    rare=("trust", "threads", "recipe", "runner"),
    examples=(
        "mixop find digits --minutes 2",
        "mixop find photos/ --minutes 10 --data.size 64",
        "mixop find photos/ --minutes 10 --runner slurm --jobs 8",
        "mixop find signals.npz --minutes 5 --max-params 20000",
    ),
)
"""The command."""
