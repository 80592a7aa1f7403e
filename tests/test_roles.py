"""A space that calls the absent edge ``zero`` and the skip connection ``identity``: every part asks the space, not the name.

Each result is compared with that of the same space under the published names, option by option.
"""

from dataclasses import dataclass, replace
from random import Random
from types import SimpleNamespace

import pytest
import torch

from mixop.analysis.collapse import chosen_skip_share, parameter_free_share, parameter_free_weight, skip_count, skip_share
from mixop.comparison.tasks import _skips
from mixop.core.errors import RecipeError, SpaceError
from mixop.derive import ActivationThreshold, Argmax, BestSampled, RestrictedSkips
from mixop.monitors import Collapse, SkipStop
from mixop.nets.ops import ENAS_OPERATIONS, OPERATIONS, BatchNorm, operation
from mixop.regularise.base import Point
from mixop.regularise.gates import GatePenalty
from mixop.relax import BinaryGates, HardConcrete, Softmax, Switches
from mixop.report.palette import kind_of
from mixop.searchers.coding import neighbours, questions, read, write
from mixop.spaces import SPACES
from mixop.spaces.cell import CellSpace
from mixop.spaces.core import Roles
from mixop.spaces.darts import Darts
from mixop.spaces.stacked import Stacked, stacked
from mixop.supernet.fused import check_fused
from mixop.supernet.nodewise import NodewiseCell, nodewise
from mixop.supernet.plain import plain
from mixop.testing import check_space
from mixop.wraps import SkipDropout

PUBLISHED = {"zero": "none", "identity": "skip_connect"}
OPTIONS = ("zero", "identity", "nor_conv_3x3", "avg_pool_3x3")
NAMES = tuple(PUBLISHED.get(name, name) for name in OPTIONS)
NORM = BatchNorm(affine=False, track=False)
ROLES = Roles(absent=("zero",), skips=("identity",))


@dataclass(frozen=True, kw_only=True)
class Renamed(CellSpace):
    """Names of its own, as an outsider would give them."""

    roles = ROLES


@dataclass(frozen=True, kw_only=True)
class AnyNames(Darts):
    """The cells of DARTS with any operations; two edges of every node are kept, so that an absent one is no choice."""

    def _names(self, where, names):
        return tuple(names)


@dataclass(frozen=True, kw_only=True)
class Keeping(AnyNames):
    roles = ROLES


@dataclass(frozen=True, kw_only=True)
class Wrong(CellSpace):
    roles = Roles(absent=("avg_pool_3x3",), skips=())


@dataclass(frozen=True, kw_only=True)
class NoSkip(CellSpace):
    roles = Roles(absent=(), skips=("avg_pool_3x3",))


@dataclass(frozen=True, kw_only=True)
class Forgotten(Renamed):
    @property
    def groups(self):
        return tuple(replace(group, roles=Roles()) for group in super().groups)


@pytest.fixture(autouse=True)
def operations(monkeypatch: pytest.MonkeyPatch):
    for own, published in PUBLISHED.items():
        monkeypatch.setitem(OPERATIONS, own, OPERATIONS[published])


@pytest.fixture
def pair() -> SimpleNamespace:
    """The space under its own names and under the published ones."""
    sizes = {"nodes": 4, "channels": 4, "cells": 1, "stages": 2, "input_shape": (3, 8, 8), "outputs": 4}
    return SimpleNamespace(
        own=Renamed(operations=OPTIONS, name="own", **sizes), published=CellSpace(operations=NAMES, name="own", **sizes)
    )


@pytest.fixture
def keeping() -> SimpleNamespace:
    sizes = {"cells": 3, "channels": 4, "input_shape": (3, 8, 8), "outputs": 4}
    own = Keeping(operations=OPTIONS, **sizes)
    return SimpleNamespace(own=own, published=AnyNames(operations=NAMES, **sizes))


def translated(architecture):
    """The options under the published names, group by group."""
    return [[(c.decision, PUBLISHED.get(c.option, c.option)) for c in choices] for _, choices in architecture.choices]


def mean_of(space, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {group.name: torch.rand(group.shape, generator=generator, dtype=torch.float64) for group in space.groups}


@pytest.mark.parametrize("spaces", ["pair", "keeping"])
def test_numbers_and_random_architectures(spaces, request):
    both = request.getfixturevalue(spaces)
    assert both.own.size() == both.published.size()
    assert (both.own.size() == 4**6) == (spaces == "pair")
    for seed in range(5):
        own, published = both.own.random(Random(seed)), both.published.random(Random(seed))
        assert translated(own) == translated(published)
        if spaces == "keeping":
            assert "zero" not in own.options()


def test_the_spaces_keep_their_contract(pair, keeping):
    check_space(pair.own)
    check_space(keeping.own)
    assert not pair.own.is_connected(pair.own.architecture([(2, 0, 2, 0, 0, 0)]))
    assert pair.own.is_connected(pair.own.architecture([(2, 0, 2, 0, 1, 1)]))


def test_an_output_at_every_token_takes_absent_edges_and_skips(pair):
    """They look at their own position only, whatever they are called."""
    sizes = {"stages": 1, "input_shape": (9, 16), "outputs": 9, "tokens": True, "dense": True}
    space = replace(pair.own, operations=("zero", "identity", "nor_conv_1x1"), **sizes)
    assert "skip_connect" not in space.pointwise
    with pytest.raises(SpaceError, match="nor_conv_3x3 would see the token"):
        replace(space, operations=("zero", "nor_conv_3x3"))


def test_the_contract_notices_roles_that_are_not_true():
    for space, words in ((Wrong, "must be zero"), (NoSkip, "must pass its input on"), (Forgotten, "roles of its space")):
        with pytest.raises(AssertionError, match=words):
            check_space(
                space(operations=("avg_pool_3x3", "nor_conv_3x3"), channels=4, cells=1, stages=1, input_shape=(3, 4, 4))
            )


@pytest.mark.parametrize("spaces", ["pair", "keeping"])
@pytest.mark.parametrize(
    "rule",
    [
        Argmax(),
        Argmax(none=False),
        Argmax(edges="pairs"),
        ActivationThreshold(threshold=0.9),
        RestrictedSkips(most=1, group=""),
    ],
    ids=str,
)
def test_derivations(spaces, rule, request):
    both = request.getfixturevalue(spaces)
    rule = replace(rule, group=both.own.groups[0].name) if isinstance(rule, RestrictedSkips) else rule
    for seed in range(4):
        own, published = rule(mean_of(both.own, seed), both.own), rule(mean_of(both.published, seed), both.published)
        assert translated(own) == translated(published)
        if spaces == "keeping" or not getattr(rule, "none", True) or isinstance(rule, RestrictedSkips):
            assert "zero" not in own.options()
        if isinstance(rule, ActivationThreshold) and spaces == "pair":
            assert "zero" in own.options()


def test_a_space_of_absent_edges_is_refused_by_its_own_name(pair):
    with pytest.raises(RecipeError, match="that offers only zero"):
        Argmax(none=False).check(replace(pair.own, operations=("zero",)), NORM)


def test_the_most_probable_architectures_have_no_absent_edge(keeping, request):
    mean = mean_of(keeping.own)
    trained = SimpleNamespace(space=keeping.own, mean=lambda: mean, memory={}, worth=lambda *_: (0.0, 0.0))
    mean["normal"][:, 0] = 10.0  # the absent option is by far the likeliest
    rule = BestSampled(samples=3, by="probability")
    assert "zero" not in rule.final(trained).options()


def test_skip_shares_and_collapse(pair):
    mean = mean_of(pair.own)
    architecture = pair.own.architecture([(1, 0, 1, 2, 1, 3)])
    same = pair.published.architecture([(1, 0, 1, 2, 1, 3)])
    assert skip_share(mean, pair.own) == skip_share(mean, pair.published) == pytest.approx(mean["cell"][:, 1].mean().item())
    assert parameter_free_weight(mean, pair.own) == parameter_free_weight(mean, pair.published)
    assert skip_count(architecture, pair.own) == skip_count(same, pair.published) == 3
    assert chosen_skip_share(architecture, pair.own) == 3 / 6
    assert parameter_free_share(architecture, pair.own) == 5 / 6
    assert _skips(architecture, pair.own) == {"skips": 3}


def test_monitors(pair):
    skips = pair.own.to_native(pair.own.architecture([(1,) * 6]))
    few = pair.own.to_native(pair.own.architecture([(2,) * 6]))
    natives = [few, few, skips]
    view = SimpleNamespace(space=pair.own, memory={}, epochs=40, epoch=0)
    view.mean = lambda: {"cell": torch.full((6, 4), 0.2).index_fill_(1, torch.tensor([1]), 0.4 + 0.1 * view.epoch)}
    view.architecture = lambda: natives[view.epoch]
    view.history = lambda epoch: natives[epoch]
    collapse, stop, said = Collapse(window=1), SkipStop(), []
    stop.check(Softmax(), pair.own, 0.0)
    for view.epoch in range(3):
        collapse(view)
        said.append((collapse.columns(view)["warning"], getattr(stop(view), "native", None)))
    assert said[:2] == [(None, None)] * 2
    assert "100% of the derived architecture are skip connections" in said[2][0]
    assert said[2][1] == few


def test_relaxations_and_anchors_of_the_search(pair):
    """The gate penalty anchors on skips; switches have none for an absent option; its open gate sends no gradient."""
    own, published = pair.own.groups[0], pair.published.groups[0]
    beta = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for variant in ("expected", "sampled"):
        values = [
            GatePenalty(variant=variant)(
                Point(params={"cell": beta}, relaxation=HardConcrete(), space=space, mix={"cell": beta})
            )
            for space in (pair.own, pair.published)
        ]
        assert values[0] == values[1]
    switches = Switches()
    params = switches.init(own, torch.Generator())
    assert torch.equal(switches.mean(params, own), switches.mean(params, published))
    assert switches.draw(params, own, 0.0, torch.Generator()).weights[:, 0].tolist() == [0.0] * 6
    leaf = torch.tensor([[50.0, 0.0, 0.0, 0.0]] * 6, requires_grad=True)
    weights = BinaryGates().draw(leaf, own, 0.0, torch.Generator().manual_seed(0)).weights
    (slope,) = torch.autograd.grad((weights * torch.arange(4)).sum(), leaf)
    assert weights.argmax(-1).tolist() == [0] * 6
    assert not slope.any()


def test_searchers(keeping, pair):
    own, published = questions(keeping.own), questions(keeping.published)
    assert [len(question.answers) for question in own] == [len(question.answers) for question in published]
    assert all("zero" not in question.answers for question in own)
    architecture = keeping.own.random(Random(3))
    answers = read(keeping.own, architecture)
    assert write(keeping.own, [answer or 0 for answer in answers]) == architecture
    assert all("zero" not in other.options() for other in neighbours(keeping.own, architecture))
    near = neighbours(pair.own, pair.own.architecture([(2,) * 6]))
    assert len(near) == 6 * 3


@pytest.mark.parametrize("wraps", [(), (SkipDropout(rate=0.5),)], ids=["plain", "dropout"])
def test_executors(pair, keeping, wraps):
    """The nodewise executor leaves absent edges out and adds skips as they are; a skip behind dropout runs by itself."""
    for space in (pair.own, keeping.own):
        nets = [
            make(space, norm=NORM, generator=torch.Generator().manual_seed(0), wraps=wraps).double()
            for make in (plain, nodewise)
        ]
        for cell in (layer for layer in nets[1].layers if isinstance(layer, NodewiseCell)):
            whole = [e for e, d in enumerate(cell.group.decisions) if cell.layer.stride == 1 or d.source >= cell.graph.inputs]
            assert sorted(cell.skips) == ([] if wraps else whole)
            assert all(0 not in alone for alone in cell.alone), "an absent option is not computed"
        x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        mix = mean_of(space)
        logits = []
        for net in nets:
            torch.manual_seed(5)  # of dropout, drawn in the same order by both
            logits.append(net(x, mix))
        torch.testing.assert_close(logits[0], logits[1], rtol=1e-9, atol=1e-9)  # another order of additions


def test_the_fused_executor_asks_for_kernels_of_what_is_computed_only(pair):
    space = replace(pair.own, operations=("zero", "nor_conv_3x3"))
    check_fused(space)
    with pytest.raises(RecipeError, match="does not support the operation identity"):
        check_fused(pair.own)


def test_the_page_knows_common_names_of_the_two():
    """A report reads names only, from files."""
    assert (kind_of("zero"), kind_of("identity")) == ("none", "skip")


@pytest.mark.parametrize("name", [name for name, kind in SPACES.items() if issubclass(kind, Stacked)])
def test_the_roles_of_every_space_name_its_pools_and_no_others(name):
    """What an option is built as has a pooling layer in it, or has none."""
    space = SPACES[name]()
    pooling = (torch.nn.MaxPool2d, torch.nn.AvgPool2d)
    for group in space.groups:
        for option in {option for decision in group.decisions for option in decision.options}:
            known = stacked(space).searched(option) in {**OPERATIONS, **ENAS_OPERATIONS}
            module = operation(stacked(space).searched(option), 4, 1, NORM) if known else torch.nn.Identity()
            assert group.is_pool(option) == any(isinstance(part, pooling) for part in module.modules()), option
            assert space.is_pool(option) == group.is_pool(option)
