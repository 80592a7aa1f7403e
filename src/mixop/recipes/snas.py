"""SNAS and DSNAS: architecture and weights from one loss on the same batch."""

from mixop.bilevel.direct import SingleLevel
from mixop.core.optim import Adam
from mixop.core.schedules import Constant, Linear
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipes._base import family
from mixop.relax.categorical import CategoricalGate
from mixop.relax.gumbel import GumbelSoftmax
from mixop.wraps.edges import DropPath


def snas(*, epochs: int = 150) -> Recipe:
    """SNAS: mixing weights drawn by Gumbel-softmax, architecture and weights trained together on one level.

    Both steps come from one backward pass, as in the authors' code. Paths are dropped with probability 0.3 from the first epoch
    to the last, on every edge of every cell, drawn for each image; the code lets identities through only where an edge is one
    operation, which no edge of a search is. Its search of 20 cells has 0.2. Batch norm tracks. In epoch e of E the temperature
    is ``0.03 + 0.97 (1 - (e + 1) / E)``: the code steps it before the first epoch already.

    The resource term is left out: add ``ExpectedCost`` to the regularisers for it. The authors' code uses Adam in its
    distributed run and SGD otherwise; ours uses Adam. It derives ``none`` like any option; so do we on NAS-Bench-201, but not
    in the DARTS space. The paper's number in the scorecard is from a re-run that differs in all of this: two levels,
    temperature 10 to 1, 100 epochs, no dropped paths.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 92.77 +- 0.83 (Chen et al. 2021, table 4)
        ours: 92.8 +- 0.5 at a small scale, 3 seeds (docs/results.md)

    Source: Xie, Zheng, Liu & Lin 2019 (arXiv:1812.09926); settings of the authors' code for the DARTS space.
    """
    return family(
        "snas",
        epochs,
        relaxation=GumbelSoftmax(temperature=Linear(1 - 0.97 / epochs, 0.03), init_mean=1.0, init_std=0.01),
        scheme=SingleLevel(same_batch=True),
        architecture_clip=10.0,
        norm=BatchNorm(affine=False, track=True),
        wraps=(DropPath(probability=Constant(0.3)),),
    )


def dsnas(*, epochs: int = 100) -> Recipe:
    """DSNAS: one path runs, its gates give the logits a score gradient; decided edges are fixed on the way.

    A decision whose first option leads by 0.3 in probability is fixed; the authors check once an epoch, we check at every
    draw. Both steps come from one backward pass, as in `snas`. The method was published on another space and has no known
    settings on NAS-Bench-201: length, weight optimiser, clipping and rate 3e-4 are those of DrNAS there (unverified). The
    logits have no weight decay, as in the authors' code.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 93.08 +- 0.13 (Chen et al. 2021, table 4)
        ours: 91.9 +- 0.2 at a small scale, 3 seeds (docs/results.md)

    Source: Hu et al. 2020 (arXiv:2002.09128) and the authors' code.
    """
    return family(
        "dsnas",
        epochs,
        relaxation=CategoricalGate(fix=0.3, init_mean=1.0, init_std=0.01),
        scheme=SingleLevel(same_batch=True),
        architecture_optimiser=Adam(lr=Constant(3e-4), betas=(0.5, 0.999), weight_decay=0.0),
    )
