"""``mixop compare``: many searches beside each other. What needs torch is imported where it is used."""

from pathlib import Path

from mixop.cli import kinds
from mixop.cli.arguments import Command, Parsed
from mixop.cli.loading import loaded
from mixop.cli.options import CompareOptions
from mixop.cli.output import print_json
from mixop.cli.running import runner_and_settings, runner_tree
from mixop.cli.tracking import check_trackers
from mixop.cli.words import count, short
from mixop.core.errors import RecipeError
from mixop.runs.files import COMPARISON_REPORT


def compare(parsed: Parsed) -> None:
    """``mixop compare``"""
    from mixop.cli.comparing import Comparing
    from mixop.cli.contestants import contestants, evaluator, searchers, source_for
    from mixop.comparison.compare import compare as run

    options = parsed.options
    check_trackers(options)
    space = parsed.build("space")
    runner, settings, device = runner_and_settings(parsed)
    source = parsed.build("data") or source_for(space)
    data = loaded(source.load)
    scored = evaluator(options, space)
    recipes, left_out, note = contestants(options, space, data)
    black_boxes = searchers(options, space, scored)
    if not recipes and not black_boxes and options.budget is None:
        raise RecipeError(
            "Random search always takes part: name a recipe or another searcher in --recipes as well, or give it --budget "
            "SECONDS to have it alone."
        )
    if not recipes and options.budget is None:
        raise RecipeError("Searchers get the time that recipes take, and --recipes names no recipe: give --budget in seconds.")
    if not 1 <= options.seeds <= 1000:
        raise RecipeError(f"--seeds must be a number of runs from 1 to 1000, got {options.seeds}.")
    if options.first_seed < 0:
        raise RecipeError(f"--first-seed must be at least 0, got {options.first_seed}.")
    out = options.out or str(Path("runs", f"compare-{short(options.space)}-{short(options.data or data.name)}"))
    others = [count(len(recipes), "recipe")] * bool(recipes) + [count(len(black_boxes), "searcher")] * bool(black_boxes)
    what = f"{', '.join(others)}{' and ' * bool(others)}random search on {data.name}, {count(options.seeds, 'seed')} each"
    with Comparing(f"Comparing {what}, into {out}", quiet=options.quiet or options.json) as progress:
        result = run(
            recipes,
            space,
            data,
            out,
            searchers=black_boxes,
            budget_seconds=options.budget,
            known=options.known,
            seeds=range(options.first_seed, options.first_seed + options.seeds),
            jobs=options.jobs,
            runner=runner,
            evaluate=scored,
            rates="paper",  # scaled already, with the warm-up
            note=" ".join([note, *left_out]),
            device=device,
            checkpoint_seconds=settings.checkpoint_seconds,
            executor=settings.executor,
            track=options.track,
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


COMPARE = Command(
    "compare",
    CompareOptions,
    compare,
    values={"space": kinds.space, "data": lambda kind: kinds.data(kind) if kind else None, "runner": runner_tree},
    names=("recipes",),
    settings=("device", "checkpoint_seconds", "executor"),
    rare=("trust", "runner", "track", "first_seed", "warmup", "rates", "dataset", "checkpoint_seconds", "executor"),
    examples=(
        "mixop compare --recipes all --space toy --seeds 5",
        "mixop compare --recipes darts,drnas,gaea --space nasbench201 --space.channels 4 --space.cells 1 --epochs 20",
    ),
)
"""The command."""
