"""DrNAS: how sharp the loss becomes and what bounds that, what the anchor does, how it explores, what partial channels cost.

Source: Chen, Wang, Cheng, Tang & Hsieh 2021 (arXiv:2006.10355), proposition 1, tables 1 and 5, figures 1, 4 and 5.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mixop.experiments.base import Findings, Judged, Panel, Pattern, Request
from mixop.experiments.bench import bench
from mixop.experiments.quantities import (
    BEST_DRAWN,
    BOUND,
    DISTINCT,
    EIGENVALUE,
    ENTROPY,
    EXPANDED,
    EXPECTED,
    MEMORY,
    MU_LEAST,
    MU_TRACE,
    RANGE,
    SKIPS,
    SPREAD,
    TABLE,
)
from mixop.experiments.rules import RULE, above
from mixop.experiments.searches import Searches, watched
from mixop.monitors.dirichlet import DirichletBound
from mixop.monitors.exploration import Exploration
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.regularise.anchor import AnchorL2
from mixop.wraps.partial import PartialChannels

PAPER = "Chen et al. 2021, DrNAS (arXiv:2006.10355)"

ANCHORS = (0.0, 5e-4, 1e-3, 5e-3, 1e-2, 1e-1, 1.0)
"""Weights of the distance to the anchor in table 5."""

BEST = (1e-3, 5e-3, 1e-2)
"""Those that find the best cell there."""


EXPLORING: Mapping[str, Literal["draw", "weights"]] = {"drnas": "draw", "darts": "weights", "gdas": "draw", "snas": "draw"}
"""Methods with a distribution over architectures, and how they are drawn: DARTS has only its softmax."""

NEAR = 0.01
"""Of accuracy: how near to the best of the drawn architectures still counts as matching it. Ours."""

SHARES = (1, 2, 4, 8)
"""K in table 1: the share 1/K of the channels goes through the operations."""

PROGRESSIVE = "progressive"


BY_SHARE = {TABLE: "table accuracy by K", MEMORY: "memory of a step in MiB by K"}
"""Table 1 as figures: what the search ended with, by the title of where it comes from."""


@dataclass(frozen=True, kw_only=True)
class Shares(Searches):
    """Searches on shares of the channels, with figures along K."""

    def run(self, request: Request) -> Findings:
        found = super().run(request)
        along = {title: by_share(found.panels[of], title) for of, title in BY_SHARE.items()}
        return replace(found, panels={**along, **found.panels})


def by_share(panel: Panel, title: str) -> Panel:
    """The last values of a panel along K; those of the two stages are the same at every K.

    Args:
        panel: with the variants of `partial`.
        title: of the new one.
    """
    shares = np.stack([panel.at_end(_share(k)) for k in SHARES], axis=1)
    stages = np.repeat(panel.at_end(PROGRESSIVE)[:, None], len(SHARES), axis=1)
    return Panel(
        title, tuple(map(float, SHARES)), {"one stage": shares, "two stages": stages}, panel.percent, along="K", unit=panel.unit
    )


def beside_darts(epochs: int) -> dict[str, Recipe]:
    """Both methods, each by its own settings."""
    return {name: watched(RECIPES[name](epochs=epochs), eigenvalue=True) for name in ("darts", "drnas")}


def anchored(epochs: int) -> dict[str, Recipe]:
    """DrNAS with every weight of the anchor."""
    recipe = watched(RECIPES["drnas"](epochs=epochs), eigenvalue=True)
    return {_anchor(weight): replace(recipe, regularisers=(AnchorL2(weight=weight),) if weight else ()) for weight in ANCHORS}


def exploring(epochs: int) -> dict[str, Recipe]:
    """Each method by its own settings, with architectures that are drawn after every epoch."""
    found = {}
    for name, by in EXPLORING.items():
        recipe = RECIPES[name](epochs=epochs)
        found[name] = replace(recipe, monitors=(*recipe.monitors, Exploration(by=by)))
    return found


def partial(epochs: int) -> dict[str, Recipe]:
    """DrNAS with every share of the channels, and in two stages."""
    recipe = RECIPES["drnas"](epochs=epochs)
    shares = {_share(k): replace(recipe, wraps=(PartialChannels(k=k),) if k > 1 else ()) for k in SHARES}
    return {**shares, PROGRESSIVE: RECIPES["drnas_progressive_201"](epochs=epochs)}


def bounded(epochs: int) -> dict[str, Recipe]:
    """DrNAS, with its bound after every epoch."""
    recipe = RECIPES["drnas"](epochs=epochs)
    return {"drnas": replace(recipe, monitors=(*recipe.monitors, DirichletBound()))}


def _share(k: int) -> str:
    return f"k-{k}"


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


def _narrows(title: str) -> Callable[[Findings], Judged]:
    def judge(findings: Findings) -> Judged:
        of = findings.panels[title]
        return above(
            of.within("drnas", 0.0, 0.25) - of.within("drnas", 0.75, 1.0),
            f"{title} of DrNAS, first less last quarter",
            percent=True,
        )

    return judge


def _matches_the_best(findings: Findings) -> Judged:
    best, derived = (findings.panels[title].within("drnas", 0.75, 1.0) for title in (BEST_DRAWN, TABLE))
    return above(
        NEAR - (best - derived),
        "table accuracy in the last quarter, one point less what the best drawn one is ahead",
        percent=True,
    )


def _fewer_channels_cost(findings: Findings) -> Judged:
    of = findings.panels[TABLE]
    return above(of.at_end(_share(1)) - of.at_end(_share(8)), "table accuracy at the end, K = 1 less K = 8", percent=True)


def _progressive_mends(findings: Findings) -> Judged:
    of = findings.panels[TABLE]
    return above(
        of.at_end(PROGRESSIVE) - of.at_end(_share(8)), "table accuracy at the end, two stages less K = 8", percent=True
    )


def _less_memory(variant: str) -> Callable[[Findings], Judged]:
    def judge(findings: Findings) -> Judged:
        of = findings.panels[MEMORY]
        return above(of.at_end(_share(1)) - of.at_end(variant), f"memory in MiB, K = 1 less {variant}")

    return judge


def _bound_holds(findings: Findings) -> Judged:
    expected, bound = (findings.panels[title].within("drnas", 0.0, 1.0) for title in (EXPECTED, BOUND))
    return above(expected - bound, "expected loss less its bound, mean over all epochs")


def _curvature_costs(findings: Findings) -> Judged:
    return above(findings.panels[EXPECTED].within("drnas", 0.0, 1.0), "expected loss less that of the mean, over all epochs")


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
    Searches(
        name="range-drnas",
        question="How far apart are the architectures that a search's distribution gives, early and late?",
        source=f"{PAPER}, section 4.4 and figure 1",
        patterns=(
            Pattern(
                "The accuracies that DrNAS draws range widely at first and narrowly in the end.",
                "largest less smallest table accuracy of 100 drawn architectures, mean over the first quarter of the epochs "
                f"less that over the last, seed by seed: {RULE}.",
                _narrows(RANGE),
            ),
            Pattern(
                "So does their standard deviation, which no single draw decides.",
                "standard deviation of the table accuracy of 100 drawn architectures, mean over the first quarter of the "
                f"epochs less that over the last, seed by seed: {RULE}. The document has the range alone.",
                _narrows(SPREAD),
            ),
            Pattern(
                "What DrNAS derives matches the best of what it draws.",
                "one point less what the best of 100 drawn architectures is ahead of the derived one, mean over the last "
                f"quarter of the epochs, seed by seed: {RULE}. One point is ours.",
                _matches_the_best,
            ),
        ),
        variants=exploring,
        quantities=(RANGE, SPREAD, BEST_DRAWN, TABLE, DISTINCT),
        notes=(
            "An architecture is drawn as the option of largest weight of a draw in every decision; of DARTS, which draws "
            "nothing, as an option with the probability of its weight.",
        ),
    ),
    Shares(
        name="partial-drnas",
        question="What do partial channels cost DrNAS, and do stages give it back?",
        source=f"{PAPER}, section 2.4 and table 1",
        patterns=(
            Pattern(
                "What is found is worse where an eighth of the channels is searched.",
                f"table accuracy at the end, K = 1 less K = 8, seed by seed: {RULE}.",
                _fewer_channels_cost,
            ),
            Pattern(
                "An eighth of the channels needs less memory.",
                f"memory of a step, K = 1 less K = 8, seed by seed: {RULE}.",
                _less_memory(_share(8)),
            ),
            Pattern(
                "In two stages, with fewer options and more channels in the second, better ones are found.",
                f"table accuracy at the end, two stages less K = 8, seed by seed: {RULE}.",
                _progressive_mends,
            ),
            Pattern(
                "Two stages need less memory than all channels.",
                f"memory of a step, K = 1 less the larger one of both stages, seed by seed: {RULE}.",
                _less_memory(PROGRESSIVE),
            ),
        ),
        variants=partial,
        quantities=(TABLE, MEMORY, ENTROPY),
        on=lambda request: bench(request, max(SHARES)),
        notes=(
            "Memory is that of weights, gradients and momentum and of what a forward pass of a batch keeps for the backward "
            "pass, in the plain executor: the same on every machine.",
            "The stages are those of the authors' code, a quarter of the channels and then half of them for the 3 best "
            "options; in the paper's table they have the memory of K = 8.",
        ),
    ),
    Searches(
        name="bound-drnas",
        question="Is the expected loss of DrNAS above the bound that its proposition derives?",
        source=f"{PAPER}, proposition 1 and appendix A.1",
        patterns=(
            Pattern(
                "The expected validation loss is at least the loss of the mean plus a share of the trace of its Hessian.",
                "mean loss over 64 draws of the mixing weights less the bound, mean over all epochs, seed by seed: "
                f"{RULE}. The proposition supposes a Hessian without negative eigenvalues; the rule does not wait for one.",
                _bound_holds,
            ),
            Pattern(
                "The expected loss is above that of the mean mixing weights, as a positive curvature makes it.",
                f"mean loss over 64 draws less that of the mean mixing weights, mean over all epochs, seed by seed: {RULE}.",
                _curvature_costs,
            ),
        ),
        variants=bounded,
        quantities=(EXPECTED, EXPANDED, BOUND, MU_TRACE, MU_LEAST, TABLE),
        notes=(
            "All losses are of one validation batch, in the weights of the epoch. The expansion has the Laplace variances, the "
            "bound the least that they can be at that distance of the concentrations from 1.",
        ),
    ),
)
"""Proposition 1, figures 1, 4 and 5, tables 1 and 5."""
