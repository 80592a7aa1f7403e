"""Settings that many recipes share."""

from dataclasses import replace
from typing import Any

from mixop.core.optim import SGD
from mixop.core.schedules import Cosine
from mixop.recipe.core import Recipe
from mixop.recipes.darts import darts


def benchmark(name: str, epochs: int, **parts: Any) -> Recipe:
    """`darts` with other parts: the settings of the NAS-Bench-201 runs.

    Source: Dong & Yang 2020 (arXiv:2001.00326) and its code.
    """
    return replace(darts(epochs=epochs), name=name, **parts)


def family(name: str, epochs: int, **parts: Any) -> Recipe:
    """`darts` with other parts and the weight optimiser of the DARTS family's code: weight decay 3e-4, plain momentum.

    Source: code of Liu et al. 2019 (arXiv:1806.09055), on which the code of SDARTS, R-DARTS, DrNAS and DARTS-PT builds.
    """
    weights = SGD(lr=Cosine(0.025, 0.001), momentum=0.9, weight_decay=3e-4)
    return replace(benchmark(name, epochs), **{"weight_optimiser": weights, **parts})
