"""DARTS, first order."""

from mixop.bilevel.direct import FirstOrder
from mixop.derive.argmax import Argmax
from mixop.ops import BatchNorm
from mixop.optim import SGD, Adam
from mixop.recipe import Recipe
from mixop.relax.softmax import Softmax
from mixop.schedules import Constant, Cosine


def darts(*, epochs: int = 50) -> Recipe:
    """DARTS, first order: softmax mixing weights, validation gradient at the current weights.

    Settings are those of the NAS-Bench-201 runs; the step order is that of the authors (architecture first), whereas the
    benchmark's own code steps the weights first. On NAS-Bench-201 this method is known to fall into skip connections:
    that is the result to reproduce, not a fault.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 54.30 +- 0.00 (Dong & Yang 2020, table 5; Chen et al. 2021, table 4)
        ours: not measured

    Source: Liu, Simonyan & Yang 2019 (arXiv:1806.09055); settings of Dong & Yang 2020 (arXiv:2001.00326).
    """
    return Recipe(
        name="darts",
        relaxation=Softmax(),
        scheme=FirstOrder(),
        weight_optimiser=SGD(lr=Cosine(0.025, 0.001), momentum=0.9, weight_decay=5e-4, nesterov=True),
        architecture_optimiser=Adam(lr=Constant(3e-4), betas=(0.5, 0.999), weight_decay=1e-3),
        derivation=Argmax(),
        epochs=epochs,
        batch_size=64,
        clip=5.0,
        norm=BatchNorm(affine=False, track=False),
    )
