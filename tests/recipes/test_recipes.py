"""What every recipe promises: its name, its epochs, its documentation."""

import inspect
import re
from pathlib import Path

import pytest

from mixop import recipes
from mixop.core.errors import RecipeError
from mixop.recipes import RECIPES
from mixop.spaces import darts, nasbench201
from mixop.spaces.toy import Toy

RESULTS = (Path(__file__).parents[2] / "docs" / "results.md").read_text()


def test_the_table_holds_every_published_recipe():
    ours = ("prune", "on_text")  # for models that are trained already, and for other data: not published methods
    assert sorted(RECIPES) == sorted(name for name in recipes.__all__ if name not in ("RECIPES", "variant", *ours))
    assert len(RECIPES) == 37


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_called_what_its_function_is_and_takes_epochs(name):
    recipe = RECIPES[name]()
    assert recipe.name == name
    (parameter,) = inspect.signature(RECIPES[name]).parameters.values()
    assert (parameter.name, parameter.default) == ("epochs", recipe.epochs)
    least = max(1, len(recipe.stages))
    assert [RECIPES[name](epochs=epochs).epochs for epochs in (least, 7)] == [least, 7]


@pytest.mark.parametrize("name", RECIPES)
def test_a_docstring_has_a_line_for_the_list_a_scorecard_and_a_source(name):
    text = inspect.getdoc(RECIPES[name])
    first = text.splitlines()[0]
    assert first.endswith(".")
    assert len(first) < 115
    titles = (
        r"Scorecard \(NAS-Bench-201, searched on CIFAR-10, test accuracy in %\):",
        r"Scorecard \((DARTS space|ENAS's m).*, searched on CIFAR-10, test error in %\):",
        r"Scorecard \((DARTS|ENAS's) recurrent space, searched on the Penn Treebank, test perplexity\):",
    )
    assert any(re.search(title, text) for title in titles)
    measured = re.findall(r"ours: ([\d.]+)(?: \+- [\d.]+)? at a (?:small|medium) scale, (\d+) seeds \(docs/results.md\)", text)
    assert measured or "ours: not measured" in text
    for accuracy, seeds in measured:  # the page has the same figures
        row = re.search(rf"\| `{name}` \| {seeds} \| {re.escape(accuracy)}[ |]", RESULTS)
        assert row, f"docs/results.md does not say {accuracy} of {name}"
    assert "Source: " in text
    assert "arXiv:" in text or "as `" in text


ONLY_DARTS = {"pdarts", "drnas_progressive", "drnas_progressive_paper"}
"""Channels in sixths, or a limit to the skips of a normal cell."""


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_the_published_spaces_and_the_toy_or_says_why_not(name):
    recipe = RECIPES[name]()
    recipe.check(darts(channels=36))
    for space in (nasbench201(), Toy()):
        if name in ONLY_DARTS or (space.name == "toy" and (recipe.stages or recipe.windows)):
            with pytest.raises(RecipeError, match=r"PartialChannels|RestrictedSkips|has stages|keeps \d options|windows"):
                recipe.check(space)
        else:
            recipe.check(space)
