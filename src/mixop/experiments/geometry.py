"""The geometry of the architecture: exponentiated gradient beside gradients of logits, one level beside two.

Source: Li, Khodak, Balcan & Talwalkar 2021 (arXiv:2004.07802), and Khodak & Li 2020, In defense of weight-sharing for neural
architecture search (ML@CMU blog).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixop.bilevel.direct import FirstOrder, SingleLevel
from mixop.experiments.base import Findings, Judged, Pattern
from mixop.experiments.quantities import ENTROPY, GAP, TABLE
from mixop.experiments.rules import RULE, above
from mixop.experiments.searches import Searches, watched
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES

BLOG = "Khodak & Li 2020, In defense of weight-sharing (ML@CMU blog)"

BASES = {"darts": "gaea_bilevel", "pcdarts": "gaea_pcdarts", "gdas": "gaea_gdas"}
"""Methods, each with the same one on the simplex, on two levels as well."""

SCHEMES = {"two": FirstOrder(), "one": SingleLevel(same_batch=False)}
"""The architecture step uses the validation split, or the training set that the weights use."""

LEVELS = ("darts", "drnas", "sdarts_rs", "gaea")
"""Methods that are compared one by one."""

BOTH = (
    *(
        "darts",
        "sdarts_rs",
        "sdarts_adv",
        "darts_minus",
        "pcdarts",
        "sdarts_rs_pc",
        "sdarts_adv_pc",
        "drnas",
        "gaea",
        "gaea_gdas",
    ),
    *("gaea_pcdarts", "gdas", "snas", "dsnas", "proxylessnas", "bayesnas", "prdarts"),
)
"""All methods of a single stage that allow both, apart from those that differ from one of these by their scheme only."""


def on_the_simplex(epochs: int) -> dict[str, Recipe]:
    """Each base, and its exponentiated form."""
    return {name: RECIPES[name](epochs=epochs) for pair in BASES.items() for name in pair}


def levels(epochs: int) -> dict[str, Recipe]:
    """Each method on two levels, and on one."""
    return _on_both(LEVELS, epochs)


def levels_of_all(epochs: int) -> dict[str, Recipe]:
    """The same for every method that allows both."""
    return _on_both(BOTH, epochs)


def level_of(variant: str) -> str:
    """Which of the two a variant has: ``one level`` or ``two levels``."""
    return "one level" if variant.endswith("-one") else "two levels"


def _on_both(methods: Sequence[str], epochs: int) -> dict[str, Recipe]:
    # The last epoch counts, since on one level no examples are held out to find the best one with.
    return {
        f"{method}-{level}": replace(RECIPES[method](epochs=epochs), scheme=scheme, keep="last")
        for method in methods
        for level, scheme in SCHEMES.items()
    }


def rounded(epochs: int) -> dict[str, Recipe]:
    """DARTS and its exponentiated form, with what rounding costs after every epoch."""
    return {name: watched(RECIPES[name](epochs=epochs), gap=True) for name in ("darts", "gaea_bilevel")}


def _sparser(base: str) -> Pattern:
    def judge(findings: Findings) -> Judged:
        of = findings.panels[ENTROPY]
        return above(of.at_end(base) - of.at_end(BASES[base]), f"entropy at the end, {base} less {BASES[base]}")

    return Pattern(
        f"Exponentiated gradient makes the mixing weights of {base} sparser.",
        f"entropy at the end, {base} less {BASES[base]}, seed by seed: {RULE}.",
        judge,
    )


def _single_gaea_best(findings: Findings) -> Judged:
    of = findings.panels[TABLE]
    rivals = np.max([of.at_end(name) for name in of.series if name != "gaea-one"], axis=0)
    return above(of.at_end("gaea-one") - rivals, "table accuracy at the end, gaea-one less the best other", percent=True)


def _single_fixes_darts(findings: Findings) -> Judged:
    of = findings.panels[TABLE]
    return above(
        of.at_end("gaea-one") - of.at_end("darts-two"), "table accuracy at the end, gaea-one less darts-two", percent=True
    )


def _splitting_regularises(findings: Findings) -> Judged:
    of = findings.panels[TABLE]
    two, one = (of.at_end(level).reshape(len(BOTH), -1) for level in ("two levels", "one level"))
    return above((two - one).mean(0), "table accuracy at the end, two levels less one, mean over the methods", percent=True)


def _rounds_better(findings: Findings) -> Judged:
    of = findings.panels[GAP]
    return above(
        of.within("darts", 0.75, 1.0) - of.within("gaea_bilevel", 0.75, 1.0),
        "accuracy lost by rounding in the last quarter, darts less gaea_bilevel",
        percent=True,
    )


EXPERIMENTS = (
    Searches(
        name="sparsity-gaea",
        question="Does exponentiated gradient make the mixing weights sparser than the method that it modifies?",
        source=f"{BLOG}, figure 4",
        patterns=tuple(map(_sparser, BASES)),
        variants=on_the_simplex,
        quantities=(ENTROPY, TABLE),
    ),
    Searches(
        name="levels",
        question="One level (empirical risk minimisation) or two (the architecture on a validation split)?",
        source=f"{BLOG}, figure 5",
        patterns=(
            Pattern(
                "Exponentiated gradient on one level mends the collapse of DARTS on two.",
                f"table accuracy at the end, GAEA on one level less DARTS on two, seed by seed: {RULE}.",
                _single_fixes_darts,
            ),
            Pattern(
                "It is the best of all.",
                f"table accuracy at the end, GAEA on one level less the best of all others, seed by seed: {RULE}.",
                _single_gaea_best,
            ),
        ),
        variants=levels,
        quantities=(TABLE, ENTROPY),
    ),
    Searches(
        name="levels-all",
        question="Does splitting the data into two levels help, over every method that allows both?",
        source=f"{BLOG}, on empirical risk minimisation",
        patterns=(
            Pattern(
                "Two levels regularise the search by splitting the data.",
                f"table accuracy at the end, two levels less one, mean over the methods, seed by seed: {RULE}.",
                _splitting_regularises,
            ),
        ),
        variants=levels_of_all,
        quantities=(TABLE, ENTROPY),
        pooled=level_of,
    ),
    Searches(
        name="rounding",
        question="How much does the supernet lose when it is rounded to one architecture?",
        source=f"{BLOG}, figure 3",
        patterns=(
            Pattern(
                "Sparser mixing weights lose less.",
                "accuracy of the supernet less that of the architecture derived from it, with the same weights, over the last "
                f"quarter of the epochs: DARTS less its exponentiated form, seed by seed: {RULE}.",
                _rounds_better,
            ),
        ),
        variants=rounded,
        quantities=(GAP, ENTROPY, TABLE),
    ),
)
"""Figures 3, 4 and 5."""
