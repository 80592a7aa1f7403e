"""Rank disorder: how far shared weights rank architectures as their own trainings do, and whether it matters.

Source: Khodak & Li 2020, In defense of weight-sharing (ML@CMU blog), with figure 2 after Yu et al. 2020 (arXiv:1902.08142).
"""

import numpy as np

from mixop.experiments.base import Findings, Judged, Pattern
from mixop.experiments.quantities import DRAWN, RHO, TABLE, TAU
from mixop.experiments.rules import RULE, above
from mixop.experiments.searches import Searches
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES

BLOG = "Khodak & Li 2020, In defense of weight-sharing (ML@CMU blog)"

METHODS = ("rsws", "darts", "gdas", "drnas", "gaea_bilevel")
"""Random search by shared weights, and methods that move an architecture."""

GOOD = 0.5
"""Of Kendall's tau: with it three of four pairs are in the right order."""


def methods(epochs: int) -> dict[str, Recipe]:
    """Each by its own settings."""
    return {name: RECIPES[name](epochs=epochs) for name in METHODS}


def _disorder(findings: Findings) -> Judged:
    of = findings.panels[TAU]
    return above(GOOD - np.concatenate([of.at_end(name) for name in METHODS]), f"{GOOD:g} less Kendall's tau")


def _found_anyway(findings: Findings) -> Judged:
    moving = [name for name in METHODS if name != "rsws"]
    found, drawn = (findings.panels[title] for title in (TABLE, DRAWN))
    differences = np.concatenate([found.at_end(name) - drawn.at_end(name) for name in moving])
    return above(differences, "table accuracy of what is found less that of drawn architectures", percent=True)


EXPERIMENTS = (
    Searches(
        name="rank-disorder",
        question="Do shared weights rank architectures as their own trainings do, and does a search need it?",
        source=f"{BLOG}, figure 2 and the section on rank disorder",
        patterns=(
            Pattern(
                "Shared weights rank architectures badly.",
                f"{GOOD:g} less Kendall's tau over 100 architectures drawn alike, at the end, over all methods and seeds: "
                f"{RULE}.",
                _disorder,
            ),
            Pattern(
                "Methods that move an architecture find good ones all the same.",
                "table accuracy of what is found less the mean of those architectures, over all methods but random search and "
                f"all seeds: {RULE}.",
                _found_anyway,
            ),
        ),
        variants=methods,
        quantities=(TAU, RHO, TABLE, DRAWN),
    ),
)
"""Rank disorder."""
