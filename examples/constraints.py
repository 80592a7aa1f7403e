"""Limits: a network for your images that is no larger than your device allows.  (~2 minutes on 2 cores)

    python examples/constraints.py [MINUTES]

prints what `find` takes under a limit on parameters, and what a search finds that has a ceiling on its multiply-adds.
"""

import sys
from dataclasses import replace

import mixop
from mixop.nets.costs import measured
from mixop.regularise import CostCeiling

# %% [markdown]
# ## A limit for `find`
#
# What comes out keeps the limit, whatever it was found by. Known networks that are too large stay out, and what a
# search finds is made narrower until it fits. `max_flops` limits multiply-adds, `max_latency_ms` milliseconds on this
# machine.

# %%
minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
data = mixop.data.digits(valid=0.5)
result = mixop.find(data, "runs/constraints", minutes=minutes, max_params=20_000)
network = result.score.networks[0]
print(f"{result.winner}: {network.parameters:,} of at most 20,000 parameters, {network.measures['accuracy']:.1%} on the test")

# %% [markdown]
# ## A ceiling in the search itself
#
# A search by gradient can look at the cost while it decides: the expected cost of a network that is drawn by the mixing
# weights is an exact sum, and can be differentiated. `CostCeiling` adds to the loss of the architecture what is above
# the ceiling, times a multiplier that grows until the ceiling holds. It holds on average: the one network that comes
# out may still be above it, so look at it. `share=0.2` is a fifth of the most expensive network; `limit=` takes a number.

# %%
epochs = max(round(20 * minutes), 1)
space = mixop.spaces.nasbench201(channels=4, cells=1)
for share in (1.0, 0.2):
    recipe = mixop.recipes.gaea(epochs=epochs)
    recipe = replace(recipe, regularisers=(CostCeiling(share=share, cost="flops"),))
    run = mixop.search(recipe, space, data, out=f"runs/constraints-{share}")
    cost = measured(run.space, "flops").of(run.architecture, run.space)
    print(f"ceiling {share:.0%}: {cost:,.0f} multiply-adds, {run.native}")
