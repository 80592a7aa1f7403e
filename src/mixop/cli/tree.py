"""Knobs: the fields of a value and of all its parts, each under a dotted name.

A `Tree` holds a value as the JSON data of `mixop.core.values` until everything that the user said is in it: a name chose where
to begin, a file changed some fields, flags changed others. Only then is the value built and checked, once and as a whole,
so that changes which fit only together need no order.
"""

import dataclasses
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from mixop.core.errors import RecipeError, SpaceError
from mixop.core.fields import UnknownFieldError, put
from mixop.core.names import from_file
from mixop.core.outside import parse_json
from mixop.core.schedules import Constant
from mixop.core.values import (
    SCALARS,
    IncompleteError,
    Parts,
    check_names,
    find_type,
    from_plain,
    hints_of,
    item_of,
    merge,
    options_of,
    type_of,
)

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Knob:
    """One field that can be set.

    Args:
        path: names that lead to it, ``("weight_optimiser", "lr", "start")``.
        takes: what to write after the flag, ``NUMBER`` or ``Adam|SGD``.
        default: the value that it has now, as one would write it; None if it has none and must be given.
        help: what it means, with range and unit.
        of: the part that it belongs to, for headings: ``"SGD: Stochastic gradient descent with momentum."``
    """

    path: tuple[str, ...]
    takes: str
    default: str | None
    help: str
    of: str


@dataclass
class Tree:
    """A value in the making.

    Args:
        name: what stands before its fields, "recipe".
        hint: type of the value.
        parts: classes by the name they have in a file.
        plain: the value as JSON data, ``to_plain`` of it or `defaults` of its class.
        file: the file that changed it, if one did.
        filed: the value as JSON data as that file left it.
    """

    name: str
    hint: type
    parts: Parts
    plain: Any
    file: str = ""
    filed: Any = None

    def merge(self, changes: Mapping[str, Any], file: str = "") -> None:
        """Changes the fields that a table of a file names.

        A table with another ``type`` replaces the part that is there; without, or with its own, it changes some fields.

        Raises:
            RecipeError: if it names a part that does not exist, with the file.
        """
        with from_file(file):
            self.plain = merge(self.plain, changes, self.hint, self.parts, self.name)
        if file:
            self.file, self.filed = file, self.plain

    def put(self, path: Sequence[str], text: str) -> None:
        """Sets one field to what a user wrote for it.

        Raises:
            UnknownFieldError: if there is no such field.
            RecipeError: if the text names a part that does not exist.
        """
        self.plain = put(self.plain, path, lambda hint: read(text, hint), self.hint, self.parts, self.name)

    def read(self, path: Sequence[str], text: str) -> Any:
        """What a user wrote for one field as JSON data; nothing is set. What is no field as yet may have any type.

        Raises:
            RecipeError: if the text names a part that does not exist.
        """
        found = []

        def note(hint: Any) -> Any:
            found.append(read(text, hint))
            return found[0]

        try:
            put(self.plain, path, note, self.hint, self.parts, self.name)
        except UnknownFieldError:
            return read(text, Any)
        return found[0]

    def knobs(self) -> Iterator[Knob]:
        """Everything that can be set, a part's own fields before those of its parts."""
        return self._knobs(self.plain, ())

    def build(self) -> Any:
        """The value.

        Raises:
            MixopError: if a field is missing, unknown, of the wrong type or out of range, or parts do not fit.
        """
        try:
            return self._built(self.plain)
        except IncompleteError:
            knob = next((knob for knob in self.knobs() if knob.default is None), None)
            if knob is None:  # a field that has no flag of its own
                raise
            flag = flag_of((self.name, *knob.path))
            raise RecipeError(f"{type_of(self.plain)} needs {flag} {knob.takes}: {knob.help or 'it has no default.'}") from None
        except (RecipeError, SpaceError) as error:
            with from_file(self.file if self._from_file(str(error)) else ""):
                raise

    def _built(self, plain: Any) -> Any:
        value = from_plain(plain, self.hint, self.parts, self.name)
        check_names(value, self.name)
        return value

    def _from_file(self, sentence: str) -> bool:
        """Whether the value would be refused in the same way without any flags."""
        if not self.file:
            return False
        try:
            self._built(self.filed)
        except (RecipeError, SpaceError) as error:
            return str(error) == sentence
        return False

    def _knobs(self, node: Mapping[str, Any], path: tuple[str, ...], role: str = "") -> Iterator[Knob]:
        cls = find_type(node["type"], self.parts, self.name)
        hints, docs = hints_of(cls), arguments_of(cls)
        of = f"{cls.__name__}: {role or first_line(cls)}"
        inner = []
        for name, hint in hints.items():
            here, value, about = (*path, name), node.get(name), docs.get(name, "")
            chosen = len(options_of(hint)) > 1 or not dataclasses.is_dataclass(hint)  # otherwise there is but one class
            if chosen:
                yield Knob(here, self._takes(hint), written(node[name]) if name in node else None, about, of)
            if type_of(value) is not None:
                inner.append((value, here, "" if chosen else about))
            elif isinstance(value, list):
                inner += [(v, (*here, str(i)), "") for i, v in enumerate(value) if type_of(v) is not None]
        for value, here, role in inner:
            yield from self._knobs(value, here, role)

    def _takes(self, hint: Any) -> str:
        """What one writes for a value of a type: ``INT``, ``true|false``, ``NUMBER,NUMBER``, ``Adam|SGD``."""
        if isinstance(hint, type) and not issubclass(hint, SCALARS) and typing.get_origin(hint) is None:
            return "|".join(name for name, cls in self.parts.items() if issubclass(cls, hint)) or "package.module:Name"
        words = {bool: "true|false", int: "INT", float: "NUMBER", str: "TEXT", type(None): "none", Any: "JSON"}
        if hint in words:
            return words[hint]
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin is typing.Literal:
            return "|".join(map(str, args))
        if origin is tuple:
            if any(typing.get_origin(arg) is tuple for arg in args):
                return "JSON"
            if len(args) == 2 and args[1] is Ellipsis:
                return f"{self._takes(args[0])},..."
            return ",".join(self._takes(arg) for arg in args)
        options = options_of(hint)
        if len(options) > 1:
            return ("NUMBER|" if Constant in options else "") + "|".join(self._takes(option) for option in options)
        return "JSON"


def flag_of(path: Sequence[str]) -> str:
    """The flag of a path of names: ``--recipe.weight-optimiser.lr``."""
    return "--" + ".".join(path).replace("_", "-")


def written(plain: Any) -> str:
    """A value as one writes it after its flag."""
    if plain is None or isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, list):
        return ", ".join(map(written, plain)) or "none"
    return type_of(plain) or str(plain)


@cache
def first_line(thing: Any) -> str:
    """The first sentence of a docstring."""
    return plain_text((inspect.getdoc(thing) or "").partition("\n\n")[0])


@cache  # a recipe has the same few dozen classes over and over
def arguments_of(thing: Any) -> dict[str, str]:
    """What the section ``Args:`` of a docstring says of each field or argument; base classes are asked where it is silent."""
    found: dict[str, str] = {}
    for base in reversed(thing.__mro__) if isinstance(thing, type) else (thing,):
        name, inside = "", False
        for line in inspect.cleandoc(base.__doc__ or "").splitlines():
            if line and not line.startswith(" "):
                name, inside = "", line == "Args:"
            elif inside and line.startswith("    ") and line[4:5] not in ("", " "):
                name, _, text = line.strip().partition(": ")
                found[name] = text
            elif inside and name:
                found[name] += " " + line.strip()
    return {name: plain_text(text) for name, text in found.items()}


def plain_text(text: str) -> str:
    """A docstring's text without its markup, on one line."""
    return " ".join(text.replace("`", "").split())


def read(text: str, hint: Any) -> Any:
    """What a user wrote for a field as JSON data; text that does not fit stays text, which building then refuses."""
    if text[:1] in ("[", "{"):
        try:
            return parse_json(text)
        except ValueError:
            return text
    for option in options_of(hint):
        value = _read_one(text, option)
        if value is not dataclasses.MISSING:
            return value
    return text


def _read_one(text: str, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return None if text == "none" else dataclasses.MISSING
    if hint is bool:
        return _WORDS.get(text.lower(), dataclasses.MISSING)
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            return dataclasses.MISSING
    if origin is typing.Literal:
        return next((arg for arg in args if str(arg) == text), dataclasses.MISSING)
    if origin is tuple:
        items = [] if text in ("", "none") else text.split(",")
        return [read(item.strip(), item_of(hint, i)) for i, item in enumerate(items)]
    if hint is str:
        return text
    if hint is Any:
        try:
            return parse_json(text)
        except ValueError:
            return text
    if isinstance(hint, type) and origin is None:  # a part by its name, or a number for a schedule
        try:
            return float(text)
        except ValueError:
            return text
    return dataclasses.MISSING
