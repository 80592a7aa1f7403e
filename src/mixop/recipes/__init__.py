"""Published methods as recipes, one short file for each family."""

from collections.abc import Callable

from mixop.recipe import Recipe
from mixop.recipes.bayesnas import bayesnas
from mixop.recipes.darts import darts, darts2
from mixop.recipes.darts_pt import darts_pt
from mixop.recipes.drnas import drnas
from mixop.recipes.enas import enas
from mixop.recipes.gaea import gaea, gaea_bilevel, gaea_gdas
from mixop.recipes.gdas import gdas
from mixop.recipes.parsec import parsec
from mixop.recipes.prdarts import prdarts
from mixop.recipes.proxylessnas import proxylessnas
from mixop.recipes.rdarts import darts_ada, darts_es, rdarts_l2
from mixop.recipes.rsws import rsws
from mixop.recipes.sdarts import sdarts_adv, sdarts_rs
from mixop.recipes.setn import setn
from mixop.recipes.snas import dsnas, snas

RECIPES: dict[str, Callable[..., Recipe]] = {
    f.__name__: f
    for f in (
        darts,
        darts2,
        sdarts_rs,
        sdarts_adv,
        rdarts_l2,
        darts_es,
        darts_ada,
        darts_pt,
        drnas,
        gaea,
        gaea_bilevel,
        gaea_gdas,
        gdas,
        setn,
        snas,
        dsnas,
        proxylessnas,
        parsec,
        bayesnas,
        prdarts,
        enas,
        rsws,
    )
}
"""Every recipe by its name on the command line; each takes ``epochs``."""

__all__ = [
    "RECIPES",
    "bayesnas",
    "darts",
    "darts2",
    "darts_ada",
    "darts_es",
    "darts_pt",
    "drnas",
    "dsnas",
    "enas",
    "gaea",
    "gaea_bilevel",
    "gaea_gdas",
    "gdas",
    "parsec",
    "prdarts",
    "proxylessnas",
    "rdarts_l2",
    "rsws",
    "sdarts_adv",
    "sdarts_rs",
    "setn",
    "snas",
]
