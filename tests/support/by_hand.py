"""Comparing a network that mixop builds with one that is written by hand."""

import torch
from torch import Generator, Tensor, nn

import mixop
from mixop.spaces import ModuleSpace


def same_weights(built: nn.Module, written: nn.Module) -> None:
    """Gives the network written by hand the weights of the built one; both must have tensors of the same shapes, in order."""
    ours, theirs = list(built.state_dict().values()), written.state_dict()
    assert [tuple(t.shape) for t in ours] == [tuple(t.shape) for t in theirs.values()]
    written.load_state_dict(dict(zip(theirs, ours, strict=True)))


def assert_equal_networks(space: ModuleSpace, native: str, written: nn.Module, shape: tuple[int, ...]) -> None:
    """The network of an architecture computes what the one written by hand does: outputs, gradients, batch statistics."""
    built = mixop.build(native, space, generator=Generator().manual_seed(1)).double()
    written.double()
    same_weights(built, written)
    x = torch.randn(4, *shape, dtype=torch.float64, generator=Generator().manual_seed(2))

    def run(net: nn.Module) -> tuple[Tensor, list[Tensor]]:
        outputs = net.train()(x)
        outputs.square().sum().backward()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        assert len(gradients) == sum(1 for _ in net.parameters())
        return outputs, gradients

    torch.testing.assert_close(run(built), run(written))
    torch.testing.assert_close(built.eval()(x), written.eval()(x))  # with the statistics of that batch
