"""Widths: the mask of a supernet, the slice of a sampled pass, and the smaller network are one function."""

import random

import pytest
import torch
from torch import Generator, nn
from torch.func import functional_call
from width_models import HALVES, MODELS, Attention, Chain, Depthwise, Residual, Signal

from mixop.core.errors import SpaceError
from mixop.nets.discrete import build
from mixop.nets.modules.choice import Choice, Pass, running
from mixop.nets.modules.probe import find_removed
from mixop.nets.modules.space import in_module, subject_of
from mixop.nets.modules.trial import call
from mixop.nets.modules.weights import kept_entries, sliced
from mixop.nets.modules.width import Width
from mixop.nets.ops import BatchNorm
from mixop.supernet.module import ModuleSupernet
from mixop.testing import check_module_space


def _space(model):
    return in_module(model, torch.randn(*MODELS[model], generator=Generator().manual_seed(9)))


def _ready(space, seed=3):
    """A supernet in float64 whose statistics and weights are all its own."""
    net = ModuleSupernet(space, BatchNorm(), Generator().manual_seed(seed)).double()
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) - 0.7 * (tensor.dim() > 1))
    return net


def _one_hot(space, architecture):
    """Mixing weights, and the options that run; a width that is not reached has its first."""
    mix, active = {}, {}
    for group in space.groups:
        chosen = architecture.of(group.name)
        options = group.decisions[0].options
        o = options.index(chosen[0].option) if chosen else 0
        mix[group.name] = torch.eye(len(options), dtype=torch.float64)[o : o + 1].requires_grad_()
        active[group.name] = ((o,),)
    return mix, active


def _x(model, seed=0):
    return torch.randn(*MODELS[model], generator=Generator().manual_seed(seed), dtype=torch.float64)


def _some(space, count=12):
    rng = random.Random(1)
    return list(dict.fromkeys(space.random(rng) for _ in range(count)))


@pytest.mark.parametrize("model", MODELS)
def test_models_with_widths_keep_the_contract_of_spaces_in_models(model):
    check_module_space(_space(model), samples=6)


@pytest.mark.parametrize("model", MODELS)
def test_the_smaller_network_gives_the_numbers_of_the_masked_model(model):
    space, x = _space(model), _x(model)
    for architecture in _some(space):
        net, network = _ready(space), build(architecture, space).double()
        state = sliced(space, architecture, net.model.state_dict())
        assert set(state) == set(network.state_dict())
        network.load_state_dict(state)
        assert not any(type(module).__module__.startswith("mixop") for module in network.modules())
        for training in (False, True, False):  # the second pass changes statistics, the third one reads them
            expected = net.train(training)(x, _one_hot(space, architecture)[0])
            torch.testing.assert_close(network.train(training)(x), expected, rtol=1e-10, atol=1e-10)
        assert sum(p.numel() for p in network.parameters()) <= sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("model", MODELS)
def test_a_sampled_pass_computes_the_slice_with_the_numbers_and_gradients_of_the_mask(model):
    space, x = _space(model), _x(model)
    for architecture in _some(space, 6):
        found = []
        for cut in (False, True):
            net = _ready(space)
            mix, active = _one_hot(space, architecture)
            if cut:
                outputs = net(x, mix, active)
            else:
                with running(Pass(mix, active)):
                    outputs = call(net.model, x)
            inputs = [*mix.values(), *net.parameters()]
            gradients = torch.autograd.grad(outputs.pow(2).sum(), inputs, allow_unused=True)
            kept = kept_entries(space, architecture)
            state = {name: _part(value, kept.get(name, {})) for name, value in net.model.state_dict().items()}
            found.append(
                (outputs, [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, gradients, strict=True)], state)
            )
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
        assert {name: p.shape for name, p in net.named_parameters()} == {
            n: p.shape for n, p in _ready(space).named_parameters()
        }


def _part(tensor, axes):
    for axis, indices in axes.items():
        tensor = tensor.index_select(axis, torch.tensor(indices))
    return tensor


def test_a_mixture_weighs_each_channel_by_the_widths_that_reach_it():
    width = Width(8, (0.25, 0.5, 1.0), axis=-1)
    width.decision = "w"
    x = torch.randn(3, 8, dtype=torch.float64)
    weights = torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64)
    with running(Pass({"w": weights})):
        mixed = width(x)
    torch.testing.assert_close(mixed, x * torch.tensor([1.0, 1, 0.8, 0.8, 0.5, 0.5, 0.5, 0.5], dtype=torch.float64))
    assert width(x) is x


def test_a_sampled_pass_computes_fewer_channels():
    space = _space(Chain)
    net, seen = _ready(space), []
    net.model.c2.register_forward_hook(lambda module, args, out: seen.append((args[0].shape[1], out.shape[1])))
    for option in ("0.25", "0.5", "0.75", "1"):
        mix, active = _one_hot(space, space.from_native(f"w1={option}, w2=0.5"))
        net(_x(Chain), mix, active)
    assert seen == [(2, 3), (4, 3), (6, 3), (8, 3)]


def test_with_two_widths_running_the_wider_one_is_computed():
    space, x = _space(Chain), _x(Chain)
    net = _ready(space).eval()
    mix = {"w1": torch.tensor([[0.3, 0.0, 0.7, 0.0]]).double(), "w2": torch.tensor([[1.0, 0.0]]).double()}
    seen = []
    net.model.c1.register_forward_hook(lambda module, args, out: seen.append(out.shape[1]))
    torch.testing.assert_close(net(x, mix, {"w1": ((0, 2),), "w2": ((0,),)}), net(x, mix))
    assert seen == [6, 8]


def test_statistics_of_a_sampled_pass_are_updated_in_place_and_the_others_stay():
    space = _space(Chain)
    net = _ready(space)
    mean, before = net.model.b1.running_mean, net.model.b1.running_mean.clone()
    mix, active = _one_hot(space, space.from_native("w1=0.5, w2=1"))
    net(_x(Chain), mix, active)
    assert net.model.b1.running_mean is mean
    assert bool((mean[:4] != before[:4]).all())
    assert torch.equal(mean[4:], before[4:])


def test_rows_that_did_not_run_are_idle():
    space = _space(Chain)
    net = _ready(space)
    _, active = _one_hot(space, space.from_native("w1=0.25, w2=1"))
    names = {id(p): name for name, p in net.named_parameters()}
    idle = {(names[id(p)], rows.start, rows.stop) for p, rows in net.idle(active)}
    assert idle == {("model.c1.weight", 2, 8), ("model.c1.bias", 2, 8), ("model.b1.weight", 2, 8), ("model.b1.bias", 2, 8)}


def test_a_sampled_pass_at_other_weights_computes_with_those():
    space, x = _space(Residual), _x(Residual)
    net = _ready(space).eval()
    mix, active = _one_hot(space, space.from_native("wide=0.5, w1=0.5, w3=1"))
    others = {name: value.detach() * 0.9 for name, value in net.named_parameters()}
    with torch.no_grad():
        moved = functional_call(net, others, (x, mix, active))
        assert not torch.allclose(moved, net(x, mix))
        net.load_state_dict({**net.state_dict(), **others})
        torch.testing.assert_close(moved, net(x, mix))


def test_the_wider_options_are_inferred_as_gradients_have_them():
    for model in MODELS:
        space = _space(model)
        subject = subject_of(space)
        assert find_removed(subject, 0, infer=True) == find_removed(subject, 4, infer=False)


def test_units_that_are_off_by_chance_do_not_look_as_if_they_were_cut():
    class Off(nn.Module):
        """Every unit is on for one in some hundred inputs only."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.width, self.last = nn.Linear(3, 32), Width(32, HALVES, axis=-1), nn.Linear(32, 2)

        def forward(self, x):
            return self.last(self.width(torch.relu(self.first(x) - 4)))

    space = in_module(Off(), torch.randn(4, 3, generator=Generator().manual_seed(0)))
    assert space.extents.removed["width", "0.5"]["last.weight"] == {1: tuple(range(16, 32))}


def test_kept_entries_of_a_packed_projection_are_those_of_each_of_its_parts():
    space = _space(Attention)
    kept = kept_entries(space, space.from_native("heads=0.5, ratio=0.25"))
    rows = tuple(part * 8 + row for part in range(3) for row in range(4))
    assert kept == {
        "qkv.weight": {0: rows},
        "qkv.bias": {0: rows},
        "bias": {0: (0, 1)},
        "out.weight": {1: (0, 1, 2, 3)},
        "up.weight": {0: (0, 1, 2, 3)},
        "up.bias": {0: (0, 1, 2, 3)},
        "down.weight": {1: (0, 1, 2, 3)},
    }


def test_the_layers_of_the_network_say_their_sizes():
    space = _space(Depthwise)
    network = build("width=0.5", space)
    assert (network.deep.in_channels, network.deep.out_channels, network.deep.groups) == (4, 4, 4)
    assert (network.norm1.num_features, network.norm2.num_groups, network.norm2.num_channels) == (4, 4, 4)
    assert (network.act.num_parameters, network.up.out_channels, network.down.in_channels) == (4, 4, 4)
    assert tuple(network.scale.shape) == (4, 1, 1)
    signal = build("w1=0.5, w2=0.5", _space(Signal))
    assert (signal.up.in_channels, signal.up.out_channels, signal.norm.num_features, signal.rnn.input_size) == (3, 2, 3, 2)


def test_widths_can_be_pruned():
    space = _space(Chain)
    fewer = space.prune({"w1": [[0, 2]]})
    assert [group.decisions[0].options for group in fewer.groups] == [("0.25", "0.75"), ("0.5", "1")]
    network = build("w1=0.75, w2=1", fewer)
    assert network.c1.out_channels == 6
    with pytest.raises(SpaceError, match="There is no option of w1"):
        fewer.from_native("w1=1, w2=1")
    net, x = _ready(fewer).eval(), _x(Chain)
    mix, active = _one_hot(fewer, fewer.from_native("w1=0.75, w2=1"))
    torch.testing.assert_close(net(x, mix, active), net(x, mix))


def test_a_width_whose_only_option_keeps_all_channels_cuts_nothing_and_one_that_keeps_fewer_does():
    full, half = _space(Chain).prune({"w1": [[3]]}), _space(Chain).prune({"w1": [[0]]})
    assert list(full.widths) == ["w2"]
    assert list(half.widths) == ["w1", "w2"]
    for space, w1, channels in ((full, "1", 8), (half, "0.25", 2)):
        architecture = space.from_native(f"w1={w1}, w2=0.5")
        assert build(architecture, space).c1.out_channels == channels
        net, x = _ready(space).eval(), _x(Chain)
        mix, active = _one_hot(space, architecture)
        torch.testing.assert_close(net(x, mix, active), net(x, mix))


def test_layers_of_a_given_model_are_drawn_for_their_own_size():
    wide = nn.Sequential(nn.Linear(4, 4), Width(4, (0.25, 1)), nn.Linear(4, 2000))
    network = build("1=0.25", in_module(wide, torch.randn(3, 4)), generator=Generator().manual_seed(0))
    # The bound of the layer's initialisation is 1 / sqrt(inputs): 1 for one input, and 0.5 for four.
    assert network[2].weight.shape == (2000, 1)
    assert 0.9 < network[2].weight.abs().max() <= 1
    kept = in_module(wide, torch.randn(3, 4), pretrained=True)
    assert torch.equal(build("1=0.25", kept)[2].weight, wide[2].weight[:, :1])


class _Added(nn.Module):
    def __init__(self, share=None) -> None:
        super().__init__()
        self.a, self.b, self.width, self.head = nn.Linear(6, 6), nn.Linear(6, 6), Width(6, HALVES), nn.Linear(6, 2)

    def forward(self, x):
        x = self.a(x)
        return self.head(x + self.width(self.b(x)))


class _NormOnAxis(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.width, self.norm, self.b = nn.Linear(6, 8), Width(8, HALVES), nn.LayerNorm(8), nn.Linear(8, 2)

    def forward(self, x):
        return self.b(self.norm(self.width(self.a(x))))


class _GroupNormOnAxis(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.width, self.b = nn.Conv1d(6, 8, 1), nn.GroupNorm(1, 8), Width(8, HALVES), nn.Conv1d(8, 2, 1)

    def forward(self, x):
        return self.b(self.width(self.norm(self.a(x)))).mean(2)


class _SkipBetween(nn.Module):
    """An option that passes its input on ties the widths before and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.before, self.width, self.b = nn.Linear(6, 8), Width(8, HALVES), Width(8, HALVES), nn.Linear(8, 2)
        self.block = Choice({"linear": nn.Linear(8, 8), "skip": nn.Identity()})

    def forward(self, x):
        return self.b(self.width(self.block(self.before(self.a(x)))))


class _FixedReshape(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.width = nn.Linear(6, 8), nn.Linear(8, 2), Width(4, HALVES)

    def forward(self, x):
        return self.b(self.width(self.a(x).view(len(x), 4, 2)).flatten(1))


class _Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.width, self.b = nn.Conv1d(6, 8, 1), Width(8, HALVES), nn.Linear(3, 2)

    def forward(self, x):
        return self.b(self.width(self.a(x)).mean(1))


class _BeforeDepthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.width = nn.Conv1d(6, 8, 1), Width(8, HALVES)
        self.deep, self.b = nn.Conv1d(8, 8, 1, groups=8), nn.Conv1d(8, 2, 1)

    def forward(self, x):
        return self.b(self.deep(self.width(self.a(x)))).mean(2)


@pytest.mark.parametrize(
    ("model", "shape", "advice"),
    [
        (_Added, (3, 6), "share="),
        (_NormOnAxis, (3, 6), "LayerNorm"),
        (_GroupNormOnAxis, (3, 6, 4), "GroupNorm"),
        (_FixedReshape, (3, 6), "write -1 for this size"),
        (_SkipBetween, (3, 6), "share="),
        (_Mean, (3, 6, 3), "mean over the cut axis"),
        (_BeforeDepthwise, (3, 6, 3), "after norms, activations and depthwise convolutions"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_what_to_do(model, shape, advice):
    with pytest.raises(SpaceError, match=r"^(width|before)=0\.5 cannot be cut out of the model: [^.]*") as error:
        in_module(model, torch.randn(*shape))
    assert advice in str(error.value)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Width(0), "channels of a Width must be a whole number"),
        (lambda: Width(8, ()), "numbers above 0 and up to 1"),
        (lambda: Width(8, (0.5, 1.5)), "numbers above 0 and up to 1"),
        (lambda: Width(8, (1.0, 0.5)), "must increase"),
        (lambda: Width(3), "keep 1, 2, 2, 3: give fractions that keep different numbers"),
        (lambda: Width(4)(torch.zeros(2, 3)), "of 4 channels on axis 1 was called with a tensor of shape"),
    ],
)
def test_misfits_are_one_sentence(make, match):
    with pytest.raises(SpaceError, match=match):
        make()


def test_sizes_are_multiples_of_the_divisor():
    assert Width(64, (0.1, 0.3, 1.0), divisor=8).sizes == (8, 16, 64)
    assert Width(6, (0.25, 0.5, 1)).sizes == (2, 3, 6)
