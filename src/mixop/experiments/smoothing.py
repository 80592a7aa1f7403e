"""What noise on the mixing weights does to the landscape of the loss: DARTS beside SDARTS-RS.

Source: Shin 2022, Optimizer Combination Analysis for Differentiable Neural Architecture Search (slides), on Smooth DARTS; the
method is that of Chen & Hsieh 2020 (arXiv:2002.05283).
"""

from mixop.experiments.base import Findings, Judged, Pattern
from mixop.experiments.optimisers import SOURCE
from mixop.experiments.quantities import ACCURACIES, EIGENVALUE, FALL, LOSSES, RISE, TABLE
from mixop.experiments.rules import RULE, above
from mixop.experiments.searches import Searches, watched
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES


def beside_darts(epochs: int) -> dict[str, Recipe]:
    """Both methods, each by its own settings."""
    return {name: watched(RECIPES[name](epochs=epochs), eigenvalue=True) for name in ("darts", "sdarts_rs")}


def _flatter(findings: Findings) -> Judged:
    of = findings.panels[RISE]
    return above(of.at_end("darts") - of.at_end("sdarts_rs"), "mean rise of the loss, DARTS less SDARTS-RS")


def _more_even(findings: Findings) -> Judged:
    of = findings.panels[FALL]
    return above(of.at_end("darts") - of.at_end("sdarts_rs"), "mean fall of the accuracy, DARTS less SDARTS-RS", percent=True)


def _smaller_eigenvalue(findings: Findings) -> Judged:
    of = findings.panels[EIGENVALUE]
    difference = of.within("darts", 0.75, 1.0) - of.within("sdarts_rs", 0.75, 1.0)
    return above(difference, "eigenvalue in the last quarter, DARTS less SDARTS-RS")


EXPERIMENTS = (
    Searches(
        name="landscape-sdarts",
        question="Is the landscape around the architecture flatter where the weights are trained under noise?",
        source=f"{SOURCE}, Smooth DARTS",
        patterns=(
            Pattern(
                "The loss is flatter around the architecture of SDARTS-RS.",
                "rise of the validation loss above that of the middle, mean over the grid, DARTS less SDARTS-RS, seed by seed: "
                f"{RULE}.",
                _flatter,
            ),
            Pattern(
                "The accuracy is more even around it.",
                "fall of the validation accuracy below that of the middle, mean over the grid, DARTS less SDARTS-RS, seed by "
                f"seed: {RULE}.",
                _more_even,
            ),
            Pattern(
                "Noise keeps the Hessian small.",
                f"dominant eigenvalue over the last quarter of the epochs, DARTS less SDARTS-RS, seed by seed: {RULE}.",
                _smaller_eigenvalue,
            ),
        ),
        variants=beside_darts,
        quantities=(RISE, FALL, EIGENVALUE, TABLE),
        surfaces=(LOSSES, ACCURACIES),
        notes=(
            "A landscape is scanned at the end of a search, on at most 256 validation examples, from -1 to 1 along two random "
            "orthogonal directions of length 1 in the architecture parameters, the same for all runs. Its figure is the mean "
            "over runs; darker is a higher rise or a deeper fall.",
        ),
    ),
)
"""Landscapes."""
