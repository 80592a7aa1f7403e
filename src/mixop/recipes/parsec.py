"""PARSEC: sampled architectures, weighted by how well they explain the data."""

from mixop.bilevel.importance import ImportanceWeighted
from mixop.bilevel.weight_step import ImportanceDraws
from mixop.recipe.core import Recipe
from mixop.recipes._base import family
from mixop.relax.categorical import Categorical


def parsec(*, epochs: int = 100) -> Recipe:
    """PARSEC: 16 architectures drawn for each step and weighted by their likelihood; a prior is learnt.

    Approximate: no code was published, and formulas, number of samples, optimisers and length are from memory (unverified).
    Weights are trained as in `darts`, the logits by the same Adam. The importance weights are normalised over the samples,
    which biases both gradients when there are few of them. All cells of a group share a draw, each sample of a step is another
    one, and the weights of options that no sample runs decay like the others.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: not published (test error 2.81 +- 0.03 in the DARTS space)
        ours: 86.5 +- 0.0 at a small scale, 3 seeds (docs/results.md)

    Source: Casale, Gordon & Fusi 2019 (arXiv:1902.05116).
    """
    return family(
        "parsec",
        epochs,
        relaxation=Categorical(),
        scheme=ImportanceWeighted(samples=16),
        weight_step=ImportanceDraws(samples=16),
    )
