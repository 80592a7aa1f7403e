"""P-DARTS: a network that grows deeper while its options grow fewer."""

from mixop.bilevel.direct import FirstOrder
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.derive.skips import RestrictedSkips
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipe.stage import Stage
from mixop.relax.softmax import Softmax
from mixop.wraps.dropout import SkipDropout


def pdarts(*, epochs: int = 75) -> Recipe:
    """P-DARTS: three stages of 0, 6 and 12 further cells, with 8, 5 and 3 options on every edge.

    Take a space of 5 cells for the published depths of 5, 11 and 17. Every stage starts with fresh weights. In the warm-up of a
    stage the dropout falls over its epochs; when the architecture begins it starts fresh and decays. The rates of the
    dropout behind skip connections are the paper's for CIFAR-10 (0, 0.4, 0.7); the authors' README has 0.1, 0.4, 0.7. Two
    things are unverified: 0.1, 0.2, 0.3 for CIFAR-100, and that 2 skip connections are left in the normal cell.

    Scorecard (DARTS space, searched on CIFAR-10, test error in %):
        paper: 2.50
        ours: not measured

    Source: Chen, Xie, Wu & Tian 2019 (arXiv:1904.12760); settings of the authors' code.
    """
    return Recipe(
        name="pdarts",
        relaxation=Softmax(),
        scheme=FirstOrder(),
        weight_optimiser=SGD(lr=Cosine(0.025, 0.0), momentum=0.9, weight_decay=3e-4),
        architecture_optimiser=Adam(lr=Constant(6e-4), betas=(0.5, 0.999), weight_decay=1e-3),
        derivation=RestrictedSkips(most=2),
        epochs=epochs,
        batch_size=96,
        clip=5.0,
        architecture_clip=5.0,
        warmup=10 * epochs // 75,
        norm=BatchNorm(affine=False, track=True),
        stages=(
            Stage(start="fresh"),
            Stage(start="fresh", options=5, cells=6, wraps=(SkipDropout(rate=0.4),)),
            Stage(start="fresh", options=3, cells=12, wraps=(SkipDropout(rate=0.7),)),
        ),
    )
