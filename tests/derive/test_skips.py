"""The limit to skip connections, worked by hand from the weakest skip to the last."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.derive.skips import RestrictedSkips
from mixop.nets.ops import BatchNorm
from mixop.spaces import S2, darts, nasbench201

SPACE = S2()  # skip_connect or sep_conv_3x3 on every edge
SKIPS = torch.tensor([0.9 - 0.01 * e for e in range(14)])
MEAN = {name: torch.stack([SKIPS, 1 - SKIPS], dim=1) for name in ("normal", "reduce")}


def cell(architecture, name="normal"):
    return {choice.decision: choice.option for choice in architecture.of(name)}


def test_without_need_it_is_the_strongest_two_of_every_node():
    want = dict.fromkeys((0, 1, 2, 3, 5, 6, 9, 10), "skip_connect")
    assert cell(RestrictedSkips(most=8)(MEAN, SPACE)) == want


def test_the_weakest_skips_go_first_and_their_edges_with_them():
    """Each time the weakest chosen skip loses its weight: first all of node 5, then of node 4, then of node 3."""
    found = RestrictedSkips(most=2)(MEAN, SPACE)
    skips, others = dict.fromkeys((0, 1), "skip_connect"), dict.fromkeys((3, 4, 7, 8, 12, 13), "sep_conv_3x3")
    assert cell(found) == skips | others
    assert set(cell(found, "reduce").values()) == {"skip_connect"}, "only the normal cell is limited"
    # One more may stay: node 3 keeps its strongest skip beside the convolution of edge 4.
    assert cell(RestrictedSkips(most=3)(MEAN, SPACE)) == skips | {2: "skip_connect", 4: "sep_conv_3x3"} | dict.fromkeys(
        (7, 8, 12, 13), "sep_conv_3x3"
    )


def test_none_is_allowed():
    assert set(cell(RestrictedSkips(most=0)(MEAN, SPACE)).values()) == {"sep_conv_3x3"}


def test_an_edge_that_has_nothing_else_keeps_its_skip():
    space = darts(operations=("skip_connect",))
    mean = {name: torch.ones(14, 1) for name in MEAN}
    assert set(cell(RestrictedSkips(most=2)(mean, space)).values()) == {"skip_connect"}


def test_misfits_are_refused():
    with pytest.raises(RecipeError, match="at least 0, got -1"):
        RestrictedSkips(most=-1)
    with pytest.raises(RecipeError, match="group 'normal', which nasbench201 does not have: set group to one of cell"):
        RestrictedSkips().check(nasbench201(), BatchNorm())
