"""Copies between host and device: where they wait, and that numbers and gradients are those of tensors that stay."""

import pytest
import torch

from mixop.core.rng import fenced, rand
from mixop.core.transfer import _Upload, constant, download, indices, upload, upload_all
from mixop.measure.simulated import SimulatedGpu


def test_what_is_there_already_stays_as_it_is():
    x = torch.ones(2, requires_grad=True)
    assert upload(x, "cpu") is x
    assert upload_all({"x": x}, "cpu")["x"] is x
    assert download({"x": x.detach()})["x"].data_ptr() == x.data_ptr()


def test_an_upload_does_not_wait_and_its_gradient_waits_once():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with SimulatedGpu() as gpu:
        y = upload(x, "cuda")
        assert (gpu.copies, dict(gpu.waits)) == (1, {})
        (y * torch.full((2,), 3.0, device="cuda")).sum().backward()
        assert sum(gpu.waits.values()) == 1
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_gradient_that_came_back_can_be_differentiated(monkeypatch):
    """Finite differences of both derivatives, with the CPU in the device's place: it has no memory to pin."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)

    def cubes(x):
        return _Upload.apply(x, torch.device("cpu")).pow(3)

    assert torch.autograd.gradcheck(cubes, (x,))
    assert torch.autograd.gradgradcheck(cubes, (x,))


def test_several_go_in_one_copy_and_keep_their_shapes():
    given = {"a": torch.arange(6.0).view(2, 3).requires_grad_(), "b": torch.tensor([7.0], requires_grad=True)}
    with SimulatedGpu() as gpu:
        there = upload_all(given, "cuda")
        assert gpu.copies == 1
        assert {name: (value.shape, value.tolist()) for name, value in there.items()} == {
            name: (value.shape, value.tolist()) for name, value in given.items()
        }
        (there["a"].square().sum() + 5 * there["b"].sum()).backward()
    assert torch.equal(given["a"].grad, 2 * given["a"])  # type: ignore[arg-type]
    assert given["b"].grad.tolist() == [5.0]  # type: ignore[union-attr]


def test_numbers_of_one_dtype_come_in_one_copy():
    with SimulatedGpu() as gpu:
        there = {
            "loss": torch.full((), 0.5, dtype=torch.float64, device="cuda"),
            "table": torch.arange(4, device="cuda").view(2, 2),
            "right": torch.full((), 3, device="cuda"),
        }
        gpu.reset()
        here = download({**there, "own": torch.ones(1)})
        assert sum(gpu.waits.values()) == 2
    assert {name: value.tolist() for name, value in here.items()} == {
        "loss": 0.5,
        "table": [[0, 1], [2, 3]],
        "right": 3,
        "own": [1.0],
    }


def test_constants_are_copied_once():
    with SimulatedGpu() as gpu:
        like = torch.zeros(1, dtype=torch.float64, device="cuda")
        for _ in range(2):
            made, at = constant((0.25, 7.125), like), indices((1, 0, 4), like.device)
        assert gpu.copies <= 2
        assert (made.tolist(), at.tolist()) == ([0.25, 7.125], [1, 0, 4])
        assert (made.dtype, at.dtype) == (torch.float64, torch.int64)


@pytest.mark.parametrize("shapes", [[(3,), (2, 1, 1)], [(5, 1, 1), (20_000,), (7,)]], ids=["one copy", "more than one copy"])
def test_numbers_that_are_sent_ahead_are_those_of_the_cpu(shapes):
    drawn = []
    for device in ("cpu", "cuda"):
        with SimulatedGpu() as gpu, fenced(torch.Generator().manual_seed(3), watch=False):
            where = torch.device("cpu") if device == "cpu" else torch.empty(0, device="cuda").device
            gpu.reset()
            drawn.append([rand(shape, where, by_example=True).tolist() for shape in shapes])
            assert gpu.copies == (0 if device == "cpu" else 1 + (len(shapes) > 2))
    assert drawn[0] == drawn[1]
