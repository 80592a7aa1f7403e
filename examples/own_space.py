"""Your own search space in ten lines, with your own operation.  (~1 minute on 2 cores)

    python examples/own_space.py [EPOCHS]

prints the cell it found.
"""

import sys

from torch import nn

import mixop

# %% [markdown]
# An operation of your own is a function that makes a module.


# %%
def wide_conv(channels, stride, norm):
    """An operation keeps the number of channels and divides height and width by the stride."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 5, stride, padding=2, bias=False), norm.make(channels))


# %% [markdown]
# The space is data: operations, nodes, and the stages around the cells. The check tries out its architectures.

# %%
space = mixop.spaces.CellSpace(
    name="mine",
    operations=("none", "skip_connect", "nor_conv_3x3", "__main__:wide_conv"),  # elsewhere: "my_package.ops:wide_conv"
    nodes=3,  # input, one inner node, output
    channels=8,
    cells=1,  # of each stage
    stages=2,  # the second at half the resolution and twice the channels
)
mixop.testing.check_space(space)

# %% [markdown]
# Any recipe searches it.

# %%
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
run = mixop.search(mixop.recipes.drnas(epochs=epochs), space, mixop.data.digits(), out="runs/own-space")
print("found", run.native)
