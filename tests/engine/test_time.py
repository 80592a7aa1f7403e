"""The two times of a search with a warm-up: that of the weights, and that of the architecture, which waits."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mixop.bilevel.none import Frozen
from mixop.bilevel.perturb import Adversarial, RandomSmoothing
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Linear
from mixop.data import digits
from mixop.engine import loop
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.recipe.core import Recipe
from mixop.recipe.stage import Stage
from mixop.recipes import gdas
from mixop.regularise.entropy import Entropy
from mixop.relax.categorical import Uniform
from mixop.relax.gumbel import GumbelHard, GumbelSoftmax
from mixop.runs.directory import RunDirectory
from mixop.spaces import nasbench201
from mixop.spaces.toy import Toy
from mixop.wraps.edges import AuxiliarySkip, DropPath

Make = Callable[..., Any]
LINE = Linear(0.8, 0.2, closed=False)
CLOSED = Linear(0.8, 0.2)
WAITING = [0.8 - 0.6 * t for t in (0, 0, 0, 1 / 3, 2 / 3)]
"""`LINE` over 5 epochs of which 2 are warm-up, where it belongs to the architecture."""


def asked(monkeypatch: pytest.MonkeyPatch, search: Search, line: Linear) -> dict[int, set[float]]:
    """The values that a schedule is asked for in every epoch of a search, by whoever has it."""
    seen: dict[int, set[float]] = {}
    inner = Linear.__call__

    def spy(self: Linear, progress: float) -> float:
        value = inner(self, progress)
        if self == line:
            seen.setdefault(search.state.epoch, set()).add(round(value, 9))
        return value

    monkeypatch.setattr(Linear, "__call__", spy)
    search.run()
    monkeypatch.undo()
    return seen


@pytest.mark.parametrize(
    "changes",
    [
        {"relaxation": GumbelSoftmax(temperature=LINE)},
        {"relaxation": GumbelHard(temperature=LINE)},
        {"perturbation": RandomSmoothing(radius=LINE)},
        {"perturbation": Adversarial(radius=LINE, steps=1)},
        {"regularisers": (Entropy(weight=LINE, towards="uniform"),)},
        {"wraps": (AuxiliarySkip(beta=LINE),)},
        {"wraps": (DropPath(probability=LINE),)},
    ],
    ids=lambda changes: type(next(iter(changes.values()))).__name__ + "".join(changes),
)
def test_schedules_of_the_architecture_begin_when_it_does(
    changes: dict[str, Any], short: Make, job: Make, monkeypatch: pytest.MonkeyPatch
):
    search = job(short(epochs=5, warmup=2, **changes))
    seen = asked(monkeypatch, search, LINE)
    for epoch, want in enumerate(WAITING):
        if epoch >= 2 or epoch in seen:  # a regulariser is not asked before
            assert seen[epoch] == {round(want, 9)}


@pytest.mark.parametrize(
    ("changes", "line", "want"),
    [
        ({"weight_optimiser": SGD(lr=LINE)}, LINE, [0.8 - 0.6 * e / 5 for e in range(5)]),
        ({"cutout": 0.5, "cutout_probability": CLOSED}, CLOSED, [0.8 - 0.6 * e / 4 for e in range(5)]),
    ],
    ids=["rate", "cutout"],
)
def test_schedules_of_the_weights_begin_at_once(
    changes: dict[str, Any], line: Linear, want: list[float], short: Make, job: Make, monkeypatch: pytest.MonkeyPatch
):
    seen = asked(monkeypatch, job(short(epochs=5, warmup=2, **changes)), line)
    assert [seen[epoch] for epoch in range(5)] == [{round(value, 9)} for value in want]


def test_the_rate_of_the_architecture_is_recorded_from_where_it_moves(short: Make, job: Make, tmp_path: Path):
    job(short(epochs=5, warmup=2, architecture_optimiser=Adam(lr=LINE))).run()
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["architecture_rate"] for record in records] == pytest.approx([0, 0, *WAITING[2:]])


def test_a_short_search_with_a_warm_up_goes_through_the_whole_temperature_of_gdas(job: Make):
    recipe: Recipe = replace(gdas(epochs=6), batch_size=16, warmup=3)
    search = job(recipe)
    temperatures = []
    for epoch in range(6):
        search.state.epoch = epoch
        search._prepare_epoch()
        temperatures.append(recipe.relaxation.temperature(search.problem.progress))  # pyright: ignore
    assert temperatures == pytest.approx([10, 10, 10, 10, 5.05, 0.1])


@pytest.mark.parametrize("start", ["carry", "fresh"])
def test_only_epochs_after_the_warm_up_of_each_stage_move_the_architecture(
    start: Any, short: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = short(epochs=6, batch_size=300, warmup=1, architecture_every=2, stages=(Stage(), Stage(options=3, start=start)))
    data = digits(valid=0.5)
    space = nasbench201(channels=2, cells=1, stages=2).fit(data)
    search = Search(recipe, space, data, RunDirectory(tmp_path), Settings())
    moved: dict[int, int] = {}
    inner = search._move_architecture

    def move(hypergradient: dict[str, torch.Tensor]) -> None:
        moved[search.state.epoch] = moved.get(search.state.epoch, 0) + 1
        inner(hypergradient)

    monkeypatch.setattr(search, "_move_architecture", move)
    search.run()
    assert sorted(moved) == [1, 2, 4, 5]
    assert set(moved.values()) == {2} == {-(-search.state.weight_stream.batches // 2)}


@pytest.mark.parametrize("validates", ["mean", "derived"])
def test_an_epoch_is_validated_under_the_mean_or_as_what_would_be_derived(
    validates: str, short: Make, job: Make, monkeypatch: pytest.MonkeyPatch
):
    """The derived architecture alone: one-hot weights, and only those options run."""
    seen = []
    search = job(short(epochs=1, validates=validates))
    inner = loop.score

    def spy(net: Any, data: Any, mix: Any, active: Any = None, **named: Any) -> Any:
        seen.append((mix["cell"].clone(), active))
        return inner(net, data, mix, active, **named)

    monkeypatch.setattr(loop, "score", spy)
    found = search.run()
    ((mix, active),) = seen
    if validates == "mean":
        assert active is None
        torch.testing.assert_close(mix, search.mean()["cell"])
    else:
        chosen = [Toy().groups[0].decisions[c.decision].options.index(c.option) for c in found.of("cell")]
        assert mix.argmax(-1).tolist() == chosen
        assert mix.sum().item() == len(chosen)
        assert active == {"cell": tuple((o,) for o in chosen)}


def test_an_epoch_is_validated_as_what_is_drawn(short: Make, job: Make, monkeypatch: pytest.MonkeyPatch):
    """A draw of its own for every epoch, which leaves the generator of the steps alone."""
    seen, states = [], []
    search = job(short(epochs=3, relaxation=Uniform(), scheme=Frozen(), validates="drawn"))
    inner = loop.score

    def spy(net: Any, data: Any, mix: Any, active: Any = None, **named: Any) -> Any:
        seen.append((mix["cell"], active["cell"]))
        states.append(search.state.generators["draw"].get_state())
        return inner(net, data, mix, active, **named)

    monkeypatch.setattr(loop, "score", spy)
    before = search.state.generators["draw"].get_state()
    search._valid(search.mean())
    assert torch.equal(states.pop(), before)
    first = seen.pop()
    search.run()
    assert len(seen) == 3
    assert seen[0][1] == first[1]
    assert all(mix.argmax(-1).tolist() == [path[0] for path in active] for mix, active in seen)
    assert len({active for _, active in seen}) > 1
