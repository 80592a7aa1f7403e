"""`mixop.core.schedules`: the two ways to count progress, the formulas, and the ranges."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.core.schedules import Constant, Cosine, CosineRestarts, Joined, Linear, Progress, check_range, schedule


def over(value: Any, epochs: int) -> list[float]:
    return [value(Progress(epoch, epochs)) for epoch in range(epochs)]


def test_progress_counts_open_and_closed():
    values = [Progress(epoch, 5) for epoch in range(6)]
    assert values == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert [value.closed for value in values] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert Progress(0, 1) == 0
    assert Progress(0, 1).closed == 0


def test_a_warm_up_has_a_time_of_its_own():
    time = Progress(1, 4, whole=Progress(3, 6))
    assert (time, time.closed, time.whole, time.waiting) == (0.25, 1 / 3, 0.5, False)
    plain = Progress(1, 4, waiting=True)
    assert plain.whole is plain
    assert plain.waiting


def test_a_temperature_reaches_its_end_and_a_radius_stays_short_of_it():
    # GDAS: 10 - 9.9 e / (E - 1).
    assert over(Linear(10.0, 0.1), 12) == pytest.approx([10 - 9.9 * e / 11 for e in range(12)])
    assert over(Linear(10.0, 0.1), 12)[-1] == pytest.approx(0.1)
    # DARTS-: beta_0 (50 - e) / 50.
    assert over(Linear(1.0, 0.0, closed=False), 50) == pytest.approx([(50 - e) / 50 for e in range(50)])


def test_plain_numbers_serve_as_progress():
    assert [Linear(0.0, 8.0)(p) for p in (0.0, 0.25, 1.0)] == [0, 2, 8]
    assert [Linear(0.0, 8.0, closed=False)(p) for p in (0.0, 0.25, 1.0)] == [0, 2, 8]


@pytest.mark.parametrize(("start", "stop", "epochs"), [(0.025, 0.001, 50), (0.1, 0.0, 100), (0.001, 0.01, 7)])
def test_cosine_is_the_learning_rate_of_the_darts_family(start: float, stop: float, epochs: int):
    expected = [stop + (start - stop) / 2 * (1 + math.cos(math.pi * e / epochs)) for e in range(epochs)]
    assert over(Cosine(start, stop), epochs) == pytest.approx(expected, rel=1e-12)
    assert Cosine(start, stop)(0.0) == pytest.approx(start, rel=1e-12)
    assert Cosine(start, stop)(1.0) == stop


def test_a_stretched_cosine_is_the_beginning_of_a_longer_one():
    assert over(Cosine(0.025, 0.001, stretch=2.0), 25) == pytest.approx(over(Cosine(0.025, 0.001), 50)[:25], rel=1e-12)


@pytest.mark.parametrize(
    "value",
    [Constant(3.0), Linear(10.0, 0.1), Linear(0.0, 2.0), Cosine(0.1), Cosine(0.0, 0.1), Cosine(0.1, 0.02, stretch=3.0)],
)
def test_bounds_are_the_smallest_and_largest_value(value: Any):
    values = [value(p / 1000) for p in range(1001)]
    assert value.bounds == pytest.approx((min(values), max(values)), rel=1e-12)
    steps = [later - earlier for earlier, later in pairwise(values)]
    assert all(step <= 0 for step in steps) or all(step >= 0 for step in steps)


@pytest.mark.parametrize("stretch", [0.99, 0.0, -1.0, math.nan])
def test_a_cosine_is_not_shorter_than_the_search(stretch: float):
    with pytest.raises(RecipeError, match="stretch must be at least 1"):
        Cosine(0.1, stretch=stretch)


def test_joined_schedules_each_run_over_their_own_epochs():
    # ProxylessNAS: 40 epochs from 0.05 to 0 (warm_up), then 120 from 0.025 to 0 (_calc_learning_rate).
    joined = Joined(Cosine(0.05), Cosine(0.025), share=0.25)
    warm = [0.5 * 0.05 * (1 + math.cos(math.pi * e / 40)) for e in range(40)]
    search = [0.5 * 0.025 * (1 + math.cos(math.pi * e / 120)) for e in range(120)]
    assert over(joined, 160) == pytest.approx(warm + search, rel=1e-12)
    assert joined.bounds == (0.0, 0.05)
    # Both ends of a closed line are reached, and 22 epochs have 5 before and 17 after.
    lines = over(Joined(Linear(0.0, 4.0), Linear(16.0, 0.0), share=0.25), 22)
    assert lines == pytest.approx([0, 1, 2, 3, 4, *range(16, -1, -1)])
    assert over(Joined(1.0, 2.0, share=0.25), 3) == [2, 2, 2]  # type: ignore[arg-type]  # no epoch is left for the first
    with pytest.raises(RecipeError, match=r"share of Joined must be in \(0, 1\), got 1"):
        Joined(Constant(1.0), Constant(2.0), share=1)


def test_numbers_become_constant_schedules():
    assert schedule(3) == Constant(3.0)
    assert schedule(Linear(1.0, 0.0)) == Linear(1.0, 0.0)


@pytest.mark.parametrize("value", ["0.1", None, True, lambda progress: 0.1])
def test_what_is_neither_number_nor_schedule_is_refused(value: Any):
    with pytest.raises(
        RecipeError,
        match="A schedule is a number, Constant, Linear, Cosine, CosineRestarts, Exponential, LinearWithTail or Joined, got",
    ):
        schedule(value)
    with pytest.raises(RecipeError, match="rate must be a number or a schedule, got"):
        check_range("rate", value)


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (math.nan, {}, "rate must be a finite number, got nan"),
        (math.inf, {}, "rate must be a finite number, got inf"),
        (Linear(1.0, -math.inf), {}, "rate must be a finite number, got -inf"),
        (0.0, {"above": 0}, "rate must be greater than 0, got 0"),
        (-0.5, {"at_least": 0}, "rate must be at least 0, got -0.5"),
        (1.5, {"at_most": 1}, "rate must be at most 1, got 1.5"),
        (Cosine(0.1, 0.0), {"above": 0}, "rate must be greater than 0, got 0"),
        (Linear(0.5, 2.0), {"at_least": 0, "at_most": 1}, "rate must be at most 1, got 2"),
    ],
)
def test_values_out_of_range_are_refused(value: Any, limits: dict[str, float], message: str):
    with pytest.raises(RecipeError, match=message):
        check_range("rate", value, **limits)


def test_values_in_range_pass():
    check_range("rate", 0.0, at_least=0, at_most=1)
    check_range("rate", Cosine(0.1, 0.0), at_least=0)
    check_range("rate", Cosine(0.1, 0.0, stretch=2.0), above=0)  # ends at half its height
    check_range("rate", Linear(10.0, 0.1), above=0)


@pytest.mark.parametrize(("first", "factor"), [(10, 2), (3, 1), (1, 3)])
def test_cosine_restarts_are_those_of_torch(first: int, factor: int):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=0.05)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, first, factor, eta_min=0.001)
    expected = []
    for _ in range(310):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step()
    found = over(CosineRestarts(0.05, 0.001, first=first, factor=factor), 310)
    assert found == pytest.approx(expected, rel=1e-12)
    assert all(0.001 <= rate <= 0.05 for rate in found)


def test_restarts_do_not_depend_on_how_an_epoch_is_rounded():
    schedule = CosineRestarts(1.0, 0.0, first=10, factor=2)
    for epochs in (7, 33, 310, 630, 997):
        rates = over(schedule, epochs)
        assert [epoch for epoch, rate in enumerate(rates) if rate == 1] == [
            e for e in (0, 10, 30, 70, 150, 310, 630) if e < epochs
        ]


@pytest.mark.parametrize("arguments", [{"first": 0}, {"factor": 0}, {"first": 2.5}, {"factor": True}])
def test_restarts_need_whole_numbers(arguments: dict[str, Any]):
    with pytest.raises(RecipeError, match="of CosineRestarts must be a whole number"):
        CosineRestarts(0.1, **arguments)
