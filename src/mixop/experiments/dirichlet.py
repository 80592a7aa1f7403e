"""DrNAS beside DARTS: how sharp the loss becomes, and what the weight of the anchor does.

Source: Chen, Wang, Cheng, Tang & Hsieh 2021 (arXiv:2006.10355), sections 3 and 5, tables 5 and figures 4 and 5.
"""

from dataclasses import replace

import numpy as np

from mixop.experiments.base import Findings, Judged, Pattern
from mixop.experiments.quantities import EIGENVALUE, ENTROPY, SKIPS, TABLE
from mixop.experiments.rules import RULE, above
from mixop.experiments.searches import Searches, watched
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.regularise.anchor import AnchorL2

PAPER = "Chen et al. 2021, DrNAS (arXiv:2006.10355)"

ANCHORS = (0.0, 5e-4, 1e-3, 5e-3, 1e-2, 1e-1, 1.0)
"""Weights of the distance to the anchor in table 5."""

BEST = (1e-3, 5e-3, 1e-2)
"""Those that find the best cell there."""


def beside_darts(epochs: int) -> dict[str, Recipe]:
    """Both methods, each by its own settings."""
    return {name: watched(RECIPES[name](epochs=epochs), eigenvalue=True) for name in ("darts", "drnas")}


def anchored(epochs: int) -> dict[str, Recipe]:
    """DrNAS with every weight of the anchor."""
    recipe = watched(RECIPES["drnas"](epochs=epochs), eigenvalue=True)
    return {_anchor(weight): replace(recipe, regularisers=(AnchorL2(weight=weight),) if weight else ()) for weight in ANCHORS}


def _anchor(weight: float) -> str:
    return f"anchor-{weight:g}"


def _grows(findings: Findings) -> Judged:
    of = findings.panels[EIGENVALUE]
    return above(of.within("darts", 0.75, 1.0) - of.within("darts", 0.0, 0.25), "eigenvalue of DARTS, last less first quarter")


def _stays_below(findings: Findings) -> Judged:
    of = findings.panels[EIGENVALUE]
    return above(
        of.within("darts", 0.75, 1.0) - of.within("drnas", 0.75, 1.0), "eigenvalue in the last quarter, DARTS less DrNAS"
    )


def _moderate_anchor(findings: Findings) -> Judged:
    of = findings.panels[TABLE]
    best = np.mean([of.at_end(_anchor(weight)) for weight in BEST], axis=0)
    others = np.mean([of.at_end(_anchor(weight)) for weight in ANCHORS if weight not in BEST], axis=0)
    return above(best - others, "table accuracy at the end, anchors 0.001 to 0.01 less the others", percent=True)


def _anchor_flattens(findings: Findings) -> Judged:
    of = findings.panels[EIGENVALUE]
    none, strong = (of.within(_anchor(weight), 0.75, 1.0) for weight in (0.0, 1.0))
    return above(none - strong, "eigenvalue in the last quarter, no anchor less an anchor of 1")


EXPERIMENTS = (
    Searches(
        name="curvature-drnas",
        question="How sharp does the loss become in the architecture, with DARTS and with DrNAS?",
        source=f"{PAPER}, figure 4",
        patterns=(
            Pattern(
                "The dominant eigenvalue of DARTS grows over the search.",
                f"mean over the last quarter of the epochs less that over the first, seed by seed: {RULE}.",
                _grows,
            ),
            Pattern(
                "That of DrNAS stays low.",
                f"mean over the last quarter of the epochs, DARTS less DrNAS, seed by seed: {RULE}.",
                _stays_below,
            ),
        ),
        variants=beside_darts,
        quantities=(EIGENVALUE, TABLE, SKIPS),
    ),
    Searches(
        name="anchor-drnas",
        question="What does the weight of the distance to the anchor do in DrNAS?",
        source=f"{PAPER}, table 5 and figure 5",
        patterns=(
            Pattern(
                "Weights from 0.001 to 0.01 find better cells than none, smaller and larger ones.",
                f"table accuracy at the end, mean of those three less the mean of the other four, seed by seed: {RULE}.",
                _moderate_anchor,
            ),
            Pattern(
                "The anchor keeps the loss flat.",
                f"dominant eigenvalue over the last quarter, without an anchor less with a weight of 1, seed by seed: {RULE}.",
                _anchor_flattens,
            ),
        ),
        variants=anchored,
        quantities=(TABLE, EIGENVALUE, ENTROPY),
    ),
)
"""Figure 4 and table 5."""
