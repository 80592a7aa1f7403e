"""Choices in a model of your own: a small residual network for images.  (~1 minute on 2 cores)

    python examples/own_model.py [EPOCHS]

prints which convolutions it found and which blocks it left out, and what that network costs and achieves beside the plain one,
3x3 convolutions in all blocks, trained for as long. The search has a ceiling: on average what it draws costs no more than the
plain network, 9 of the 25 weights of the largest windows. The one network that comes out in the end may be above it.
"""

import sys
from dataclasses import replace

import torch
from torch import nn

import mixop
from mixop.regularise import CostCeiling

# %% [markdown]
# ## The model
#
# Put a `mixop.Choice` in the place of a module. Here a block has one of three windows, and the network may leave a
# block out.


# %%
class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        windows = {f"{k}x{k}": nn.Conv2d(channels, channels, k, padding=k // 2, bias=False) for k in (1, 3, 5)}
        self.conv = mixop.Choice(windows)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu(x + self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self, outputs, channels=8, depth=4):  # the number of outputs comes from the data
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.blocks = nn.Sequential(*(mixop.Choice({"block": Block(channels), "skip": nn.Identity()}) for _ in range(depth)))
        self.head = nn.Linear(channels, outputs)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


# %% [markdown]
# ## The search
#
# A ceiling keeps the expected cost at that of the plain network.

# %%
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 12
data = mixop.data.digits(valid=0.5)
space = mixop.spaces.in_module(Net)
recipe = mixop.recipes.drnas(epochs=epochs)
recipe = replace(recipe, regularisers=(*recipe.regularisers, CostCeiling(share=9 / 25)))
run = mixop.search(recipe, space, data, out="runs/own-model")
print(f"found, of {run.space.size():,}: {run.native}")

# %% [markdown]
# ## Beside the plain network

# %%
plain = ", ".join(f"blocks.{k}=block, blocks.{k}.block.conv=3x3" for k in range(4))
for name, architecture in (("found", run.architecture), ("plain", plain)):
    result = mixop.retrain(architecture, run.space, data, epochs=epochs, out=f"runs/own-model-{name}")
    network = result.score.networks[0]
    print(
        f"{name}: {result.measures['accuracy']:.1%} of the test images, {network.parameters:,} parameters, "
        f"{network.flops:,} multiply-adds"
    )
