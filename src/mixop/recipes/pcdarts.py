"""PC-DARTS: partial channels and edge normalisation."""

from mixop.bilevel.direct import FirstOrder
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.derive.argmax import Argmax
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.relax.softmax import Softmax
from mixop.wraps.edges import EdgeNormalisation
from mixop.wraps.partial import PartialChannels


def pcdarts(*, epochs: int = 50) -> Recipe:
    """PC-DARTS: the options see a quarter of the channels, and the edges into a node are weighed.

    The paper draws the quarter at random; the authors' code takes the first channels and then shuffles all of them. Ours does
    what the code does; ``PartialChannels(channels="random")`` does what the paper says. The code prints the architecture at the
    start of each epoch, so its last one is an epoch older than ours. Their ImageNet search has ``k=2``, batches of 1024, rate
    0.5, architecture rate 6e-3 clipped at 5 and 35 epochs of warm-up.

    Scorecard (DARTS space, searched on CIFAR-10, test error in %):
        paper: 2.57 +- 0.07
        ours: not measured

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 93.41 +- 0.30 (Chen et al. 2021, table 4)
        ours: 92.0 +- 1.8 at a small scale, 10 seeds (docs/results.md)
        ours: 93.2 +- 0.1 at a medium scale, 5 seeds (docs/results.md)

    Source: Xu et al. 2020 (arXiv:1907.05737); settings of the authors' code for the DARTS space and CIFAR-10.
    """
    return Recipe(
        name="pcdarts",
        relaxation=Softmax(),
        scheme=FirstOrder(),
        weight_optimiser=SGD(lr=Cosine(0.1, 0.0), momentum=0.9, weight_decay=3e-4),
        architecture_optimiser=Adam(lr=Constant(6e-4), betas=(0.5, 0.999), weight_decay=1e-3),
        derivation=Argmax(),
        epochs=epochs,
        batch_size=256,
        clip=5.0,
        warmup=15 * epochs // 50,
        norm=BatchNorm(affine=False, track=True),
        wraps=(PartialChannels(k=4), EdgeNormalisation()),
    )
