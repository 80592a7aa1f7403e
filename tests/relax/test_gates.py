"""Binary gates: gradients against the published sum, draws against enumeration, the two-path shift."""

import itertools

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.relax.gates import BinaryGates, restrict
from mixop.spaces.core import Decision, Group
from mixop.testing import check_relaxation

OPTIONS = ("a", "b", "c", "d")
GROUP = Group("g", tuple(Decision(0, 1, OPTIONS) for _ in range(2)))
ALPHA = torch.tensor([[0.3, -1.0, 0.8, 0.2], [-0.2, 0.5, 0.1, -0.7]], dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def many(count: int) -> Group:
    return Group("g", tuple(Decision(0, 1, OPTIONS) for _ in range(count)))


@pytest.mark.parametrize("paths", ["full", "two"])
@pytest.mark.parametrize(("edges", "options"), [(3, 5), (1, 2), (2, 1)])
def test_they_keep_the_contract(paths, edges, options):
    check_relaxation(BinaryGates(paths=paths), edges=edges, options=options)


def published_gradient(of_gate: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """``sum_j dL/dg_j * p_j * (delta_ij - p_i)`` of one row, written out."""
    n = len(p)
    return torch.stack([sum(of_gate[j] * p[j] * (float(i == j) - p[i]) for j in range(n)) for i in range(n)])


def test_full_gradient_is_the_published_sum_over_all_paths():
    of_gate = torch.randn(2, 4, generator=seeded(2), dtype=torch.float64)
    alpha = ALPHA.clone().requires_grad_()
    draw = BinaryGates().draw(alpha, GROUP, 0.0, seeded())
    (grad,) = torch.autograd.grad((draw.weights * of_gate).sum(), alpha)
    assert draw.active is None
    assert torch.equal(draw.weights.sort(-1).values, torch.tensor([[0.0, 0, 0, 1]] * 2, dtype=torch.float64))
    for e in range(2):
        torch.testing.assert_close(grad[e], published_gradient(of_gate[e], ALPHA[e].softmax(-1)))


def test_two_path_gradient_is_the_same_sum_over_the_two():
    of_gate = torch.randn(2, 4, generator=seeded(2), dtype=torch.float64)
    for seed in range(10):
        alpha = ALPHA.clone().requires_grad_()
        draw = BinaryGates(paths="two").draw(alpha, GROUP, 0.0, seeded(seed))
        (grad,) = torch.autograd.grad((draw.weights * of_gate).sum(), alpha)
        for e, running in enumerate(draw.active):
            two = list(running)
            assert len(set(two)) == 2
            assert draw.weights[e].argmax().item() in two
            expected = torch.zeros(4, dtype=torch.float64)
            expected[two] = published_gradient(of_gate[e, two], ALPHA[e, two].softmax(-1))
            torch.testing.assert_close(grad[e], expected)


@pytest.mark.parametrize("paths", ["full", "two"])
def test_open_gates_have_the_enumerated_probabilities(paths):
    n, p = 40_000, ALPHA[0].softmax(-1)
    opened = BinaryGates(paths=paths).draw(ALPHA[:1].expand(n, 4), many(n), 0.0, seeded()).weights.mean(0)
    expected = p.clone()
    if paths == "two":
        expected = torch.zeros(4, dtype=torch.float64)
        for i, j in itertools.combinations(range(4), 2):
            pair = p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j])
            expected[i] += pair * p[i] / (p[i] + p[j])
            expected[j] += pair * p[j] / (p[i] + p[j])
    assert ((opened - expected).abs() < 5 * (expected * (1 - expected) / n).sqrt()).all()


@pytest.mark.parametrize("paths", ["full", "two"])
def test_decisions_whose_open_gate_is_none_receive_no_gradient(paths):
    group = Group("g", tuple(Decision(0, 1, ("skip_connect", "none", "c", "d")) for _ in range(200)))
    alpha = ALPHA[:1].expand(200, 4).clone().requires_grad_()
    draw = BinaryGates(paths=paths).draw(alpha, group, 0.0, seeded())
    of_gate = torch.randn(200, 4, generator=seeded(2), dtype=torch.float64)
    (grad,) = torch.autograd.grad((draw.weights * of_gate).sum(), alpha)
    absent = draw.weights.detach()[:, 1] == 1
    assert absent.any()
    assert not absent.all()
    assert torch.equal(grad[absent], torch.zeros_like(grad[absent]))
    assert (grad[~absent].abs().sum(-1) > 0).all()


def test_two_path_step_leaves_the_probabilities_of_the_others_unchanged():
    draw = BinaryGates(paths="two").draw(ALPHA, GROUP, 0.0, seeded())
    # An optimiser with momentum moves logits that had no gradient, too.
    stepped = ALPHA + torch.randn(2, 4, generator=seeded(9), dtype=torch.float64)
    after = BinaryGates(paths="two").after_step(ALPHA, stepped, draw, GROUP)
    for e, running in enumerate(draw.active):
        i, j = running
        others = [o for o in range(4) if o not in running]
        torch.testing.assert_close(after[e].softmax(-1)[others], ALPHA[e].softmax(-1)[others])
        # Between the two the step counts in full.
        torch.testing.assert_close(after[e, i] - after[e, j], stepped[e, i] - stepped[e, j])
    assert torch.equal(BinaryGates().after_step(ALPHA, stepped, BinaryGates().draw(ALPHA, GROUP, 0, seeded()), GROUP), stepped)


def test_restricted_softmax_shares_among_the_kept():
    weights = restrict(ALPHA, torch.tensor([[0, 2], [3, 1]]))
    torch.testing.assert_close(weights[0, 2] / weights[0, 0], (ALPHA[0, 2] - ALPHA[0, 0]).exp())
    assert weights[0, 1] == weights[0, 3] == weights[1, 0] == weights[1, 2] == 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, dtype=torch.float64))


def test_unknown_paths_are_refused():
    with pytest.raises(RecipeError, match="'full' or 'two', got 'three'"):
        BinaryGates(paths="three")  # type: ignore[arg-type]
