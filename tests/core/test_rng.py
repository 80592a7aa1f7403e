"""The fence: the numbers of torch's own generator, without touching it, in one thread only."""

import threading

import pytest
import torch
from torch import Generator, nn
from torch.nn import functional as F

from mixop.core.rng import bookmark, draw_seed, draws_unseen, fenced, keep_out_of_graphs, rand, randn, randperm
from mixop.core.watch import handler_of

X = torch.linspace(0.1, 0.9, 40)
ONES = torch.ones(2, 4, 8, 8)

DRAWING = {
    "rand": lambda: torch.rand(3, 20),
    "randn": lambda: torch.randn(3, 20),
    "randint": lambda: torch.randint(3, 90, (20,)),
    "randint below": lambda: torch.randint(90, (20,)),
    "randperm": lambda: torch.randperm(30),
    "rand_like": lambda: torch.rand_like(X),
    "randn_like": lambda: torch.randn_like(X),
    "randint_like": lambda: torch.randint_like(X, 3, 90),
    "out": lambda: torch.rand(20, out=torch.empty(20)),
    "uniform_": lambda: torch.empty(20).uniform_(2, 3),
    "normal": lambda: torch.normal(X, 1.0),
    "bernoulli": lambda: torch.bernoulli(X),
    "multinomial": lambda: torch.multinomial(X, 5),
    "poisson": lambda: torch.poisson(10 * X),
    "gamma": lambda: torch.distributions.Gamma(X, X).sample(),
    "dirichlet": lambda: torch.distributions.Dirichlet(X).rsample(),
    "dropout": lambda: F.dropout(X, 0.3),
    "native_dropout": lambda: torch.native_dropout(X, 0.3, True)[0],
    "dropout2d": lambda: F.dropout2d(ONES, 0.3),
    "alpha_dropout": lambda: F.alpha_dropout(X, 0.3, training=True),
    "rrelu": lambda: F.rrelu(-X, training=True),
    "attention": lambda: F.scaled_dot_product_attention(ONES, ONES, ONES, dropout_p=0.5),
    "fractional pool": lambda: F.fractional_max_pool2d(torch.rand(1, 1, 9, 9), 2, output_size=(4, 4)),
    "convolution": lambda: nn.Conv2d(3, 4, 3).weight.detach(),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(4, 4)),
    "lstm": lambda: nn.LSTM(3, 4, 2, dropout=0.5)(torch.ones(5, 2, 3))[0].detach(),
}
"""Random functions of torch that take no generator here."""


def by_torch(draw, seed):
    """What torch's own generator gives from a seed, and the number after it."""
    before = torch.get_rng_state()
    torch.manual_seed(seed)
    found = draw(), torch.rand(1)
    torch.set_rng_state(before)
    return found


@pytest.mark.parametrize(
    ("name", "gradients"),
    [(name, gradients) for name in DRAWING for gradients in (True, False) if gradients or name != "lstm"],  # see below
)
def test_a_fence_gives_the_numbers_of_torchs_own_generator_and_leaves_that_alone(name, gradients):
    before = torch.get_rng_state()
    with torch.set_grad_enabled(gradients), fenced(Generator().manual_seed(5)):
        found, after = DRAWING[name](), torch.rand(1)
    assert torch.equal(torch.get_rng_state(), before)
    expected, next_one = by_torch(DRAWING[name], draw_seed(Generator().manual_seed(5)))
    assert torch.equal(found, expected)
    assert torch.equal(after, next_one)


@pytest.mark.parametrize(
    "name", [name for name in DRAWING if name != "lstm"]
)  # without gradients torch rounds that differently
def test_a_fence_holds_in_inference_mode_too(name):
    with torch.inference_mode(), fenced(Generator().manual_seed(5)):
        found = DRAWING[name]()
    assert torch.equal(found, by_torch(DRAWING[name], draw_seed(Generator().manual_seed(5)))[0])


@pytest.mark.parametrize(
    ("packet", "arguments"),
    [("rand_like", (X,)), ("randn_like", (X,)), ("randint_like", (X, 90)), ("randint_like", (X, 3, 90))],
)
def test_what_newer_versions_of_torch_take_a_generator_for_is_the_same_written_out(packet, arguments, monkeypatch):
    monkeypatch.setattr("mixop.core.watch._twin", lambda func: None)
    seen = {}

    def fresh(func):
        seen[func] = True
        return handler_of(func)

    monkeypatch.setattr("mixop.core.watch._HANDLERS", {})
    monkeypatch.setattr("mixop.core.watch.handler_of", fresh)
    draw = lambda: getattr(torch, packet)(*arguments)  # noqa: E731
    with fenced(Generator().manual_seed(5)):
        found = draw()
    assert seen
    assert torch.equal(found, by_torch(draw, draw_seed(Generator().manual_seed(5)))[0])


def test_what_can_be_handed_no_generator_is_lent_ours(monkeypatch):
    monkeypatch.setattr("mixop.core.watch._HANDLERS", {})
    monkeypatch.setattr("mixop.core.watch._WRITTEN_OUT", {})
    before = torch.get_rng_state()
    draw = lambda: torch.native_dropout(X, 0.3, True)[0]  # noqa: E731
    with fenced(Generator().manual_seed(5)):
        found, after = draw(), torch.rand(1)
    assert torch.equal(torch.get_rng_state(), before)
    expected, next_one = by_torch(draw, draw_seed(Generator().manual_seed(5)))
    assert torch.equal(found, expected)
    assert torch.equal(after, next_one)


def test_a_generator_that_is_given_is_the_one_that_is_used():
    with fenced(Generator().manual_seed(5)):
        found = (
            torch.rand(4, generator=Generator().manual_seed(1)),
            X.clone().bernoulli_(0.5, generator=Generator().manual_seed(1)),
        )
    assert torch.equal(found[0], torch.rand(4, generator=Generator().manual_seed(1)))
    assert torch.equal(found[1], torch.empty(40).bernoulli_(0.5, generator=Generator().manual_seed(1)))


@pytest.mark.parametrize("watch", [True, False])
def test_our_own_draws_need_no_watch(watch):
    draw = lambda: (rand((3, 4)), randn((20,), torch.float64), randperm(9))  # noqa: E731
    with fenced(Generator().manual_seed(5), watch=watch):
        found = draw()
    expected = by_torch(
        lambda: (torch.rand(3, 4), torch.randn(20, dtype=torch.float64), torch.randperm(9)),
        draw_seed(Generator().manual_seed(5)),
    )[0]
    assert all(map(torch.equal, found, expected))


def test_without_a_fence_torchs_own_generator_is_used():
    assert torch.equal(by_torch(lambda: rand((3, 4)), 3)[0], by_torch(lambda: torch.rand(3, 4), 3)[0])


def test_a_fence_inside_another_one_ends_with_itself():
    with fenced(Generator().manual_seed(1)):
        first = rand((2,))
        with fenced(Generator().manual_seed(2)):
            rand((2,)), torch.rand(2)
        second = torch.rand(2)
    with fenced(Generator().manual_seed(1)):
        assert torch.equal(torch.cat([first, second]), torch.cat([rand((2,)), torch.rand(2)]))


def test_threads_do_not_see_each_others_fences():
    inside, drawn = threading.Event(), threading.Event()
    found = {}

    def other():
        inside.wait()
        found["other"] = torch.rand(50)
        drawn.set()

    torch.manual_seed(7)
    thread = threading.Thread(target=other)
    thread.start()
    with fenced(Generator().manual_seed(5)):
        first = torch.rand(50)
        inside.set()
        drawn.wait()
        second = torch.rand(50)
    thread.join()
    seed = draw_seed(Generator().manual_seed(5))
    expected = torch.rand(50, generator=(own := Generator().manual_seed(seed))), torch.rand(50, generator=own)
    assert torch.equal(first, expected[0])
    assert torch.equal(second, expected[1])
    assert torch.equal(found["other"], by_torch(lambda: torch.rand(50), 7)[0])


def test_nothing_is_drawn_on_the_meta_device():
    with torch.device("meta"), fenced(Generator().manual_seed(5)):
        assert nn.Linear(2, 2).weight.is_meta


class Strange(nn.Module):
    """A module from outside of mixop."""


class Quiet(nn.Module):
    """One that says that it draws nothing."""

    draws = False


@pytest.mark.parametrize(
    ("module", "draws"),
    [
        (nn.Conv2d(1, 1, 1), False),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(2)), False),
        (nn.LSTM(2, 2), False),
        (nn.LSTM(2, 2, 2, dropout=0.1), True),
        (nn.Sequential(nn.Dropout(0.1)), True),
        (nn.MultiheadAttention(2, 1), False),
        (Strange(), True),
        (nn.Sequential(Quiet()), False),
    ],
)
def test_modules_that_may_draw_are_known(module, draws):
    assert draws_unseen(module) is draws


def test_numbers_come_again_from_a_bookmark():
    with fenced(Generator().manual_seed(5), watch=False):
        rand((3,))
        here = bookmark()
        found = randn((4,)), randperm(7), rand((2,))
    for _ in range(2):
        with here():
            assert all(torch.equal(a, b) for a, b in zip(found, (randn((4,)), randperm(7), rand((2,))), strict=True))


def test_a_bookmark_leaves_the_numbers_after_it_alone():
    with fenced(Generator().manual_seed(5), watch=False):
        want = rand((3,)), rand((3,))
    with fenced(Generator().manual_seed(5), watch=False):
        here = bookmark()
        first = rand((3,))
        with here():
            assert torch.equal(rand((3,)), want[0])
        assert torch.equal(first, want[0])
        assert torch.equal(rand((3,)), want[1])


@pytest.mark.slow
def test_draws_stay_out_of_compiled_graphs():
    class Noisy(nn.Module):
        def forward(self, x):
            return x * 2 + rand((4,)) + 1

    keep_out_of_graphs()
    net = Noisy()
    net.compile(backend="eager")
    with fenced(Generator().manual_seed(5), watch=False):
        found = net(torch.ones(4)), net(torch.ones(4))
    with fenced(Generator().manual_seed(5), watch=False):
        assert torch.equal(found[0], 2 + rand((4,)) + 1)
        assert torch.equal(found[1], 2 + rand((4,)) + 1)
