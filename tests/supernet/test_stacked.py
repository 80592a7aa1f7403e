"""Stacked storage: few tensors, the plain executor's names, and what travels between the two."""

import pytest
import torch

from mixop.nets.ops import BatchNorm
from mixop.spaces import darts, nasbench201
from mixop.supernet.nodewise import nodewise
from mixop.supernet.plain import plain
from mixop.supernet.transfer import transfer
from mixop.wraps import AuxiliarySkip, PartialChannels

NORM = BatchNorm(affine=False, track=True)
RGB = {"input_shape": (3, 16, 16), "outputs": 10}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def nets(space, wraps=(), seeds=(0, 0)):
    makers = (plain, nodewise)
    return tuple(make(space, norm=NORM, generator=seeded(s), wraps=wraps) for make, s in zip(makers, seeds, strict=True))


def test_the_supernet_of_darts_has_few_tensors():
    reference, stacked = nets(darts(cells=8, channels=16, **RGB))
    count = sum(p.numel() for p in stacked.parameters())
    assert count == sum(p.numel() for p in reference.parameters()) == 1_930_618
    assert len(list(reference.parameters())) > 1000
    assert len(list(stacked.parameters())) < 150


@pytest.mark.parametrize("wraps", [(), (PartialChannels(k=4), AuxiliarySkip())], ids=["bare", "wrapped"])
def test_one_generator_gives_both_the_same_weights(wraps):
    reference, stacked = nets(darts(cells=3, channels=8, **RGB), wraps)
    state, other = reference.state_dict(), stacked.state_dict()
    assert set(state) == set(other)
    assert all(torch.equal(other[name], value) for name, value in state.items())


def test_each_reads_the_others_state():
    reference, stacked = nets(nasbench201(channels=4, cells=1, **RGB), seeds=(1, 2))
    want = {name: value.clone() for name, value in reference.state_dict().items()}
    stacked.load_state_dict(reference.state_dict())
    assert all(torch.equal(value, want[name]) for name, value in stacked.state_dict().items())
    other = plain(reference.space, norm=NORM, generator=seeded(3))
    other.load_state_dict(stacked.state_dict())
    assert all(torch.equal(value, want[name]) for name, value in other.state_dict().items())


def test_what_does_not_fit_is_told():
    _, stacked = nets(nasbench201(channels=4, cells=1, **RGB))
    state = stacked.state_dict()
    name = next(n for n in state if ".options." in n and n.endswith("weight"))
    with pytest.raises(RuntimeError, match="Missing key"):
        stacked.load_state_dict({n: v for n, v in state.items() if n != name})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        stacked.load_state_dict({**state, name.replace("weight", "strange"): torch.zeros(1)})
    with pytest.raises(RuntimeError, match="has the shape"):
        stacked.load_state_dict({**state, name: torch.zeros(1, 1, 1, 1)})


def test_tensors_of_parameters_go_there_and_back():
    _, stacked = nets(darts(cells=3, channels=8, **RGB))
    momentum = {name: torch.randn(p.shape, generator=seeded()) for name, p in stacked.named_parameters()}
    back = stacked.from_plain(stacked.to_plain(momentum))
    assert back.keys() == momentum.keys()
    assert all(torch.equal(value, momentum[name]) for name, value in back.items())


def test_a_missing_part_of_a_stack_is_zero():
    _, stacked = nets(nasbench201(channels=4, cells=1, **RGB))
    tensors = stacked.to_plain({name: torch.ones_like(p) for name, p in stacked.named_parameters()})
    name = next(n for n in tensors if ".options." in n)
    found = stacked.from_plain({n: v for n, v in tensors.items() if n != name})
    assert sum(int((value == 0).sum()) for value in found.values()) == tensors[name].numel()


@pytest.mark.parametrize("preserve", [pytest.param(False, marks=pytest.mark.slow), True])
def test_weights_and_momentum_are_carried_as_by_the_plain_executor(preserve):
    """From partial channels of a quarter to a half, two options fewer: the same numbers by either executor."""
    space = darts(cells=3, channels=8, **RGB)
    kept = {g.name: [[1, 3, 4, 6, 7]] * 14 for g in space.groups}
    results = []
    for make in (plain, nodewise):
        old = make(space, norm=NORM, generator=seeded(), wraps=(PartialChannels(k=4),))
        new = make(space.prune(kept), norm=NORM, generator=seeded(1), wraps=(PartialChannels(k=2),))
        carry = transfer(old, new, kept, generator=seeded(2), preserve=preserve)
        plainly = {name: torch.arange(p.numel()).view(p.shape) / 7 for name, p in old.reference.named_parameters()}
        momentum = carry(old.from_plain(plainly))
        results.append((new.state_dict(), new.to_plain(momentum)))
    for first, second in zip(*results, strict=True):
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[name]) for name, value in first.items())
