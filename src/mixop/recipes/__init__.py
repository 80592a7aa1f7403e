"""Published methods as recipes, one short file for each family."""

from collections.abc import Callable

from mixop.recipe.core import Recipe
from mixop.recipe.parts import variant
from mixop.recipes.bayesnas import bayesnas
from mixop.recipes.darts import darts, darts2
from mixop.recipes.darts_minus import darts_minus
from mixop.recipes.darts_pt import darts_pt
from mixop.recipes.darts_rnn import darts_rnn, on_text
from mixop.recipes.drnas import drnas, drnas_progressive, drnas_progressive_201, drnas_progressive_paper
from mixop.recipes.enas import enas, enas_macro, enas_micro, enas_rnn
from mixop.recipes.gaea import gaea, gaea_bilevel, gaea_gdas, gaea_pcdarts
from mixop.recipes.gdas import gdas, gdas_darts
from mixop.recipes.parsec import parsec
from mixop.recipes.pcdarts import pcdarts
from mixop.recipes.pdarts import pdarts
from mixop.recipes.prdarts import prdarts
from mixop.recipes.proxylessnas import proxylessnas
from mixop.recipes.prune import prune
from mixop.recipes.rdarts import darts_ada, darts_es, rdarts_dp, rdarts_l2
from mixop.recipes.rsws import rsws
from mixop.recipes.sdarts import sdarts_adv, sdarts_adv_pc, sdarts_rs, sdarts_rs_pc
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
        rdarts_dp,
        darts_es,
        darts_ada,
        darts_pt,
        darts_minus,
        darts_rnn,
        pcdarts,
        sdarts_rs_pc,
        sdarts_adv_pc,
        pdarts,
        drnas,
        drnas_progressive,
        drnas_progressive_paper,
        drnas_progressive_201,
        gaea,
        gaea_bilevel,
        gaea_gdas,
        gaea_pcdarts,
        gdas,
        gdas_darts,
        setn,
        snas,
        dsnas,
        proxylessnas,
        parsec,
        bayesnas,
        prdarts,
        enas,
        enas_macro,
        enas_micro,
        enas_rnn,
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
    "darts_minus",
    "darts_pt",
    "darts_rnn",
    "drnas",
    "drnas_progressive",
    "drnas_progressive_201",
    "drnas_progressive_paper",
    "dsnas",
    "enas",
    "enas_macro",
    "enas_micro",
    "enas_rnn",
    "gaea",
    "gaea_bilevel",
    "gaea_gdas",
    "gaea_pcdarts",
    "gdas",
    "gdas_darts",
    "on_text",
    "parsec",
    "pcdarts",
    "pdarts",
    "prdarts",
    "proxylessnas",
    "prune",
    "rdarts_dp",
    "rdarts_l2",
    "rsws",
    "sdarts_adv",
    "sdarts_adv_pc",
    "sdarts_rs",
    "sdarts_rs_pc",
    "setn",
    "snas",
    "variant",
]
