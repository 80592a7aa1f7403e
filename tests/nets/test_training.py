"""What a training asks of a network: how images lie in memory."""

import pytest
import torch
from torch import nn

import mixop
from mixop.nets.discrete import build
from mixop.nets.modules.choice import Choice
from mixop.nets.modules.space import in_module
from mixop.nets.training import channels_last, is_laid_out
from mixop.spaces.sizes import Sizes

IMAGES, SIGNALS = Sizes((3, 8, 8), 4), Sizes((3, 16), 4)


class Own(nn.Module):
    """Looks at its memory, as models of users do: ``view`` needs the channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = Choice([nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)])
        self.head = nn.Linear(144, 4)

    def forward(self, x):
        return self.head(self.conv(x).view(len(x), -1))


def last(net) -> bool:
    weights = [p for p in net.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
    return all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


@pytest.mark.parametrize(
    "space",
    [mixop.spaces.nasbench201(channels=4, cells=1), mixop.spaces.darts(channels=4, cells=3), mixop.spaces.resnet(channels=4)],
)
def test_images_have_their_channels_last_and_the_same_numbers(space):
    space = space.fit(IMAGES)
    architecture = next(iter(space.architectures()))
    nets = [build(architecture, space, generator=torch.Generator().manual_seed(0)).double().train() for _ in range(2)]
    nets[1] = channels_last(nets[1], space)
    assert last(nets[1])
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    losses = [net(x).square().sum() for net in nets]
    gradients = [
        torch.autograd.grad(loss, list(net.parameters()), allow_unused=True) for loss, net in zip(losses, nets, strict=True)
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-12)
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_signals_and_models_of_the_users_own_stay_as_they_are():
    for space in (mixop.spaces.nasbench201(channels=4, cells=1).fit(SIGNALS), mixop.spaces.conv1d(channels=4).fit(SIGNALS)):
        assert not is_laid_out(space)
    space = in_module(Own).fit(IMAGES)
    assert not is_laid_out(space)
    net = channels_last(build(next(iter(space.architectures())), space), space)
    assert net(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    assert not last(net)
