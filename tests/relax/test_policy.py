"""The recurrent policy: its cell against torch, its probabilities and gradients against enumeration of a tiny group."""

import itertools

import pytest
import torch

from mixop.core.errors import RecipeError, SpaceError
from mixop.relax.policy import LstmPolicy, lstm_step
from mixop.spaces.core import Decision, Group
from mixop.testing import check_relaxation

GROUP = Group("g", tuple(Decision(0, 1, ("a", "b", "c")) for _ in range(2)))
ALL = list(itertools.product(range(3), repeat=2))
# Small, and tested at weights so large that decisions depend visibly on the ones before.
POLICY = LstmPolicy(hidden=4, temperature=1.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def params_of(policy: LstmPolicy, group: Group = GROUP) -> torch.Tensor:
    return 15 * policy.init(group, seeded(1)).double()


def probabilities(params: torch.Tensor) -> torch.Tensor:
    return torch.stack([POLICY.log_prob_and_entropy(params, GROUP, c)[0] for c in ALL]).exp()


@pytest.mark.parametrize(("edges", "options"), [(3, 5), (1, 2), (2, 1)])
def test_it_keeps_the_contract(edges, options):
    check_relaxation(LstmPolicy(), edges=edges, options=options)


def test_parameters_start_in_a_narrow_uniform_range():
    params = LstmPolicy().init(GROUP, seeded())
    n = params.numel()
    assert params.abs().max() <= 0.1
    assert abs(params.mean()) < 5 * (0.01 / 3 / n) ** 0.5
    assert abs(params.square().mean() - 0.01 / 3) < 5 * (1e-4 * (1 / 5 - 1 / 9) / n) ** 0.5
    # start, embedding, linear layer, and two LSTM layers of width 32
    assert n == 32 + 3 * 32 + 3 * 32 + 3 + 2 * (2 * 4 * 32 * 32 + 4 * 32)


def test_layers_equal_torchs_lstm_with_the_same_weights():
    policy = LstmPolicy(hidden=6, layers=2)
    cells = policy.unflatten(params_of(policy), GROUP).cells
    reference = torch.nn.LSTM(6, 6, num_layers=2).double()
    weights = {}
    for layer, cell in enumerate(cells):
        weights[f"weight_ih_l{layer}"], weights[f"weight_hh_l{layer}"] = cell.from_input, cell.from_state
        weights[f"bias_ih_l{layer}"], weights[f"bias_hh_l{layer}"] = cell.bias, torch.zeros_like(cell.bias)
    reference.load_state_dict(weights)
    sequence = torch.randn(5, 6, generator=seeded(2), dtype=torch.float64)
    expected, (hidden, memory) = reference(sequence)
    states = [(torch.zeros(6, dtype=torch.float64), torch.zeros(6, dtype=torch.float64)) for _ in cells]
    for t in range(5):
        x = sequence[t]
        for layer, cell in enumerate(cells):
            states[layer] = lstm_step(cell, x, *states[layer])
            x = states[layer][0]
        torch.testing.assert_close(x, expected[t])
    for layer in range(2):
        torch.testing.assert_close(states[layer][0], hidden[layer])
        torch.testing.assert_close(states[layer][1], memory[layer])


def test_decisions_follow_from_the_start_vector_and_the_embedding_of_the_last_option():
    params = params_of(POLICY)
    controller = POLICY.unflatten(params, GROUP)
    zero = torch.zeros(4, dtype=torch.float64)
    states = [(zero, zero), (zero, zero)]
    log_prob, entropy = zero.sum(), zero.sum()
    x = controller.start
    for choice in (2, 1):
        for layer in range(2):
            states[layer] = lstm_step(controller.cells[layer], x, *states[layer])
            x = states[layer][0]
        row = (2.5 * torch.tanh((controller.head @ x + controller.head_bias) / 1.0)).softmax(-1)
        log_prob, entropy = log_prob + row[choice].log(), entropy - (row * row.log()).sum()
        x = controller.embedding[choice]
    got = POLICY.log_prob_and_entropy(params, GROUP, (2, 1))
    torch.testing.assert_close(got, (log_prob, entropy))


def test_probabilities_of_all_architectures_sum_to_one_and_draws_follow_them():
    params = params_of(POLICY)
    p = probabilities(params)
    torch.testing.assert_close(p.sum(), torch.ones((), dtype=torch.float64))
    table = p.view(3, 3)
    conditional = table / table.sum(1, keepdim=True)
    assert (conditional[0] - conditional[1]).abs().max() > 0.02  # the second decision does depend on the first
    n, generator, count = 800, seeded(), torch.zeros(9)
    for _ in range(n):
        draw = POLICY.draw(params, GROUP, 0.0, generator)
        (i,), (j,) = draw.active
        count[3 * i + j] += 1
        assert torch.equal(draw.weights, torch.eye(3, dtype=torch.float64)[[i, j]])
        torch.testing.assert_close(draw.log_prob, p[3 * i + j].log())
    assert ((count / n - p).abs() < 5 * (p * (1 - p) / n).sqrt()).all()


def test_score_gradient_is_unbiased():
    params = params_of(POLICY).requires_grad_()
    losses = torch.randn(9, generator=seeded(3), dtype=torch.float64)
    p = probabilities(params)
    (exact,) = torch.autograd.grad((p * losses).sum(), params)
    assert exact.abs().max() > 1e-2
    expected = torch.zeros_like(exact)
    for choices, loss, probability in zip(ALL, losses, p.detach(), strict=True):
        log_prob, _ = POLICY.log_prob_and_entropy(params, GROUP, choices)
        (score,) = torch.autograd.grad(log_prob, params)
        expected += probability * loss * score
    torch.testing.assert_close(expected, exact)
    assert torch.autograd.gradcheck(lambda q: POLICY.log_prob_and_entropy(q, GROUP, (1, 2)), params)


def test_surrogate_gives_the_score_gradient_of_the_draw():
    params = params_of(POLICY).requires_grad_()
    draw = POLICY.draw(params, GROUP, 0.0, seeded(4))
    loss = torch.tensor(1.7, dtype=torch.float64)
    surrogate = POLICY.surrogate(loss, {"g": draw})
    (grad,) = torch.autograd.grad(surrogate, params, retain_graph=True)
    (score,) = torch.autograd.grad(draw.log_prob, params)
    torch.testing.assert_close(surrogate, loss)
    torch.testing.assert_close(grad, 1.7 * score)


def test_expected_entropy_along_the_way_is_the_entropy_of_the_policy():
    params = params_of(POLICY)
    p = probabilities(params)
    along = torch.stack([POLICY.log_prob_and_entropy(params, GROUP, c)[1] for c in ALL])
    torch.testing.assert_close((p * along).sum(), -(p * p.log()).sum())


def test_mean_is_exact_for_the_first_decision_and_conditional_on_the_greedy_path_after():
    params = params_of(POLICY)
    table = probabilities(params).view(3, 3)
    mean = POLICY.mean(params, GROUP)
    torch.testing.assert_close(mean[0], table.sum(1))
    greedy = int(table.sum(1).argmax())
    torch.testing.assert_close(mean[1], table[greedy] / table[greedy].sum())


def test_logits_are_bounded_however_large_the_weights():
    rows = LstmPolicy(tanh=2.5).mean(1000 * LstmPolicy().init(GROUP, seeded()), GROUP)
    # The largest ratio of two probabilities is exp(2 * 2.5).
    assert (rows.amax(-1) / rows.amin(-1) <= torch.tensor(5.0).exp() * (1 + 1e-5)).all()


@pytest.mark.parametrize("choices", [(0,), (0, 1, 2), (0, 3), (-1, 0)])
def test_choices_that_do_not_fit_are_refused(choices):
    with pytest.raises(SpaceError, match="takes 2 option indices below 3"):
        POLICY.log_prob_and_entropy(params_of(POLICY), GROUP, choices)


@pytest.mark.parametrize(
    "setting", [{"hidden": 0}, {"layers": 0}, {"layers": 1.5}, {"tanh": 0.0}, {"temperature": -1.0}], ids=str
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(RecipeError, match="of LstmPolicy"):
        LstmPolicy(**setting)
