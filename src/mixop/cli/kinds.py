"""The values that the names after --recipe, --space, --data and --protocol stand for, and that flags then change."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from mixop.cli.files import SUFFIXES, read_table
from mixop.cli.options import Lists, Place
from mixop.cli.tree import Tree
from mixop.core.errors import DataError, MixopError, RecipeError, unknown
from mixop.core.names import from_file, load
from mixop.core.outside import shortened
from mixop.core.values import defaults, to_plain


def recipe(kind: str | None) -> Tree:
    """The recipe of a name, of ``package.module:function``, or of a ``.json`` or ``.toml`` file.

    Such a file is a run's ``recipe.json``, or names in ``base`` the recipe that it starts from, and says what differs.
    """
    from mixop.recipe.core import Recipe
    from mixop.recipe.parts import PARTS
    from mixop.recipes import RECIPES

    kind = kind or "drnas"
    if not kind.endswith(SUFFIXES):
        return Tree("recipe", Recipe, PARTS, _plain("recipe", kind, RECIPES, Recipe))
    changes = read_table(kind)
    base = changes.pop("base", None)
    if not isinstance(base, str | None) or (base is not None and base.endswith(SUFFIXES)):
        raise RecipeError(f"base in {kind!r} must be a recipe's name, or package.module:function, got {shortened(base)}.")
    with from_file(kind):
        plain = defaults(Recipe) if base is None else _plain("recipe", base, RECIPES, Recipe)
    tree = Tree("recipe", Recipe, PARTS, plain)
    tree.merge(changes, kind)
    return tree


def keep_warmup_share(tree: Tree, epochs: str) -> None:
    """Moves a recipe's warm-up with its epochs, as the recipes' own argument ``epochs`` does: 50 of 250 become 2 of 10."""
    warmup, whole = tree.plain.get("warmup"), tree.plain.get("epochs")
    numbers = type(warmup) is int and type(whole) is int and whole > 0  # else building it says what is wrong
    if epochs.isdecimal() and len(epochs) < 10 and numbers:
        tree.plain["warmup"] = warmup * int(epochs) // whole


def space(kind: str | None) -> Tree:
    """The search space of a name, or of ``package.module:name``: a space, or what makes a model with choices."""
    from mixop.spaces import SPACE_TYPES, SPACES
    from mixop.spaces.core import Space
    from mixop.spaces.ready import READY

    if kind in READY:
        from mixop.cli.factories import ready_tree

        return ready_tree(kind)
    if kind is not None and ":" in kind:
        from mixop.cli.factories import factory_tree

        tree = factory_tree(kind, load(kind, "--space", "space, or of a class or function that makes a model,"))
        if tree is not None:
            return tree
    if kind is not None and ":" not in kind and kind not in SPACES:
        raise RecipeError(unknown("space", kind, [*SPACES, *READY]))
    return Tree("space", Space, SPACE_TYPES, _plain("space", kind or "nasbench201", SPACES, Space))


def data(kind: str | None) -> Tree:
    """The data set of a name, or of ``package.module:name``."""
    from mixop.data import PARTS, SOURCES
    from mixop.data.core import Source

    return Tree("data", Source, PARTS, _plain("data", kind or "digits", SOURCES, Source))


def place() -> Tree:
    """Where the data of a run are now, for commands that take the run's own."""
    return Tree("data", Place, {"Place": Place, "Lists": Lists}, defaults(Place))


def protocol(kind: str | None) -> Tree:
    """The training protocol of a name, or of ``package.module:name``."""
    from mixop.evaluate.protocol import PARTS, PROTOCOLS, Protocol

    return Tree("protocol", Protocol, PARTS, _plain("protocol", kind or "quick", PROTOCOLS, Protocol))


_OTHERWISE = {"space": ", or a torch.nn.Module that has mixop.Choice in it"}
"""What a name may lead to besides."""


def _plain(word: str, kind: str, table: Mapping[str, Any], wanted: type) -> Any:
    """The value that a name stands for, as JSON data: of a class its defaults, of a function what it returns."""
    if ":" not in kind and kind not in table:
        raise RecipeError(unknown({"data": "data set"}.get(word, word), kind, table))
    found = table[kind] if kind in table else load(kind, f"--{word}", "value or a function")
    if isinstance(found, type) and issubclass(found, wanted) and is_dataclass(found):
        return defaults(found)
    if isinstance(found, Callable) and not isinstance(found, type | wanted):
        try:
            found = found()
        except MixopError:
            raise
        except Exception as error:  # an outsider's function may fail in any way
            raise RecipeError(
                f"--{word} {kind} failed ({type(error).__name__}: {error}): it is called without arguments and "
                f"returns a {wanted.__name__}{_OTHERWISE.get(word, '')}."
            ) from error
    if not isinstance(found, wanted):
        also = _OTHERWISE.get(word, "")
        raise RecipeError(
            f"--{word} {kind} must give a {wanted.__name__}, a frozen dataclass{also}, got {type(found).__name__}."
        )
    return to_plain(found)


def recognised(kind: str | None) -> Tree:
    """The data set that a word stands for: a name, ``package.module:name``, a folder of images, or a file."""
    from mixop.data import SOURCES

    if kind is None or kind in SOURCES or (":" in kind and not Path(kind).exists()):
        return data(kind)
    path = Path(kind)
    if not path.exists() and "/" not in kind and not path.suffix:
        known = ", ".join(SOURCES)
        raise DataError(
            f"{kind!r} is no file, no folder and no data set: give the path of a folder or a file, or one of {known}, or "
            "package.module:name."
        )
    source = _SUFFIXES.get(path.suffix.lower(), None if path.is_file() else "folder")  # loading says if it is not there
    if source is None:
        endings = ", ".join(_SUFFIXES)
        raise DataError(f"{kind} is not a kind of file that mixop reads ({endings}): name the data set and add --data.path.")
    tree = data(source)
    tree.put(("path",), kind)
    return tree


def recognised_if_named(kind: str | None) -> Tree | None:
    """The same for commands that can do without data."""
    return None if kind is None else recognised(kind)


_SUFFIXES = {".npz": "npz", ".txt": "text"}
"""The data set that reads a file."""
