"""Models with widths, and the shapes of their inputs."""

import torch
from torch import nn

from mixop.nets.modules.choice import Choice
from mixop.nets.modules.width import Width

HALVES = (0.5, 1.0)


class Chain(nn.Module):
    """Convolution, batch norm without weights, activation; flattened into a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.b1, self.w1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), Width(8)
        self.c2, self.b2, self.w2 = nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6, affine=False), Width(6, HALVES)
        self.head = nn.Linear(6 * 16, 5)

    def forward(self, x):
        x = self.w1(torch.relu(self.b1(self.c1(x))))
        x = self.w2(torch.relu(self.b2(self.c2(x))))
        return self.head(x.flatten(1))


class Depthwise(nn.Module):
    """An inverted bottleneck with squeeze and excitation, and a learned scale."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm1 = nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.deep, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.GroupNorm(8, 8)
        self.act, self.width = nn.PReLU(8), Width(8, divisor=2, fractions=HALVES)
        self.squeeze, self.excite = nn.Conv2d(8, 3, 1), nn.Conv2d(3, 8, 1)
        self.down = nn.Conv2d(8, 4, 1)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, x):
        h = torch.relu(self.norm1(self.up(x)))
        h = self.width(self.act(self.norm2(self.deep(h))) * self.scale)
        h = h * torch.sigmoid(self.excite(torch.relu(self.squeeze(h.mean((2, 3), keepdim=True)))))
        return (x + self.down(h)).mean((2, 3))


class Residual(nn.Module):
    """Layers that are added share a width; the two before a concatenation have one each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.w0 = nn.Conv2d(3, 8, 3, padding=1), Width(8, share="wide")
        self.inner, self.w1 = nn.Conv2d(8, 4, 1), Width(4, HALVES)
        self.outer, self.norm, self.w2 = nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), Width(8, share="wide")
        self.side, self.w3 = nn.Conv2d(8, 4, 1), Width(4, HALVES)
        self.head = nn.Conv2d(12, 5, 1)

    def forward(self, x):
        x = self.w0(torch.relu(self.stem(x)))
        x = x + self.w2(self.norm(self.outer(self.w1(torch.relu(self.inner(x))))))
        return self.head(torch.cat([self.w3(self.side(x)), x], 1)).amax((2, 3))


class Attention(nn.Module):
    """A transformer block: heads of a packed projection, features of the MLP, a table of biases for each head."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.bias = nn.Parameter(torch.zeros(4, 5, 5))
        self.heads = Width(4, HALVES, axis=1)
        self.up, self.down, self.ratio = nn.Linear(8, 16), nn.Linear(16, 8), Width(16, (0.25, 0.5, 1), axis=-1)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).reshape(*x.shape[:2], 3, -1, 2).permute(2, 0, 3, 1, 4)
        heads = self.heads((q @ k.transpose(-1, -2) + self.bias).softmax(-1) @ v)
        x = x + self.out(heads.transpose(1, 2).flatten(2))
        x = x + self.down(self.ratio(nn.functional.gelu(self.up(x))))
        return self.last(x.mean(1))


class Signal(nn.Module):
    """One dimension: a transposed convolution, and a recurrent layer that reads what is cut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.w1 = nn.Conv1d(2, 6, 3), nn.InstanceNorm1d(6), Width(6, HALVES)
        self.up, self.w2 = nn.ConvTranspose1d(6, 4, 2, stride=2), Width(4, HALVES)
        self.rnn = nn.GRU(4, 3, batch_first=True)

    def forward(self, x):
        x = self.w2(torch.relu(self.up(self.w1(torch.relu(self.norm(self.conv(x)))))))
        return self.rnn(x.transpose(1, 2))[0][:, -1]


class Nested(nn.Module):
    """Widths inside of options, options between widths, and one width for two layers in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.outer = nn.Conv2d(3, 4, 1), Width(4, HALVES, share="outer")
        inside = nn.Sequential(nn.Conv2d(4, 6, 1), nn.ReLU(), Width(6, HALVES), nn.Conv2d(6, 4, 3, padding=1))
        self.block = Choice({"deep": inside, "flat": nn.Conv2d(4, 4, 1), "skip": nn.Identity()})
        self.again = Width(4, HALVES, share="outer")
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.again(self.block(self.outer(torch.relu(self.stem(x)))))
        return self.head(x.mean((2, 3)))


class Tied(nn.Module):
    """A block that is called twice, by two names, and a product of two widths."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.gate, self.w1, self.w2 = nn.Linear(6, 8), Width(8, HALVES), Width(8, (0.25, 1))
        self.block = self.same = nn.Sequential(nn.Linear(8, 5), nn.ReLU(), Width(5, (0.4, 1.0)), nn.Linear(5, 8))
        self.join = nn.Linear(8, 8)

    def forward(self, x):
        x = self.join(self.w1(self.first(x)) * self.w2(torch.sigmoid(self.gate(x))))
        return self.same(torch.relu(self.block(x)))


MODELS = {
    Chain: (4, 3, 4, 4),
    Depthwise: (4, 4, 5, 5),
    Residual: (4, 3, 4, 4),
    Attention: (4, 5, 8),
    Signal: (4, 2, 7),
    Nested: (4, 3, 4, 4),
    Tied: (7, 6),
}
