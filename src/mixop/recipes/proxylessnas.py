"""ProxylessNAS: binary gates, two paths at a time."""

from mixop.core.optim import Adam
from mixop.core.schedules import Constant
from mixop.recipe.core import Recipe
from mixop.recipes._base import benchmark
from mixop.relax.categorical import Categorical
from mixop.relax.gates import BinaryGates


def proxylessnas(*, epochs: int = 160) -> Recipe:
    """ProxylessNAS: weights train one drawn path, logits compare two; memory of two paths in any space.

    The first quarter trains only weights (40 of 40 + 120 epochs), then one architecture step follows every fifth weight
    step. The latency term is left out: add ``ExpectedCost`` to the regularisers for it. The method was published on
    ImageNet, and its authors never ran it on NAS-Bench-201 (unverified): batch and weight optimiser here are those of the
    benchmark's runs, and label smoothing is left out.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: not published
        ours: 89.1 +- 2.8 at a small scale, 3 seeds (docs/results.md)

    Source: Cai, Zhu & Han 2019 (arXiv:1812.00332) and the authors' code.
    """
    return benchmark(
        "proxylessnas",
        epochs,
        relaxation=BinaryGates(paths="two"),
        weight_relaxation=Categorical(),
        architecture_optimiser=Adam(lr=Constant(1e-3), betas=(0.0, 0.999), weight_decay=0.0),
        architecture_every=5,
        warmup=epochs // 4,
    )
