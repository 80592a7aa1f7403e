"""Run a paper's experiment again, with its rule for when the pattern shows.  (~10 seconds)

    python examples/reproduce.py [SCALE]

prints what is reported, whether it shows here, and the numbers that say so.
"""

import sys

from mixop.comparison.published import published
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.run import run_experiment

# %% [markdown]
# ## What there is
#
# An experiment is something that a paper, a talk or a blog reports. [What each is about](../docs/experiments.md) says
# more; the command line lists them too, `mixop reproduce --list`.

# %%
for name in CATALOGUE:
    print(name)

# %% [markdown]
# ## One that needs no data
#
# *In defense of weight-sharing* (Khodak & Li 2020) says why searches on the simplex take multiplicative steps: where k
# options compete, their regret grows like log k, and that of ordinary steps like k. The rule for "shows" was set before
# any run; it is on the page that is written.

# %%
scale = sys.argv[1] if len(sys.argv) > 1 else "small"
outcome = run_experiment("geometry-gap", "runs/geometry-gap", scale=scale)  # pyright: ignore[reportArgumentType]
print(outcome)

# %% [markdown]
# ## What papers report
#
# The numbers of papers stand beside ours wherever a comparison has them, and can be asked for. They are of full scale.

# %%
for method in ("darts", "drnas", "gdas"):
    print(method, published(method, "cifar10"))

# %% [markdown]
# A published search beside its paper's number is one command, `mixop reproduce drnas-nasbench201 --scale small --data FOLDER`;
# [experiments](../docs/experiments.md) says what the folder holds, and where it comes from.
#
# A search that takes as long as the paper's is the same call with other numbers: a [recipe](../docs/methods.md) as it
# is published, the space at its full size, and the [protocol](../docs/protocols.md) of the final training. What we
# measured so far, at smaller scales, is on the page of [results](../docs/results.md).
