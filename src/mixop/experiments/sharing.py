"""Rank disorder: how far shared weights rank architectures as their own trainings do, whether it matters, and what decides it.

Source: Khodak & Li 2020, In defense of weight-sharing (ML@CMU blog), with figure 2 after Yu et al. 2020 (arXiv:1902.08142);
Zhang 2022, Neural Architecture Search (slides), on pitfalls of parameter sharing, after Zhang et al. 2020.
"""

from dataclasses import replace

import numpy as np

from mixop.derive.base import NORMS
from mixop.experiments.base import Findings, Judged, Pattern
from mixop.experiments.bench import Bench
from mixop.experiments.quantities import DRAWN, RHO, SUBSETS, TABLE, TAU, TAU_BY_NORM, TAU_OF_FEW, TAU_SPREAD
from mixop.experiments.rules import RULE, above
from mixop.experiments.searches import Searches
from mixop.monitors.rank_agreement import RankAgreement
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES

BLOG = "Khodak & Li 2020, In defense of weight-sharing (ML@CMU blog)"

SLIDES = "Zhang 2022, Neural Architecture Search (slides)"

METHODS = ("rsws", "darts", "gdas", "drnas", "gaea_bilevel")
"""Random search by shared weights, and methods that move an architecture."""

GOOD = 0.5
"""Of Kendall's tau: with it three of four pairs are in the right order."""


FOLLOWED = ("rsws", "darts", "gdas")
"""Uniform paths, a full mixture, and paths of a distribution that narrows."""

SCATTER = 0.1
"""Deviation of Kendall's tau that is too much to compare two of them by."""

LOOKS, BATCHES = 6, 8
"""Measurements of a search, about; and batches that an architecture is scored on in each."""


def methods(epochs: int) -> dict[str, Recipe]:
    """Each by its own settings."""
    return {name: RECIPES[name](epochs=epochs) for name in METHODS}


def followed(epochs: int) -> dict[str, Recipe]:
    """Each by its own settings, but for batch norms that keep statistics: training does not read them."""
    made = {name: RECIPES[name](epochs=epochs) for name in FOLLOWED}
    return {name: replace(recipe, norm=replace(recipe.norm, track=True)) for name, recipe in made.items()}


def ranked(recipe: Recipe, on: Bench) -> Recipe:
    """A recipe whose records say how its shared weights rank architectures, by every policy of batch norm."""
    where = on.evaluator
    monitor = RankAgreement(
        table=where.table,
        dataset=where.dataset,
        split="test" if where.test else "valid",
        length=where.epochs,
        architectures=on.ranked,
        every=max(1, on.epochs // LOOKS),
        batches=BATCHES,
        norms=NORMS,
    )
    return replace(recipe, monitors=(*recipe.monitors, monitor))


def _disorder(findings: Findings) -> Judged:
    of = findings.panels[TAU]
    return above(GOOD - np.concatenate([of.at_end(name) for name in METHODS]), f"{GOOD:g} less Kendall's tau")


def _found_anyway(findings: Findings) -> Judged:
    moving = [name for name in METHODS if name != "rsws"]
    found, drawn = (findings.panels[title] for title in (TABLE, DRAWN))
    differences = np.concatenate([found.at_end(name) - drawn.at_end(name) for name in moving])
    return above(differences, "table accuracy of what is found less that of drawn architectures", percent=True)


def _rises(findings: Findings) -> Judged:
    of = findings.panels[TAU_BY_NORM["batch"]]
    differences = [of.within(name, 0.75, 1.0) - of.within(name, 0.0, 0.25) for name in FOLLOWED]
    return above(np.concatenate(differences), "Kendall's tau, last less first quarter")


def _scatters(findings: Findings) -> Judged:
    of = findings.panels[TAU_SPREAD]
    least = np.concatenate([of.series[name][:, 0] for name in FOLLOWED])
    return above(least - SCATTER, f"deviation of Kendall's tau over {of.x[0]:g} architectures, less {SCATTER:g}")


def _better_than_running(norm: str, claim: str) -> Pattern:
    def judge(findings: Findings) -> Judged:
        one, other = (findings.panels[TAU_BY_NORM[name]] for name in (norm, "running"))
        differences = [one.within(name, 0.75, 1.0) - other.within(name, 0.75, 1.0) for name in FOLLOWED]
        return above(np.concatenate(differences), f"Kendall's tau in the last quarter, {norm} less running")

    return Pattern(
        claim,
        f"Kendall's tau over the last quarter of the measurements, {norm} less running, over all methods and seeds: {RULE}.",
        judge,
    )


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
    Searches(
        name="rank-agreement",
        question="How far does the order by shared weights depend on the epoch, on how many are ranked, and on batch norm?",
        source=f"{SLIDES}, pitfalls in parameter sharing; {BLOG}, on rank disorder; batch norm: Dong & Yang 2020, code",
        patterns=(
            Pattern(
                "The longer shared weights are trained, the better they rank.",
                "Kendall's tau with each batch's own statistics, last less first quarter of the measurements, over all methods "
                f"and seeds: {RULE}. The claim is ours: the documents look at the end only.",
                _rises,
            ),
            Pattern(
                "Few architectures measure it badly.",
                f"deviation of Kendall's tau at the end, over {SUBSETS} choices of a tenth of the architectures, less "
                f"{SCATTER:g}, over all methods and seeds: {RULE}. The number is ours.",
                _scatters,
            ),
            _better_than_running("batch", "A batch's own statistics rank better than those that the search kept."),
            _better_than_running("recalibrated", "So do statistics that are measured again for each path."),
        ),
        variants=followed,
        quantities=(*TAU_BY_NORM.values(), TAU_OF_FEW, TAU_SPREAD, TABLE),
        watch=ranked,
    ),
)
"""Rank disorder, and what it depends on."""
