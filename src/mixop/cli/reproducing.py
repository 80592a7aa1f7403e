"""``mixop reproduce``: repeats a published experiment, and shows its results beside the published ones."""

from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mixop.cli.arguments import Command, Parsed
from mixop.cli.output import print_json
from mixop.core.errors import RecipeError
from mixop.runs.files import COMPARISON_REPORT

if TYPE_CHECKING:
    from mixop.comparison.reproduce import Reproduction


@dataclass(frozen=True)
class ReproduceOptions:
    """Repeat a published experiment, and show the paper's results and ours side by side.

    The experiments are searches on CIFAR-10 in the space of NAS-Bench-201; what they find is looked up in the benchmark's
    table. A random search runs beside them. Every difference from the published setting is marked. If the command is stopped,
    the same command continues it.

    Args:
        name: the experiment: a name from mixop list experiments.
        data: a folder with CIFAR-10, as the official archive or as sheets of images, and with the benchmark's table.
            [required]
        scale: full is the published setting and takes hours on a GPU; small takes minutes for a run on one core, with fewer
            and smaller images, fewer channels and cells, and a scaled learning rate of the architecture; medium has twice the
            images and channels, and takes DrNAS five times as long; tiny takes seconds and its results mean nothing.
        table: the table of NAS-Bench-201, made by mixop table convert. [the one in the folder of the data]
        seeds: number of runs. [the scale's; at full scale the paper's]
        jobs: number of worker processes. [the number of cores; on a GPU 1]
        out: the directory of the runs, new or of this same experiment. [runs/NAME-SCALE]
        quiet: show nothing until the result.
        json: print the result as one JSON object, and nothing else.
        debug: after an error, show where it came from.
    """

    name: str
    _: KW_ONLY
    data: str | None = None
    scale: Literal["full", "medium", "small", "tiny"] = "small"
    table: str | None = None
    seeds: int | None = None
    jobs: int | None = None
    out: str | None = None
    quiet: bool = False
    json: bool = False
    debug: bool = False


def reproduce(parsed: Parsed) -> None:
    """``mixop reproduce``"""
    from mixop.cli.comparing import Comparing
    from mixop.comparison.reproduce import reproduce as run

    options = parsed.options
    if options.data is None:
        raise RecipeError("mixop reproduce needs --data FOLDER, with CIFAR-10 and the table of NAS-Bench-201.")
    if options.seeds is not None and not 1 <= options.seeds <= 1000:
        raise RecipeError(f"--seeds must be a number of runs from 1 to 1000, got {options.seeds}.")
    out = options.out or str(Path("runs", f"{options.name}-{options.scale}"))
    title = f"Reproducing {options.name} at scale {options.scale}, into {out}"
    with Comparing(title, quiet=options.quiet or options.json) as progress:
        found = run(
            options.name,
            options.data,
            out,
            scale=options.scale,
            table=options.table,
            seeds=options.seeds,
            jobs=options.jobs,
            device=parsed.build("settings").device,
            observe=progress,
        )
    if options.json:
        return print_json(_plain(found))
    return _show(found)


def _plain(found: "Reproduction") -> dict[str, Any]:
    """The results as JSON data."""
    lines = [{**asdict(line), "differs": line.differs} for line in found.lines]
    about = {"experiment": found.name, "scale": found.scale, "runs": str(found.comparison.path), "source": found.source}
    return {**about, "lines": lines}


def _show(found: "Reproduction") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from mixop.cli import screens
    from mixop.cli.live import Screen

    console = Screen()
    console.print(Text(f"{found.name}, scale {found.scale}:", style="bold"))
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    grid.add_column("", no_wrap=True)
    for name in ("paper", "ours"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for index, line in enumerate(found.lines):
        if index and line.result != found.lines[index - 1].result:
            grid.add_section()
        grid.add_row(line.what, line.paper, line.ours, "differs" if line.differs else "", style="bold" if line.result else "")
    console.print(grid)
    console.print()
    different = sum(line.differs for line in found.lines)
    words = f"Accuracies in %, mean and standard deviation over {len(found.comparison.seeds)} runs; paper: {found.source}."
    more = f" {different} settings differ from the published ones, so the accuracies need not agree." if different else ""
    screens.sentence(console, words + more)
    console.print()
    path = found.comparison.path
    screens.places({"Directory": path, "Report": Path(path) / COMPARISON_REPORT})


REPRODUCE = Command(
    "reproduce",
    ReproduceOptions,
    reproduce,
    settings=("device",),
    examples=("mixop reproduce drnas-nasbench201 --scale small --data data",),
)
"""The command."""
