"""Decisions that take several options: which relaxations draw them, and with what probabilities and gradients."""

import itertools

import pytest
import torch

from mixop.core.errors import RecipeError, SpaceError
from mixop.recipes import RECIPES
from mixop.relax import ALL
from mixop.relax.categorical import Categorical, Uniform
from mixop.relax.gumbel import GumbelHard, gumbel_softmax
from mixop.relax.hard_concrete import HardConcrete
from mixop.relax.policy import LstmPolicy
from mixop.spaces import nasbench1shot1
from mixop.spaces.core import Decision, Group

GROUP = Group("inputs", (Decision(0, 1, ("a", "b", "c", "d")),), take=2, inputs=True)
LOGITS = torch.tensor([[0.5, -1.0, 0.2, 1.3]], dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", [name for name, kind in ALL.items() if kind.takes_several])
def test_draws_weigh_all_options_or_run_as_many_as_are_taken(name):
    relaxation = ALL[name]()
    params = relaxation.init(GROUP, seeded()).double()
    draw = relaxation.draw(params, GROUP, 0.5, seeded(1))
    assert draw.weights.shape == (1, 4)
    (runs,) = draw.active or ((0, 1, 2, 3),)
    assert len(set(runs)) >= 2
    if len(runs) == 2:
        torch.testing.assert_close(draw.weights[0, list(runs)], torch.ones(2, dtype=torch.float64))
    assert (draw.weights[0, [o for o in range(4) if o not in runs]] == 0).all()
    assert relaxation.mean(params, GROUP).shape == (1, 4)


def test_what_a_node_reads_is_drawn_softly_by_gumbel():
    draw = GumbelHard(temperature=2.0).draw(LOGITS, GROUP, 0.0, seeded(3))
    torch.testing.assert_close(draw.weights, gumbel_softmax(LOGITS, 2.0, seeded(3)))
    assert draw.active == ((0, 1, 2, 3),)


def test_idle_operations_at_nodes_carry_no_gradient():
    # As MixedOpGDAS of the authors: the operation drawn, times its weight, and nothing of the others.
    group = nasbench1shot1(1).group("operations")
    logits = torch.randn(group.shape, dtype=torch.float64, generator=seeded(4)).requires_grad_()
    draw = GumbelHard(temperature=1.0).draw(logits, group, 0.0, seeded(3))
    for e, (runs,) in enumerate(draw.active):
        (idle,) = torch.autograd.grad(draw.weights[e].sum() - draw.weights[e, runs], logits, retain_graph=True)
        assert not idle.any()
        (taken,) = torch.autograd.grad(draw.weights[e, runs], logits, retain_graph=True)
        assert taken[e].all()


@pytest.mark.parametrize("relaxation", [Categorical(), Uniform()])
def test_pairs_come_as_often_as_they_are_probable(relaxation):
    p = relaxation.mean(LOGITS, GROUP)[0].tolist()
    wanted = {frozenset(pair): 0.0 for pair in itertools.combinations(range(4), 2)}
    for one, other in itertools.permutations(range(4), 2):
        wanted[frozenset((one, other))] += p[one] * p[other] / (1 - p[one])
    generator, count = seeded(5), 2000
    found = dict.fromkeys(wanted, 0)
    for _ in range(count):
        (path,) = relaxation.draw(LOGITS, GROUP, 0.0, generator).active
        found[frozenset(path)] += 1
    for pair, probability in wanted.items():
        assert abs(found[pair] / count - probability) < 5 * (probability * (1 - probability) / count) ** 0.5


def test_a_policy_takes_one_after_the_other():
    group = Group("inputs", (Decision(0, 1, ("a", "b", "c")), Decision(0, 2, ("a", "b", "c"))), take=2, inputs=True)
    policy = LstmPolicy(hidden=4, temperature=1.0)
    params = (15 * policy.init(group, seeded(1)).double()).requires_grad_()
    pairs = list(itertools.permutations(range(3), 2))
    total = sum(policy.log_prob_and_entropy(params, group, [*a, *b])[0].exp() for a in pairs for b in pairs)
    assert total.item() == pytest.approx(1)
    draw = policy.draw(params, group, 0.0, seeded(2))
    taken = [option for path in draw.active for option in path]
    log_prob, entropy = policy.log_prob_and_entropy(params, group, taken)
    assert draw.log_prob.item() == pytest.approx(log_prob.item())
    assert draw.weights.sum(-1).tolist() == [2, 2]
    (gradient,) = torch.autograd.grad(log_prob + entropy, params)
    assert gradient.isfinite().all()
    assert gradient.any()
    torch.testing.assert_close(policy.mean(params, group).sum(-1), torch.ones(2, dtype=torch.float64))
    with pytest.raises(SpaceError, match="takes 4 option indices"):
        policy.log_prob_and_entropy(params, group, [0, 1])


def test_gates_run_at_least_as_many_as_are_taken():
    three = Group("inputs", GROUP.decisions, take=3, inputs=True)
    assert len(HardConcrete(sample=2).draw(LOGITS, three, 0.0, seeded()).active[0]) == 3


@pytest.mark.parametrize(("take", "keep"), [(0, 0), (5, 0), (2, 1)])
def test_a_group_takes_what_there_is(take, keep):
    with pytest.raises(SpaceError, match="takes 1 to 4 of its options"):
        Group("inputs", GROUP.decisions, take=take, keep=keep)


REFUSED = {
    "darts_pt": "PerturbationSelection chooses one option",
    "dsnas": "CategoricalGate draws one option",
    "proxylessnas": "BinaryGates draws one option",
    "bayesnas": "Switches draws one option",
    "pdarts": "has only 3",
    "drnas_progressive_201": "cannot be pruned",
}


@pytest.mark.parametrize("recipe", REFUSED)
def test_recipes_that_do_not_fit_are_refused_in_a_sentence(recipe):
    with pytest.raises(RecipeError, match=REFUSED[recipe]):
        RECIPES[recipe]().check(nasbench1shot1(1, input_shape=(3, 8, 8), outputs=10))


@pytest.mark.parametrize("recipe", ["darts2", "pcdarts", "gdas", "enas", "rsws", "drnas", "gaea", "snas", "prdarts"])
def test_recipes_that_fit_are_not(recipe):
    RECIPES[recipe]().check(nasbench1shot1(3, input_shape=(3, 8, 8), outputs=10))
