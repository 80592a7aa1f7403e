"""Models with choices, as users write them, in a module that other processes can import."""

import torch
from torch import Tensor, nn

from mixop.nets.modules.choice import Choice, InputChoice


def conv(channels: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(channels)
    )


class Small(nn.Module):
    """A convolutional network with a choice, a nested choice and a choice of two inputs of three."""

    def __init__(self, outputs: int = 3, width: int = 4, channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.one = Choice({"k1": conv(width, 1), "k3": conv(width, 3), "skip": nn.Identity()})
        self.two = Choice(
            {"k3": conv(width, 3), "deep": nn.Sequential(conv(width, 1), Choice([conv(width, 1), nn.AvgPool2d(3, 1, 1)]))}
        )
        self.join = InputChoice(["stem", "one", "two"], keep=2)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        one = self.one(stem)
        return self.head(self.drop(self.join(stem, one, self.two(one)).mean((2, 3))))


class Flat(nn.Module):
    """A decision in each of two places, and nothing nested: every recipe that needs no graph fits."""

    def __init__(self, outputs: int = 3, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            Choice({"k1": conv(width, 1), "k3": conv(width, 3), "skip": nn.Identity()}) for _ in range(2)
        )
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class Cell(nn.Module):
    """The network of one NAS-Bench-201 cell, written out: a choice on every edge."""

    EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

    def __init__(self, outputs: int = 5, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.edges = nn.ModuleList(Choice(self.operations(width)) for _ in self.EDGES)
        self.norm = nn.BatchNorm2d(width)
        self.linear = nn.Linear(width, outputs)

    @staticmethod
    def operations(width: int) -> dict[str, nn.Module]:
        return {
            "none": Nothing(),
            "skip_connect": nn.Identity(),
            "nor_conv_1x1": conv(width, 1),
            "nor_conv_3x3": conv(width, 3),
            "avg_pool_3x3": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        }

    def forward(self, x: Tensor) -> Tensor:
        nodes = [self.stem(x)]
        for target in (1, 2, 3):
            into = [(e, source) for e, (source, end) in enumerate(self.EDGES) if end == target]
            nodes.append(sum(self.edges[e](nodes[source]) for e, source in into))
        return self.linear(torch.relu(self.norm(nodes[3])).mean((2, 3)))


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Map(nn.Module):
    """An elementwise map without weights."""

    draws = False

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return {"none": torch.zeros_like, "abs": torch.abs, "sine": lambda x: torch.sin(3 * x)}[self.name](x)


class ToyModel(nn.Module):
    """The toy space written as a model: a map for each block of four numbers, then a linear classifier."""

    draws = False

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Choice({"none": Map("none"), "skip_connect": nn.Identity(), "abs": Map("abs"), "sine": Map("sine")})
            for _ in range(3)
        )
        self.head = nn.Linear(12, outputs)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.flatten(1).split(4, 1)
        return self.head(torch.cat([block(part) for block, part in zip(self.blocks, parts, strict=True)], 1))


class Nested(nn.Module):
    """A choice inside the last option of another one."""

    def __init__(self, outputs: int = 3, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        inner = Choice({"k1": conv(width, 1), "k3": conv(width, 3), "skip": nn.Identity()})
        self.block = Choice({"skip": nn.Identity(), "k1": conv(width, 1), "deep": nn.Sequential(conv(width, 1), inner)})
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.stem(x)).mean((2, 3)))
