"""DARTS-: an auxiliary skip connection that fades."""

from dataclasses import replace

from mixop.core.schedules import Linear
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipes._base import family
from mixop.wraps.edges import AuxiliarySkip


def darts_minus(*, epochs: int = 50) -> Recipe:
    """DARTS-: a skip connection beside the options of every edge, its coefficient falling from 1 to 0.

    The skip among the options then no longer gets credit for easing the training: it competes only by what it adds. On
    NAS-Bench-201 the settings are unverified.

    Scorecard (DARTS space, searched on CIFAR-10, test error in %):
        paper: 2.59 +- 0.08
        ours: not measured

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 93.80 (Chu et al. 2021, from public lists of results)
        ours: 54.3 +- 0.0 at a small scale, 3 seeds (docs/results.md)

    Source: Chu et al. 2021 (arXiv:2009.01027); settings of the authors' code.
    """
    recipe = family("darts_minus", epochs, norm=BatchNorm(affine=False, track=True))
    return replace(recipe, wraps=(AuxiliarySkip(beta=Linear(1.0, 0.0, closed=False)),))
