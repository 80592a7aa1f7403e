"""SmoothDARTS: weights that do well in a whole neighbourhood of the architecture."""

from dataclasses import replace

from mixop.bilevel.perturb import Adversarial, RandomSmoothing
from mixop.core.schedules import Linear
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipes._base import family
from mixop.recipes.pcdarts import pcdarts


def sdarts_rs(*, epochs: int = 100) -> Recipe:
    """SDARTS-RS: DARTS whose weights are trained under uniform noise on the mixing weights.

    The radius grows linearly from 0.03 towards 0.3. Paper and code disagree on what is perturbed: the formulas add noise to
    the logits, the code to their softmax, followed by a clip to the simplex. Ours follows the code. The architecture step is
    clean and first order.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: not at hand (test error 2.67 +- 0.03 in the DARTS space)
        ours: 90.9 +- 2.7 at a small scale, 10 seeds (docs/results.md)
        ours: 93.4 +- 0.9 at a medium scale, 5 seeds (docs/results.md)

    Source: Chen & Hsieh 2020 (arXiv:2002.05283), eq. 6; settings of the authors' NAS-Bench-201 code.
    """
    return family("sdarts_rs", epochs, perturbation=RandomSmoothing(radius=Linear(0.03, 0.3, closed=False)))


def sdarts_adv(*, epochs: int = 100) -> Recipe:
    """SDARTS-ADV: DARTS whose weights are trained under the worst mixing weights nearby; slower and stronger.

    Each weight step first raises the training loss by 7 steps in the mixing weights, and falls back to the clean ones if
    that did not raise it. Batch norm tracks, because these steps see the network in evaluation mode, with running statistics
    as in the authors' code. There the architecture's passes move the statistics too; ours come from weight steps alone. The
    rest is as in `sdarts_rs`.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: not at hand (test error 2.61 +- 0.02 in the DARTS space)
        ours: 93.1 +- 1.1 at a small scale, 3 seeds (docs/results.md)

    Source: Chen & Hsieh 2020 (arXiv:2002.05283), eq. 7 and algorithm 1; settings of the authors' NAS-Bench-201 code.
    """
    return family(
        "sdarts_adv",
        epochs,
        perturbation=Adversarial(radius=Linear(0.03, 0.3, closed=False), steps=7),
        norm=BatchNorm(affine=False, track=True),
    )


def sdarts_rs_pc(*, epochs: int = 50) -> Recipe:
    """SDARTS-RS on PC-DARTS: random noise on the mixing weights of options and edges.

    The authors published numbers, but no code: their file for partial channels perturbs nothing. It has no warm-up, batches of
    64 and the rates of `sdarts_rs`. Ours has the settings of `pcdarts`, and the radius begins to grow after its warm-up.

    Scorecard (DARTS space, searched on CIFAR-10, test error in %):
        paper: not read
        ours: not measured

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: not published
        ours: 91.0 +- 2.1 at a small scale, 3 seeds (docs/results.md)

    Source: Chen & Hsieh 2020 (arXiv:2002.05283), eq. 6; Xu et al. 2020 (arXiv:1907.05737) for the settings.
    """
    return replace(pcdarts(epochs=epochs), name="sdarts_rs_pc", perturbation=sdarts_rs().perturbation)


def sdarts_adv_pc(*, epochs: int = 50) -> Recipe:
    """SDARTS-ADV on PC-DARTS: the worst mixing weights of options and edges within a radius.

    What is published of it, and what is not, is as in `sdarts_rs_pc`.

    Scorecard (DARTS space, searched on CIFAR-10, test error in %):
        paper: not read
        ours: not measured

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: not published
        ours: 87.6 +- 1.1 at a small scale, 3 seeds (docs/results.md)

    Source: Chen & Hsieh 2020 (arXiv:2002.05283), eq. 7; Xu et al. 2020 (arXiv:1907.05737) for the settings.
    """
    return replace(pcdarts(epochs=epochs), name="sdarts_adv_pc", perturbation=sdarts_adv().perturbation)
