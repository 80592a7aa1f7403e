"""A scheme of your own: the architecture learns from both splits at once.  (~15 seconds on 2 cores)

    python examples/own_scheme.py [EPOCHS]

prints what three schemes find on a space whose best answer is known.
"""

import sys
from dataclasses import dataclass, replace

import mixop
from mixop.bilevel import FirstOrder, Problem, Scheme, SingleLevel, gradient
from mixop.core.types import Batch, Params

# %% [markdown]
# A scheme says how the gradient of the architecture is computed. `FirstOrder` takes that of the validation loss,
# `SingleLevel` that of the training loss. MiLeNAS (He et al. 2020,
# [arXiv:2003.12238](https://arxiv.org/abs/2003.12238)) takes their sum.
#
# A scheme is a frozen value without state. It is given the problem as functions of weights and architecture parameters,
# and returns a gradient; the engine steps. So there is nothing to copy and nothing to restore.


# %%
@dataclass(frozen=True, kw_only=True)
class MixedLevel(Scheme):
    """The gradient of the training loss, and ``weight`` times that of the validation loss."""

    weight: float = 1.0

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        weights = {name: weight.detach() for name, weight in problem.weights.items()}
        leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
        train = problem.train_loss(weights, leaves, train_batch)
        return gradient(train + self.weight * problem.valid_loss(weights, leaves, valid_batch), leaves)


# %% [markdown]
# The contract of recipes is public: it searches a toy space, kills the search, resumes it, and compares.

# %%
base = mixop.recipes.darts(epochs=int(sys.argv[1]) if len(sys.argv) > 1 else 20)
base = replace(base, architecture_optimiser=replace(base.architecture_optimiser, lr=mixop.schedules.Constant(0.05)))
mixop.testing.check_recipe(replace(base, name="mixed", scheme=MixedLevel()))

# %% [markdown]
# Then it takes part in any recipe, beside the published ones.

# %%
space = mixop.spaces.toy()
data = mixop.data.toy_set(space)
print("best        ", space.to_native(space.optimum))
for name, scheme in {"first order": FirstOrder(), "single level": SingleLevel(), "mixed level": MixedLevel()}.items():
    run = mixop.search(replace(base, name=name, scheme=scheme), space, data, out=f"runs/own-scheme/{name.replace(' ', '-')}")
    print(f"{name:12}", run.native)
