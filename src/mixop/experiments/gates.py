"""PR-DARTS with and without each of its penalties.

Source: Zhou et al. 2020 (arXiv:2006.16537), and the authors' slides.
"""

from dataclasses import replace

from mixop.experiments.base import Findings, Judged, Pattern
from mixop.experiments.quantities import DEPTH, FOUND_SKIPS, SKIPS, TABLE
from mixop.experiments.rules import RULE, above
from mixop.experiments.searches import Searches, watched
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.regularise.gates import GatePenalty

SLIDES = "Zhou et al. 2020, Theory-Inspired Path-Regularized Differential Network Architecture Search (slides)"


def without_each(epochs: int) -> dict[str, Recipe]:
    """The recipe, the same without the penalty on skips, without that on the rest, without the reward for depth, and DARTS."""
    recipe = watched(RECIPES["prdarts"](epochs=epochs))
    (penalty,) = recipe.regularisers
    assert isinstance(penalty, GatePenalty)
    left_out = {name: replace(recipe, regularisers=(replace(penalty, **{name: 0.0}),)) for name in ("skip", "nonskip", "depth")}
    return {
        "all": recipe,
        **{f"no-{name}": variant for name, variant in left_out.items()},
        "darts": watched(RECIPES["darts"](epochs=epochs)),
    }


def _fewer_than_darts(findings: Findings) -> Judged:
    of = findings.panels[FOUND_SKIPS]
    return above(of.at_end("darts") - of.at_end("all"), "skips of what is found, DARTS less PR-DARTS", percent=True)


def _skip_penalty_works(findings: Findings) -> Judged:
    of = findings.panels[SKIPS]
    return above(of.at_end("no-skip") - of.at_end("all"), "skip share at the end, without its penalty less with it")


def _depth_reward_works(findings: Findings) -> Judged:
    of = findings.panels[DEPTH]
    return above(of.at_end("all") - of.at_end("no-depth"), "depth of what is found, with the reward less without")


EXPERIMENTS = (
    Searches(
        name="gates-prdarts",
        question="What does each penalty of PR-DARTS do?",
        source=f"{SLIDES}, group-structured sparsity and path-depth-wise regularisation",
        patterns=(
            Pattern(
                "PR-DARTS finds fewer skip connections than DARTS.",
                f"skip connections of what is found at the end, as a share: DARTS less PR-DARTS, seed by seed: {RULE}.",
                _fewer_than_darts,
            ),
            Pattern(
                "The penalty on skips is what keeps them down.",
                f"weight of skips at the end, without their penalty less with all penalties, seed by seed: {RULE}.",
                _skip_penalty_works,
            ),
            Pattern(
                "The reward for depth makes cells deeper.",
                "longest path of working edges of what is found at the end, with all penalties less without that reward, seed "
                f"by seed: {RULE}.",
                _depth_reward_works,
            ),
        ),
        variants=without_each,
        quantities=(SKIPS, FOUND_SKIPS, DEPTH, TABLE),
    ),
)
"""What each penalty does."""
