"""Signals: 1,096 days of Italy's demand for power, hour by hour: winter or summer?  (~1 minute on 2 cores)

    pip install sktime             # which ships the signals, real ones
    python examples/signals.py [EPOCHS]

prints which windows, widths and pools it found, and what that network costs and achieves on days it has never seen beside the
plain one, trained for as long. Both are right on about 97 % of them. It leaves the signals in a file:

    mixop search --data npz --data.path signals.npz --space nasbench201

searches on them too, in the cells of another space, since a file of signals (N, C, L) needs no more.
"""

import sys

import numpy as np
import torch
from sktime.datasets import load_italy_power_demand

import mixop

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 5

# %% [markdown]
# ## The data
#
# Signals are arrays `(N, C, L)`: examples, channels, time steps. That shape is all that says so.

# %%
# Signals (1096, 1, 24), and labels: "1" for October to March, else "2".
x, y = map(np.asarray, load_italy_power_demand(return_type="numpy3D"))  # pyright: ignore[reportArgumentType]
np.savez("signals.npz", x=x, y=np.where(y == "1", "winter", "summer"))


# %% [markdown]
# ## An augmentation of your own
#
# A function of a batch and a generator. Random numbers come from the generator only, so a run can be repeated and
# resumed.


# %%
def louder(batch, generator):
    """An augmentation of your own: each signal louder or quieter, by random numbers from the generator only."""
    return batch._replace(x=batch.x * (0.8 + 0.4 * torch.rand(len(batch.x), 1, 1, generator=generator).to(batch.x)))


data = mixop.data.from_npz("signals.npz", valid=0.5, augment=louder)
print(data.record["read_as"], data.shape, ", ".join(data.task.classes))

# %% [markdown]
# ## The search
#
# `conv1d` is a residual network for signals whose kernels, dilations, widths, depth and pools are decided.

# %%
space = mixop.spaces.conv1d(channels=8, blocks=(1, 1), kernels=(3, 5), dilations=(1, 2))
run = mixop.search(mixop.recipes.drnas(epochs=epochs), space, data, out="runs/signals")
print(f"found, of {run.space.size():,}: {run.native}")

# %% [markdown]
# ## Beside the plain network
#
# What was found is worth something only if it is better than what anyone would have taken. So both are trained for as
# long.

# %%
PLAIN = """
stages.0.0.conv1=k3_d1, stages.0.0.width=1, stages.0.0.conv2=k3_d1, stages.1.pool=stride,
stages.1.blocks.0.conv1=k3_d1, stages.1.blocks.0.width=1, stages.1.blocks.0.conv2=k3_d1, head.pool=mean
"""
for name, architecture in (("found", run.architecture), ("plain", PLAIN)):
    result = mixop.retrain(architecture, run.space, data, epochs=epochs, out=f"runs/signals-{name}")
    network = result.score.networks[0]
    print(f"{name}: accuracy on the test signals {result.measures['accuracy']:.1%}, {network.flops:,} multiply-adds")
