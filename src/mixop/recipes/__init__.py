"""Published methods as recipes, one short file each."""

from collections.abc import Callable

from mixop.recipe import Recipe
from mixop.recipes.darts import darts
from mixop.recipes.drnas import drnas
from mixop.recipes.gaea import gaea, gaea_bilevel

RECIPES: dict[str, Callable[..., Recipe]] = {f.__name__: f for f in (darts, drnas, gaea, gaea_bilevel)}
"""Every recipe by its name on the command line; each takes ``epochs``."""

__all__ = ["RECIPES", "darts", "drnas", "gaea", "gaea_bilevel"]
