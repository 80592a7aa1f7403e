"""The controller of ENAS over a chain of groups: against the authors' formulas written out again, and against enumeration."""

import itertools
import math

import numpy as np
import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.recipes import enas_micro as recipe_of_micro
from mixop.relax import chain
from mixop.relax.policy import LstmPolicy
from mixop.spaces import EnasRnn, enas_macro, enas_micro
from mixop.spaces.core import Decision, Group, Roles

H = 3
MACRO = enas_macro(depth=4)
MICRO = enas_micro()
POLICY = LstmPolicy(hidden=H, layers=1, tanh=1.5, temperature=1.0)
MICRO_POLICY = LstmPolicy(
    hidden=H,
    layers=1,
    tanh=1.1,
    temperature=1.0,
    reduce=2.5,
    bias=(1.0, 1.0, 0.0, 0.0, 0.0),
    first_bias=(0.25, 0.25, -0.25, -0.25, -0.25),
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def params_of(policy, space):
    """Weights so large that decisions depend visibly on those before."""
    return {name: 12 * value.double() for name, value in policy.init_all(space.groups, seeded(1)).items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_softmax(x):
    return x - math.log(np.exp(x).sum())


class Lstm:
    """One layer without biases, as the authors write it, but for the order of the gates."""

    def __init__(self, from_input, from_state):
        self.u, self.w = from_input, from_state
        self.h = self.c = np.zeros(H)

    def __call__(self, x):
        i, f, g, o = np.split(self.u @ x + self.w @ self.h, 4)
        self.c = sigmoid(i) * np.tanh(g) + sigmoid(f) * self.c
        self.h = sigmoid(o) * np.tanh(self.c)
        return self.h


def pieces(policy, space, params):
    found = chain.pieces_of(policy._settings, space.groups, params[space.groups[0].name])
    start, (cell,) = found.start.numpy(), found.cells
    options = [tuple(piece.numpy() for piece in of) for of in found.options.values()]
    return start, Lstm(cell.from_input.numpy(), cell.from_state.numpy()), [a.numpy() for a in found.attention], options


def macro_by_hand(params, operations, skips):
    """Log-probability, entropy and skip penalty of an architecture, as the authors' code takes it layer by layer."""
    start, lstm, (w1, w2, v), [(embedding, head)] = pieces(POLICY, MACRO, params)
    x, anchors, keys, log_prob, entropy, penalties = start, [], [], 0.0, 0.0, []
    bits = iter(skips)
    for layer, operation in enumerate(operations):
        row = log_softmax(1.5 * np.tanh(head @ lstm(x)))
        log_prob, entropy = log_prob + row[operation], entropy - (np.exp(row) * row).sum()
        h = lstm(embedding[operation])
        x, penalty, read = start, 0.0, []
        for i in range(layer):
            q = v @ np.tanh(keys[i] + w2 @ h)
            logits = 1.5 * np.tanh(np.array([-q, q]))
            row, bit = log_softmax(logits), next(bits)
            log_prob, entropy = log_prob + row[bit], entropy - (np.exp(row) * row).sum()
            penalty += sum(p * math.log(p / t) for p, t in zip(sigmoid(logits), (0.6, 0.4), strict=True))
            read += [anchors[i]] * bit
        if layer:
            x = sum(read, np.zeros(H)) / (1 + len(read))
            penalties.append(penalty)
        anchors.append(h)
        keys.append(w1 @ h)
    return log_prob, entropy, 0.8 * np.mean(penalties)


def test_macro_draws_are_those_of_the_authors_formulas():
    params = params_of(POLICY, MACRO)
    for seed in range(4):
        draws = POLICY.draw_all(params, MACRO.groups, 0.0, seeded(seed))
        choices = {name: [path[0] for path in draw.active] for name, draw in draws.items()}
        log_prob, entropy, penalty = macro_by_hand(params, choices["operations"], choices["skips"])
        assert sum(draw.log_prob.item() for draw in draws.values()) == pytest.approx(log_prob, rel=1e-12)
        assert POLICY.entropy_along(params, MACRO.groups, draws).item() == pytest.approx(entropy, rel=1e-12)
        assert draws["skips"].penalty.item() == pytest.approx(penalty, rel=1e-12)
        assert draws["operations"].penalty is None
        assert POLICY.log_prob_all(params, MACRO.groups, choices).item() == pytest.approx(log_prob, rel=1e-12)
        for name, draw in draws.items():
            assert torch.equal(draw.weights, torch.eye(draw.weights.shape[1], dtype=torch.float64)[choices[name]])


def micro_by_hand(params, numbers):
    """Log-probability of both cells, as the authors' code takes them: two inputs, then two operations of a node."""
    start, lstm, (w1, w2, v), [(embedding, head, bias)] = pieces(MICRO_POLICY, MICRO, params)
    log_prob = 0.0
    for number, cell in enumerate(numbers):
        anchors, keys = [np.zeros(H)] * 2, [w1 @ lstm(start) for _ in range(2)]
        for node, (source1, op1, source2, op2) in enumerate(cell, start=2):
            x = start
            for source in (source1, source2):
                h = lstm(x)
                scores = np.array([v @ np.tanh(keys[i] + w2 @ h) for i in range(node)])
                log_prob += log_softmax(1.1 * np.tanh(scores))[source]
                x = anchors[source]
            for operation in (op1, op2):
                logits = 1.1 / 2.5 * np.tanh(head @ lstm(x) + bias)
                if number == 0:
                    logits = logits + np.array([0.25, 0.25, -0.25, -0.25, -0.25])
                log_prob += log_softmax(logits)[operation]
                x = embedding[operation]
            h = lstm(x)
            anchors.append(h)
            keys.append(w1 @ h)
    return log_prob


def test_micro_walks_are_those_of_the_authors_formulas():
    params = params_of(MICRO_POLICY, MICRO)
    numbers = [[(k % (2 + n), (n + k) % 5, (n + k) % (2 + n), (3 * k + n) % 5) for n in range(5)] for k in range(2)]
    order = iter([value for cell in numbers for a, b, c, d in cell for value in (a, c, b, d)])
    taken = chain.walk(MICRO_POLICY._settings, MICRO.groups, params["normal"], lambda *_: [next(order)])
    found = sum(torch.stack(its.log_prob).sum().item() for its in taken.values())
    assert found == pytest.approx(micro_by_hand(params, numbers), rel=1e-12)
    draw = taken["normal"].draw(params["normal"], 0.8)
    assert draw.penalty is None
    # Node 2 of the normal cell takes operation 0 on input 0 twice.
    assert draw.weights[0].tolist() == [2, 0, 0, 0, 0]
    assert draw.active[0] == (0,)
    assert [draw.weights[list(group)].sum() for group in map(MICRO.groups[0].into, range(2, 7))] == [2] * 5


def test_probabilities_of_all_networks_sum_to_one_and_draws_are_among_them():
    space = enas_macro(depth=3, operations=("conv_3x3", "max_pooling"))
    params = params_of(POLICY, space)
    total = 0.0
    for operations, skips in itertools.product(itertools.product(range(2), repeat=3), itertools.product(range(2), repeat=3)):
        total += POLICY.log_prob_all(params, space.groups, {"operations": operations, "skips": skips}).exp().item()
    assert total == pytest.approx(1, abs=1e-12)


def test_the_penalty_is_a_part_of_the_loss_and_zero_at_its_target():
    params = {name: value.requires_grad_() for name, value in params_of(POLICY, MACRO).items()}
    draws = POLICY.draw_all(params, MACRO.groups, 0.0, seeded())
    penalty = draws["skips"].penalty
    assert POLICY.surrogate(torch.zeros((), dtype=torch.float64), draws) == penalty
    (slope,) = torch.autograd.grad(penalty, params["operations"])
    assert slope.abs().sum() > 0
    free = LstmPolicy(hidden=H, layers=1, skip_weight=0.0).draw_all(params, MACRO.groups, 0.0, seeded())
    assert free["skips"].penalty is None


def test_the_mean_follows_the_likeliest_way():
    params = params_of(POLICY, MACRO)
    mean = POLICY.mean_all(params, MACRO.groups)
    for name, rows in mean.items():
        torch.testing.assert_close(rows.sum(-1), torch.ones(len(rows), dtype=torch.float64), msg=name)
    choices = {name: rows.argmax(-1).tolist() for name, rows in mean.items()}
    along = sum(rows[range(len(rows)), choices[name]].log().sum() for name, rows in mean.items())
    torch.testing.assert_close(along, POLICY.log_prob_all(params, MACRO.groups, choices))
    micro = MICRO_POLICY.mean_all(params_of(MICRO_POLICY, MICRO), MICRO.groups)
    for group in MICRO.groups:  # two of the edges into every node
        sums = [micro[group.name][group.into(target)].sum().item() for target in group.targets]
        assert sums == pytest.approx([2.0] * 5, rel=1e-12)


def test_groups_by_themselves_are_drawn_as_ever():
    groups = tuple(Group(name, (Decision(0, 1, ("a", "b")), Decision(0, 1, ("a", "b")))) for name in ("one", "two"))
    policy = LstmPolicy(hidden=4)
    generator = seeded(3)
    one_by_one = {group.name: policy.init(group, generator) for group in groups}
    together = policy.init_all(groups, seeded(3))
    assert all(torch.equal(one_by_one[name], together[name]) for name in one_by_one)
    generator = seeded(4)
    draws = [policy.draw(together[group.name], group, 0.0, generator) for group in groups]
    for draw, found in zip(draws, policy.draw_all(together, groups, 0.0, seeded(4)).values(), strict=True):
        assert torch.equal(draw.weights, found.weights)
        assert torch.equal(draw.log_prob, found.log_prob)


def test_parameters_begin_as_published():
    params = MICRO_POLICY.init_all(MICRO.groups, seeded())
    assert params["reduce"].numel() == 0
    # start, LSTM, attention, embedding and linear map, biases
    assert params["normal"].numel() == H + 2 * 4 * H * H + 2 * H * H + H + 2 * 5 * H + 5
    assert params["normal"][-5:].tolist() == [1, 1, 0, 0, 0]
    assert params["normal"][:-5].abs().max() <= 0.1
    with pytest.raises(RecipeError, match="one for each of the 2 options of normal, got 5"):
        MICRO_POLICY.init_all(enas_micro(operations=("identity", "max_pooling")).groups, seeded())
    with pytest.raises(RecipeError, match="one for each of the 2 options of normal, got 5"):
        recipe_of_micro().check(enas_micro(operations=("identity", "max_pooling")))


RNN = EnasRnn(nodes=4)
RNN_POLICY = LstmPolicy(hidden=H, layers=1, tanh=2.5, temperature=5.0, distance=1 / 6)


def rnn_by_hand(params, numbers, space=RNN):
    """Log-probability and entropy of a recurrent cell in the authors' numbers, as their code takes it node by node."""
    start, lstm, attention, [(embedding, head)] = pieces(RNN_POLICY, space, params)
    x, anchors, keys, log_prob, entropy, given = start, [], [], 0.0, 0.0, iter(numbers)
    for node in range(space.nodes):
        h = lstm(x)
        if node:
            _, w2, v = attention
            scores = np.array([v @ np.tanh(key + w2 @ h) for key in keys])
            far = node - np.arange(node)
            row = log_softmax(2.5 * np.tanh(scores / 5.0) - far**2 / 6)
            source = next(given)
            log_prob, entropy = log_prob + row[source], entropy - (np.exp(row) * row).sum()
            x = anchors[source] / (0.1 + far[source])
        else:
            x = start
        anchors.append(h)
        keys.append(attention[0] @ h)
        row = log_softmax(2.5 * np.tanh(head @ lstm(x) / 5.0))
        function = next(given)
        log_prob, entropy = log_prob + row[function], entropy - (np.exp(row) * row).sum()
        x = embedding[function]
    return log_prob, entropy


def drawn_numbers(draw, space):
    """The authors' numbers of a draw of a recurrent cell."""
    (group,), numbers = space.groups, []
    for e, path in enumerate(draw.active):
        for o in path:
            numbers += [*([group.decisions[e].source - 1] if e else []), o]
    return numbers


def test_recurrent_draws_are_those_of_the_authors_formulas():
    params = params_of(RNN_POLICY, RNN)
    for seed in range(6):
        draw = RNN_POLICY.draw_all(params, RNN.groups, 0.0, seeded(seed))["recurrent"]
        assert [draw.weights[RNN.groups[0].into(node)].sum() for node in range(1, 5)] == [1] * 4
        log_prob, entropy = rnn_by_hand(params, drawn_numbers(draw, RNN))
        assert draw.log_prob.item() == pytest.approx(log_prob, rel=1e-12)
        assert draw.entropy.item() == pytest.approx(entropy, rel=1e-12)
        assert draw.penalty is None


def test_probabilities_of_all_recurrent_cells_sum_to_one_and_draws_have_their_shares():
    space = EnasRnn(nodes=3, operations=("tanh", "relu"))
    params = params_of(RNN_POLICY, space)
    texts = [space.to_native(architecture) for architecture in space.architectures()]
    shares = {text: math.exp(rnn_by_hand(params, list(map(int, text.split())), space)[0]) for text in texts}
    assert len(shares) == space.size() == 16
    assert sum(shares.values()) == pytest.approx(1, rel=1e-12)
    generator, count, found = seeded(3), 400, dict.fromkeys(shares, 0)
    for _ in range(count):
        draw = RNN_POLICY.draw_all(params, space.groups, 0.0, generator)["recurrent"]
        found[" ".join(map(str, drawn_numbers(draw, space)))] += 1
    for text, share in shares.items():  # within 4 standard errors
        assert abs(found[text] - count * share) <= 4 * math.sqrt(count * share * (1 - share)) + 1


def test_the_mean_of_a_recurrent_cell_follows_the_likeliest_choices():
    params = params_of(RNN_POLICY, RNN)
    (group,), mean = RNN.groups, RNN_POLICY.mean_all(params, RNN.groups)["recurrent"]
    torch.testing.assert_close(torch.stack([mean[group.into(n)].sum() for n in range(1, 5)]), torch.ones(4).double())
    torch.testing.assert_close(mean[0].log(), rows_of_first(params))


def rows_of_first(params):
    start, lstm, _, [(_, head)] = pieces(RNN_POLICY, RNN, params)
    lstm(start)
    return torch.tensor(log_softmax(2.5 * np.tanh(head @ lstm(start) / 5.0)))


def test_a_cell_whose_nodes_all_choose_between_inputs_attends_to_these_too():
    """As the recurrent cells of DARTS, if they were a chain: node 0 is one of the sources, and has no anchor."""
    decisions = tuple(Decision(source, target, ("a", "b")) for target in (1, 2) for source in range(target))
    group = Group("cell", decisions, keep=1, roles=Roles(), chain="all")
    params = RNN_POLICY.init_all((group,), seeded(1))
    total = 0.0
    for source, first, second in itertools.product((0, 1), (0, 1), (0, 1)):
        order = iter([0, first, source, second])  # node 1 has one source to choose
        taken = chain.walk(RNN_POLICY._settings, (group,), 12 * params["cell"].double(), lambda *_, o=order: [next(o)])
        total += torch.stack(taken["cell"].log_prob).sum().exp().item()
        assert taken["cell"].options[1 + source] == [second]
    assert total == pytest.approx(1, rel=1e-12)


def test_nodes_that_keep_one_edge_have_no_biases():
    with pytest.raises(RecipeError, match="keep one edge each, whose operations have no biases"):
        MICRO_POLICY.init_all(RNN.groups, seeded())


def test_edges_that_may_be_absent_cannot_be_chosen():
    group = Group("cell", (Decision(0, 1, ("none", "a")),), keep=1, roles=Roles(), chain="all")
    with pytest.raises(RecipeError, match="no option may be an absent one"):
        POLICY.init_all((group,), seeded())
    with pytest.raises(RecipeError, match="no probability in one order"):
        MICRO_POLICY.log_prob_all(params_of(MICRO_POLICY, MICRO), MICRO.groups, {})


@pytest.mark.parametrize(
    "setting", [{"skip_target": 1.0}, {"skip_weight": -1.0}, {"reduce": 0.0}, {"distance": -1.0}, {"bias": 3.0}], ids=str
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(RecipeError, match="of LstmPolicy"):
        LstmPolicy(**setting)
