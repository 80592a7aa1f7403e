"""Compare methods fairly: same space, same data, same seeds.  (~4 minutes on 2 cores)

    python examples/compare_methods.py [EPOCHS] [SEEDS]

prints, for every method and seed, the accuracy of its supernet, how decided it is (entropy), and what it found.
"""

import sys
from dataclasses import replace

import mixop

# %% [markdown]
# What makes a comparison fair: one space, one split of the data, the same seeds, and one rule for the rates of short
# searches, which `mixop.search` follows by itself. One seed proves little; take as many as you can.

# %%
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
seeds = range(int(sys.argv[2]) if len(sys.argv) > 2 else 2)

data = mixop.data.digits(valid=0.5, seed=0)
space = mixop.spaces.nasbench201(channels=4, cells=1)
for name in ("darts", "drnas", "gaea_bilevel"):
    recipe = replace(mixop.recipes.RECIPES[name](epochs=epochs), batch_size=32)
    for seed in seeds:
        run = mixop.search(recipe, space, data, out=f"runs/compare/{name}-{seed}", seed=seed)
        last = run.history[-1]
        accuracy = last.valid["accuracy"]
        print(f"{name:13} seed {seed}: supernet {accuracy:.1%}, entropy {last.entropy:.3f} nats, {run.native}")

# %% [markdown]
# The supernet's accuracy does not say how good the architecture is. `mixop compare` goes on from here: it trains what
# was found, or looks it up in a table of trained architectures, beside random search with as much time and well-known
# networks, and writes a page with means, deviations and pairs. [Tables](../docs/tables.md) has an example that takes
# two minutes.
