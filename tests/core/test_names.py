"""Functions by name, there and back."""

import math
from functools import partial

import numpy as np
import pytest

from mixop.core.errors import RecipeError
from mixop.core.names import load, name_of


def at_the_top() -> int:
    return 7


class Holder:
    @staticmethod
    def inside_a_class() -> int:
        return 8


def test_names_lead_back():
    for function in (at_the_top, Holder.inside_a_class, np.linalg.norm):
        assert load(name_of(function, "The loss"), "the loss", "function") is function
    assert name_of(math.sqrt, "The loss") == "math:sqrt"


def hidden():
    def nested() -> int:
        return 1

    return nested


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda: 1, "The loss is a lambda, and no file can refer to it: write it with def at the top of a module"),
        (hidden(), "The loss is nested, which is defined inside a function"),
        (partial(at_the_top), "must be a function from the top of a module, got partial"),
        ("math:sqrt", "must be a function from the top of a module, got str"),
    ],
)
def test_what_no_name_leads_to_is_refused(function, says):
    with pytest.raises(RecipeError, match=says):
        name_of(function, "The loss")


def test_a_name_that_leads_elsewhere_is_refused():
    def stand_in() -> int:
        return 2

    stand_in.__qualname__ = "at_the_top"
    with pytest.raises(RecipeError, match=r"cannot be found as .*:at_the_top"):
        name_of(stand_in, "The loss")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("numpy:no_such", "'numpy:no_such' for the loss .*: write package.module:Name of a function"),
        ("mixop.core.names:load", "named without a module: write its bare name"),
        ("numpy:", "Cannot load 'numpy:' for the loss: write package.module:Name"),
        (".relative:loss", "Cannot load '.relative:loss' for the loss: write package.module:Name"),
        ("__main__:no_such", "a script or a notebook, which this process does not run"),
    ],
)
def test_what_cannot_be_loaded_is_refused(name, says):
    with pytest.raises(RecipeError, match=says):
        load(name, "the loss", "function")
