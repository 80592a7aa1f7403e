"""`mixop.core.errors`: one sentence, with the nearest name."""

import pytest

from mixop.core import errors
from mixop.core.errors import DataError, MissingExtraError, MixopError, RecipeError, RunError, SpaceError, unknown


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("drans", ["darts", "drnas", "gaea"], "There is no recipe 'drans': did you mean 'drnas'?"),
        ("DARTS", ["darts", "drnas"], "There is no recipe 'DARTS': did you mean 'darts'?"),
        ("softmax", ["Softmax", "Dirichlet"], "There is no recipe 'softmax': did you mean 'Softmax'?"),
        ("xyz", ["b", "a"], "There is no recipe 'xyz': choose one of a, b."),
        ("", ["b", "a"], "There is no recipe '': choose one of a, b."),
        ("a", [], "There is no recipe 'a': there are none at all."),
    ],
)
def test_unknown_names_get_the_nearest_one(name: str, known: list[str], sentence: str):
    assert unknown("recipe", name, iter(known)) == sentence


def test_a_missing_extra_says_what_to_install():
    error = MissingExtraError("Pillow", "images", "Reading an image folder")
    assert str(error) == "Reading an image folder needs Pillow, which is not installed: pip install 'mixop[images]'"


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (RecipeError, ValueError),
        (SpaceError, ValueError),
        (DataError, ValueError),
        (RunError, RuntimeError),
        (errors.DivergedError, RunError),
        (MissingExtraError, ImportError),
    ],
)
def test_errors_are_caught_by_their_family_and_by_their_builtin_kind(error: type, builtin: type):
    assert issubclass(error, MixopError)
    assert issubclass(error, builtin)
