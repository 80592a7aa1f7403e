"""Weights between stages: exact copies, pruned networks at zero weights, and the published maps drawn again by hand."""

from dataclasses import replace

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.nets.ops import BatchNorm
from mixop.spaces import CellSpace, nasbench201
from mixop.supernet.plain import plain
from mixop.supernet.transfer import transfer
from mixop.wraps import AuxiliarySkip, DropPath, PartialChannels

NORM = BatchNorm(affine=True, track=True)
SPACE = nasbench201(channels=8, cells=1, stages=2, input_shape=(3, 8, 8), outputs=4)
KEPT = ((0, 1, 3), (1, 2, 3), (2, 3, 4), (0, 2, 4), (1, 3, 4), (0, 1, 2))
"""For each edge the options that are left."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pruned(space: CellSpace = SPACE) -> CellSpace:
    lists = (tuple(decision.options[o] for o in kept) for decision, kept in zip(space.groups[0].decisions, KEPT, strict=True))
    return replace(space, edge_operations=tuple(lists))


def net(space=SPACE, seed=0, *wraps, norm=NORM):
    """A supernet in float64 with statistics that are not the initial ones."""
    made = plain(space, norm=norm, generator=generator(seed), wraps=wraps).double()
    rng = generator(seed + 100)
    for name, value in made.state_dict().items():
        if "running" in name:
            value.copy_(torch.rand(value.shape, generator=rng, dtype=torch.float64) + 0.5)
        elif "tracked" in name:
            value.fill_(seed + 3)
    return made


def images() -> torch.Tensor:
    return torch.randn(4, 3, 8, 8, generator=generator(50), dtype=torch.float64)


def random_mix(space, seed=60):
    rng = generator(seed)
    return {group.name: torch.rand(group.shape, generator=rng, dtype=torch.float64) for group in space.groups}


def widened(seed=0, preserve=False, kept=None, k=2):
    """Old and new supernet around a widening from a quarter of the channels to a k-th, and what carries the momentum."""
    old, new = net(SPACE, 1, PartialChannels(k=4)), net(SPACE if kept is None else pruned(), 2, PartialChannels(k=k))
    carry = transfer(old, new, {} if kept is None else {"cell": kept}, generator=generator(seed), preserve=preserve)
    return old, new, carry


@pytest.mark.parametrize("preserve", [False, True])
@pytest.mark.parametrize("wraps", [(), (PartialChannels(k=2), AuxiliarySkip(kind="convolution"))])
def test_an_unchanged_network_is_copied_bit_by_bit(wraps, preserve):
    old, new, rng = net(SPACE, 1, *wraps), net(SPACE, 2, *wraps), generator()
    before = rng.get_state()
    carry = transfer(old, new, {}, generator=rng, preserve=preserve)
    assert torch.equal(rng.get_state(), before)
    assert all(torch.equal(value, old.state_dict()[name]) for name, value in new.state_dict().items())
    x, mix = images(), random_mix(SPACE)
    for training in (False, True):
        assert torch.equal(old.train(training)(x, mix), new.train(training)(x, mix))
    buffers = {name: torch.randn_like(value) for name, value in old.named_parameters()}
    carried = carry(buffers)
    assert all(torch.equal(carried[name], buffers[name]) for name in buffers)
    # The copies are memory of their own.
    with torch.no_grad():
        next(new.parameters()).zero_()
    assert next(old.parameters()).abs().sum() > 0
    carried[next(iter(buffers))].zero_()
    assert buffers[next(iter(buffers))].abs().sum() > 0


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("wraps", [(), (PartialChannels(k=4), DropPath(probability=0.0))])
def test_a_pruned_network_is_the_old_one_with_zero_weights(wraps, training):
    old, new = net(SPACE, 1, *wraps).train(training), net(pruned(), 2, *wraps).train(training)
    transfer(old, new, {"cell": KEPT}, generator=generator())
    mix = random_mix(pruned())["cell"]
    zero_elsewhere = torch.zeros(6, 5, dtype=torch.float64).scatter(1, torch.tensor(KEPT), mix)
    torch.testing.assert_close(new(images(), {"cell": mix}), old(images(), {"cell": zero_elsewhere}), rtol=0, atol=1e-12)


def test_networks_of_signals_are_pruned_and_widened_with_their_momentum():
    signals = replace(SPACE, input_shape=(3, 8))
    left = replace(pruned(), input_shape=(3, 8))
    x = torch.randn(4, 3, 8, generator=generator(50), dtype=torch.float64)
    old, new = net(signals, 1), net(left, 2)
    transfer(old, new, {"cell": KEPT}, generator=generator())
    mix = random_mix(left)["cell"]
    zero_elsewhere = torch.zeros(6, 5, dtype=torch.float64).scatter(1, torch.tensor(KEPT), mix)
    torch.testing.assert_close(new(x, {"cell": mix}), old(x, {"cell": zero_elsewhere}), rtol=0, atol=1e-12)
    old, new = net(signals, 1, PartialChannels(k=4)), net(left, 2, PartialChannels(k=2))
    carry = transfer(old, new, {"cell": KEPT}, generator=generator())
    carried = carry(dict(old.named_parameters()))
    assert carried.keys() == dict(new.named_parameters()).keys()
    for name, value in new.named_parameters():
        assert carried[name].shape == value.shape


def test_widening_draws_the_maps_in_the_order_of_layers_edges_and_options():
    old, new, carry = widened(seed=9, kept=KEPT)
    rng = generator(9)
    before, after = old.state_dict(), new.state_dict()
    buffers = {name: torch.randn_like(value) for name, value in old.named_parameters()}
    carried = carry(buffers)
    expected = set(before) - {name for name in before if ".options." in name}
    for i, (spec, channels) in enumerate(zip(SPACE.layers, (0, 8, 0, 16, 0), strict=True)):
        for e, kept in enumerate(KEPT if spec.kind == "cell" else ()):
            for o, source in enumerate(kept):
                if source not in (2, 3):
                    continue  # only the convolutions have weights
                n, q = channels // 4, channels // 2
                inputs, out = ([*range(n), *torch.randint(n, (q - n,), generator=rng).tolist()] for _ in range(2))
                theirs, mine = (f"layers.{i}.edges.{e}.inner.options.{k}." for k in (source, o))
                for tensors, wider in ((before, after), (buffers, carried)):
                    assert torch.equal(wider[f"{mine}1.weight"], tensors[f"{theirs}1.weight"][out][:, inputs])
                    assert torch.equal(wider[f"{mine}2.weight"], tensors[f"{theirs}2.weight"][out])
                assert torch.equal(after[f"{mine}2.running_var"], before[f"{theirs}2.running_var"][out])
                assert after[f"{mine}2.num_batches_tracked"] == before[f"{theirs}2.num_batches_tracked"]
                expected |= {name for name in after if name.startswith(mine)}
    assert expected == set(after)  # nothing else is there, and the fixed layers are copied:
    for name in set(after) - {name for name in after if ".options." in name}:
        assert torch.equal(after[name], before[name])
    assert carried.keys() == dict(new.named_parameters()).keys()


def test_momentum_of_an_optimiser_goes_along_and_an_option_that_never_ran_has_none():
    old, new = net(SPACE, 1, PartialChannels(k=4)), net(pruned(), 2, PartialChannels(k=2))
    optimiser = torch.optim.SGD(old.parameters(), lr=0.1, momentum=0.9)
    mix = {"cell": torch.eye(5, dtype=torch.float64)[[3, 3, 3, 4, 3, 1]]}
    old(images(), mix, {"cell": ((3,), (3,), (3,), (4,), (3,), (1,))}).square().sum().backward()
    optimiser.step()
    state = {name: optimiser.state[value] for name, value in old.named_parameters()}
    buffers = {name: values["momentum_buffer"] for name, values in state.items() if "momentum_buffer" in values}
    carried = transfer(old, new, {"cell": KEPT}, generator=generator())(buffers)
    sizes = {name: value.shape for name, value in new.named_parameters()}
    assert all(value.shape == sizes[name] for name, value in carried.items())
    # Option 3 is the last that is left on edge 0, and nor_conv_1x1 ran nowhere.
    assert "layers.1.edges.0.inner.options.2.1.weight" in carried
    assert "layers.1.edges.1.inner.options.1.1.weight" not in carried


def test_the_generator_decides():
    first, again, other = (widened(seed)[1].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_last_stage_may_see_all_channels_and_have_no_partial_wrap():
    old, new, _ = widened(k=1)
    wider, weight = new.layers[1].edges[0].options[3][1].weight, old.layers[1].edges[0].inner.options[3][1].weight
    assert wider.shape[:2] == (8, 8)
    assert torch.equal(wider[:2, :2], weight)
    assert torch.equal(wider.flatten(2).unique(dim=0).unique(dim=1), weight.flatten(2).unique(dim=0).unique(dim=1))


def test_a_preserved_edge_computes_the_same_on_duplicated_channels():
    old, new, _ = widened(preserve=True)
    x = torch.randn(3, 2, 6, 6, generator=generator(5), dtype=torch.float64)
    weights = torch.rand(5, generator=generator(6), dtype=torch.float64)
    for e in range(6):
        narrow, wide = old.layers[1].edges[e].inner, new.layers[1].edges[e].inner
        # Batch norm of a convolution takes the edge's map, which its statistics give away.
        statistics = narrow.options[3][2].running_var.tolist()
        given = [statistics.index(value) for value in wide.options[3][2].running_var.tolist()]
        torch.testing.assert_close(wide(x[:, given], weights), narrow(x, weights)[:, given], rtol=1e-12, atol=1e-12)


def test_a_wrap_that_is_new_keeps_its_fresh_weights_and_an_old_one_its_own():
    auxiliary = AuxiliarySkip(kind="convolution")
    without, first, second = net(SPACE, 1), net(SPACE, 2, auxiliary), net(SPACE, 3, PartialChannels(k=1), auxiliary)
    torch.nn.init.ones_(second.layers[1].edges[0].auxiliary.weight)
    transfer(without, first, {}, generator=generator())
    fresh = first.layers[1].edges[0].auxiliary.weight
    assert torch.equal(fresh[:, :, 0, 0], torch.eye(8, dtype=torch.float64))
    assert torch.equal(first.layers[1].edges[0].inner.options[2][1].weight, without.layers[1].edges[0].options[2][1].weight)
    transfer(first, second, {}, generator=generator())
    assert torch.equal(second.layers[1].edges[0].auxiliary.weight, fresh)


def test_an_auxiliary_skip_inside_partial_channels_is_widened_as_well():
    auxiliary = AuxiliarySkip(kind="convolution")
    old, new = net(SPACE, 1, auxiliary, PartialChannels(k=4)), net(SPACE, 2, auxiliary, PartialChannels(k=2))
    transfer(old, new, {}, generator=generator())
    wider = new.layers[1].edges[0].inner.auxiliary.weight
    assert wider.shape[:2] == (4, 4)
    assert torch.equal(wider[:2, :2, 0, 0], torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("new", "kept", "sentence"),
    [
        (lambda: net(SPACE, 2, PartialChannels(k=8)), {}, "cannot shrink an operation, got 2 channels and then 1"),
        (lambda: net(replace(SPACE, cells=2), 2, PartialChannels(k=4)), {}, "networks of the same layers, got 5 and 7"),
        (
            lambda: net(replace(SPACE, channels=16), 2, PartialChannels(k=8)),
            {},
            r"layers\.0\.0\.weight .* \(8, 3, 3, 3\) to",
        ),
        (lambda: net(replace(SPACE, outputs=5), 2, PartialChannels(k=4)), {}, r"linear\.weight .*\(4, 16\) to \(5, 16\)"),
        (lambda: net(SPACE, 2, PartialChannels(k=4), norm=BatchNorm(affine=False)), {}, "is on one side only"),
        (
            lambda: net(pruned(), 2, PartialChannels(k=4)),
            {},
            "On edge 0 of cell the next stage has none, skip_connect, nor_conv",
        ),
        (
            lambda: net(SPACE, 2, PartialChannels(k=4)),
            {"cell": KEPT},
            "takes its weights from none, skip_connect, nor_conv",
        ),
        (lambda: net(SPACE, 2, PartialChannels(k=4)), {"cell": [range(6)] * 6}, "avg_pool_3x3, option 5: build its space with"),
        (lambda: net(SPACE, 2, PartialChannels(k=4)), {"cell": [range(5)] * 5}, "options for 5 of them: keep every"),
    ],
)
def test_what_cannot_be_carried_is_refused_and_nothing_is_written(new, kept, sentence):
    old, made = net(SPACE, 1, PartialChannels(k=4)), new()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with pytest.raises(RecipeError, match=sentence):
        transfer(old, made, kept, generator=generator())
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
