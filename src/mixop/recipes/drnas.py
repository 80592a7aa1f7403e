"""DrNAS without progressive stages."""

from mixop.bilevel.direct import FirstOrder
from mixop.derive.argmax import Argmax
from mixop.ops import BatchNorm
from mixop.optim import SGD, Adam
from mixop.recipe import Recipe
from mixop.regularise.anchor import AnchorL2
from mixop.relax.dirichlet import Dirichlet
from mixop.schedules import Constant, Cosine


def drnas(*, epochs: int = 100) -> Recipe:
    """DrNAS: mixing weights drawn from a Dirichlet distribution whose concentration is learnt.

    The published code writes the distance to the anchor as weight decay in Adam; `AnchorL2` with the same weight gives the
    same gradient and says what it is.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 94.36 +- 0.00 (Chen et al. 2021, table 4)
        ours: not measured

    Source: Chen, Wang, Cheng, Tang & Hsieh 2021 (arXiv:2006.10355); settings of the authors' NAS-Bench-201 code.
    """
    return Recipe(
        name="drnas",
        relaxation=Dirichlet(),
        scheme=FirstOrder(),
        regularisers=(AnchorL2(weight=1e-3),),
        weight_optimiser=SGD(lr=Cosine(0.025, 0.001), momentum=0.9, weight_decay=3e-4),
        architecture_optimiser=Adam(lr=Constant(3e-4), betas=(0.5, 0.999), weight_decay=0.0),
        derivation=Argmax(),
        epochs=epochs,
        batch_size=64,
        clip=5.0,
        norm=BatchNorm(affine=False, track=False),
    )
