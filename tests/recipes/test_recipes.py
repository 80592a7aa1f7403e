"""What every recipe promises: its name, its epochs, its documentation."""

import inspect

import pytest

from mixop import recipes
from mixop.recipes import RECIPES
from mixop.spaces import nasbench201
from mixop.spaces.toy import Toy


def test_the_table_holds_every_published_recipe():
    assert sorted(RECIPES) == sorted(name for name in recipes.__all__ if name != "RECIPES")
    assert len(RECIPES) == 22


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_called_what_its_function_is_and_takes_epochs(name):
    recipe = RECIPES[name]()
    assert recipe.name == name
    (parameter,) = inspect.signature(RECIPES[name]).parameters.values()
    assert (parameter.name, parameter.default) == ("epochs", recipe.epochs)
    assert [RECIPES[name](epochs=epochs).epochs for epochs in (1, 2, 7)] == [1, 2, 7]


@pytest.mark.parametrize("name", RECIPES)
def test_a_docstring_has_a_line_for_the_list_a_scorecard_and_a_source(name):
    text = inspect.getdoc(RECIPES[name])
    first = text.splitlines()[0]
    assert first.endswith(".")
    assert len(first) < 115
    assert "Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):" in text
    assert "ours: not measured" in text
    assert "Source: " in text
    assert "arXiv:" in text or "as `" in text


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_the_published_space_and_the_toy(name):
    RECIPES[name]().check(nasbench201())
    RECIPES[name]().check(Toy())
