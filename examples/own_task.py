"""A task of your own: three quantiles of a number, under a loss and a measure of your own.  (~40 seconds on 2 cores)

    python examples/own_task.py [EPOCHS]

prints, for the progression of diabetes in patients whom the network has never seen, in standard deviations,

    interval_score on the test: 2.6             lower is better: wide ranges and misses both cost
    share of patients inside the range: 69%     of the 80 % that it is meant to hold
"""

import sys
from dataclasses import replace

import torch
from sklearn.datasets import load_diabetes

import mixop

# %% [markdown]
# ## A loss and a measure
#
# Both are functions of outputs and targets that give one number for each example.

# %%
QUANTILES = torch.tensor([0.1, 0.5, 0.9])


def pinball(outputs, targets):
    """The loss whose least value is at the quantiles (Koenker & Bassett 1978): outputs (B, 3), targets (B,)."""
    error = targets[:, None] - outputs
    quantiles = QUANTILES.to(outputs)
    return torch.maximum(quantiles * error, (quantiles - 1) * error).mean(1)  # one number for each example


def interval_score(outputs, targets):
    """Width of the range of 80 %, plus 10 times the distance by which it misses (Gneiting & Raftery 2007, eq. 43)."""
    low, high = outputs[:, 0], outputs[:, 2]
    return high - low + 10 * ((low - targets).clamp(min=0) + (targets - high).clamp(min=0))


# %% [markdown]
# ## The task and its data

# %%
x, y = load_diabetes(return_X_y=True)  # 442 patients, 10 features
y = torch.as_tensor(y, dtype=torch.float32)
task = mixop.tasks.own(pinball, interval_score, outputs=3, better="lower")
data = mixop.data.from_arrays(x, (y - y.mean()) / y.std(), task=task, valid=0.5)
mixop.testing.check_task(task, torch.randn(8, 3), data.examples.targets[:8])

# %% [markdown]
# ## The search, and the training of what it found

# %%
space = mixop.spaces.CellSpace(
    operations=("none", "skip_connect", "nor_conv_1x1"), nodes=4, channels=16, cells=1, stages=1
)  # of feature vectors: a convolution of one position is a linear layer
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
run = mixop.search(replace(mixop.recipes.drnas(epochs=epochs), batch_size=32), space, data, out="runs/own-task")
print("found", run.native)

result = mixop.retrain(run.architecture, run.space, data, epochs=epochs, out="runs/own-task")
print(f"interval_score on the test: {result.measures['interval_score']:.1f}")

with torch.no_grad():
    inside = [(b.y >= low) & (b.y <= high) for b in data.sweep("test", 256) for low, _, high in [result.model(b.x).T]]
print(f"share of patients inside the range: {torch.cat(inside).float().mean():.0%}")
