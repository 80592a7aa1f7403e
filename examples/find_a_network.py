"""Find a network for your own data: arrays in, a plain torch module out.  (~2 minutes on 2 cores)

    python examples/find_a_network.py [EPOCHS]

prints the architecture it found and its accuracy on images it has never seen, about 98 %.
"""

import sys
from dataclasses import replace

import torch
from sklearn.datasets import load_digits

import mixop

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20

# %% [markdown]
# If a network is all that you want, one line does more than this page: `mixop.find(data, "runs/mine", minutes=10)`
# ([how](../docs/find.md)). Here are its steps one by one, with a space and a method that you choose.
#
# ## The data
#
# Images and labels as arrays are all that is needed; `mixop.data.from_folder` reads a folder with a subfolder for each
# class instead. Half of what is not for the test goes to the architecture, half to the weights.

# %%
x, y = load_digits(return_X_y=True)  # any images (N, H, W), (N, C, H, W) or (N, H, W, C) with labels 0, 1, 2 ...
data = mixop.data.from_arrays(x.reshape(-1, 8, 8), y, valid=0.5, seed=0)

# %% [markdown]
# ## The space and the method
#
# The space says what is decided: here which of five operations stands on each of the six edges of a cell. The recipe
# says how.

# %%
space = mixop.spaces.nasbench201(channels=8, cells=1)
recipe = mixop.recipes.drnas(epochs=epochs)
# The paper's rate is for 39,000 steps; a search of a few hundred needs a larger one.
recipe = replace(recipe, architecture_optimiser=replace(recipe.architecture_optimiser, lr=mixop.core.schedules.Constant(0.01)))

# %% [markdown]
# ## The search
#
# Everything about it lies in its directory. If it is stopped, the same call continues it.

# %%
run = mixop.search(recipe, space, data, out="runs/find-a-network")
print("found", run.native)

# %% [markdown]
# ## The training
#
# What the search found is trained from scratch, and scored once on images that nothing has seen. What comes out is an
# ordinary module of torch.

# %%
result = mixop.retrain(run.architecture, run.space, data, epochs=epochs, out="runs/find-a-network")
print(f"accuracy on the test images: {result.measures['accuracy']:.1%}")

net: torch.nn.Module = result.model
batch = data.batch(data.test[:3])
print("labels", batch.y.tolist(), "predictions", net(batch.x).argmax(-1).tolist())
print("the whole report:", mixop.write_report(result.out))
