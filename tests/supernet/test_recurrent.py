"""Recurrent supernets: the authors' numbers, and the node-wise cell against the plain one, in float64."""

import pytest
import torch
from recurrent import DRY, fill, golden, golden_batch, needs_golden, space, words
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixop.core.errors import RecipeError, SpaceError
from mixop.core.rng import fenced
from mixop.nets.added import added_losses
from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm
from mixop.spaces.published import DARTS_RNN_V1, DARTS_RNN_V2
from mixop.supernet.executors import EXECUTORS, check_executor, make_supernet
from mixop.wraps.base import check_wraps
from mixop.wraps.edges import DropPath, EdgeNormalisation
from mixop.wraps.partial import PartialChannels

NORM = BatchNorm(affine=False, track=False)
BOTH = ("plain", "nodewise")


@pytest.fixture(autouse=True)
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@needs_golden
@pytest.mark.parametrize("executor", BOTH)
def test_loss_state_and_gradients_are_those_of_the_authors_code(executor):
    """The file has ten digits of states and of single gradients, all digits of the loss and of norms."""
    shown = golden()["search_shown"]
    x, y = golden_batch(shown)
    net = EXECUTORS[executor](space(shown["V"], shown["T"], hidden=shown["n"]), norm=NORM, generator=seeded())
    fill(net)
    alpha = torch.cos(shown["p"] + 6.5 * torch.arange(36.0)[:, None] + 0.7 * torch.arange(5.0)).requires_grad_()
    outputs, (state,) = net(x, {"recurrent": alpha.softmax(-1)})
    loss = cross_entropy(outputs, y)
    loss.backward()
    exact = {"rtol": 0, "atol": 1e-14}
    torch.testing.assert_close(loss.item(), shown["loss"], **exact)
    torch.testing.assert_close(state[0, :4].tolist(), shown["hidden_row0"], rtol=0, atol=1e-10)
    for row in (0, 35):
        torch.testing.assert_close(alpha.grad[row].tolist(), shown[f"grad_alpha_row{row}"], rtol=0, atol=1e-10)
    torch.testing.assert_close(alpha.grad.norm().item(), shown["norm_alpha"], **exact)
    grads = {name: parameter.grad for name, parameter in net.named_parameters()}
    nodes = {f"rnns.0._Ws.{k}": grad for k, grad in enumerate(grads["layers.1.weight_nodes"])}
    ours = {
        "encoder.weight": grads["layers.0.weight"],
        "rnns.0._W0": grads["layers.1.weight_input"],
        "decoder.bias": grads["layers.2.bias"],
        **nodes,
    }
    assert ours.keys() == shown["norms"].keys()
    for name, norm in shown["norms"].items():
        torch.testing.assert_close(ours[name].norm().item(), norm, **exact)


@needs_golden
@pytest.mark.parametrize(("name", "architecture"), [("V1", DARTS_RNN_V1), ("V2", DARTS_RNN_V2)])
def test_networks_are_those_of_the_authors_code(name, architecture):
    shown, sizes = golden()[f"network_shown_DARTS_{name}"], golden()["search_shown"]
    x, y = golden_batch(sizes)
    net = build(architecture, space(sizes["V"], sizes["T"], hidden=sizes["n"]))
    fill(net)
    outputs, (state,) = net(x, ())
    torch.testing.assert_close(cross_entropy(outputs, y).item(), shown["loss"], rtol=0, atol=1e-14)
    torch.testing.assert_close(state[0, :4].tolist(), shown["hidden_row0"], rtol=0, atol=1e-10)
    assert sum(p.numel() for p in net.parameters()) == shown["params"]


@pytest.mark.parametrize(
    ("alphas", "cell", "first", "last"),
    [
        (True, None, (1.59560093, -1.66980898, -0.38053828), (-1.15601496, 0.16093480, 1.17510063)),
        (False, DARTS_RNN_V1, (0.00049368, 0.13527392, -0.04008203), (-0.05370819, 0.12703180, 0.03751471)),
        (False, DARTS_RNN_V2, (0.14850139, 0.26882443, 0.11470597), (0.09720922, 0.26357022, 0.20246200)),
    ],
)
def test_states_of_given_inputs_are_those_of_two_implementations(alphas, cell, first, last):
    """n = 6, T = 3, B = 4, weights 0.5 sin(1 + i + 2 j), inputs sin(0.9 t + 0.4 b + 1.1 d), logits sin(1 + 5 e + o)."""
    whole = space(7, 3, hidden=6)
    net = EXECUTORS["plain"](whole, norm=NORM, generator=seeded()) if alphas else build(cell, whole)
    layer = net.layers[1]
    with torch.no_grad():
        for weight in (layer.weight_input, layer.weight_nodes):
            i, j = torch.meshgrid(*(torch.arange(float(size)) for size in weight.shape[-2:]), indexing="ij")
            weight.copy_(0.5 * torch.sin(1 + i + 2 * j))
    t, b, d = torch.meshgrid(torch.arange(3.0), torch.arange(4.0), torch.arange(6.0), indexing="ij")
    x = torch.sin(0.9 * t + 0.4 * b + 1.1 * d).permute(1, 2, 0)
    mix = torch.sin(1 + 5 * torch.arange(36.0)[:, None] + torch.arange(5.0)).softmax(-1)
    _, state = layer([x], mix, None, None, 0.0) if alphas else layer([x], 0.0)
    torch.testing.assert_close(state[0, :3].tolist(), list(first), rtol=0, atol=1e-8)
    torch.testing.assert_close(state[3, :3].tolist(), list(last), rtol=0, atol=1e-8)


def nets(**changes):
    whole = space(7, 5, nodes=4, **changes)
    found = {name: EXECUTORS[name](whole, norm=NORM, generator=seeded()) for name in BOTH}
    for net in found.values():
        fill(net)
    return found


def active_of(kind):
    """Options that run on the ten edges of four nodes, and their weights."""
    weights = torch.rand(10, 5, generator=seeded(2))
    if kind == "all":
        return weights, None
    paths = {
        "one": tuple((e % 5,) for e in range(10)),
        "two": tuple((e % 5, (e + 2) % 5) for e in range(10)),
        "some edges": tuple((1 + e % 4,) if e in (0, 2, 3, 9) else () for e in range(10)),
        "nothing into a node": tuple(() if e in (1, 2) else (e % 5,) for e in range(10)),
        "none": tuple((0,) for e in range(10)),
    }[kind]
    kept = torch.zeros(10, 5)
    for e, path in enumerate(paths):
        kept[e, list(path)] = 1.0
    return weights * kept, {"recurrent": paths}


@pytest.mark.parametrize("kind", ["all", "one", "two", "some edges", "nothing into a node", "none"])
@pytest.mark.parametrize("weighed", [False, True])
def test_the_nodewise_cell_has_the_numbers_of_the_plain_one(kind, weighed):
    """States, gradients of weights and mixing weights, terms of the loss, all masks drawn in the same order."""
    whole = space(7, 5, nodes=4, **dict.fromkeys(DRY, 0.3), slowness=0.5, activation=0.25)
    wraps = (EdgeNormalisation(),) if weighed else ()
    given, active = active_of(kind)
    found = {}
    for name in BOTH:
        net = EXECUTORS[name](whole, norm=BatchNorm(affine=False, track=True), generator=seeded(), wraps=wraps)
        fill(net)
        mix = {"recurrent": given.clone().requires_grad_()}
        if weighed:
            mix |= {g.name: torch.rand(g.shape, generator=seeded(3)).requires_grad_() for g in net.groups[1:]}
            active = None if active is None else {**active, **{g.name: ((0,),) for g in net.groups[1:]}}
        with fenced(seeded(5)), added_losses() as terms:
            outputs, (state,) = net(words(), mix, active, state=(torch.ones(3, 4),))
        assert len(terms) == 2
        loss = cross_entropy(outputs, words(length=5)) + torch.stack(terms).sum() + state.sum()
        grads = torch.autograd.grad(loss, [*mix.values(), *net.parameters()], allow_unused=True)
        zero = [torch.zeros_like(p) if g is None else g for g, p in zip(grads, [*mix.values(), *net.parameters()], strict=True)]
        found[name] = [outputs, state, *terms, *zero, *net.buffers()]
    torch.testing.assert_close(found["nodewise"], found["plain"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("executor", BOTH)
def test_second_derivatives_exist(executor):
    net = nets()[executor]
    weights = {name: p.detach() for name, p in net.named_parameters()}

    def value(mix, node):
        given = {**weights, "layers.1.weight_nodes": node}
        return functional_call(net, given, (words(2, 2), {"recurrent": mix}))[0].square().mean()

    mix = torch.rand(10, 5, generator=seeded(2)).requires_grad_()
    direction = torch.randn(10, 5, generator=seeded(3))
    node = weights["layers.1.weight_nodes"].clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(mix, node), mix, create_graph=True)
    exact = torch.autograd.grad((slope * direction).sum(), [mix, node])
    for numbers, by in zip((mix, node), exact, strict=True):
        v = torch.randn(numbers.shape, generator=seeded(4))

        def slope_at(h, numbers=numbers, v=v):
            moved = (numbers + h * v).detach().requires_grad_()
            a, b = (moved, node.detach()) if numbers is mix else (mix.detach().requires_grad_(), moved)
            return (torch.autograd.grad(value(a, b), a)[0] * direction).sum()

        difference = (slope_at(1e-5) - slope_at(-1e-5)) / 2e-5
        torch.testing.assert_close((by * v).sum(), difference, rtol=1e-5, atol=1e-9)  # of the order of h^2


def test_one_mask_serves_a_whole_window():
    """With the same inputs at every token, a linear cell at a fixed point would not tell masks apart: the input's part does."""
    net = nets(input_dropout=0.5, state_dropout=0.5)["nodewise"].layers[1]
    x = torch.ones(3, 4, 6).permute(2, 0, 1)
    with fenced(seeded()):
        _, h, masks = net.begin([torch.ones(3, 4, 6)], None)
    assert set(masks.input.unique().tolist()) <= {0.0, 2.0}
    assert set(masks.state.unique().tolist()) <= {0.0, 2.0}
    starts = net.starts(x, masks)
    torch.testing.assert_close(starts, starts[:1].expand_as(starts))
    torch.testing.assert_close(starts[0], masks.input @ net.weight_input[:4])
    net.eval()
    assert net.begin([torch.ones(3, 4, 6)], h)[2].input is None


def test_windows_that_pass_their_state_are_one_long_window():
    """In evaluation with running statistics; a training window has statistics and masks of its own."""
    mix = {"recurrent": torch.rand(10, 5, generator=seeded(2)).softmax(-1)}
    for name in BOTH:
        net = EXECUTORS[name](space(nodes=4), norm=BatchNorm(affine=False), generator=seeded())
        fill(net)
        net(words(4, 5), mix)
        net.eval()
        whole, (last,) = net(words(3, 6), mix)
        first, state = net(words(3, 6)[:, :2], mix)
        second, (end,) = net(words(3, 6)[:, 2:], mix, state=state)
        torch.testing.assert_close(torch.cat([first, second], -1), whole, rtol=0, atol=1e-12)
        torch.testing.assert_close(end, last, rtol=0, atol=1e-12)


def test_a_matrix_rests_only_where_no_edge_into_its_node_runs():
    net = nets()["nodewise"]
    _, active = active_of("nothing into a node")
    found = net.idle(active)
    assert all(parameter is net.layers[1].weight_nodes for parameter, _ in found)
    assert [rows for _, rows in found] == [slice(0, 1), slice(1, 2)]  # the one edge into the first node takes ``none``
    assert net.idle({"recurrent": tuple((1,) for _ in range(10))}) == []
    assert [rows.start for _, rows in net.idle(active_of("none")[1])] == [0, 1, 2, 3]


def test_executors_hold_the_same_state():
    plain, nodewise = nets().values()
    assert {n: v.shape for n, v in plain.state_dict().items()} == {n: v.shape for n, v in nodewise.state_dict().items()}
    assert nodewise.to_plain(dict(nodewise.named_parameters())).keys() == dict(plain.named_parameters()).keys()


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(RecipeError, match="fused executor computes cells of images and signals, which darts_rnn does not have"):
        check_executor("fused", space(), norm=NORM)
    for wrap in (PartialChannels(), DropPath()):
        with pytest.raises(RecipeError, match=f"{type(wrap).__name__} changes how single edges compute"):
            check_wraps((wrap,), space())
    with pytest.raises(SpaceError, match="at least 2 columns of text, got 1"):
        make_supernet("plain", space(), norm=NORM, generator=seeded())(words(1), {"recurrent": torch.rand(36, 5)})
