"""The family tree of the recipes: complete, without gaps, and drawn as what it is."""

import re
from xml.etree import ElementTree

from builder.lineage import LINEAGE, ancestors, around, children, drawing, in_order
from mixop.recipes import RECIPES


def test_every_recipe_has_a_place_in_it():
    assert set(LINEAGE) == set(RECIPES) | {"prune"}


def test_parents_stand_before_their_children():
    order = list(LINEAGE)
    for name, ancestry in LINEAGE.items():
        assert all(order.index(parent) < order.index(name) for parent in ancestors(name))
        assert set(ancestry.also) <= set(LINEAGE)


def test_what_stands_around_a_recipe():
    assert ancestors("darts_ada") == ["darts", "darts2", "darts_es"]
    assert children("drnas_progressive") == ["drnas_progressive_paper", "drnas_progressive_201"]
    assert around("gaea") == ["darts", "gaea", "gaea_bilevel"]
    assert in_order(["gaea", "darts2", "darts"]) == ["darts", "darts2", "gaea"]


def test_a_drawing_has_a_link_for_each_name_and_a_line_to_each_parent():
    text = drawing(around("gdas"), "gdas")
    svg = ElementTree.fromstring(text)
    assert [link.get("href") for link in svg.iter("{http://www.w3.org/2000/svg}a")] == [
        "darts.html",
        "gdas.html",
        "gdas_darts.html",
        "gaea_gdas.html",
    ]
    assert len(re.findall("<path", text)) == 3
    assert text.count('fill="#0072B2"') == 1
    assert "\n" not in text, "a line feed would end the element in Markdown"
    assert "multiplicative steps on the simplex (with gaea)" in text
