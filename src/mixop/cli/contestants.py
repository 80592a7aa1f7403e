"""Who takes part in ``mixop compare``, and how it is scored: from the flags of the command to values."""

from dataclasses import replace
from pathlib import Path

from mixop.cli import kinds
from mixop.cli.files import SUFFIXES
from mixop.cli.options import CompareOptions, TuneOptions
from mixop.comparison.evaluators import EVALUATORS, Evaluator, Retrain, default_evaluator, tabular
from mixop.core.errors import RecipeError
from mixop.data.core import Data, Source
from mixop.data.images.digits import Digits
from mixop.data.toy import ToySet
from mixop.plan.scaling import scaled_to
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.report.methods import RANDOM
from mixop.searchers import SEARCHERS
from mixop.searchers.base import SameLength, Searcher
from mixop.searchers.bohb import Bohb
from mixop.spaces.core import Space
from mixop.spaces.toy import Toy
from mixop.tables.catalogue import shipped_names

TOY_EPOCHS, TOY_BATCH = 20, 32


def source_for(space: Space) -> Source:
    """The data set of a space unless another one is named."""
    return ToySet(space=space) if isinstance(space, Toy) else Digits()


def evaluator(options: CompareOptions | TuneOptions, space: Space) -> Evaluator | None:
    """How the runs of a command are scored; None for the default of the space.

    Raises:
        RecipeError: if flags do not go together, or no table is known for the space.
        DataError: if there is no such table or data set.
    """
    word, named = options.evaluate, options.table is not None or options.dataset is not None
    test = isinstance(options, CompareOptions) and options.test
    if word == "table" or (word is None and options.table is not None):
        if options.table is None and space.name not in shipped_names():
            known = ", ".join(shipped_names()) or "no space"
            raise RecipeError(
                f"No table of {space.name} comes with mixop, only of {known}: give --table FILE, made by mixop table."
            )
        return tabular(options.table or space.name, options.dataset, test=test)
    if named:
        raise RecipeError("--table and --dataset are for --evaluate table: leave them out, or use it.")
    if test and word not in (None, "retrain"):
        raise RecipeError(
            f"--test scores trainings from scratch, but --evaluate {word} makes none: use --evaluate retrain or table."
        )
    if test:
        return Retrain(test=True)
    return None if word is None else EVALUATORS[word]()


def contestants(options: CompareOptions, space: Space, data: Data) -> tuple[dict[str, Recipe], list[str], str]:
    """The recipes of a comparison.

    Returns:
        The recipes by name; a sentence for each that ``all`` leaves out as it does not fit the space; how rates were chosen.

    Raises:
        RecipeError: if a name is unknown or given twice, a number out of range, or nothing is left.
    """
    fitted = space.fit(data)
    recipes: dict[str, Recipe] = {}
    left_out = []
    everything = "all" in _written(options)
    for word in _words(options):
        if word in SEARCHERS:
            continue
        try:
            recipe = _recipe(word, options, isinstance(space, Toy), data)
            recipe.check(fitted)
        except RecipeError as error:
            if not everything:
                raise
            left_out.append(f"{_called(word)} is left out: {error}")
            continue
        recipes[_called(word)] = recipe
    if not recipes and left_out:
        raise RecipeError(f"No recipe fits {space.name}: {left_out[0]}")
    rates = {
        "scaled": "Architecture rates are scaled to the length of the search, by the same rule for every published method "
        "(mixop.plan.scaling).",
        "paper": "Architecture rates are the published ones, at any length of the search.",
    }
    same = (
        f" Every search starts with {options.warmup} epochs that train the weights only; in a search with stages, every stage "
        "starts with that share."
    )
    return recipes, left_out, rates[options.rates] + same * (options.warmup is not None) if recipes else ""


def searchers(options: CompareOptions, space: Space, scored: Evaluator | None) -> dict[str, Searcher]:
    """The black-box searchers of a comparison, by name; random search, which always takes part, is not among them.

    Their trials train for as long as those of random search. Bohb's ladder has three rungs, each a third of the next one.

    Args:
        options: of the command.
        space: the search space.
        scored: how runs are scored; None for the default of the space.
    """
    scored = scored or default_evaluator(space)
    found: dict[str, Searcher] = {}
    for word in _words(options):
        if word in SEARCHERS and word != RANDOM:
            found[word] = _searcher(SEARCHERS[word], scored)
    return found


def _searcher(cls: type[Searcher], scored: Evaluator) -> Searcher:
    if issubclass(cls, Bohb):
        return cls(ladder=scored.ladder(3, cls.eta))
    assert issubclass(cls, SameLength)
    return cls(epochs=scored.trial_epochs)


def _written(options: CompareOptions) -> list[str]:
    return [word.strip() for word in options.recipes.split(",")]


def _words(options: CompareOptions) -> list[str]:
    """The methods as they were written, with ``all`` replaced by every recipe.

    Raises:
        RecipeError: if one of them comes twice.
    """
    words = [word for one in _written(options) for word in (RECIPES if one == "all" else (one,))]
    names = [_called(word) for word in words]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"--recipes names {name!r} twice: name each method once.")
    return words


def _called(word: str) -> str:
    """The name of a method: of a file or a class its own."""
    return Path(word).stem if word.endswith(SUFFIXES) else word.rpartition(":")[2]


def _recipe(word: str, options: CompareOptions, toy: bool, data: Data) -> Recipe:
    epochs, batch = options.epochs or (TOY_EPOCHS if toy else None), options.batch_size or (TOY_BATCH if toy else None)
    if options.epochs is not None and options.epochs < 1:
        raise RecipeError(f"--epochs must be at least 1, got {options.epochs}.")
    own = kinds.recipe(word).build()
    if word in RECIPES and epochs is not None:
        recipe = RECIPES[word](epochs=epochs)
    else:
        recipe = own if epochs is None else replace(own, epochs=epochs)
    if batch is not None:
        recipe = replace(recipe, batch_size=batch)
    if options.rates == "paper":
        return recipe if options.warmup is None else replace(recipe, warmup=options.warmup)
    # A recipe that was never published was made for the length that it has by itself.
    published = None if recipe.name in RECIPES else own
    return scaled_to(recipe, data.windows_in("train"), data.windows_in("valid"), warmup=options.warmup, published=published)
