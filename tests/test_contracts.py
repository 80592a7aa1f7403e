"""One list of parts x one list of properties: a new part is one line in its table and is checked here."""

from dataclasses import dataclass, replace

import pytest
import torch
from odd_nets import Twice
from own_nets import Small

from mixop.core.types import Draw
from mixop.data.images.digits import digits
from mixop.nets.modules.space import in_module
from mixop.recipes import RECIPES
from mixop.relax import ALL
from mixop.relax.base import Relaxation
from mixop.spaces import (
    SPACES,
    CellSpace,
    Darts,
    RandWire,
    darts,
    enas_macro,
    enas_micro,
    nasbench1shot1,
    nasbench101,
    nasbench201,
)
from mixop.spaces.core import Space
from mixop.spaces.randwire import ErdosRenyi
from mixop.testing import check_module_space, check_recipe, check_relaxation, check_space, small_space

RGB = {"input_shape": (3, 8, 8)}
THREE = {"cells": 3, "channels": 4, **RGB}  # normal, reduction, reduction
WORDS = {"input_shape": (9, 6), "outputs": 9, "dense": True, "tokens": True}
SIX = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3")
SMALL: dict[str, Space] = {
    **{name: space(**THREE) if isinstance(space(), Darts) else space() for name, space in SPACES.items()},
    "nasbench201": nasbench201(channels=4, cells=1, input_shape=(3, 8, 8)),
    **{name: SPACES[name](hidden=5, **WORDS) for name in ("darts_rnn", "enas_rnn_cell", "enas_rnn")},  # pyright: ignore[reportCallIssue]
    "enas_macro": enas_macro(depth=4, channels=4, **RGB),
    "enas_micro": enas_micro(cells=1, channels=4, **RGB),
    "signals of enas_macro": enas_macro(depth=3, channels=4, input_shape=(3, 8), dense=True),
    "randwire": RandWire(nodes=6, channels=4, input_shape=(3, 16, 16)),
    "random signals": RandWire(nodes=6, channels=4, regime="regular", wiring=ErdosRenyi(), input_shape=(3, 16)),
    **{f"nasbench1shot1-{n}": nasbench1shot1(n, channels=4, cells=3, input_shape=(3, 8, 8)) for n in (1, 2, 3)},
    "nasbench1shot1": nasbench1shot1(channels=4, cells=3, input_shape=(3, 8)),
    "nasbench101": nasbench101(channels=8, cells=3, input_shape=(3, 8, 8)),
    "own": CellSpace(
        operations=("none", "avg_pool_3x3", "nor_conv_1x1"), nodes=3, channels=4, cells=1, stages=2, input_shape=(3, 8, 8)
    ),
    "own edges": CellSpace(
        edge_operations=(("skip_connect", "none"), ("nor_conv_1x1", "none"), ("avg_pool_3x3", "skip_connect")),
        nodes=3,
        channels=4,
        cells=1,
        stages=1,
        input_shape=(3, 4, 4),
    ),
    "wide images": nasbench201(channels=4, cells=1, input_shape=(3, 8, 4)),
    "signals": nasbench201(channels=4, cells=1, input_shape=(3, 8)),
    "signals of darts": darts(channels=4, cells=3, input_shape=(3, 8), dense=True),
    "features": nasbench201(channels=4, cells=1, stages=1, input_shape=(7,)),
    "tokens": CellSpace(operations=("none", "skip_connect", "nor_conv_1x1"), channels=4, cells=1, stages=1, **WORDS),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("edges", "options"), [(3, 5), (1, 2)])
def test_relaxations_keep_their_contract(name, edges, options):
    check_relaxation(ALL[name](), edges=edges, options=options)


@pytest.mark.parametrize(("make", "example"), [(Small, torch.zeros(2, 1, 6, 6)), (Twice, torch.ones(2, 4))])
def test_spaces_in_models_keep_their_contract(make, example):
    check_module_space(in_module(make, example))


@pytest.mark.parametrize("name", SMALL)
def test_spaces_keep_their_contract(name):
    check_space(SMALL[name])


LONG = ("pdarts", "drnas_progressive_paper", "drnas_progressive", "enas_macro", "enas_micro")
"""Recipes of several stages, and ENAS's for its own spaces; the default suite keeps ``drnas_progressive_201`` and ``enas``."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in RECIPES])
def test_recipes_keep_their_contract(name):
    recipe = RECIPES[name]()  # one more cell says as much as twelve
    stages = tuple(replace(stage, cells=min(stage.cells, 1)) for stage in recipe.stages)
    recipe = replace(recipe, stages=stages)
    space, data = small_space(recipe)
    if isinstance(space, Darts):  # one option more than the second stage of P-DARTS keeps, and of each kind one
        space = replace(space, operations=SIX)
    check_recipe(recipe, space=space, data=data)


AT_NODES = (
    *("darts", "darts2", "sdarts_rs", "sdarts_adv", "rdarts_l2", "rdarts_dp", "darts_es", "darts_ada", "darts_minus"),
    *("pcdarts", "sdarts_rs_pc", "sdarts_adv_pc", "drnas", "gaea", "gaea_bilevel", "gaea_gdas", "gaea_pcdarts", "gdas"),
    *("gdas_darts", "setn", "snas", "parsec", "prdarts", "enas", "rsws"),
)
"""The recipes that fit cells with operations at their nodes, as docs/nasbench101.md lists them."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "pcdarts")) for name in AT_NODES])
def test_recipes_keep_their_contract_where_operations_are_at_nodes(name):
    images = digits(valid=0.5, seed=0)
    images = images.with_indices(images.train[:48], images.valid[:48])
    check_recipe(RECIPES[name](), space=nasbench1shot1(3, channels=4, cells=3), data=images)


class _Broken(Relaxation):
    def draw(self, params, group, progress, generator):
        return Draw(self.mean(params, group))

    def mean(self, params, group):
        return params.softmax(-1)


@dataclass(frozen=True)
class _Unnormalised(_Broken):
    def mean(self, params, group):
        return params.exp()


@dataclass(frozen=True)
class _Global(_Broken):
    def draw(self, params, group, progress, generator):
        return Draw((params + torch.randn(params.shape)).softmax(-1))


@dataclass(frozen=True)
class _Writes(_Broken):
    def draw(self, params, group, progress, generator):
        with torch.no_grad():
            params.add_(1.0)
        return Draw(params.softmax(-1))


@dataclass(frozen=True)
class _Positional(_Broken):
    def mean(self, params, group):
        return (params + torch.arange(params.shape[1])).softmax(-1)


@dataclass(frozen=True)
class _Chained(_Broken):
    def mean(self, params, group):
        return params.cumsum(0).softmax(-1)


@dataclass(frozen=True)
class _Flat(_Broken):
    def prune(self, params, kept):
        return params


@dataclass(frozen=True)
class _Constant(_Broken):
    def draw(self, params, group, progress, generator):
        return Draw(params.softmax(-1))

    def mean(self, params, group):
        return (0 * params).softmax(-1)


@dataclass(frozen=True)
class _OffTheSimplex(_Broken):
    params_on_simplex = True


@dataclass
class _Mutable(_Broken):
    pass


@pytest.mark.parametrize(
    ("part", "promise"),
    [
        (_Broken, "must be a dataclass"),
        (_Mutable, "must be frozen"),
        (_Unnormalised, "must sum to 1"),
        (_Chained, "independent_decisions"),
        (_Flat, "parameter_per_option"),
        (_Constant, "differentiable_mean"),
        (_OffTheSimplex, "init must lie on the simplex"),
        (_Global, "repeat with the generator's seed"),
        (_Writes, "must not change the parameters"),
        (_Positional, "must permute with the options"),
    ],
)
def test_the_contract_notices_what_is_broken(part, promise):
    with pytest.raises(AssertionError, match=promise):
        check_relaxation(part())
