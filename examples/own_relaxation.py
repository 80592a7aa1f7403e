"""Invent a relaxation, check that it keeps the contract, and search with it.  (~20 seconds on 2 cores)

    python examples/own_relaxation.py [EPOCHS]

prints what softmax, Dirichlet and the new relaxation find on a space whose best answer is known.
"""

import sys
from dataclasses import dataclass, replace

import torch

import mixop

# %% [markdown]
# A relaxation is a function from architecture parameters to mixing weights. `mean` is what an architecture is derived
# from, `draw` is what a step of the search computes with; here both are the same.


# %%
@dataclass(frozen=True, kw_only=True)
class Sparsemax(mixop.Relaxation):
    """The point of the simplex nearest to the logits: like softmax, but with exact zeros (Martins & Astudillo 2016)."""

    def mean(self, params, group):
        z = params.sort(-1, descending=True).values
        k = torch.arange(1, params.shape[-1] + 1, device=params.device)
        support = 1 + k * z > z.cumsum(-1)
        size = support.sum(-1, keepdim=True)
        threshold = ((z * support).sum(-1, keepdim=True) - 1) / size
        return (params - threshold).clamp(min=0)

    def draw(self, params, group, progress, generator):
        return mixop.Draw(self.mean(params, group))


# %% [markdown]
# The contract of relaxations is public. It raises an error that names the promise that is broken.

# %%
mixop.testing.check_relaxation(Sparsemax())

# %% [markdown]
# Then it takes the place of another one in a published method.

# %%
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
space = mixop.spaces.toy()
data = mixop.data.toy_set(space)
base = mixop.recipes.darts(epochs=epochs)
base = replace(base, architecture_optimiser=replace(base.architecture_optimiser, lr=mixop.core.schedules.Constant(0.05)))
print("best      ", space.to_native(space.optimum))
for name, relaxation in {
    "softmax": mixop.relax.Softmax(),
    "dirichlet": mixop.relax.Dirichlet(),
    "sparsemax": Sparsemax(),
}.items():
    run = mixop.search(replace(base, name=name, relaxation=relaxation), space, data, out=f"runs/own-relaxation/{name}")
    print(f"{name:10}", run.native)

# %% [markdown]
# On the command line it goes by its module: `mixop search --recipe darts --recipe.relaxation my_package.relax:Sparsemax`.
# One toy and one seed prove nothing: [compare fairly](compare_methods.py), with a table and several seeds.
# [Contributing](../CONTRIBUTING.md) says in five steps what it needs to become part of mixop.
