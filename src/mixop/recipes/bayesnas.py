"""BayesNAS: switches under a sparse hierarchical prior."""

from mixop.bilevel.direct import SingleLevel
from mixop.core.optim import SGD
from mixop.core.schedules import Constant
from mixop.derive.relevance import Relevance
from mixop.monitors.relevance import RelevanceUpdate
from mixop.recipe.core import Recipe
from mixop.recipes._base import benchmark
from mixop.regularise.switches import SwitchPenalty
from mixop.relax.switches import Switches


def bayesnas(*, epochs: int = 2) -> Recipe:
    """BayesNAS: a switch for every edge and option, pruned by relevance; the search is one epoch and one pass.

    Half of the epochs train only the weights. In the others the switches train too, under a group lasso whose weights are
    updated after each epoch. Both use the same data and the same optimiser. Approximate: the curvature is exact here, and
    recursive Gauss-Newton in the paper; the threshold that removes an edge is ours, since the authors do that step by hand
    (unverified). 0.01 is one of the penalties of the released models (0.005, 0.007, 0.01).

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: not published (test error 2.81 +- 0.04 in the DARTS space)
        ours: 37.3 +- 47.3 at a small scale, 3 seeds (docs/results.md)

    Source: Zhou, Yang, Wang & Pan 2019 (arXiv:1905.04919); settings of the authors' code for the DARTS space.
    """
    return benchmark(
        "bayesnas",
        epochs,
        relaxation=Switches(),
        scheme=SingleLevel(same_batch=True),
        regularisers=(SwitchPenalty(edge_strength=0.01, option_strength=0.01),),
        monitors=(RelevanceUpdate(),),
        derivation=Relevance(),
        weight_optimiser=SGD(lr=Constant(0.1), momentum=0.9, weight_decay=1e-4),
        architecture_optimiser=SGD(lr=Constant(0.1), momentum=0.9, weight_decay=0.0),
        batch_size=18,
        warmup=epochs // 2,
    )
