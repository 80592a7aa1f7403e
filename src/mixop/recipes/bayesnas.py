"""BayesNAS: switches under a sparse hierarchical prior."""

from mixop.bilevel.direct import SingleLevel
from mixop.core.optim import SGD
from mixop.core.schedules import Constant
from mixop.derive.relevance import Relevance
from mixop.monitors.relevance import RelevanceUpdate
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipes._base import benchmark
from mixop.regularise.switches import SwitchPenalty
from mixop.relax.switches import Switches


def bayesnas(*, epochs: int = 2) -> Recipe:
    """BayesNAS: a switch for every edge and option, pruned by relevance; the search is one epoch and one pass.

    Half of the epochs train only the weights. In the others the switches train too, in the same step, under a group lasso whose
    weights are drawn at the start of the run; relevance is estimated once, at the end. Both use the same optimiser, without
    clipping. Operations have a scale and shift, and running statistics, as in the authors' network.

    Approximate: the curvature is exact here, on one batch of validation examples, and recursive Gauss-Newton on the last
    training batch in the paper; the threshold that removes an edge is ours, since the authors do that step by hand
    (unverified). 0.01 is one of the penalties of the released models (0.005, 0.007, 0.01). The authors give every cell switches
    of its own and tie those of a type by the group lasso; here the cells of a type share them. Their first epoch goes through a
    tenth of the training images and erases a square of 16 pixels in each, their pass through nine tenths and erases none; here
    both go through all images, as the data augment them.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: not published (test error 2.81 +- 0.04 in the DARTS space)
        ours: 37.5 +- 47.7 at a small scale, 3 seeds (docs/results.md)

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
        clip=0.0,
        norm=BatchNorm(),
    )
