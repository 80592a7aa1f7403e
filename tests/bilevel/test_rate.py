"""A rate as a decision: its slope by finite differences, its optimum on a quadratic, and a search that it does not disturb."""

import math
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mixop import api, recipes
from mixop.bilevel import FirstOrder, Frozen, InnerStep, Scheme, SecondOrder, SingleLevel, TunedRate
from mixop.bilevel.rate import LOGITS
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant
from mixop.core.types import Batch
from mixop.data.toy import toy_set
from mixop.relax.categorical import Categorical
from mixop.relax.softmax import Softmax
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces.toy import Toy

OPTIONS = (0.1, 0.5, 4.0)
BATCH = Batch(torch.zeros(1), torch.zeros(1))


class Bowls:
    """``L_train = |H w - a|^2 / 2`` and ``L_valid = |G w - b|^2 / 2``; a second weight stands in the upper loss only."""

    def __init__(self, rate: float, momentum: float = 0.9) -> None:
        generator = torch.Generator().manual_seed(0)

        def numbers(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.h, self.g, self.a, self.b = numbers(4, 4), numbers(4, 4), numbers(4), numbers(4)
        self.weights = {"w": numbers(4), "idle": numbers(2)}
        self.inner = InnerStep(rate=rate, momentum=momentum, weight_decay=0.1, buffers={"w": numbers(4)})
        self.memory: dict[str, Tensor] = {}

    def train_loss(self, weights: Mapping[str, Tensor], params: Any, batch: Batch) -> Tensor:
        return (self.h @ weights["w"] - self.a).square().sum() / 2

    def valid_loss(self, weights: Mapping[str, Tensor], params: Any, batch: Batch) -> Tensor:
        return (self.g @ weights["w"] - self.b).square().sum() / 2 + weights["idle"].square().sum()


class Nothing(Scheme):
    def __call__(self, problem: Any, params: Any, train_batch: Batch, valid_batch: Batch) -> Any:
        return params


def test_the_logits_follow_the_validation_loss_after_the_step():
    """Central differences of the whole map, from the logits to the loss: their error is of the order of eps^2."""
    scheme, base = TunedRate(scheme=Nothing(), options=OPTIONS, step=0.7), 0.05
    logits = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)

    def stepped(at: Tensor) -> tuple[Bowls, Mapping[str, Tensor]]:
        problem = Bowls(base * scheme.weight_rate({LOGITS: at}))
        w = problem.weights["w"]
        return problem, problem.inner(problem.weights, {"w": problem.h.T @ (problem.h @ w - problem.a)})

    def loss(at: Tensor) -> float:
        problem, weights = stepped(at)
        return problem.valid_loss(weights, {}, BATCH).item()

    eps = 1e-5
    ahead, behind = ([loss(logits + sign * eps * one) for one in torch.eye(3, dtype=torch.float64)] for sign in (1, -1))
    slope = (torch.tensor(ahead, dtype=torch.float64) - torch.tensor(behind, dtype=torch.float64)) / (2 * eps)
    problem, weights = stepped(logits)
    v = torch.cat([problem.g.T @ (problem.g @ weights["w"] - problem.b), 2 * weights["idle"]])
    lengths = v.norm() * (problem.weights["w"] - weights["w"]).norm()
    problem.memory[LOGITS] = logits
    scheme(problem, {}, BATCH, BATCH)  # type: ignore[arg-type]
    torch.testing.assert_close(problem.memory[LOGITS], logits - 0.7 * slope / lengths, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("rate", [0.02, 0.2, 5.0])
def test_on_a_quadratic_it_finds_the_rate_that_ends_in_one_step(rate: float):
    """Of ``h |w|^2 / 2`` a step of ``1 / h`` ends in the optimum. The cosine is 1 before and -1 behind it."""
    h, scheme = 2.0, TunedRate(scheme=Nothing(), options=(0.01, 1.0, 100.0), step=0.02)

    class Bowl(Bowls):
        def train_loss(self, weights: Mapping[str, Tensor], params: Any, batch: Batch) -> Tensor:
            return h * weights["w"].square().sum() / 2

        valid_loss = train_loss

    problem = Bowl(rate)
    for _ in range(300):
        problem.inner = InnerStep(rate=rate * scheme.weight_rate(problem.memory))
        scheme(problem, {}, BATCH, BATCH)  # type: ignore[arg-type]
    # One step of the logits moves log m by step * var(log c) at most, which is at most (log 100)^2.
    assert abs(math.log(rate * scheme.weight_rate(problem.memory) * h)) <= scheme.step * math.log(100) ** 2


def test_it_begins_at_the_geometric_mean():
    assert TunedRate(options=(0.25, 1.0, 32.0)).weight_rate({}) == pytest.approx(2.0)
    assert FirstOrder().weight_rate({}) == 1.0


BASE = replace(
    recipes.darts(epochs=3),
    batch_size=8,
    weight_optimiser=SGD(lr=Constant(0.003)),
    architecture_optimiser=Adam(lr=Constant(0.1)),
)


def search(out: Path, scheme: Scheme, observe: Any = None) -> api.SearchResult:
    return api.search(replace(BASE, scheme=scheme), Toy(), toy_set(Toy(), n=96), out, seed=1, rates="paper", observe=observe)


def test_looking_ahead_disturbs_nothing_and_the_rate_is_that_of_the_weights(tmp_path: Path):
    plain = search(tmp_path / "plain", FirstOrder())
    still = search(tmp_path / "still", TunedRate(step=1e-9))
    for one, other in zip(plain.history, still.history, strict=True):
        assert one.valid == pytest.approx(other.valid, rel=1e-4)
        assert one.learning_rate == pytest.approx(other.learning_rate, rel=1e-6)
    # Options whose mean is 10 are a rate that is ten times as large, whatever the rate was.
    tenfold = search(tmp_path / "tenfold", TunedRate(options=(1.0, 100.0), step=1e-9))
    by_hand = replace(BASE, weight_optimiser=SGD(lr=Constant(0.03)))
    large = api.search(by_hand, Toy(), toy_set(Toy(), n=96), tmp_path / "large", seed=1, rates="paper")
    assert [record.valid for record in tenfold.history] == [pytest.approx(record.valid, rel=1e-4) for record in large.history]


def test_a_rate_that_is_far_too_small_grows_and_the_search_finds_more(tmp_path: Path):
    plain, tuned = search(tmp_path / "plain", FirstOrder()), search(tmp_path / "tuned", TunedRate())
    rates = [record.learning_rate for record in tuned.history]
    assert rates[-1] > 10 * 0.003
    assert rates == sorted(rates)
    assert (tuned.history[-1].valid["loss"] or math.inf) < (plain.history[-1].valid["loss"] or 0.0)


def test_it_goes_on_from_a_checkpoint(tmp_path: Path):
    def press(record: Mapping[str, Any]) -> None:
        if record.get("event") == "step" and (record["epoch"], record["step"]) == (2, 3):
            signal.raise_signal(signal.SIGINT)

    alone = search(tmp_path / "alone", TunedRate())
    with pytest.raises(InterruptedRunError):
        search(tmp_path / "stopped", TunedRate(), press)
    again = search(tmp_path / "stopped", TunedRate())
    assert [replace(r, seconds=0.0) for r in again.history] == [replace(r, seconds=0.0) for r in alone.history]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: TunedRate(options=(1.0, 1.0)), "at least two different options"),
        (lambda: TunedRate(options=(0.0, 1.0)), "options of TunedRate"),
        (lambda: TunedRate(step=0.0), "step of TunedRate"),
        (lambda: replace(BASE, scheme=TunedRate(scheme=SingleLevel())), "which SingleLevel does not leave it"),
        (lambda: replace(BASE, scheme=TunedRate(scheme=Frozen())), "which Frozen does not leave it"),
        (lambda: replace(BASE, scheme=TunedRate(scheme=TunedRate())), "which TunedRate does not leave it"),
        (lambda: replace(BASE, scheme=TunedRate(), weight_optimiser=Adam()), "unrolls a step of SGD"),
        (lambda: TunedRate().check(Categorical(), SGD()), "Categorical has its own loss for the architecture"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, sentence: str):
    with pytest.raises(RecipeError, match=sentence):
        make()


def test_it_asks_for_what_its_scheme_needs():
    assert TunedRate(scheme=SecondOrder(method="exact")).second_derivatives
    assert not TunedRate().second_derivatives
    TunedRate().check(Softmax(), SGD())
