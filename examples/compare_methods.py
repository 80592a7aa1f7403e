"""Compare methods fairly: same space, data and seeds, beside random search, by the truth.  (~3 minutes on 2 cores)

    python examples/compare_methods.py [EPOCHS] [SEEDS]

prints, for every method, what the architectures that it found are worth, and for one of them, how far the supernet's own
accuracy is from that.
"""

import sys

import mixop
from mixop.comparison.evaluators import tabular

# %% [markdown]
# ## What makes a comparison fair
#
# One space, one division of the data, the same seeds, one rule for the rates of short searches (`compare` follows it by
# itself), and beside the methods a random search that has as much time as they.
#
# And one judge for all. Here it is a [table](../docs/truth.md): all 729 architectures of this small space were trained, so
# what is found is looked up. Where there is no table, `evaluate` can train what was found from scratch.

# %%
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
seeds = range(int(sys.argv[2]) if len(sys.argv) > 2 else 3)

data = mixop.data.digits(valid=0.5, seed=0)
space = mixop.spaces.NasBench201Digits()
recipes = {name: mixop.recipes.RECIPES[name](epochs=epochs) for name in ("darts", "drnas", "gaea")}

# %% [markdown]
# ## The comparison
#
# With `jobs=1` all runs are made here, one after the other. A script with `if __name__ == "__main__":` can leave that out,
# and several processes share them. If it is stopped, the same call continues it; with more seeds it adds them.

# %%
result = mixop.compare(
    recipes, space, data, "runs/compare", seeds=seeds, jobs=1, evaluate=tabular("nasbench201-digits"), progress=False
)
for row in result.rows:
    print(f"{row.name:6} {row.mean:.1%} on average: {', '.join(f'{score:.1%}' for score in row.scores)}")

# %% [markdown]
# ## What the supernet says, and what is true
#
# The accuracy of a supernet is that of a mixture of all operations. It does not say how good the architecture is that comes
# out, so it must not be the judge.

# %%
for run in result.row("darts").runs:
    search = mixop.resume(run.path)  # a search that is finished is only read
    assert isinstance(search, mixop.SearchResult)
    supernet = search.history[-1].valid["accuracy"]
    print(f"darts, seed {run.seed}: the supernet has {supernet:.1%}, what it found alone {run.score:.1%}")

# %% [markdown]
# One seed proves little; take as many as you can. On the command line this is `mixop compare`, which also writes a page with
# all runs, intervals and pairs of methods. [Tables](../docs/tables.md) says how to make a table of your own data.
