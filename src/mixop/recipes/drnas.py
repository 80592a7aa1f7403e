"""DrNAS, without and with progressive stages."""

from dataclasses import replace

from mixop.bilevel.direct import FirstOrder
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.derive.argmax import Argmax
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipe.stage import Stage
from mixop.regularise.anchor import AnchorL2
from mixop.relax.dirichlet import Dirichlet
from mixop.wraps.partial import PartialChannels


def drnas(*, epochs: int = 100) -> Recipe:
    """DrNAS: mixing weights drawn from a Dirichlet distribution whose concentration is learnt.

    The published code implements the distance to the anchor as weight decay in Adam. `AnchorL2` with the same weight gives
    the same gradient and says what it is. On NAS-Bench-201 the norm that the code clips in the weight step counts the logits'
    gradient of the training loss too; ours does not.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 94.36 +- 0.00 (Chen et al. 2021, table 4)
        ours: 85.5 +- 11.5 at a small scale, 10 seeds (docs/results.md)
        ours: 93.8 +- 0.3 at a medium scale, 5 seeds (docs/results.md)

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


def drnas_progressive(*, epochs: int = 50) -> Recipe:
    """DrNAS with two stages in the DARTS space: fewer options and more channels in the second one, weights carried over.

    The authors search at the size of their evaluation, 20 cells of 36 channels, in the space without ``none`` (``s5``). The
    stages are those of their code: a sixth of the channels, then a quarter for the 4 best options. `drnas_progressive_paper`
    has the paper's stages. Channels must be a multiple of 12. The widening is the code's, without division; for Net2Net's,
    set ``preserve`` of a stage.

    Scorecard (DARTS space, searched on CIFAR-10, test error in %):
        paper: 2.46 +- 0.03
        ours: not measured

    Source: Chen, Wang, Cheng, Tang & Hsieh 2021 (arXiv:2006.10355), section 3.3; settings of the authors' code.
    """
    return replace(
        drnas(epochs=epochs),
        name="drnas_progressive",
        weight_optimiser=SGD(lr=Cosine(0.1, 0.0), momentum=0.9, weight_decay=3e-4),
        architecture_optimiser=Adam(lr=Constant(6e-4), betas=(0.5, 0.999), weight_decay=0.0),
        warmup=10 * epochs // 50,
        norm=BatchNorm(affine=False, track=True),
        stages=_stages(first=6, second=4, options=4),
    )


def drnas_progressive_paper(*, epochs: int = 50) -> Recipe:
    """DrNAS with the two stages that the paper states: a sixth of the channels, then a third for the 4 best options.

    The paper starts from 8 options, its code from the 7 without ``none``. Everything else is as in `drnas_progressive`.

    Scorecard (DARTS space, searched on CIFAR-10, test error in %):
        paper: 2.46 +- 0.03
        ours: not measured

    Source: Chen, Wang, Cheng, Tang & Hsieh 2021 (arXiv:2006.10355), section 4.2.
    """
    recipe = drnas_progressive(epochs=epochs)
    return replace(recipe, name="drnas_progressive_paper", stages=_stages(first=6, second=3, options=4))


def drnas_progressive_201(*, epochs: int = 100) -> Recipe:
    """DrNAS with two stages on NAS-Bench-201: a quarter of the channels, then half of them for the 3 best options.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: 94.36 +- 0.00 (Chen et al. 2021, table 1)
        ours: 87.9 +- 7.0 at a small scale, 3 seeds (docs/results.md)

    Source: Chen, Wang, Cheng, Tang & Hsieh 2021 (arXiv:2006.10355); settings of the authors' code.
    """
    return replace(
        drnas(epochs=epochs),
        name="drnas_progressive_201",
        warmup=10 * epochs // 100,
        stages=_stages(first=4, second=2, options=3),
    )


def _stages(*, first: int, second: int, options: int) -> tuple[Stage, ...]:
    """Two stages of one length: all options on ``1 / first`` of the channels, the best ones on ``1 / second``."""
    return Stage(wraps=(PartialChannels(k=first),)), Stage(options=options, wraps=(PartialChannels(k=second),))
