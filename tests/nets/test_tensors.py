import pytest
import torch
from torch import nn
from torch.func import functional_call

from mixop.nets.tensors import NamedTensors


class Tied(nn.Module):
    """Two linear maps of one weight, and a norm with buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.norm = nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.other.weight = self.one.weight
        self.register_buffer("shift", torch.ones(3))
        self.register_buffer("unsaved", torch.zeros(3), persistent=False)

    def forward(self, x: torch.Tensor, *, scale: float = 1.0) -> torch.Tensor:
        return scale * self.norm(self.other(self.one(x))) + self.shift + self.unsaved


def test_names_are_those_of_torch():
    net = Tied()
    of = NamedTensors(net)
    assert of.learning.keys() == dict(net.named_parameters()).keys()
    assert of.buffers().keys() == dict(net.named_buffers()).keys()


def test_a_frozen_parameter_does_not_learn():
    net = Tied()
    of = NamedTensors(net)
    net.one.bias.requires_grad_(False)
    assert "one.bias" not in of.learning
    assert "other.bias" in of.learning


def test_buffers_are_copies_of_those_of_now():
    net = Tied()
    of = NamedTensors(net)
    net.shift = torch.full((3,), 7.0)
    copies = of.buffers()
    assert copies["shift"].tolist() == [7.0] * 3
    copies["shift"].zero_()
    assert net.shift.tolist() == [7.0] * 3


@pytest.mark.parametrize("net", [Tied(), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))], ids=["tied", "plain"])
def test_a_call_equals_that_of_torch(net):
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    other = {name: 2 * value.detach() for name, value in net.named_parameters()}
    buffers = NamedTensors(net).buffers()
    want = functional_call(net, {**other, **{name: b.clone() for name, b in buffers.items()}}, (x,))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    got = NamedTensors(net).call({**other, **buffers}, (x,), {})
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_tied_weight_is_replaced_in_all_its_places():
    net, x = Tied().eval(), torch.ones(2, 3)
    zeros = {"one.weight": torch.zeros(3, 3), "other.bias": torch.ones(3)}
    got = NamedTensors(net).call(zeros, (x,), {"scale": 2.0})
    torch.testing.assert_close(got, 2 * net.norm(torch.ones(2, 3)) + 1)
