"""GDAS: one path at a time, with the gradient of a Gumbel-softmax."""

from dataclasses import replace

from mixop.core.schedules import Linear
from mixop.derive.argmax import Argmax
from mixop.recipe.core import Recipe
from mixop.recipes._base import benchmark
from mixop.relax.gumbel import GumbelHard


def gdas(*, epochs: int = 250) -> Recipe:
    """GDAS: one operation runs for each edge, drawn by Gumbel noise; its softmax gives the gradient.

    The temperature falls from 10 to 0.1, as in the author's code; re-runs by others (Chen et al. 2021) end at 1. Like the
    author's code, this recipe steps the weights first. Table 5 of the benchmark searches on CIFAR-10; table 4 of Chen et al.
    reports other searches: 93.23 +- 0.23.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 93.51 +- 0.13 (Dong & Yang 2020, table 5)
        ours: 87.5 +- 1.2 at a small scale, 3 seeds (docs/results.md)

    Source: Dong & Yang 2019 (arXiv:1910.04465); settings of Dong & Yang 2020 (arXiv:2001.00326).
    """
    return benchmark("gdas", epochs, relaxation=GumbelHard(temperature=Linear(10.0, 0.1)), order="weights_first")


def gdas_darts(*, epochs: int = 250) -> Recipe:
    """GDAS in the DARTS space: as `gdas`, with larger batches, and the best pairs of edge and option in the end.

    Two kept pairs of a node may lie on one edge, as in the author's code; ``Argmax(none=False)`` keeps two edges. Idle options
    carry no gradient here, unlike on NAS-Bench-201. The author takes 16 channels and 2 normal cells a stage.

    Scorecard (DARTS space, searched on CIFAR-10, test error in %):
        paper: 2.93
        ours: not measured

    Source: Dong & Yang 2019 (arXiv:1910.04465) and the author's code for that space.
    """
    return replace(gdas(epochs=epochs), name="gdas_darts", batch_size=256, derivation=Argmax(none=False, edges="pairs"))
