"""`find`: a network for a data set in a given time; more minutes go on from what is there."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from mixop.core.door import door
from mixop.core.errors import RecipeError, unknown
from mixop.core.schedules import check_range
from mixop.data.core import Data, Source
from mixop.data.given import MapStyle, given
from mixop.engine.driver import Observer
from mixop.engine.settings import Settings
from mixop.finder.costs import Limits
from mixop.finder.result import FindResult
from mixop.finder.run import METHODS, Finder
from mixop.nets.latency import LatencyTable, read_latency_table
from mixop.recipes import RECIPES
from mixop.report.progress import tell_there, where_one_looks
from mixop.runs.directory import RunDirectory
from mixop.runs.files import FIND
from mixop.runs.interrupt import InterruptedRunError
from mixop.runs.local import Local
from mixop.runs.records import to_record
from mixop.runs.runner import Runner

_MORE = "minutes-"
"""How the directory of a run begins that went on with more minutes."""


@door()
def find(
    data: Data | Source | MapStyle,
    out: str | Path,
    *,
    minutes: float = 10.0,
    max_params: float | None = None,
    max_flops: float | None = None,
    max_latency_ms: float | None = None,
    latency: LatencyTable | str | Path | None = None,
    recipe: str | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    threads: int = 0,
    runner: Runner | None = None,
    jobs: int = 1,
    beside: bool = True,
    observe: Observer | None = None,
    tell: Callable[[str], None] | None = None,
    progress: bool | None = None,
) -> FindResult:
    """Finds a network for a data set in a given time: known good ones first, then a search, and the best of all is trained.

    Known networks are trained briefly and halved by their validation score. Where a search may gain more than as much training
    would, it works in the space of the best of them, and what it finds meets the best known ones and a random architecture, all
    trained for the same time. For images under a limit, the best of many drawn networks, by scores before training, meets them
    too. The winner is trained on all training examples for the rest of the time, and scored once on the test examples.

    If the directory already holds this run, it continues, or returns its result if it is finished. With more minutes it goes on
    from what is there, in a directory of its own inside: the winner, then the networks that were not tried yet come first, and
    the time that went before counts. The test examples are looked at once more, which is said.

    Args:
        data: examples with a task, from `mixop.data`; or a source of them, or a data set of torch or Hugging Face.
        out: the directory, new or this run's own.
        minutes: of the whole, > 0.
        max_params: the most trained parameters.
        max_flops: the most multiply-adds for one example.
        max_latency_ms: the most milliseconds for one example on this machine.
        latency: a table of another device, or its file, as `mixop speed --latency` writes it there: its milliseconds count.
        recipe: the name of the method that searches; None for the first of `METHODS` that there is time for.
        seed: of everything random.
        device: where torch computes.
        threads: of torch on the CPU; 0 for torch's own number, but never more than there are cores.
        runner: who trains and searches; default `mixop.runs.local.Local`. Of other machines, all see ``out`` under the same
            path, and each run has the cores and GPUs that it says.
        jobs: trainings, or searches, at a time, >= 1; a single local one is made in this process. More of them buy more
            networks, longer trainings or more searches in the same minutes. Another number may go on with the run.
        beside: whether scikit-learn's gradient boosting is shown beside a network for features.
        observe: called with every step and record of the trainings and the search.
        tell: called with a sentence whenever something is decided.
        progress: whether these sentences, and a line that says how far it is, are shown; None for in a terminal or a notebook,
            where there is neither ``observe`` nor ``tell``.

    Raises:
        RecipeError: if no known network keeps the limits, or a number is out of range.
        MixopError: in one sentence.
    """
    check_range("minutes", minutes, above=0)
    check_range("number of jobs", jobs, at_least=1)
    if recipe is not None and recipe not in RECIPES:
        raise RecipeError(unknown("recipe", recipe, RECIPES))
    limits = Limits(parameters=max_params, flops=max_flops, latency_ms=max_latency_ms)
    if latency is not None and max_latency_ms is None:
        raise RecipeError("A latency table says what milliseconds are, and there is no limit of them: give max_latency_ms.")
    table = latency if latency is None or isinstance(latency, LatencyTable) else read_latency_table(latency)
    data = given(data)
    run = RunDirectory(out)
    asked = {
        "limits": to_record(limits),
        "recipe": recipe,
        "seed": seed,
        "data": data.fingerprint,
        **({} if table is None else {"latency": table.identity}),
    }
    runner = runner or Local()
    # Of workers elsewhere this machine only knows what they are sent: it need not have their device.
    here = str(device) if runner.one_machine else "cpu"
    settings = Settings(seed=seed, device=here, threads=threads, executor="auto")
    workers = (runner, jobs, str(device)) if runner.leaves(str(device), jobs) else None
    shown = where_one_looks() is not None and not observe and not tell if progress is None else progress
    if shown and tell is None:
        tell = tell_there

    def leg(place: RunDirectory, upto: float, before: FindResult | None, spent: float) -> FindResult:
        identity = {"minutes": upto, **asked, **({"after": spent} if before else {})}
        place.holds({FIND: identity}, (FIND,))
        finder = Finder(
            place,
            data,
            limits,
            60 * (upto - spent),
            METHODS if recipe is None else (recipe,),
            settings,
            observe,
            tell or (lambda _: None),
            before,
            beside=beside,
            progress=shown,
            table=table,
            workers=workers,
        )
        if finder.trainer.timed_elsewhere:
            finder.look(1)  # what is refused leaves no trace, but other machines write down what they measure
            place.claim({FIND: identity}, (FIND,))
        known, costs = finder.look()
        place.claim({FIND: identity}, (FIND,))
        try:
            return finder.find(known, costs)
        except InterruptedRunError as error:
            told = f"Stopped with all progress saved in {run.path}: the same command continues."
            raise InterruptedRunError(told, error.signum) from error

    with run.locked(), runner.reached() if workers else nullcontext():
        first, *more = _minutes(run, minutes)
        result = leg(run, first, None, 0.0)
        for upto in more:
            place = RunDirectory(run / f"{_MORE}{upto:g}")
            with place.locked():
                result = leg(place, upto, result, first)
            first = upto
        return result


def _minutes(run: RunDirectory, wanted: float) -> list[float]:
    """Minutes after each leg, the last one those that are wanted: every leg goes on from the one that it was begun after."""
    after: dict[float, float | None] = {}
    for place in (run.path, *run.path.glob(f"{_MORE}*")):
        leg = RunDirectory(place)
        asked = leg.read_json(FIND) if leg.has(FIND) else None
        if isinstance(asked, dict) and isinstance(asked.get("minutes"), int | float):
            after[asked["minutes"]] = asked.get("after")
    earlier = [minutes for minutes in after if minutes < wanted]
    chain, before = [wanted], after[wanted] if wanted in after else max(earlier, default=None)
    while before is not None and before < chain[0]:
        chain.insert(0, before)
        before = after.get(before)
    return chain
