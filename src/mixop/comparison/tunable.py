"""A recipe, a space and a training of which some fields are tuned: from what a sampler suggests to the values of a trial."""

import difflib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cached_property
from itertools import product
from random import Random
from typing import Any, Protocol

from mixop.comparison.ranges import OneOf, Range, Tuned
from mixop.core.errors import MixopError, RecipeError, unknown
from mixop.core.fields import UnknownFieldError, put
from mixop.core.schedules import Constant
from mixop.core.values import Parts, check_names, from_plain, options_of, to_plain, type_of
from mixop.evaluate.protocol import PARTS as PROTOCOL_PARTS
from mixop.evaluate.protocol import PROTOCOLS
from mixop.evaluate.protocol import Protocol as Training
from mixop.nets.modules.space import PARTS as SPACE_PARTS
from mixop.nets.modules.space import ModuleSpace
from mixop.recipe.core import Recipe
from mixop.recipe.parts import PARTS as RECIPE_PARTS
from mixop.recipes import RECIPES
from mixop.spaces import SPACES
from mixop.spaces.core import Space
from mixop.spaces.ready import READY

DRAWS = 20
"""Settings that are drawn beforehand, of which one must be possible."""

Settings = Mapping[str, Any]
"""What each tuned field is, as JSON data: a number, a word, a part; of a whole recipe, protocol or space its name."""


class Suggests(Protocol):
    """What chooses: a trial of Optuna, or its like."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        """One of several."""
        ...


@dataclass(frozen=True)
class Built:
    """The values of a trial.

    Args:
        recipe: of its search.
        space: that is searched.
        protocol: of the training from scratch that scores it; None where there is none.
    """

    recipe: Recipe
    space: Space
    protocol: Training | None


@dataclass(frozen=True)
class _Word:
    """One of the values that have tuned fields."""

    hint: type
    parts: Parts
    named: Mapping[str, Any]


_WORDS = {
    "recipe": _Word(Recipe, RECIPE_PARTS, RECIPES),
    "space": _Word(Space, SPACE_PARTS, SPACES),
    "protocol": _Word(Training, PROTOCOL_PARTS, PROTOCOLS),
}


@dataclass(frozen=True)
class Tunable:
    """Values, and what their fields may be in place of what they are.

    A field is named like its flag: ``recipe.architecture_optimiser.lr``, ``protocol.label_smoothing``, ``space.channels``; a
    number where a schedule may stand is that number throughout. ``recipe``, ``protocol`` or ``space`` alone is one of several
    whole values, by name or as they are: the name of a recipe stands for that method with the epochs and the batch size of
    ``recipe``. What is chosen first is what other fields belong to; a field that the choice does not have is left out.

    Args:
        recipe: of every search.
        space: that is searched.
        protocol: of the trainings from scratch; None where there are none.
        ranges: by field.

    Raises:
        RecipeError: if nothing is tuned, a field does not exist, or takes no such values.
    """

    recipe: Recipe
    space: Space
    protocol: Training | None
    ranges: Mapping[str, Tuned] = field(hash=False)

    def __post_init__(self) -> None:
        if not self.ranges:
            raise RecipeError("Nothing is tuned: give at least one range or choice, such as recipe.architecture_optimiser.lr.")
        written = {name: name.replace("-", "_") for name in self.ranges}
        object.__setattr__(self, "ranges", {written[name]: tuned for name, tuned in self.ranges.items()})
        for name, tuned in self.ranges.items():
            word = name.partition(".")[0]
            if word not in _WORDS:
                raise RecipeError(f"A tuned field begins with recipe, space or protocol, got {name!r}.")
            if word == "protocol" and self.protocol is None:
                raise RecipeError(
                    f"{name} is tuned, but no training from scratch scores what is found: score it by retrain, or leave it out."
                )
            if word == name and isinstance(tuned, Range):
                raise RecipeError(
                    f"{name} is a whole value and no number: give names to choose from, or tune one of its fields."
                )
        seen = {name for script in self._scripts() for name in self.draw(script)}
        for name in self.ranges:
            if name not in seen:
                raise RecipeError(self._unknown(name))

    def check(self, fits: Callable[[Built], object]) -> None:
        """Refuses ranges of which no draw is possible.

        Args:
            fits: raises a `MixopError` for what cannot be searched.

        Raises:
            MixopError: that of the first draw, if all of them have one.
        """
        errors = []
        for number in range(DRAWS):
            try:
                fits(self.build(self.draw(_Uniform(Random(number)))))
                return
            except MixopError as error:
                errors.append(error)
        raise errors[0]

    @property
    def longest(self) -> int:
        """Epochs of the longest search that may come."""
        tuned = self.ranges.get("recipe.epochs")
        if tuned is None:
            return self.recipe.epochs
        return int(tuned.high) if isinstance(tuned, Range) else max(tuned.options)

    def draw(self, trial: Suggests) -> dict[str, Any]:
        """The settings that a trial suggests."""
        plains, settings = dict(self._plains), {}
        for name in self._order:
            word, *path = name.split(".")
            try:
                hint = self._hint(plains[word], word, path)
            except UnknownFieldError:  # what was chosen has no such field
                continue
            tuned = self.ranges[name]
            if isinstance(tuned, OneOf):
                label = trial.suggest_categorical(name, tuned.labels)
                option = tuned.options[tuned.labels.index(label)]
                settings[name] = getattr(option, "name", option) if not path else to_plain(option)
            elif _whole(name, hint, tuned):
                settings[name] = trial.suggest_int(name, int(tuned.low), int(tuned.high), log=tuned.log)
            else:
                settings[name] = trial.suggest_float(name, tuned.low, tuned.high, log=tuned.log)
            plains[word] = self._put(plains[word], word, path, settings[name])
        return settings

    def build(self, settings: Settings) -> Built:
        """The values that settings stand for.

        Raises:
            MixopError: if they do not fit together, or are out of range.
        """
        plains = dict(self._plains)
        for name in self._order:
            if name in settings:
                word, *path = name.split(".")
                plains[word] = self._put(plains[word], word, path, settings[name])
        built = {word: getattr(self, word) for word in _WORDS}
        for word in {name.partition(".")[0] for name in settings}:  # a value that is not tuned may be one that no file holds
            built[word] = from_plain(plains[word], _WORDS[word].hint, _WORDS[word].parts, word)
            check_names(built[word], word)
        return Built(**built)

    @cached_property
    def _order(self) -> list[str]:
        """A part comes before its fields."""
        return sorted(self.ranges, key=lambda name: name.count("."))

    @cached_property
    def _plains(self) -> dict[str, Any]:
        """The values as JSON data, those that have tuned fields."""
        words = {name.partition(".")[0] for name in self.ranges}
        return {word: to_plain(getattr(self, word)) for word in words}

    @cached_property
    def _whole_values(self) -> dict[str, dict[str, Any]]:
        """The options of whole values as JSON data, by word and name."""
        found: dict[str, dict[str, Any]] = {}
        for word, tuned in self.ranges.items():
            if word in _WORDS and isinstance(tuned, OneOf):
                values = [self._named(word, option) if isinstance(option, str) else option for option in tuned.options]
                names = [option if isinstance(option, str) else getattr(option, "name", "") for option in tuned.options]
                for name, value in zip(names, values, strict=True):
                    if not isinstance(value, _WORDS[word].hint):
                        raise RecipeError(f"The options of {word} are names or values of that kind, got {value!r}.")
                    if names.count(name) > 1:
                        raise RecipeError(f"The options of {word} must have different names, got {name!r} twice.")
                found[word] = {name: to_plain(value) for name, value in zip(names, values, strict=True)}
        return found

    def _named(self, word: str, name: str) -> Any:
        table = _WORDS[word].named
        if name not in table:
            raise RecipeError(unknown(word, name, table))
        if word == "recipe":
            return replace(table[name](epochs=self.recipe.epochs), batch_size=self.recipe.batch_size)
        return table[name] if is_dataclass(table[name]) and not isinstance(table[name], type) else table[name]()

    def _put(self, plain: Any, word: str, path: Sequence[str], value: Any) -> Any:
        if not path:
            return self._whole_values[word][value]
        of = _WORDS[word]
        return put(plain, _place(plain, path), lambda hint: value, of.hint, of.parts, word)

    def _hint(self, plain: Any, word: str, path: Sequence[str]) -> Any:
        """The type of a field."""
        of, found = _WORDS[word], []

        def note(hint: Any) -> None:
            found.append(hint)

        put(plain, _place(plain, path), note, of.hint, of.parts, word)
        return found[0]

    def _scripts(self) -> Iterator["_Script"]:
        """Every combination of the options that other fields belong to."""
        labels = {
            name: tuned.labels
            for name, tuned in self.ranges.items()
            if isinstance(tuned, OneOf) and any(other.startswith(f"{name}.") for other in self.ranges)
        }
        for options in product(*labels.values()):
            yield _Script(dict(zip(labels, options, strict=True)))

    def _unknown(self, name: str) -> str:
        word = name.partition(".")[0]
        known = [f"{word}.{path}" for path in _paths(self._plains[word])]
        end = "." + name.rpartition(".")[2]
        near = [other for other in known if other.endswith(end)] or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        return f"There is no field {name} to tune: " + (
            f"did you mean {' or '.join(near[:2])}?" if near else "mixop tune --help-all lists those that there are."
        )


@dataclass(frozen=True)
class _Script:
    """Suggests what is written down, else the first option and the lower bound."""

    answers: Mapping[str, Any]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return low

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        return self.answers.get(name, choices[0])


@dataclass(frozen=True)
class _Uniform:
    """Suggests at random."""

    rng: Random

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return low * (high / low) ** self.rng.random() if log else self.rng.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return self.rng.randint(low, high)

    def suggest_categorical(self, name: str, choices: Sequence[Any], /) -> Any:
        return self.rng.choice(choices)


def _place(plain: Any, path: Sequence[str]) -> Sequence[str]:
    """Where a field lies: what is no field of a space in a model is an argument of the function that makes the model.

    Raises:
        UnknownFieldError: if a ready model has no such argument.
    """
    if type_of(plain) != ModuleSpace.__name__ or path[0] in plain:
        return path
    if plain["factory"] in READY and path[0] not in plain["arguments"]:
        raise UnknownFieldError
    return ("arguments", *path)


def _whole(name: str, hint: Any, tuned: Range) -> bool:
    """Whether a field takes whole numbers only.

    Raises:
        RecipeError: if it takes no numbers at all.
    """
    options = options_of(hint)
    if float in options or Constant in options or typing.Any in options:
        return typing.Any in options and tuned.whole
    if int not in options:
        raise RecipeError(f"{name} takes no numbers, so it has no range: give the values to choose from.")
    if not tuned.whole:
        raise RecipeError(f"{name} takes whole numbers, got a range from {tuned.low!r} to {tuned.high!r}.")
    return True


def _paths(plain: Any, before: str = "") -> Iterator[str]:
    """The dotted names of all fields of a value."""
    items = plain.items() if isinstance(plain, Mapping) else enumerate(plain) if isinstance(plain, list) else ()
    for name, value in items:
        if name != "type":
            yield f"{before}{name}"
            yield from _paths(value, f"{before}{name}.")
