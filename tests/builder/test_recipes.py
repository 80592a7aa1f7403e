"""The pages of recipes hold what docstrings and values say."""

import re
from inspect import getdoc

import pytest

from builder import recipes
from builder.lineage import LINEAGE
from mixop.bilevel import FirstOrder
from mixop.core.schedules import Constant, Cosine

every_recipe = pytest.mark.parametrize("name", LINEAGE)


@every_recipe
def test_a_page_has_every_number_of_the_scorecard_and_every_paper(name: str):
    docstring = getdoc(getattr(recipes.recipes, name)) or ""
    page = recipes.page(name)
    numbers = re.findall(r"\d+\.\d+", docstring.partition("Scorecard")[2])
    assert all(number in page for number in numbers)
    assert "**Source:**" in page
    assert set(re.findall(r"arXiv:(\d+\.\d+)", docstring)) <= set(re.findall(r"arxiv\.org/abs/(\d+\.\d+)", page))
    assert f'href="{name}.html"' in page


@every_recipe
def test_links_lead_to_recipes(name: str):
    linked = re.findall(r"\]\((\w+)\.md\)", recipes.page(name))
    assert set(linked) <= {*LINEAGE, "index"}


def test_a_scorecard_is_a_table():
    card = " (a space, error in %):\n    paper: 2 +- 1 (see\n        there)\n    ours: not measured\n"
    assert recipes.scorecard(card).splitlines() == [
        "| | A space, error in % |",
        "| --- | --- |",
        "| paper | 2 ± 1 (see there) |",
        "| ours | not measured |",
    ]
    assert recipes.scorecard(": not measured; ours.\n") == "Not measured; ours."


def test_values_are_shown_as_python_writes_them():
    assert recipes.shown((Constant(0.5), None)) == "(Constant(value=0.5), None)"
    assert recipes.shown((FirstOrder(),)) == "(FirstOrder(),)"
    assert eval(recipes.shown(Cosine(0.1, 0.0)), {"Cosine": Cosine}) == Cosine(0.1, 0.0)


def test_the_index_has_all_of_them():
    index = recipes.index()
    assert all(f"[`{name}`]({name}.md)" in index and f'href="{name}.html"' in index for name in LINEAGE)
