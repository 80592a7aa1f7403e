"""Hard-concrete gates: probabilities against closed forms and the golden number, the sampled variant against its rule."""

import math

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.core.schedules import Progress
from mixop.relax.hard_concrete import HardConcrete, activation_probability, sample_gates
from mixop.spaces.core import Decision, Group
from mixop.testing import check_relaxation

OPTIONS = ("a", "b", "c", "d")
GROUP = Group("g", tuple(Decision(0, 1, OPTIONS) for _ in range(3)))
BETA = torch.tensor([[0.7, -0.4, 1.1, -1.5], [0.0, 0.3, -0.2, 0.1], [2.0, -2.0, 0.5, 0.1]], dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "part", [HardConcrete(), HardConcrete(drop=0.0), HardConcrete(sample=1), HardConcrete(sample=None)], ids=repr
)
@pytest.mark.parametrize(("edges", "options"), [(3, 5), (1, 2), (2, 1)])
def test_they_keep_the_contract(part, edges, options):
    check_relaxation(part, edges=edges, options=options)


def test_activation_probability_has_the_golden_value():
    assert activation_probability(torch.tensor(0.3, dtype=torch.float64), 0.5).item() == pytest.approx(0.8174, abs=5e-5)
    assert activation_probability(torch.tensor(0.0, dtype=torch.float64), 1.0).item() == pytest.approx(11 / 12, abs=1e-12)


@pytest.mark.parametrize(("beta", "temperature"), [(0.3, 0.5), (0.0, 1.0), (-1.2, 0.7), (2.0, 0.1)])
@pytest.mark.parametrize(("low", "high"), [(-0.1, 1.1), (-0.3, 1.5)])
def test_gates_are_closed_open_and_between_with_the_probabilities_of_the_noise(beta, temperature, low, high):
    """g = 0 iff u <= -a/(b-a) and g = 1 iff u >= (1-a)/(b-a), with logit(u) = (beta + logistic noise) / tau."""
    n = 100_000
    gates = sample_gates(torch.full((n,), beta, dtype=torch.float64), temperature, low, high, seeded())

    def probability_above(u: float) -> float:
        return 1 / (1 + math.exp(temperature * math.log(u / (1 - u)) - beta))

    active = probability_above(-low / (high - low))
    opened = probability_above((1 - low) / (high - low))
    assert activation_probability(torch.tensor(beta, dtype=torch.float64), temperature, low, high).item() == pytest.approx(
        active, rel=1e-12
    )
    for frequency, expected in (((gates > 0).double().mean(), active), ((gates == 1).double().mean(), opened)):
        assert abs(frequency - expected) < 5 * (expected * (1 - expected) / n) ** 0.5
    assert ((gates >= 0) & (gates <= 1)).all()


def test_expected_variant_weighs_with_the_gates_themselves():
    beta = BETA.clone().requires_grad_()
    draw = HardConcrete(sample=None).draw(beta, GROUP, Progress(0, 10), seeded(3))
    assert draw.active is None
    assert torch.equal(draw.weights, sample_gates(BETA, 1.0, -0.1, 1.1, seeded(3)))
    (grad,) = torch.autograd.grad(draw.weights.sum(), beta)
    # dg/dbeta = (b - a) u (1 - u) / tau with u = (g - a) / (b - a), and 0 where the clamp holds.
    u = (draw.weights.detach() + 0.1) / 1.2
    between = (draw.weights > 0) & (draw.weights < 1)
    torch.testing.assert_close(grad, torch.where(between, 1.2 * u * (1 - u), torch.zeros_like(u)))
    assert between.any()
    assert not between.all()


def test_sampled_variant_runs_the_two_largest_gates_with_weight_one_and_their_gradient():
    weigh = torch.randn(3, 4, generator=seeded(5), dtype=torch.float64)
    part = HardConcrete(drop=0.0)
    for seed in range(10):
        beta = BETA.clone().requires_grad_()
        draw = part.draw(beta, GROUP, Progress(9, 10), seeded(seed))  # the last epoch: temperature 0.1
        gates = sample_gates(beta, 0.1, -0.1, 1.1, seeded(seed))
        (grad,) = torch.autograd.grad((draw.weights * weigh).sum(), beta)
        runs = torch.zeros_like(gates, requires_grad=False).scatter(1, torch.tensor(draw.active), 1.0)
        (expected,) = torch.autograd.grad((gates * weigh * runs).sum(), beta)  # the authors' cell knows no others
        torch.testing.assert_close(grad, expected)
        for e, running in enumerate(draw.active):
            assert len(set(running)) == 2
            assert draw.weights[e].tolist() == [float(o in running) for o in range(4)]
            idle = [o for o in range(4) if o not in running]
            assert gates[e, list(running)].min() >= gates[e, idle].max()


def test_open_gates_that_tie_are_chosen_by_one_permutation_of_the_options():
    part, generator, count = HardConcrete(drop=0.0), seeded(), torch.zeros(4)
    n = 2000
    for _ in range(n):
        draw = part.draw(torch.full((3, 4), 50.0), GROUP, 0.0, generator)
        assert len(set(draw.active)) == 1  # the same for all decisions
        count[list(draw.active[0])] += 1
    assert ((count / n - 0.5).abs() < 5 * (0.25 / n) ** 0.5).all()


def test_excluded_options_are_passed_over_unless_too_few_remain():
    """Gate 0 is open, three are closed. Its score is 1, or 0 if excluded; then it ties with the m closed ones that are not.

    P(it is the one that runs) = 0.6 + 0.4 * sum_m C(3, m) 0.6^m 0.4^(3-m) / (m + 1) = 0.6 + 0.4 * (1 - 0.4^4) / (4 * 0.6).
    """
    n = 20_000
    part = HardConcrete(sample=1, drop=0.4)
    group = Group("g", (Decision(0, 1, OPTIONS),))
    beta, generator = torch.tensor([[60.0, -60.0, -60.0, -60.0]]), seeded()
    frequency = sum(part.draw(beta, group, 0.0, generator).active[0] == (0,) for _ in range(n // 4)) / (n // 4)
    expected = 0.6 + 0.4 * (1 - 0.4**4) / (4 * 0.6)
    assert abs(frequency - expected) < 5 * (expected * (1 - expected) / (n // 4)) ** 0.5


@pytest.mark.parametrize(("drop", "repeats"), [(0.0, True), (0.4, False)])
def test_only_without_exclusion_a_draw_of_closed_gates_is_repeated(drop, repeats):
    """A gate is active with probability sigmoid(-8 + 2 ln 11) = 0.04, nearly never fully open: active means a gradient."""
    group = Group("g", (Decision(0, 1, ("a", "b")),))
    part, generator = HardConcrete(sample=1, drop=drop, temperature=2.0), seeded()
    beta = torch.full((1, 2), -8.0, dtype=torch.float64, requires_grad=True)
    active = []
    for _ in range(50):
        draw = part.draw(beta, group, 0.0, generator)
        (grad,) = torch.autograd.grad(draw.weights.sum(), beta)
        active.append(bool(grad.any()))
        assert not repeats or grad[0, draw.active[0][0]] > 0  # the one that is active runs
    assert all(active) is repeats


def test_hopelessly_closed_gates_end_the_repetition():
    draw = HardConcrete(drop=0.0).draw(torch.full((3, 4), -1000.0), GROUP, 0.0, seeded())
    assert all(len(running) == 2 for running in draw.active)


def test_mean_is_the_activation_probability_at_the_last_temperature():
    mean = HardConcrete().mean(BETA, GROUP)
    torch.testing.assert_close(mean, activation_probability(BETA, 0.1))
    # Its order is that of the logits, over all decisions together and at every temperature.
    assert torch.equal(mean.flatten().argsort(), BETA.flatten().argsort())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"low": 0.0}, "low of HardConcrete must be less than 0"),
        ({"high": 1.0}, "high of HardConcrete must be greater than 1"),
        ({"drop": 1.0}, "drop of HardConcrete must be less than 1"),
        ({"drop": -0.1}, "drop of HardConcrete must be at least 0"),
        ({"sample": 0}, "sample of HardConcrete must be a whole number of at least 1"),
        ({"temperature": 0.0}, "temperature of HardConcrete"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(RecipeError, match=message):
        HardConcrete(**setting)
