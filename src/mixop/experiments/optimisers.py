"""Which optimiser for the weights, and which for the architecture: the question of Shin 2022, for three methods.

The document gives neither rates nor momenta, and names a pair ``X + Y``, which its conclusion shows to be that of the weights
and that of the architecture. Rates are ours: those of published searches where they use that optimiser, else the usual ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.experiments.base import Experiment, Findings, Judged, Pattern
from mixop.experiments.quantities import EIGENVALUE, GAP, PHI, SHARPNESS, SUPERNET, TABLE, TRACE
from mixop.experiments.rules import RULE, above, early
from mixop.experiments.searches import Searches, watched
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES

SOURCE = "Shin 2022, Optimizer Combination Analysis for Differentiable Neural Architecture Search (slides)"

WEIGHTS = {
    "sgd": SGD(lr=Cosine(0.025, 0.001), momentum=0.9, weight_decay=5e-4),
    "adam": Adam(lr=Cosine(1e-3, 0.0), betas=(0.9, 0.999), weight_decay=5e-4),
}
ARCHITECTURE = {
    "sgd": SGD(lr=Constant(0.025), momentum=0.9, weight_decay=1e-3),
    "adam": Adam(lr=Constant(3e-4), betas=(0.5, 0.999), weight_decay=1e-3),
}
MOMENTA = (0.0, 0.3, 0.6, 0.9, 0.99)
MEASURED = (SUPERNET, EIGENVALUE, TABLE, GAP, SHARPNESS, TRACE, PHI)
METHODS = {"darts": "DARTS", "darts_minus": "DARTS-", "sdarts_rs": "SDARTS-RS"}


def pairs(method: str) -> Callable[[int], dict[str, Recipe]]:
    """Variants of a method: each optimiser of the weights with each of the architecture, called ``weights-architecture``."""

    def variants(epochs: int) -> dict[str, Recipe]:
        recipe = _watched(method, epochs)
        return {
            f"{of_weights}-{of_architecture}": replace(recipe, weight_optimiser=one, architecture_optimiser=other)
            for of_weights, one in WEIGHTS.items()
            for of_architecture, other in ARCHITECTURE.items()
        }

    return variants


def momenta(method: str) -> Callable[[int], dict[str, Recipe]]:
    """Variants of a method: SGD of the weights with each momentum, the architecture as published."""

    def variants(epochs: int) -> dict[str, Recipe]:
        recipe = _watched(method, epochs)
        return {f"momentum-{m:g}": replace(recipe, weight_optimiser=replace(WEIGHTS["sgd"], momentum=m)) for m in MOMENTA}

    return variants


def _watched(method: str, epochs: int) -> Recipe:
    return watched(RECIPES[method](epochs=epochs), eigenvalue=True, gap=True)


def _sgd_above_adam(panel: str, sign: int, words: str) -> Callable[[Findings], Judged]:
    """SGD of the weights less Adam, at the end, for each optimiser of the architecture and each seed."""

    def judge(findings: Findings) -> Judged:
        of = findings.panels[panel]
        differences = [sign * (of.at_end(f"sgd-{other}") - of.at_end(f"adam-{other}")) for other in ARCHITECTURE]
        return above(np.concatenate(differences), words, percent=of.percent)

    return judge


def _adam_pair_best(findings: Findings) -> Judged:
    of = findings.panels[TABLE]
    ends = {name: of.at_end(name) for name in of.series}
    rivals = np.max([ends[name] for name in ends if name != "adam-adam"], axis=0)
    return above(ends["adam-adam"] - rivals, "table accuracy at the end, adam-adam less the best other pair", percent=True)


def _moderate_loses_less(findings: Findings) -> Judged:
    of = findings.panels[TABLE]
    lost = {name: of.within(name, 0.25, 0.5) - of.within(name, 0.75, 1.0) for name in of.series}
    moderate = np.mean([lost[f"momentum-{m:g}"] for m in (0.3, 0.6, 0.9)], axis=0)
    extreme = np.mean([lost[f"momentum-{m:g}"] for m in (0.0, 0.99)], axis=0)
    return above(extreme - moderate, "loss of table accuracy, momentum 0 and 0.99 less 0.3 to 0.9", percent=True)


def _early_peak(variants: Mapping[str, Recipe]) -> Pattern:
    names = tuple(variants)
    return Pattern(
        "All searches are at their best early and lose later.",
        f"table accuracy in the second quarter of the epochs less that in the last quarter, over all runs: {RULE}.",
        lambda findings: early(findings, TABLE, names, "table accuracy"),
    )


def _of_pairs(method: str) -> Experiment:
    title = METHODS[method]
    if method == "sdarts_rs":
        patterns = [
            Pattern(
                "With noise on the architecture, Adam for both is the best.",
                f"table accuracy at the end, Adam for both less the best other pair, seed by seed: {RULE}.",
                _adam_pair_best,
            )
        ]
    else:
        patterns = [
            Pattern(
                f"{claim}, for either optimiser of the architecture.",
                f"{words}, SGD less Adam for the weights, pair by pair and seed by seed{less}: {RULE}.",
                _sgd_above_adam(panel, sign, f"{words}, SGD less Adam{less}"),
            )
            for claim, words, panel, sign, less in (
                ("The supernet is better with SGD for the weights", "supernet accuracy at the end", SUPERNET, 1, ""),
                (
                    "The loss is flatter in the architecture with SGD for the weights",
                    "dominant eigenvalue at the end",
                    EIGENVALUE,
                    -1,
                    ", negated",
                ),
                ("What is found is better with SGD for the weights", "table accuracy at the end", TABLE, 1, ""),
                ("Less is lost by rounding with SGD for the weights", "accuracy lost by rounding", GAP, -1, ", negated"),
                (
                    "SGD ends in flatter minima of the weights",
                    "largest eigenvalue in the weights",
                    SHARPNESS,
                    -1,
                    ", negated",
                ),
            )
        ]
    variants = pairs(method)
    return Searches(
        name=f"optimisers-{method.replace('_', '-')}",
        question=f"Which optimiser for the weights and which for the architecture of {title}?",
        source=f"{SOURCE}, optimizer comparison",
        patterns=(*patterns, _early_peak(variants(1))),
        variants=variants,
        quantities=MEASURED,
    )


def _of_momenta(method: str) -> Experiment:
    variants = momenta(method)
    return Searches(
        name=f"momentum-{method.replace('_', '-')}",
        question=f"Which momentum of SGD for the weights of {METHODS[method]}?",
        source=f"{SOURCE}, momentum comparison",
        patterns=(
            Pattern(
                "A moderate momentum reduces what is lost late in the search.",
                "table accuracy in the second quarter less the last quarter: that of the momenta 0 and 0.99 less that of 0.3, "
                f"0.6 and 0.9, seed by seed: {RULE}.",
                _moderate_loses_less,
            ),
            _early_peak(variants(1)),
        ),
        variants=variants,
        quantities=MEASURED[:4],
    )


EXPERIMENTS: tuple[Experiment, ...] = (*map(_of_pairs, METHODS), *map(_of_momenta, METHODS))
"""For each of the three methods: the four pairs of optimisers, and the sweep of momenta."""
