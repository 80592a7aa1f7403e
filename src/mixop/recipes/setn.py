"""SETN: an evaluator trained on uniform paths, and a sampler that learns which to propose."""

from mixop.derive.sampled import BestSampled
from mixop.recipe.core import Recipe
from mixop.recipes._base import benchmark
from mixop.relax.categorical import Uniform
from mixop.relax.softmax import Softmax


def setn(*, epochs: int = 250) -> Recipe:
    """SETN: weights are trained on uniform paths, logits on the mixture; the best of the 100 likeliest is kept.

    As in the author's code for the benchmark, weights step first, there is no clipping, and all cells share the path of a
    weight step, in which a node may have nothing but ``none``. The code's first version drew every cell's path by itself, and
    drew such nodes again; the benchmark's kept that function and calls it no more (SETN.py: ``dync_genotype(True)``). It is
    ``weight_relaxation=Uniform(by_cell=True, alive=True)``. All candidates are scored on the same 512 validation examples, with
    each batch's own statistics, which the author found clearly better than running ones; the code takes another 512 for each.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 86.19 +- 4.63 (Dong & Yang 2020, table 5)
        ours: 90.2 +- 3.1 at a small scale, 3 seeds (docs/results.md)

    Source: Dong & Yang 2019 (arXiv:1910.05733); settings of Dong & Yang 2020 (arXiv:2001.00326).
    """
    return benchmark(
        "setn",
        epochs,
        relaxation=Softmax(),
        weight_relaxation=Uniform(),
        derivation=BestSampled(samples=100, batches=8, norm="batch", by="probability"),
        order="weights_first",
        clip=0.0,
    )
