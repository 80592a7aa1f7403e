"""DARTS on a text, and the settings of that search for any other recipe."""

from dataclasses import replace

from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant
from mixop.data.windows import Windows
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipes.darts import darts


def darts_rnn(*, epochs: int = 50) -> Recipe:
    """DARTS, first order, with the settings of its search for recurrent cells on the Penn Treebank.

    For the space ``darts_rnn`` and data of texts. The second order is ``SecondOrder(clip=0.25)``: there both gradients are
    clipped as a step of the weights is. The published code reads the validation text at the places of the training text's
    windows, and never forgets its state; ours reads it in order, and every pass begins without a state.

    Scorecard (DARTS recurrent space, searched on the Penn Treebank, test perplexity):
        paper: 57.6 first order, 55.7 second order (Liu et al. 2019, table 2)
        ours: not measured

    Source: Liu, Simonyan & Yang 2019 (arXiv:1806.09055), appendix A.1.2; settings of the authors' code.
    """
    return replace(on_text(darts(epochs=epochs)), name="darts_rnn")


def on_text(recipe: Recipe) -> Recipe:
    """Another recipe with those settings: weights by SGD of rate 20, clipped at 0.25, on windows whose length varies.

    The rate of the architecture is raised as DARTS raises it, from 3e-4 to 3e-3, ten times. Wraps and stages stay as they are;
    the space refuses those that it does not fit.

    Args:
        recipe: a recipe for images.

    Example:
        >>> from mixop.recipes import drnas
        >>> recipe = on_text(drnas(epochs=3))
        >>> recipe.batch_size, recipe.clip, recipe.architecture_optimiser.lr
        (256, 0.25, Constant(value=0.003))
    """
    optimiser = recipe.architecture_optimiser
    if isinstance(optimiser, Adam):
        optimiser = replace(optimiser, lr=Constant(3e-3), betas=(0.9, 0.999))
    return replace(
        recipe,
        weight_optimiser=SGD(lr=Constant(20.0), momentum=0.0, weight_decay=5e-7),
        architecture_optimiser=optimiser,
        batch_size=256,
        clip=0.25,
        norm=BatchNorm(affine=False, track=True),
        windows=Windows(halved=0.05, spread=0.0, scale_rate=True),
    )
