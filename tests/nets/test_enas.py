"""ENAS's networks, in the supernet and built, against the authors' written out again, in float64; and what they cost."""

import random

import pytest
import torch
import torch.nn.functional as F

from mixop.core.errors import RecipeError
from mixop.engine.score import one_path
from mixop.nets.costs import CostTable, costs_of, measured
from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm
from mixop.spaces import enas_macro, enas_micro
from mixop.supernet.executors import check_executor
from mixop.supernet.nodewise import nodewise
from mixop.supernet.plain import plain

SIZES = {"input_shape": (3, 9, 8), "outputs": 5, "dropout": 0.0}
MACRO = enas_macro(depth=6, channels=4, **SIZES)
MICRO = enas_micro(cells=2, channels=4, **SIZES)
NORM = BatchNorm(affine=True, track=False)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x():
    return torch.randn(4, 3, 9, 8, generator=seeded(1), dtype=torch.float64)


def disturbed(net):
    """In float64, with scales and shifts of batch norms that are not 1 and 0."""
    net = net.double()
    generator = seeded(5)
    with torch.no_grad():
        for weight in net.parameters():
            if weight.dim() == 1:
                weight += 0.3 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    return net


def norm(x, layer):
    return F.batch_norm(x, None, None, layer.weight, layer.bias, training=True)


def reduced(x, layer):
    """The authors' factorised reduction: every second position, and every second one of the image moved by one."""
    moved = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
    halves = [F.conv2d(part[:, :, ::2, ::2], conv.weight) for part, conv in ((x, layer.even), (moved, layer.odd))]
    return norm(torch.cat(halves, dim=1), layer.norm)


def pooled(x, option):
    if option.startswith("average"):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return F.max_pool2d(x, 3, 1, 1)


def convolved(x, option, layers):
    """A plain or separable convolution of the option's window; what is left of the layers."""
    if option.startswith("separable"):
        return F.conv2d(F.conv2d(x, layers[0].weight, padding="same", groups=x.shape[1]), layers[1].weight), layers[2:]
    return F.conv2d(x, layers[0].weight, padding="same"), layers[1:]


def walked(net, space, x, layer_of, reductions):
    """A macro network: stem, layers, a reduction of every node, mean and linear map; the layers as given."""
    modules = iter(net.layers)
    stem = next(modules)
    nodes = [norm(F.conv2d(x, stem[0].weight, padding=1), stem[1])]
    for layer in range(space.depth):
        cell = next(modules)
        nodes.append(layer_of(cell, layer, nodes, next(modules) if layer else None))
        if layer + 1 in reductions:
            nodes = [reduced(node, next(modules)) for node in nodes]
    return nodes[-1].mean((2, 3)) @ next(modules).linear.weight.T


@pytest.mark.parametrize("seed", range(3))
def test_a_path_of_the_macro_supernet_is_the_authors_shared_network(seed, x):
    architecture = MACRO.random(random.Random(seed))
    net = disturbed(plain(MACRO, norm=NORM, generator=seeded())).eval()
    operations = [choice.option for choice in architecture.of("operations")]
    bits = iter(choice.option == "skip_connect" for choice in architecture.of("skips"))

    def layer_of(cell, layer, nodes, last):
        option = operations[layer]
        first, inner, _, *rest = cell.edges[0].options[MACRO.operations.index(option)]
        y = F.relu(norm(F.conv2d(nodes[-1], first.weight), inner))
        if "pool" in option:
            y = pooled(y, option)
        else:
            y, rest = convolved(y, option, rest)
            y = F.relu(norm(y, rest[0]))
        total = sum((node for node, bit in zip(nodes, [next(bits) for _ in range(layer)], strict=False) if bit), y)
        return total if last is None else norm(total, last)

    wanted = walked(net, MACRO, x, layer_of, (2, 4))
    mix = {group.name: torch.zeros(group.shape, dtype=torch.float64) for group in MACRO.groups}
    for module in net.modules():
        module.training = isinstance(module, torch.nn.BatchNorm2d)
    torch.testing.assert_close(net(x, *one_path(MACRO, architecture, mix)), wanted)


@pytest.mark.parametrize("literal", [False, True])
def test_a_built_macro_network_is_the_authors_fixed_network(literal, x):
    """Theirs concatenates what a layer adds up and convolves it; ours convolves the parts and adds them up."""
    space = enas_macro(depth=6, channels=4, enas_literal=literal, **SIZES)
    architecture = space.from_native("0  1 0  3 1 1  4 0 1 1  5 1 0 0 1  2 0 0 1 1 0")
    net = disturbed(build(architecture, space, generator=seeded(), norm=BatchNorm(track=False))).eval()
    operations = [choice.option for choice in architecture.of("operations")]
    bits = iter(choice.option == "skip_connect" for choice in architecture.of("skips"))

    def layer_of(cell, layer, nodes, last):
        option = operations[layer]
        if literal and "pool" in option:
            y, rest = nodes[-1], list(cell.operations[0])
        else:
            _, first, inner, _, *rest = cell.operations[0]
            y = F.relu(norm(F.conv2d(F.relu(nodes[-1]), first.weight), inner))
            if "pool" in option:
                y, rest = pooled(y, option), rest[1:]
            else:
                y, rest = convolved(y, option.removeprefix("separable_") if literal else option, rest)
                y, rest = norm(y, rest[0]), rest[1:]
        if last is None:
            return y
        read = [node for node, bit in zip(nodes, [next(bits) for _ in range(layer)], strict=False) if bit]
        convs = [rest[-1], *(join[1] for join in cell.operations[1:])]
        assert len(convs) == 1 + len(read)
        weight = torch.cat([conv.weight for conv in convs], dim=1)
        return norm(F.conv2d(F.relu(torch.cat([y, *read], dim=1)), weight), last)

    torch.testing.assert_close(net(x), walked(net, space, x, layer_of, (2, 4)))


@pytest.mark.parametrize("space", [MACRO, MICRO], ids=lambda space: space.name)
def test_nodewise_equals_plain(space, x):
    nets = [disturbed(make(space, norm=NORM, generator=seeded())) for make in (plain, nodewise)]
    nets[1].load_state_dict(nets[0].state_dict())
    mean = {g.name: torch.rand(g.shape, generator=seeded(2), dtype=torch.float64) for g in space.groups}
    rng = random.Random(0)
    paths = [one_path(space, space.random(rng), mean) for _ in range(3)]
    for mix, active in [(mean, None), *paths]:
        leaves = [{name: value.clone().requires_grad_() for name, value in mix.items()} for _ in nets]
        outputs = [net(x, leaf, active) for net, leaf in zip(nets, leaves, strict=True)]
        torch.testing.assert_close(*outputs)
        slopes = [torch.autograd.grad(y.square().sum(), list(leaf.values())) for y, leaf in zip(outputs, leaves, strict=True)]
        torch.testing.assert_close(*slopes)


def test_a_path_of_the_micro_supernet_joins_what_is_not_read(x):
    """The same pair twice counts twice, and the nodes that nothing reads have a convolution of their own each."""
    net = disturbed(plain(MICRO, norm=NORM, generator=seeded()))
    text = "0 4 0 4  1 4 2 4  0 3 1 2  0 4 4 4  2 2 2 3 " * 2  # nodes 3, 5 and 6 are left over
    architecture = MICRO.from_native(text)
    mix = {group.name: torch.zeros(group.shape, dtype=torch.float64) for group in MICRO.groups}
    mix, active = one_path(MICRO, architecture, mix)
    assert mix["normal"][0].tolist() == [0, 0, 0, 0, 2]
    cell = net.layers[next(i for i, spec in enumerate(net.specs) if spec.group == "normal")]
    a, b = (torch.randn(4, 16, 6, 6, generator=seeded(s), dtype=torch.float64) for s in (1, 2))
    n2 = 2 * a
    n3, n4 = b + n2, pooled(a, "max") + pooled(b, "average")
    n5, n6 = a + n4, pooled(n2, "average") + pooled(n2, "max")
    nodes = {3: n3, 5: n5, 6: n6}
    weight = torch.cat([cell.ends.convs[k].weight for k in nodes], dim=1)
    wanted = norm(F.conv2d(F.relu(torch.cat(list(nodes.values()), dim=1)), weight), cell.ends.norm)
    torch.testing.assert_close(cell([a, b], mix["normal"], None, active["normal"], 0.0), wanted)


def test_costs_of_macro_networks_are_those_of_the_built_ones():
    costs, flops = measured(MACRO, "parameters"), measured(MACRO, "flops")
    rng = random.Random(0)
    for _ in range(4):
        architecture = MACRO.random(rng)
        net = build(architecture, MACRO, generator=seeded())
        assert costs.of(architecture, MACRO) == sum(p.numel() for p in net.parameters())
    none = MACRO.from_native("4 " + " ".join("4" + " 0" * n for n in range(1, 6)))
    one = MACRO.from_native("4 " + " ".join("4" + " 1" * (n == 5) + " 0" * (n - (n == 5)) for n in range(1, 6)))
    # The last layer's skip is a 1x1 convolution of 16 channels at 3x2 positions.
    assert costs.of(one, MACRO) - costs.of(none, MACRO) == 16 * 16
    assert flops.of(one, MACRO) - flops.of(none, MACRO) == 16 * 16 * 3 * 2


def test_costs_of_micro_networks_need_a_table():
    with pytest.raises(RecipeError, match="depend on which nodes of a cell are read"):
        measured(MICRO, "parameters")
    table = CostTable(options={name: float(i) for i, name in enumerate(MICRO.operations)})
    architecture = MICRO.from_native("0 1 1 2 " * 10)
    assert costs_of(MICRO, table).of(architecture, MICRO) == 4 * 5 * (1 + 2)


def test_dropout_before_the_classifier_is_on_in_training_alone(x):
    space = enas_macro(depth=1, channels=4, **{**SIZES, "dropout": 0.5})
    net = build(space.from_native("0"), space, generator=seeded())
    head = net.layers[-1]
    given = torch.ones(400, 4, 2, 2)
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(5, 4))
    dropped = head.train()(given)[:, :4]
    assert set(dropped.flatten().tolist()) == {0.0, 2.0}
    assert abs(dropped.mean() - 1) < 0.15  # three and a half deviations are 0.0875
    assert torch.equal(head.eval()(given)[:, :4], torch.ones(400, 4))


def test_deeper_cells_drop_more_paths():
    net = build(MICRO.random(random.Random(0)), MICRO, generator=seeded())
    seen = []
    for spec, layer in zip(net.specs, net.layers, strict=True):
        if spec.kind == "cell":
            layer.register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    net.train()
    net.drop_path, net.drop_deeper = 0.4, True
    net(torch.randn(4, 3, 9, 8))
    assert seen == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("space", [MACRO, MICRO], ids=lambda space: space.name)
def test_the_fused_executor_says_that_it_does_not_know_them(space):
    with pytest.raises(RecipeError, match=f"fixed outputs, which those of {space.name} are not: use --executor nodewise"):
        check_executor("fused", space, norm=BatchNorm(affine=False))
