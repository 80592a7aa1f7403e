"""The family tree of the recipes: complete, without gaps, and drawn as what it is."""

import re
from pathlib import Path
from xml.etree import ElementTree

from builder.lineage import LINEAGE, ancestors, around, children, drawing, in_order, tree
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


def test_as_a_text_every_name_stands_under_its_parent():
    assert tree(["darts", "darts2", "rdarts_l2", "rdarts_dp", "gaea", "rsws", "enas"]).splitlines() == [
        "darts            softmax over options, weights and architecture on two splits",
        "├─ darts2        gradient through one step of the weights",
        "│  ├─ rdarts_l2  more weight decay",
        "│  └─ rdarts_dp  paths are dropped",
        "└─ gaea          multiplicative steps on the simplex, one level",
        "enas             shared weights, a policy proposes",
        "└─ rsws          the same shared weights, nothing learnt",
    ]


def test_the_page_of_methods_has_this_tree():
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()
    assert tree() in page, f"write into docs/methods.md, under Lineage:\n{tree()}"
