import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mixop.core.flops import FlopCounter


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0] @ x.transpose(1, 2)


NETS = {
    "convolutions": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4)),
        (2, 3, 9, 7),
    ),
    "transposed": (nn.Sequential(nn.ConvTranspose2d(3, 4, 2, stride=2), nn.Flatten(), nn.Linear(4 * 8 * 8, 5)), (2, 3, 4, 4)),
    "signals": (nn.Sequential(nn.Conv1d(3, 8, 5, dilation=2), nn.AdaptiveAvgPool1d(1)), (2, 3, 20)),
    "attention": (Attention(), (2, 5, 8)),
    "recurrent": (nn.LSTM(4, 6, batch_first=True), (2, 5, 4)),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", NETS)
def test_totals_are_those_of_torchs_counter(name, grad, device):
    net, shape = NETS[name]
    net = net.to_empty(device=device)
    x = torch.zeros(shape, device=device)

    def run():
        out = net(x)
        if grad:
            (out[0] if isinstance(out, tuple) else out).sum().backward()

    with torch.set_grad_enabled(grad), FlopCounterMode(display=False) as theirs:
        run()
    with torch.set_grad_enabled(grad), FlopCounter() as ours:
        run()
    assert ours.total == theirs.get_total_flops()
    assert ours.total > 0 or (device == "cpu" and name == "recurrent")


def test_inference_mode_counts_the_same():
    net, x = NETS["convolutions"][0].to_empty(device="cpu"), torch.zeros(2, 3, 9, 7)
    with torch.inference_mode(), FlopCounter() as ours:
        net(x)
    with torch.no_grad(), FlopCounter() as theirs:
        net(x)
    assert ours.total == theirs.total > 0
