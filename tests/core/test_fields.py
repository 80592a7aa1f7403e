"""A field by its path: the same change as the nested mapping that names it, and no field that is not there."""

from dataclasses import replace

import pytest

from mixop.core.fields import UnknownFieldError, put
from mixop.core.optim import SGD
from mixop.core.schedules import Cosine
from mixop.core.values import changed, from_plain, to_plain
from mixop.recipe.core import Recipe
from mixop.recipe.parts import PARTS
from mixop.recipes import drnas


def with_field(path: str, value: object) -> Recipe:
    plain = put(to_plain(drnas()), path.split("."), lambda hint: value, Recipe, PARTS, "recipe")
    return from_plain(plain, Recipe, PARTS)


@pytest.mark.parametrize(
    ("path", "value"),
    [("epochs", 3), ("weight_optimiser.lr.start", 0.1), ("weight_optimiser.lr", 0.1), ("weight_optimiser", "Adam")],
)
def test_it_changes_what_a_nested_mapping_changes(path: str, value: object):
    changes: object = value
    for name in reversed(path.split(".")):
        changes = {name: changes}
    assert isinstance(changes, dict)
    assert with_field(path, value) == changed(drnas(), changes, PARTS) != drnas()


def test_an_entry_of_a_list_goes_by_its_number():
    before = drnas()
    (regulariser,) = before.regularisers
    assert with_field("regularisers.0.weight", 0.5) == replace(before, regularisers=(replace(regulariser, weight=0.5),))


def test_the_type_of_the_field_is_told():
    hints = []
    put(to_plain(SGD(lr=Cosine(0.1, 0.0))), ["momentum"], lambda hint: hints.append(hint), SGD, PARTS, "optimiser")
    assert hints == [float]


@pytest.mark.parametrize("path", ["epoch", "epochs.start", "regularisers.7.weight", "weight_optimiser.lr.begin"])
def test_a_field_that_is_not_there_is_not_made(path: str):
    with pytest.raises(UnknownFieldError):
        with_field(path, 1)
