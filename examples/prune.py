"""Pruning a trained network: which of its channels and blocks are worth what they cost.  (~2 minutes on 2 cores)

    python examples/prune.py [EPOCHS]

trains a small network on images of digits, searches once with gates on its channels and blocks, and derives from that one
supernet a network under each of several ceilings. It prints a table, and draws runs/prune-curve/curve.svg: what the pruned
networks achieve, beside networks of equal cost that are narrower by hand, fine-tuned alike or trained from scratch for as long.
"""

import sys

import torch
from torch import nn

import mixop

STEPS = tuple(k / 16 for k in range(1, 17))


class Block(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        self.width = mixop.Width(inner, STEPS)
        self.conv2, self.norm2 = nn.Conv2d(inner, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu(x + self.norm2(self.conv2(self.width(torch.relu(self.norm1(self.conv1(x)))))))


class Net(nn.Module):
    def __init__(self, channels=8, inner=32, depth=3):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())
        self.blocks = nn.Sequential(*(mixop.Choice({"skip": nn.Identity(), "block": Block(channels, inner)}, default="block")
                                      for _ in range(depth)))  # fmt: skip
        self.head = nn.Linear(channels, 10)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def trained(data, epochs):
    """The network as you have it: trained on the training split, by any loop."""
    torch.manual_seed(0)
    model = Net()
    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(data.train)).split(64):
            x, y, *_ = data.batch(data.train[batch])
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        schedule.step()
    return model


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    data = mixop.data.digits(valid=0.5)
    space = mixop.spaces.in_module(trained(data, epochs), pretrained=True)
    run = mixop.search(mixop.recipes.prune(epochs=epochs, share=0.25), space, data, out="runs/prune")
    curve = mixop.cost_curve(
        run, data, "runs/prune-curve", shares=(1.0, 0.5, 0.25, 0.1), epochs=epochs, scratch_epochs=3 * epochs
    )
    print(curve.table())
    for point in (point for point in curve.points if point.way == "pruned"):
        print(f"{point.cost:,.0f} {curve.cost}: {point.architecture}")
