"""Rules that say whether a pattern shows: of differences that are taken run by run, and of nothing chosen after looking."""

import numpy as np

from mixop.experiments.base import Findings, Judged

ERRORS = 2.0
"""Standard errors of the mean that a difference must be away from 0."""

RULE = "the mean difference, run by run, is more than two standard errors above 0; below 0 by as much, it does not show"


def above(differences: np.ndarray, words: str, *, percent: bool = False) -> Judged:
    """Whether differences are above 0, by more than two standard errors of their mean.

    Args:
        differences: one for each pair of runs, NaN where one of them is missing.
        words: what the difference is, to begin the sentence with.
        percent: whether they are shares, said in points.
    """
    known, words = differences[np.isfinite(differences)], words[:1].upper() + words[1:]
    if len(known) < 2:
        return Judged("cannot show", f"{words}: {len(known)} pairs of runs are too few.")
    scale, unit = (100.0, " points") if percent else (1.0, "")
    mean, error = scale * known.mean(), scale * known.std(ddof=1) / len(known) ** 0.5
    why = f"{words}: {mean:+.3g}{unit}, standard error {error:.2g}, {len(known)} pairs."
    if mean > ERRORS * error:
        return Judged("shows", why)
    if mean < -ERRORS * error:
        return Judged("does not show", why)
    return Judged("cannot show", why)


def early(findings: Findings, panel: str, variants: tuple[str, ...], words: str) -> Judged:
    """Whether something is larger in the second quarter of a search than in its last quarter.

    The quarters are fixed, so that no peak is picked from noise.

    Args:
        findings: with the panel.
        panel: its title.
        variants: all of whose runs count.
        words: what it is.
    """
    of = findings.panels[panel]
    differences = [of.within(variant, 0.25, 0.5) - of.within(variant, 0.75, 1.0) for variant in variants]
    return above(np.concatenate(differences), f"{words}, second quarter less last quarter", percent=of.percent)
