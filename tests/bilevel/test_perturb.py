"""Perturbations: on the simplex, in the ball, uphill or back, and never in the parameters."""

import pytest
import torch

from mixop.bilevel.perturb import Adversarial, RandomSmoothing, simplex_clip
from mixop.core.errors import RecipeError
from mixop.core.schedules import Linear, Progress
from mixop.nets.ops import BatchNorm
from mixop.relax.hard_concrete import HardConcrete
from mixop.relax.softmax import Softmax
from mixop.spaces import nasbench201
from mixop.supernet.plain import plain


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


MIX = {
    "one": torch.randn(4, 5, generator=generator(1), dtype=torch.float64).softmax(-1),
    "two": torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]], dtype=torch.float64),
}
TARGET = {name: torch.randn(mix.shape, generator=generator(2), dtype=torch.float64) for name, mix in MIX.items()}


def loss_of(mix):
    """Convex in the mixing weights."""
    return sum(((mix[name] - TARGET[name]).square().sum() for name in mix), torch.zeros((), dtype=torch.float64))


def test_simplex_clip_by_hand():
    given = torch.tensor([[0.5, 0.7, -0.2], [1.5, 0.5, 0.0], [-0.3, -0.1, -0.2], [0.2, 0.3, 0.5]], dtype=torch.float64)
    want = [[5 / 12, 7 / 12, 0.0], [2 / 3, 1 / 3, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]]
    torch.testing.assert_close(simplex_clip(given), torch.tensor(want, dtype=torch.float64))


def on_simplex(mix):
    for weights in mix.values():
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[:, 0]))


@pytest.mark.parametrize("perturbation", [RandomSmoothing(), Adversarial()])
def test_results_lie_on_the_simplex_repeat_with_the_seed_and_leave_their_input_alone(perturbation):
    kept = {name: weights.clone() for name, weights in MIX.items()}
    before = torch.get_rng_state()
    for seed in range(5):
        got = perturbation(MIX, loss_of, 0.5, generator(seed))
        on_simplex(got)
        assert got.keys() == MIX.keys()
        assert not any(weights.requires_grad for weights in got.values())
        again = perturbation(MIX, loss_of, 0.5, generator(seed))
        assert all(torch.equal(got[name], again[name]) for name in got)
    assert all(torch.equal(MIX[name], kept[name]) for name in MIX)
    assert torch.equal(torch.get_rng_state(), before)


def test_random_smoothing_is_uniform_noise_then_the_clip():
    """Far from the border the clip only divides: undone, the noise is uniform in the ball."""
    mix = {"cell": torch.full((2000, 4), 0.25, dtype=torch.float64)}
    radius = 0.2
    source, noises = generator(3), generator(3)
    got = RandomSmoothing(radius=radius)(mix, loss_of, 0.0, source)["cell"]
    noise = radius * (2 * torch.rand(2000, 4, generator=noises, dtype=torch.float64) - 1)
    torch.testing.assert_close(got, (0.25 + noise) / (1 + noise.sum(-1, keepdim=True)))
    assert noise.abs().max() <= radius
    assert noise.var().item() == pytest.approx(radius**2 / 3, rel=0.03)  # 8,000 draws: a standard error of 1 percent


def test_the_radius_follows_its_schedule_and_stays_short_of_its_end():
    assert RandomSmoothing().radius(Progress(0, 50)) == pytest.approx(0.03)
    assert Adversarial().radius(Progress(49, 50)) == pytest.approx(0.03 + 0.27 * 49 / 50)
    still = RandomSmoothing(radius=Linear(0.0, 0.5))(MIX, loss_of, 0.0, generator())
    for name in MIX:
        torch.testing.assert_close(still[name], MIX[name])


@pytest.mark.parametrize("seed", range(5))
def test_ascent_raises_the_loss_above_the_clean_and_the_random_point(seed):
    clean = loss_of(MIX).item()
    random = loss_of(RandomSmoothing(radius=0.1)(MIX, loss_of, 0.0, generator(seed))).item()
    worst = loss_of(Adversarial(radius=0.1)(MIX, loss_of, 0.0, generator(seed))).item()
    assert worst > clean
    assert worst > random


def test_ascent_equals_the_published_procedure_step_by_step():
    radius, mix = 0.15, {"cell": MIX["one"]}
    target = torch.randn(4, 5, generator=generator(5), dtype=torch.float64)

    def loss(mix):
        return (mix["cell"] * target).sum()

    got = Adversarial(radius=radius, steps=3)(mix, loss, 0.0, generator(9))["cell"]
    clean = mix["cell"]
    th = simplex_clip(clean + radius * (2 * torch.rand(4, 5, generator=generator(9), dtype=torch.float64) - 1))
    for _ in range(3):
        th = th + 2 * radius / 3 * target.sign()
        th = clean + (th - clean).clamp(-radius, radius)
        th = simplex_clip(th)
    torch.testing.assert_close(got, th, rtol=0, atol=1e-15)


def test_without_rows_at_the_border_the_projected_point_is_in_the_ball_before_it_is_divided():
    radius = 0.1
    mix = {"cell": torch.full((3, 4), 0.25, dtype=torch.float64)}
    got = Adversarial(radius=radius)(mix, lambda m: (m["cell"] * TARGET["one"][:3, :4]).sum(), 0.0, generator())["cell"]
    # Dividing by a sum s in [1 - O r, 1 + O r] moves an entry at most to (0.25 + r) / (1 - O r), and no entry was clamped.
    low, high = (0.25 - radius) / (1 + 4 * radius), (0.25 + radius) / (1 - 4 * radius)
    assert ((got > low) & (got < high)).all()


def test_a_group_that_the_network_does_not_use_is_only_perturbed():
    """A DARTS network of two cells has reduction cells only."""
    got = Adversarial()(MIX, lambda mix: loss_of({"one": mix["one"]}), 0.5, generator())
    on_simplex(got)
    assert loss_of({"one": got["one"]}) >= loss_of({"one": MIX["one"]})


def test_where_the_loss_cannot_rise_it_falls_back():
    peak = {"cell": torch.full((2, 4), 0.25, dtype=torch.float64)}

    def loss(mix):  # the clean point is its maximum
        return -(mix["cell"] - 0.25).square().sum()

    got = Adversarial(radius=0.2)(peak, loss, 0.0, generator())
    assert torch.equal(got["cell"], peak["cell"])


def test_on_a_supernet_parameters_weights_and_statistics_stay_as_they_are_to_the_bit():
    space = nasbench201(channels=2, cells=1, stages=1, input_shape=(1, 4, 4), outputs=3)
    net = plain(space, norm=BatchNorm(affine=True, track=True), generator=generator()).double().eval()
    weights = {name: p.detach() for name, p in net.named_parameters()}
    x, y = torch.randn(6, 1, 4, 4, generator=generator(1), dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    alpha = torch.randn(6, 5, generator=generator(2), dtype=torch.float64).requires_grad_()
    kept = alpha.detach().clone(), {name: value.clone() for name, value in net.state_dict().items()}

    def loss(mix):
        logits = torch.func.functional_call(net, weights, (x, mix))
        return torch.nn.functional.cross_entropy(logits, y)

    mix = {"cell": alpha.softmax(-1)}
    got = Adversarial(radius=0.1)(mix, loss, 0.0, generator(3))
    on_simplex(got)
    assert loss(got) > loss(mix)
    assert torch.equal(alpha, kept[0])
    assert alpha.grad is None
    assert all(torch.equal(value, kept[1][name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_misfits_are_refused():
    for part in (RandomSmoothing(), Adversarial()):
        part.check(Softmax())
        with pytest.raises(RecipeError, match=f"{type(part).__name__} .* HardConcrete"):
            part.check(HardConcrete())
    with pytest.raises(RecipeError, match="radius of RandomSmoothing"):
        RandomSmoothing(radius=-0.1)
    with pytest.raises(RecipeError, match="steps of Adversarial"):
        Adversarial(steps=0)
