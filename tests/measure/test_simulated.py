"""A simulated GPU: what it counts, by cases whose answer torch's documentation of CUDA gives, and the CPU's numbers."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from mixop.measure.simulated import SimulatedGpu

X = torch.tensor([3.0, 0.0, 1.0])

WAITS = {
    "a number": lambda x: x.sum().item(),
    "a truth": lambda x: bool(x[0] > 1),
    "a list": lambda x: x.tolist(),
    "places of what is not zero": lambda x: x.nonzero(),
    "a mask as an index": lambda x: x[x > 0],
    "what is different": lambda x: x.unique(),
    "equality": lambda x: torch.equal(x, x),
    "a copy to the host": lambda x: x.cpu(),
    "a copy into the host": lambda x: torch.zeros(3).copy_(x),
    "numbers from the host": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "a copy from the host": lambda x: torch.ones(3).to(x.device),
    "a copy from pageable memory": lambda x: torch.ones(3).to(x.device, non_blocking=True),
    "a copy that blocks": lambda x: torch.ones(3).pin_memory().to(x.device),
    "an index on the host": lambda x: x[torch.tensor([0, 2])],
    "a list as an index": lambda x: x[[0, 2]],
}
FREE = {
    "arithmetic": lambda x: (x + 1) * x,
    "a pinned copy": lambda x: torch.ones(3).pin_memory().to(x.device, non_blocking=True) + x,
    "an index on the device": lambda x: x[x.argsort()],
    "a choice by a mask": lambda x: torch.where(x > 0, x, 2 * x),
    "a scalar of the host": lambda x: x * torch.tensor(2.0),
    "zeros made there": lambda x: torch.zeros(3, device=x.device) + x,
    "a conversion": lambda x: x.double() + 1,
}


@pytest.mark.parametrize("what", WAITS)
def test_each_of_these_makes_the_host_wait_once(what):
    with SimulatedGpu() as gpu:
        x = X.to("cuda")
        gpu.reset()
        found = WAITS[what](x)
        assert sum(gpu.waits.values()) == 1, dict(gpu.waits)
        found = found.cpu() if isinstance(found, torch.Tensor) else found
    want = WAITS[what](X) if "pin" not in what and "blocks" not in what else torch.ones(3)
    assert torch.equal(found, want) if isinstance(found, torch.Tensor) else found == want


@pytest.mark.parametrize("what", FREE)
def test_these_do_not_and_give_the_numbers_of_the_cpu(what):
    with SimulatedGpu() as gpu:
        x = X.to("cuda")
        gpu.reset()
        found = FREE[what](x)
        assert not gpu.waits
        found = found.cpu()
    want = X + 1 if what == "a pinned copy" else FREE[what](X)  # without a GPU there is nothing to pin memory for
    torch.testing.assert_close(found, want, rtol=0, atol=0)


def test_views_launch_nothing_and_operations_once():
    with SimulatedGpu() as gpu:
        x = torch.ones(2, 3, device="cuda")
        gpu.reset()
        y = x.view(3, 2).t()[0].detach().unsqueeze(0).expand(4, -1)
        assert not gpu.launches
        assert y.shape == (4, 3)
        (x.relu() + 1).sum()
        assert dict(gpu.launches) == {"relu": 1, "add": 1, "sum": 1}


def test_tensors_of_host_and_device_do_not_mix():
    with SimulatedGpu():
        x = X.to("cuda")
        with pytest.raises(RuntimeError, match="refuses"):
            x + torch.ones(3)
        with pytest.raises(RuntimeError, match="refuses"):
            torch.stack([x.sum(), torch.tensor(1.0)])


def test_a_training_step_is_that_of_the_cpu():
    """A module moved as a whole, its buffers, gradients and optimiser."""
    results = []
    for simulated in (False, True):
        generator = torch.Generator().manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) / 5)
        x, y = torch.randn(5, 3, 4, 4, generator=generator), torch.arange(5) % 2
        with SimulatedGpu() as gpu:
            net = net.to("cuda") if simulated else net
            optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, foreach=True)
            x, y = (x.to("cuda"), y.to("cuda")) if simulated else (x, y)
            gpu.reset()
            for _ in range(3):
                optimiser.zero_grad()
                cross_entropy(net(x), y).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
            assert not gpu.waits
            assert sum(gpu.launches.values()) > 30 * simulated - 1
            results.append([value.cpu() for value in net.state_dict().values()])
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0)
