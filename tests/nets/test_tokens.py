"""The token stem against torch's own recurrent layer, and networks that carry their state from window to window."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm
from mixop.nets.tokens import TokenStem
from mixop.spaces import Sizes, darts, nasbench201
from mixop.spaces.stacked import Layer
from mixop.supernet.executors import EXECUTORS

SPACE = nasbench201(channels=4, cells=2, stages=1, operations=("none", "skip_connect", "nor_conv_1x1")).fit(
    Sizes((7, 6), 7, dense=True, tokens=True)
)
NATIVE = "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"


@pytest.fixture(autouse=True)
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tokens(length=12, batch=3):
    return torch.randint(7, (batch, length), generator=seeded(1))


def stem():
    torch.manual_seed(0)
    return TokenStem(Layer("token_stem", (0,), (7,), 5, dims=1), BatchNorm())


def test_it_is_an_embedding_and_the_recurrent_layer_of_torch():
    mine, theirs = stem(), nn.GRU(5, 5, batch_first=True)
    pairs = {
        "weight_ih_l0": "weight_input",
        "weight_hh_l0": "weight_state",
        "bias_ih_l0": "bias_input",
        "bias_hh_l0": "bias_state",
    }
    theirs.load_state_dict({name: getattr(mine, other).detach() for name, other in pairs.items()})
    start = torch.randn(3, 5, generator=seeded(2))
    for state in (None, start):
        y, last = mine(tokens(), state)
        want, want_last = theirs(mine.embedding(tokens()), None if state is None else state[None])
        torch.testing.assert_close(y, want.transpose(1, 2))
        torch.testing.assert_close(last, want_last[0])


def test_initial_weights_are_those_of_torch():
    """Uniform between -1 / sqrt(C) and 1 / sqrt(C), whose standard deviation is 1 / sqrt(3 C)."""
    torch.manual_seed(0)
    big = TokenStem(Layer("token_stem", (0,), (7,), 64, dims=1), BatchNorm())
    for parameter in (big.weight_input, big.weight_state):  # 12,288 numbers: 5 standard errors of the deviation are 2 %
        assert parameter.abs().max() <= 1 / 8
        assert parameter.std().item() == pytest.approx(1 / (3 * 64) ** 0.5, rel=0.02)


def test_second_derivatives_and_functional_calls_and_copies():
    net, x = stem(), tokens(4, 2)
    names = ["weight_state", "bias_input"]
    given = [net.get_parameter(name).detach().clone().requires_grad_() for name in names]

    def value(*weights):
        return functional_call(net, dict(zip(names, weights, strict=True)), (x,))[0].square().mean()

    assert torch.autograd.gradgradcheck(value, given)
    shifted = [w + 1 for w in given]
    assert value(*shifted) != net(x)[0].square().mean()
    assert torch.equal(copy.deepcopy(net)(x)[0], net(x)[0])


def window_by_window(call, x, size):
    """Outputs of all windows side by side, and the state after the last one."""
    state, outputs = (), []
    for window in x.split(size, dim=1):
        y, state = call(window, state)
        outputs.append(y)
    return torch.cat(outputs, dim=-1), state


@pytest.mark.parametrize("size", [3, 6])
def test_windows_that_pass_their_state_are_one_long_window(size):
    """In evaluation: in training, batch norm takes its statistics over a window."""
    x, mix = tokens(), {g.name: torch.rand(g.shape, generator=seeded(2)).softmax(-1) for g in SPACE.groups}
    nets = {name: EXECUTORS[name](SPACE, norm=BatchNorm(), generator=seeded()).eval() for name in ("plain", "nodewise")}
    calls = {name: lambda x, state, net=net: net(x, mix, state=state) for name, net in nets.items()}
    discrete = build(NATIVE, SPACE, generator=seeded()).eval()
    calls["discrete"] = discrete
    for name, call in calls.items():
        whole, last = call(x, ())
        parts, state = window_by_window(call, x, size)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12, msg=name)
        torch.testing.assert_close(state, last, rtol=0, atol=1e-12, msg=name)
        cut, _ = call(x[:, size:], ())
        assert (cut - whole[..., size:]).abs().max() > 1e-3, "the state must matter"
    torch.testing.assert_close(discrete(x), discrete(x, ())[0])


def test_an_output_sees_no_later_token():
    x = tokens()
    later = x.clone()
    later[:, 8:] = (later[:, 8:] + 1) % 7
    mix = {g.name: torch.rand(g.shape, generator=seeded(2)) for g in SPACE.groups}
    net = EXECUTORS["plain"](SPACE, norm=BatchNorm(), generator=seeded()).eval()
    (before, _), (after, _) = net(x, mix), net(later, mix)
    assert torch.equal(before[..., :8], after[..., :8])
    assert (before[..., 8:] != after[..., 8:]).any()


def test_gradients_reach_the_state():
    net = build(NATIVE, SPACE, generator=seeded())
    state = torch.randn(3, 4, generator=seeded(3), requires_grad=True)
    outputs, auxiliary, (after,) = net.training_outputs(tokens(6), (state,))
    assert auxiliary is None
    assert after.shape == state.shape
    (grad,) = torch.autograd.grad(cross_entropy(outputs, tokens(6)), state)
    assert grad.abs().sum() > 0


def test_what_carries_says_so_and_what_does_not_gives_outputs_alone():
    mix = {g.name: torch.rand(g.shape, generator=seeded(2)) for g in SPACE.groups}
    net = EXECUTORS["plain"](SPACE, norm=BatchNorm(), generator=seeded())
    assert net.carries
    outputs, (state,) = net(tokens(6), mix)
    assert (outputs.shape, state.shape) == ((3, 7, 6), (3, 4))
    images = nasbench201(channels=4, cells=1, input_shape=(3, 8, 8), outputs=2)
    other = EXECUTORS["plain"](images, norm=BatchNorm(), generator=seeded())
    assert not other.carries
    assert other(torch.randn(2, 3, 8, 8), {g.name: torch.rand(g.shape) for g in images.groups}).shape == (2, 2)
    assert build(NATIVE, images)(torch.randn(2, 3, 8, 8), ())[1] == ()


def test_windows_with_one_label_may_look_around():
    """Nothing is predicted that a cell could see: every operation and every stage is allowed."""
    space = darts(channels=4, cells=3).fit(Sizes((7, 16), 3, dense=False, tokens=True))
    net = EXECUTORS["nodewise"](space, norm=BatchNorm(affine=False), generator=seeded())
    outputs, _ = net(tokens(16), {g.name: torch.rand(g.shape) for g in space.groups})
    assert outputs.shape == (3, 3)
