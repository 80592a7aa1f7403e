"""A search by two processes equals the search by one, number by number, in float64."""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ranked import DIED, blobs, difference, in_float64, together
from torch import nn

from mixop.bilevel.direct import SingleLevel
from mixop.bilevel.second_order import SecondOrder
from mixop.core.errors import RecipeError
from mixop.core.ranks import ALONE, LostRankError, Ranks
from mixop.core.schedules import Constant
from mixop.core.surroundings import undisturbed
from mixop.data import from_text
from mixop.data.core import Data
from mixop.data.toy import toy_set
from mixop.engine.fit import check_divided, check_fit, computing
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces import DartsRnn, EnasRnn, darts, nasbench201, resnet
from mixop.spaces.core import Space
from mixop.spaces.toy import Toy
from mixop.supernet import divided

CLOSE = 1e-10
"""Float64 has 16 digits; sums in another order lose the last ones, and the steps of a search add to that."""

SIX = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3")

SAID = "the cat sat on the mat\nthe mat was red and the cat was not\n"

OF_TEXTS: Mapping[str, Space] = {
    "darts_rnn": DartsRnn(hidden=5, nodes=3, word_dropout=0.1, activation=0.1),
    "enas_rnn": EnasRnn(hidden=5, nodes=3, word_dropout=0.1, activation=0.1),
}
"""Recipes of texts, with spaces that drop of everything and add both terms to the loss: a state goes from window to window."""

VARIANTS: Mapping[str, Callable[[Recipe], Recipe]] = {
    "exact": lambda recipe: replace(recipe, scheme=SecondOrder(method="exact")),
    "unrolled": lambda recipe: replace(recipe, scheme=SecondOrder()),
    "one_pass": lambda recipe: replace(recipe, scheme=SingleLevel(same_batch=True)),
}

A_MODEL = "gdas+model"
"""Sampled paths of a model with choices, whose layers and batch norms are those of torch."""

EVERY_DAY = (
    A_MODEL,
    "darts",
    "darts2",
    "darts+exact",
    "darts+one_pass",
    "gaea",
    "gdas",
    "sdarts_adv",
    "pcdarts",
    "darts_es",
    "drnas_progressive_201",
    "darts_rnn+unrolled",
    "enas_rnn",
)
"""First and second order, one level in two forms, sampled, perturbed, partial channels, a monitor's Hessian, stages, texts."""


def place(name: str) -> tuple[Space, Data]:
    recipe = short(name)
    if name == A_MODEL:
        data = blobs(28, 28)
        with undisturbed():  # its trial pass is one in float32
            return resnet(channels=4, blocks=(1, 2), kernels=(3, 5)).fit(data), data
    if (method := name.partition("+")[0]) in OF_TEXTS:
        data = from_text(train=SAID * 20, valid=SAID * 12, test=SAID * 4, window=6)
        return OF_TEXTS[method].fit(data), data
    candidates: list[Callable[[], tuple[Space, Data]]] = [
        lambda: (nasbench201(channels=4, cells=1, stages=1), blobs(28, 28)),
        lambda: (darts(cells=2, channels=12, operations=SIX), blobs(28, 28)),
        lambda: (Toy(), toy_set(Toy(), n=56)),
    ]
    for candidate in candidates:
        space, data = candidate()
        try:
            check_fit(recipe, space.fit(data), data, Settings())
        except ValueError:
            continue
        return space, data
    raise AssertionError(name)


def short(name: str) -> Recipe:
    method, _, variant = name.partition("+")
    recipe = RECIPES[method]()
    stages = tuple(replace(stage, cells=min(stage.cells, number)) for number, stage in enumerate(recipe.stages))
    epochs = max(2, 2 * len(stages))
    recipe = replace(recipe, epochs=epochs, batch_size=13, warmup=min(recipe.warmup, 1), stages=stages)
    if method in OF_TEXTS:
        # Their own rate of 20 multiplies a rounding by a thousand in one step of a network of this size.
        recipe = replace(recipe, weight_optimiser=replace(recipe.weight_optimiser, lr=Constant(1.0)))
    return VARIANTS[variant](recipe) if variant in VARIANTS else recipe


def job_of(name: str, ranks: Ranks, folder: Path, observe: Any = None, **settings: Any) -> Search:
    space, data = place(name)
    folder.mkdir(exist_ok=True)
    run = RunDirectory(folder, owned=ranks.leads)
    job = Search(
        short(name), space.fit(data), data, run, Settings(**{"seed": 3, "executor": "nodewise", **settings}), observe, ranks
    )
    if checkpoint.exists(run.state):
        job.restore()
    return job


def searched(name: str, ranks: Ranks, folder: Path, **settings: Any) -> tuple[dict[str, Any], list[Any]]:
    """The state at the end of a search, and its records."""
    records: list[Any] = []
    job = job_of(name, ranks, folder, lambda record: records.append(dict(record)), **settings)
    job.run()
    return job.state.state_dict(), records


def compare(ranks: Ranks, names: list[str], folder: Path) -> dict[str, float]:
    """For each recipe the largest difference between the search of one process and that of all; the first one compares."""
    in_float64()
    found = {}
    for name in names:
        together = searched(name, ranks, folder / f"{name}-together")
        if ranks.leads:
            found[name] = difference(searched(name, ALONE, folder / f"{name}-alone"), together)
        ranks.wait()
    return found


def largest(names: list[str], folder: Path, size: int = 2) -> dict[str, float]:
    return together(size, folder, compare, names, folder)[0]


def test_a_search_by_two_processes_is_that_of_one(tmp_path):
    differences = largest(list(EVERY_DAY), tmp_path)
    assert max(differences.values()) < CLOSE, differences


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_is_searched_by_two_processes(tmp_path, name):
    assert largest([name], tmp_path)[name] < CLOSE


@pytest.mark.slow
def test_a_search_by_three_processes_is_that_of_one(tmp_path):
    assert largest(["darts2"], tmp_path, size=3)["darts2"] < CLOSE


def unsynchronised(ranks: Ranks, folder: Path) -> float:
    divided.SynchronisedNorms = lambda ranks, share: nullcontext()  # type: ignore[assignment,misc]
    return compare(ranks, ["darts"], folder).get("darts", 0.0)


def test_without_the_statistics_of_the_whole_batch_it_would_differ(tmp_path):
    assert together(2, tmp_path, unsynchronised, tmp_path)[0] > 1e-4  # a million times what is asked for above


def resumed(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """What is left of searches that are stopped and continued by other numbers of processes."""
    in_float64()
    name, found = "drnas", {}

    def stop(ranks: Ranks, out: str, at: int, by: int) -> str:
        steps = 0

        def observe(record: Mapping[str, Any]) -> None:
            nonlocal steps
            steps += record.get("event") == "step"
            if steps == at and ranks.rank == by:
                signal.raise_signal(signal.SIGTERM)  # in this thread: sent to the process, it may come a step later

        try:
            job_of(name, ranks, folder / out, observe).run()
        except InterruptedRunError as error:
            return str(error)
        return ""

    found["whole"] = searched(name, ranks, folder / "whole")[0]
    found["stopped by the other"] = stop(ranks, "two-two", 4, by=1)
    ranks.wait()
    found["two, then two"] = searched(name, ranks, folder / "two-two")[0]
    stop(ranks, "two-one", 4, by=0)
    ranks.wait()
    if ranks.leads:
        found["two, then one"] = searched(name, ALONE, folder / "two-one")[0]
        stop(ALONE, "one-two", 4, by=0)
    ranks.wait()
    found["one, then two"] = searched(name, ranks, folder / "one-two")[0]
    return found


def test_it_resumes_on_any_number_of_processes_and_a_signal_to_one_stops_all(tmp_path):
    first, second = together(2, tmp_path, resumed, tmp_path)
    for found in (first, second):
        assert found["stopped by the other"].startswith("Stopped in epoch 2 of 2 with all progress saved: mixop resume")
        assert difference(found["two, then two"], found["whole"]) == 0, "on the same number it is exact"
        assert 0 < difference(found["one, then two"], found["whole"]) < CLOSE
    assert 0 < difference(first["two, then one"], first["whole"]) < CLOSE
    assert difference(first["whole"], second["whole"]) == 0, "no process drifts from the others"


def dying(ranks: Ranks, folder: Path) -> str:
    def observe(record: Mapping[str, Any]) -> None:
        if record.get("step") == 2 and ranks.rank == 1:
            os._exit(9)

    try:
        job_of("darts", ranks, folder / "run", observe, checkpoint_seconds=0).run()
    except LostRankError as error:
        return str(error)
    return ""


def test_a_process_that_dies_ends_the_others_with_a_sentence_and_the_run_resumes(tmp_path):
    first, second = together(2, tmp_path, dying, tmp_path)
    assert second == DIED
    assert first.startswith("Another of the 2 processes has ended, and process 0 ends with it (")
    assert first.endswith("): what was saved is kept, and the same command continues from there.")
    job = job_of("darts", ALONE, tmp_path / "run")
    assert (job.state.epoch, job.state.step) in ((0, 1), (0, 2))
    job.run()
    assert job.state.epoch == 2


TWO = Ranks(0, 2)


def test_what_several_processes_would_not_compute_alike_is_refused():
    recipe = replace(short("darts"), batch_size=13)
    space, data = place("darts")
    space = space.fit(data)
    with pytest.raises(RecipeError, match="over the examples of one process: use --executor nodewise"):
        check_fit(recipe, space, data, Settings(executor="fused"), TWO)
    with pytest.raises(RecipeError, match="leave out compile"):
        check_fit(recipe, space, data, Settings(compile=True), TWO)
    with pytest.raises(RecipeError, match="A batch of 13 has no example for some of the 14 processes"):
        check_fit(recipe, space, data, Settings(), Ranks(0, 14))


class Carrying(nn.Module):
    """A model of somebody else, whose state may have its examples anywhere."""

    carries, draws = True, False


def test_texts_are_divided_but_not_a_state_of_unknown_axes_and_not_in_pieces():
    space, data = place("darts_rnn")
    check_fit(short("darts_rnn"), space, data, Settings(), TWO)
    with pytest.raises(RecipeError, match="The state that Carrying carries may have its examples on any axis"):
        check_divided(Carrying(), data, 13, TWO)
    with pytest.raises(RecipeError, match="from window to window, in whole batches: leave out accumulate"):
        check_fit(short("darts_rnn"), space, data, Settings(accumulate=2))


def test_the_executor_that_is_left_open_is_the_nodewise_one_with_the_reason():
    settings, why = computing(short("darts"), place("darts")[0], Settings(executor="auto"), TWO)
    assert settings.executor == "nodewise"
    assert "one process" in why
