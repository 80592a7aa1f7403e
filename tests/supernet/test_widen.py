"""Index maps by hand, every kind of layer against the formula of the maps, and the preserved function in float64."""

from collections import Counter
from itertools import product

import pytest
import torch
from torch import nn

from mixop.core.errors import RecipeError
from mixop.nets.ops import OPERATIONS, BatchNorm, FactorizedReduce, operation, relu_conv_norm
from mixop.supernet.widen import Carry, index_map, map_drawer, plan_operation

NORM = BatchNorm(affine=True, track=True)
WEIGHTED = [(name, stride) for name, stride in product(OPERATIONS, (1, 2)) if operation(name, 4, stride, NORM).state_dict()]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every tensor random, running variances positive, in float64."""
    rng = generator(seed)
    for value in module.double().state_dict().values():
        value.copy_(torch.rand(value.shape, generator=rng, dtype=torch.float64) + 0.5 if value.dim() else torch.tensor(7))
    with torch.no_grad():
        for value in module.parameters():
            value -= 1
    return module


class Script:
    """Gives the maps of a list in turn, and notes the widths that it was asked for."""

    def __init__(self, *maps: list[int]) -> None:
        self.maps = [torch.tensor(g) for g in maps]
        self.asked: list[tuple[int, int]] = []

    def __call__(self, old: int, new: int) -> torch.Tensor:
        self.asked.append((old, new))
        return self.maps[len(self.asked) - 1]


def carried(old: nn.Module, new: nn.Module, plan: dict[str, Carry]) -> nn.Module:
    assert plan.keys() == new.state_dict().keys()
    before = old.state_dict()
    new.load_state_dict({name: carry(before[name]) for name, carry in plan.items()})
    return new


def separable(channels: int, stride: int = 1) -> nn.Sequential:
    """A separable convolution, written out: half of the published ``sep_conv_3x3`` twice."""

    def half(stride: int) -> list[nn.Module]:
        depthwise = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False)
        return [nn.ReLU(), depthwise, nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)]

    return nn.Sequential(*half(stride), *half(1))


def test_an_index_map_keeps_the_old_channels_and_draws_the_others():
    drawn = torch.randint(4, (3,), generator=generator(11)).tolist()
    assert index_map(4, 7, generator(11)).tolist() == [0, 1, 2, 3, *drawn]
    assert index_map(1, 4, generator()).tolist() == [0, 0, 0, 0]
    counts = Counter(index_map(3, 3 + 6000, generator(1))[3:].tolist())
    # Each of 3 channels has 2000 expected copies with a standard deviation of sqrt(6000 * 2/9) = 36.5.
    assert counts.keys() == {0, 1, 2}
    assert all(abs(count - 2000) < 4 * 36.5 for count in counts.values())


def test_equal_numbers_draw_nothing():
    rng = generator()
    before = rng.get_state()
    assert index_map(5, 5, rng).tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(rng.get_state(), before)


def test_shrinking_is_refused():
    with pytest.raises(RecipeError, match="cannot shrink an operation, got 8 channels and then 4"):
        index_map(8, 4, generator())


def test_a_drawer_repeats_a_map_only_where_the_function_is_preserved():
    fresh, memory = (map_drawer(generator(3), preserve=preserve) for preserve in (False, True))
    assert not torch.equal(fresh(2, 30), fresh(2, 30))
    assert torch.equal(memory(2, 30), memory(2, 30))
    assert len(memory(2, 31)) == 31


def test_a_carry_follows_its_maps_and_divides_by_multiplicity():
    weight = torch.randn(2, 3, 1, 2, generator=generator(), dtype=torch.float64)
    out, inputs, times = [0, 1, 1], [0, 1, 2, 2, 2, 0], [2, 1, 3, 3, 3, 2]
    for divide in (False, True):
        wider = Carry(out=torch.tensor(out), inputs=torch.tensor(inputs), divide=divide)(weight)
        assert wider.shape == (3, 6, 1, 2)
        for o, i in product(range(3), range(6)):
            assert torch.equal(wider[o, i], weight[out[o], inputs[i]] / (times[i] if divide else 1))
    same = Carry()(weight)
    assert torch.equal(same, weight)
    assert same.data_ptr() != weight.data_ptr()


def test_a_convolution_has_independent_maps_and_its_batch_norm_follows_its_outputs():
    old = randomised(relu_conv_norm(2, 2, 3, 1, NORM))
    draw = Script([0, 1, 0], [0, 1, 1])
    new = carried(old, relu_conv_norm(3, 3, 3, 1, NORM).double(), plan_operation(old, relu_conv_norm(3, 3, 3, 1, NORM), draw))
    assert draw.asked == [(2, 3), (2, 3)]
    inputs, out = [0, 1, 0], [0, 1, 1]  # inputs are drawn first
    for o, i in product(range(3), range(3)):
        assert torch.equal(new[1].weight[o, i], old[1].weight[out[o], inputs[i]])
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert torch.equal(getattr(new[2], name), getattr(old[2], name)[out])
    assert new[2].num_batches_tracked == 7


def test_a_separable_convolution_shares_the_map_between_its_two_layers():
    old, maps = randomised(separable(2)), ([0, 1, 0], [0, 1, 1], [0, 1, 1], [0, 1, 0])
    draw = Script(*maps)
    new = carried(old, separable(3).double(), plan_operation(old, separable(3), draw))
    assert draw.asked == [(2, 3)] * 4
    for (depthwise, pointwise, norm), (middle, out) in zip([(1, 2, 3), (5, 6, 7)], [maps[:2], maps[2:]], strict=True):
        assert torch.equal(new[depthwise].weight, old[depthwise].weight[middle])
        for o, i in product(range(3), range(3)):
            assert torch.equal(new[pointwise].weight[o, i], old[pointwise].weight[out[o], middle[i]])
        assert torch.equal(new[norm].running_var, old[norm].running_var[out])
        assert torch.equal(new[norm].bias, old[norm].bias[out])


def test_the_halves_of_a_reduction_have_their_own_maps():
    old = randomised(FactorizedReduce(4, 4, NORM))
    draw = Script([0, 1, 2, 3, 3, 1], [0, 1, 0], [0, 1, 2, 3, 0, 2], [0, 1, 1])
    new = carried(old, FactorizedReduce(6, 6, NORM).double(), plan_operation(old, FactorizedReduce(6, 6, NORM), draw))
    assert draw.asked == [(4, 6), (2, 3), (4, 6), (2, 3)]
    assert torch.equal(new.even.weight, old.even.weight[[0, 1, 0]][:, [0, 1, 2, 3, 3, 1]])
    assert torch.equal(new.odd.weight, old.odd.weight[[0, 1, 1]][:, [0, 1, 2, 3, 0, 2]])
    # Old channels 0, 1 are the even half, 2, 3 the odd one: the maps side by side.
    assert torch.equal(new.norm.running_mean, old.norm.running_mean[[0, 1, 0, 2, 3, 3]])


def test_batch_norm_behind_pooling_draws_its_own_map():
    def pooled(channels: int) -> nn.Module:
        return nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.BatchNorm2d(channels, affine=False))

    old, draw = randomised(pooled(2)), Script([0, 1, 0, 0])
    new = carried(old, pooled(4).double(), plan_operation(old, pooled(4), draw))
    assert draw.asked == [(2, 4)]
    assert torch.equal(new[1].running_var, old[1].running_var[[0, 1, 0, 0]])


def test_a_bias_follows_the_outputs_and_is_not_divided():
    old, new = randomised(nn.Conv2d(2, 2, 1)), nn.Conv2d(4, 3, 1).double()
    carried(old, new, plan_operation(old, new, Script([0, 1, 1, 1], [0, 1, 0]), preserve=True))
    assert torch.equal(new.bias, old.bias[[0, 1, 0]])
    torch.testing.assert_close(new.weight.sum(1), old.weight[[0, 1, 0]].sum(1), rtol=1e-14, atol=0)


@pytest.mark.parametrize(("name", "stride"), WEIGHTED)
def test_every_operation_reaches_its_wider_shape(name, stride):
    old, new = randomised(operation(name, 4, stride, NORM)), operation(name, 10, stride, NORM).double()
    carried(old, new, plan_operation(old, new, map_drawer(generator(), preserve=False)))
    for key, value in new.state_dict().items():
        # The first channels are the old ones; a factorised reduction has them in each half of what its batch norm sees.
        before = old.state_dict()[key]
        if not key.startswith("norm."):
            assert torch.equal(value[tuple(slice(n) for n in before.shape)], before)


@pytest.mark.parametrize(("name", "stride"), WEIGHTED)
@pytest.mark.parametrize("preserve", [False, True])
def test_an_operation_of_equal_width_is_copied_bit_by_bit(name, stride, preserve):
    old, new, rng = randomised(operation(name, 4, stride, NORM)), operation(name, 4, stride, NORM).double(), generator()
    before = rng.get_state()
    carried(old, new, plan_operation(old, new, map_drawer(rng, preserve=preserve), preserve=preserve))
    assert all(torch.equal(value, old.state_dict()[key]) for key, value in new.state_dict().items())
    assert torch.equal(rng.get_state(), before)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_preserved_chain_computes_the_same_whatever_the_maps(training, seed):
    """Conv-BN-Conv, each layer with a map of its own: duplicated inputs give duplicated outputs."""

    def chain(first: int, inner: int, last: int) -> nn.Module:
        convs = nn.Conv2d(first, inner, 3, padding=1), nn.Conv2d(inner, last, 3, bias=False)
        return nn.Sequential(convs[0], nn.BatchNorm2d(inner), nn.ReLU(), convs[1]).train(training).double()

    rng = generator(seed)
    old, new = randomised(chain(3, 4, 2), seed), chain(8, 9, 5)
    plan = plan_operation(old, new, lambda n, q: index_map(n, q, rng), preserve=True)
    carried(old, new, plan)
    x = torch.randn(4, 3, 6, 6, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(new(x[:, plan["0.weight"].inputs]), old(x)[:, plan["3.weight"].out], rtol=1e-12, atol=1e-12)
    # With only the channels between its layers widened, it is the same function.
    same = chain(3, 9, 2)
    carried(old, same, plan_operation(old, same, lambda n, q: index_map(n, q, rng), preserve=True))
    torch.testing.assert_close(same(x), old(x), rtol=1e-12, atol=1e-12)
    # Without the division it is not.
    carried(old, same, plan_operation(old, same, lambda n, q: index_map(n, q, rng)))
    assert (same(x) - old(x)).abs().max() > 0.01


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("one_map", [False, True])
@pytest.mark.parametrize(("name", "stride"), WEIGHTED)
def test_a_preserved_operation_computes_the_same_on_duplicated_channels(name, stride, one_map, training, dims):
    old = randomised(operation(name, 4, stride, NORM, dims)).train(training)
    new = operation(name, 10, stride, NORM, dims).double().train(training)
    draw, rng = map_drawer(generator(5), preserve=True), generator(5)
    plan = plan_operation(old, new, draw if one_map else lambda n, q: index_map(n, q, rng), preserve=True)
    carried(old, new, plan)
    first, last = next(iter(plan.values())), [carry.out for carry in plan.values() if carry.out is not None][-1]
    given = first.out if first.inputs is None else first.inputs
    if one_map:
        assert torch.equal(given, draw(4, 10))
        assert stride == 2 or torch.equal(last, given)  # as the identity beside it on the edge
    x = torch.randn(3, 4, *[8] * dims, generator=generator(6), dtype=torch.float64)
    torch.testing.assert_close(new(x[:, given]), old(x)[:, last], rtol=1e-12, atol=1e-12)


class Own(nn.Module):
    """A user's operation that the plan cannot look into."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.arange(channels, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale.view(-1, 1, 1)


def test_an_unknown_module_is_copied_and_never_widened():
    old, new = nn.Sequential(Own(3)), nn.Sequential(Own(3))
    nn.init.zeros_(new[0].scale)
    assert torch.equal(carried(old, new, plan_operation(old, new, Script()))[0].scale, old[0].scale)
    with pytest.raises(RecipeError, match=r"Cannot widen Own, whose scale changes shape from \(3,\) to \(4,\): "):
        plan_operation(old, nn.Sequential(Own(4)), Script())


def test_a_convolution_of_several_groups_is_refused_where_it_widens():
    old = nn.Sequential(nn.Conv2d(4, 4, 1, groups=2))
    plan_operation(old, nn.Sequential(nn.Conv2d(4, 4, 1, groups=2)), Script())
    with pytest.raises(RecipeError, match="Cannot widen Conv2d, whose weight"):
        plan_operation(old, nn.Sequential(nn.Conv2d(8, 8, 1, groups=2)), Script())


def test_another_operation_or_batch_norm_is_refused():
    with pytest.raises(RecipeError, match=r"but 2\.bias, 2\.weight is on one side only"):
        plan_operation(relu_conv_norm(2, 2, 1, 1, NORM), relu_conv_norm(2, 2, 1, 1, BatchNorm(affine=False)), Script())
