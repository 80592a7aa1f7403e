"""phi and lambda of an epoch against the theorem written out, with and without an added skip connection."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.monitors.base import Continue
from mixop.monitors.descent import Descent
from mixop.relax import Softmax
from mixop.spaces import darts, darts_rnn, mlp, nasbench201

ROW = [0.1, 0.3, 0.2, 0.25, 0.15]
"""none, skip, two convolutions, pool: 0.3 and 0.45 for the theorem."""


def by_hand(skip: float, conv: float, added: float) -> float:
    """Of four layers: an edge from each into the last one, behind 0, 1 and 2 skip connections."""
    return sum(conv**2 * (skip + added) ** (2 * entering) for entering in range(3))


@pytest.mark.parametrize("added", [0.0, 0.7])
def test_it_is_the_theorems_of_the_mean_mixing_weights(view, added):
    search = view(weights=[ROW], added_skip=added, learning_rate=0.02)
    assert Descent()(search) == Continue()
    wanted = by_hand(0.3, 0.45, added)
    assert Descent().columns(search) == pytest.approx({"phi": wanted, "lambda": 0.02 * wanted})
    largest = by_hand(0.3, 0.25, added)
    assert Descent(constant=0.25, combine="max").columns(search) == pytest.approx({"phi": largest, "lambda": 0.005 * largest})
    assert search.memory == {}


def test_a_rate_of_nothing_promises_nothing(view):
    assert Descent().columns(view(weights=[ROW], learning_rate=0.0))["lambda"] == 0.0


def test_every_cell_has_its_own_columns(view):
    space = darts()
    search = view(space=space)
    generator = torch.Generator().manual_seed(0)
    mean = {group.name: torch.rand(group.shape, generator=generator).softmax(-1) for group in space.groups}
    search.mean = lambda: mean
    columns = Descent().columns(search)
    assert list(columns) == ["phi_normal", "lambda_normal", "phi_reduce", "lambda_reduce"]
    assert columns["phi_normal"] != columns["phi_reduce"]


def test_what_the_theorem_is_not_about_is_refused():
    Descent().check(Softmax(), nasbench201(), 0.0)
    for space in (mlp(), darts_rnn()):
        with pytest.raises(RecipeError, match="Descent needs the cells of the theorem, but: "):
            Descent().check(Softmax(), space, 0.0)
    with pytest.raises(RecipeError, match="constant of Descent"):
        Descent(constant=0.0)
