"""Per-edge argmax against the golden derivation and hand-worked rows."""

import math

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.derive.argmax import Argmax
from mixop.nets.ops import BatchNorm
from mixop.spaces import CellSpace, darts, nasbench1shot1, nasbench201

DARTS_ORDER = (
    "none",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "avg_pool_3x3",
    "max_pool_3x3",
)
GOLDEN = "|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|avg_pool_3x3~0|none~1|skip_connect~2|"


def test_the_golden_derivation_of_methods_10_2():
    alpha = torch.tensor([[math.sin(1 + 5 * e + o) for o in range(5)] for e in range(6)])
    space = nasbench201()
    assert space.to_native(Argmax()({"cell": alpha.softmax(-1)}, space)) == GOLDEN


def test_the_golden_pairs_of_methods_10_2():
    """The best two pairs of edge and operation of every node; two of them may lie on one edge."""
    skip, sep3, sep5, dil3, dil5, average, most = DARTS_ORDER[1:]
    space = darts(operations=DARTS_ORDER)
    mean = {
        name: torch.tensor([[math.sin(start + 8 * e + o) for o in range(8)] for e in range(14)], dtype=torch.float64).softmax(
            -1
        )
        for name, start in (("normal", 1), ("reduce", 2))
    }
    want = {
        "normal": [(dil5, 1), (most, 0), (sep5, 0), (dil3, 0), (sep5, 1), (dil5, 0), (dil3, 0), (sep5, 4)],
        "reduce": [(dil3, 1), (average, 0), (sep3, 0), (dil5, 2), (dil3, 0), (dil5, 3), (sep5, 0), (dil3, 3)],
    }
    cells = ", ".join(f"{name}={pairs!r}, {name}_concat=range(2, 6)" for name, pairs in want.items())
    assert Argmax(edges="pairs")(mean, space) == space.from_native(f"Genotype({cells})")
    assert skip not in str(want)


def test_none_is_passed_over_where_it_does_not_count():
    space = nasbench201()
    weights = torch.zeros(6, 5)
    weights[:, 0], weights[:, 3] = 0.6, 0.4
    assert set(Argmax()({"cell": weights}, space).options()) == {"none"}
    assert set(Argmax(none=False)({"cell": weights}, space).options()) == {"nor_conv_3x3"}


def test_ties_go_to_the_first_option():
    space = nasbench201()
    assert set(Argmax()({"cell": torch.full((6, 5), 0.2)}, space).options()) == {"none"}
    assert set(Argmax(none=False)({"cell": torch.full((6, 5), 0.2)}, space).options()) == {"skip_connect"}


def test_a_space_that_offers_only_none_is_refused_when_none_does_not_count():
    space = CellSpace(name="empty", operations=("none",), nodes=2)
    with pytest.raises(RecipeError, match="only none"):
        Argmax(none=False).check(space, BatchNorm())


def test_a_node_takes_the_parents_of_largest_weight():
    space = nasbench1shot1(2)
    mean = {
        "operations": torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.2, 0.6, 0.2]]),
        "inputs.2": torch.tensor([[0.4, 0.6]]),
        "inputs.3": torch.tensor([[0.3, 0.2, 0.5]]),
        "inputs.4": torch.tensor([[0.25, 0.25, 0.25, 0.25]]),
        "output": torch.tensor([[0.1, 0.3, 0.2, 0.3, 0.1]]),
    }
    for rule in (Argmax(), Argmax(edges="pairs")):
        spec = space.spec(rule(mean, space))
        assert [[s for s in range(7) if spec.matrix[s][t]] for t in (2, 3, 4, 6)] == [[1], [0, 2], [0, 1], [1, 2, 3]]
        assert spec.operations[:4] == ("conv1x1-bn-relu", "maxpool3x3", "maxpool3x3", "conv3x3-bn-relu")
