"""Frozen dataclasses to plain JSON data and back, without loss and without running what the file says.

Every choice of a search is a value: a recipe holds parts, a part holds numbers and schedules. A dataclass becomes an
object with its class under ``"type"``: by its bare name for mixop's own parts, as ``package.module:Name`` for others.
Reading checks names and types against the annotations, so that an error says where in the file the mistake is.
"""

import dataclasses
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from mixop.core.errors import MixopError, RecipeError, unknown
from mixop.core.names import check_name, load
from mixop.core.outside import shortened
from mixop.core.schedules import Constant

Parts = Mapping[str, type]
SCALARS = (bool, int, float, str, type(None))


class IncompleteError(RecipeError):
    """A field that has no default is missing."""


def to_plain(value: Any) -> Any:
    """A value of dataclasses, tuples, mappings, strings and numbers as JSON data.

    Raises:
        RecipeError: for anything else, a lambda or a tensor for example, for numbers that are not finite, and for a class
            that another process could not find.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {"type": type_name(type(value)), **fields}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise RecipeError(f"A mapping in a recipe has strings as keys, got {key!r}.")
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"A recipe holds finite numbers only, got {value}.")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise RecipeError(f"A recipe holds dataclasses, strings and numbers, got {type(value).__name__}: {value!r}.")


def type_name(cls: type) -> str:
    """The name that a class is written under: bare for mixop's own, ``module:Name`` for others.

    Raises:
        RecipeError: for a class defined inside a function, which no name leads to.
    """
    if "<locals>" in cls.__qualname__:
        raise RecipeError(
            f"{cls.__name__} is defined inside a function, where no file can refer to it: move it to the top of its module."
        )
    return cls.__name__ if cls.__module__.split(".")[0] == "mixop" else f"{cls.__module__}:{cls.__qualname__}"


def find_type(name: str, parts: Parts, where: str = "recipe") -> type:
    """The class that a name stands for.

    Args:
        name: a name in ``parts``, or ``package.module:Name`` of an outsider's class, which is imported.
        parts: mixop's own classes by name.
        where: the path to the name, for error messages.

    Raises:
        RecipeError: if there is none, or it is not a dataclass.
    """
    if not isinstance(name, str):
        raise RecipeError(f'{where} must name its class in "type", got {shortened(name)}.')
    if ":" not in name:
        if name not in parts:
            raise RecipeError(unknown(f"part for {where} called", name, parts))
        return parts[name]
    found = load(name, where)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise RecipeError(f"{where} names {name!r}, which is not a dataclass: a part of a recipe is a frozen dataclass.")
    return found


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """Field names of a dataclass with their resolved annotations."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


def from_plain(data: Any, hint: Any, parts: Parts, where: str = "recipe") -> Any:
    """JSON data back as the value it was written from.

    Args:
        data: what ``json.load`` or ``tomllib.load`` gave.
        hint: the expected type; a dataclass, a union, a tuple type, a scalar.
        parts: mixop's own classes by name, for ``"type"``.
        where: the path to ``data``, for error messages.

    Raises:
        RecipeError: for an unknown name, a missing or misspelt field, a wrong type, with the path to it.
    """
    if isinstance(data, Mapping) and "type" in data:
        name, cls = data["type"], None
        if isinstance(name, str):
            known = parts if name in parts else {n: part for n, part in parts.items() if _accepts(hint, part)}
            cls = find_type(name, known or parts, where)
        if cls is None or not _accepts(hint, cls):
            raise RecipeError(f"{where} must be {_describe(hint)}, got {shortened(name, 200)}.")
        return _dataclass(data, cls, parts, where)
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    classes = [option.__name__ for option in options if dataclasses.is_dataclass(option) and isinstance(option, type)]
    if isinstance(data, Mapping) and len(classes) > 1:
        raise RecipeError(f'{where} must say which "type" it is, {" or ".join(classes)}, got {shortened(dict(data), 200)}.')
    for option in options:
        matched, value = _match(data, option, parts, where)
        if matched:
            return value
    raise RecipeError(f"{where} must be {_describe(hint)}, got {shortened(data, 200)}.")


def fields_in(content: Any, hints: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Some fields of an object from outside, checked; the others are left out.

    Args:
        content: JSON data.
        hints: name to type; a missing field counts as null. ``dict`` stands for any object.
        where: the path to ``content``, for error messages.

    Raises:
        RecipeError: if it is no object, or a field is of another type.
    """
    if not isinstance(content, Mapping):
        raise RecipeError(f"{where} must be an object, got {shortened(content)}.")
    found = {}
    for name, hint in hints.items():
        value = content.get(name)
        if hint is dict and not isinstance(value, Mapping):
            raise RecipeError(f"{where}.{name} must be an object, got {shortened(value)}.")
        found[name] = value if hint is dict else from_plain(value, hint, {}, f"{where}.{name}")
    return found


def merge(plain: Any, change: Any, hint: Any, parts: Parts, where: str = "recipe") -> Any:
    """JSON data of a value with a change in it, as a file, a flag or a Python mapping writes it.

    The result is JSON data again, to be built by `from_plain`: changes that fit only together need no order. What a change
    may be:

    - a mapping changes the fields that it names; with another ``"type"`` it replaces the part that is there by a new one,
      whose other fields have their defaults;
    - a text where a part is expected is the name of its class: ``"Dirichlet"`` for ``{"type": "Dirichlet"}``, unless that text
      itself may stand there, as ``"flops"`` in the place of a table of costs;
    - a number where a schedule is expected is that number throughout, a `Constant`;
    - a list replaces the list that is there, and a value that is a dataclass the part that is there;
    - ``"none"`` is None where None is allowed, for files that cannot write None.

    Args:
        plain: what `to_plain` gave, or `defaults`.
        change: what to change.
        hint: type of the value.
        parts: mixop's own classes by name.
        where: the path to the value, for error messages.

    Raises:
        RecipeError: if a class is named that does not exist. Everything else is checked by `from_plain`.
    """
    options = options_of(hint)
    if dataclasses.is_dataclass(change) and not isinstance(change, type):
        change = to_plain(change)
    if isinstance(change, str) and change == "none" and type(None) in options:
        return None
    if isinstance(change, str) and _is_part(hint) and not any(_is_literal(change, option) for option in options):
        change = {"type": change}
    if isinstance(change, int | float) and not isinstance(change, bool) and Constant in options and float not in options:
        change = {"type": type_name(Constant), "value": change}
    if isinstance(change, Mapping) and "type" in change and type_of(plain) != change["type"]:
        if not isinstance(change["type"], str):
            return change  # from_plain says what is wrong with it
        cls = find_type(change["type"], parts, where)
        if not _accepts(hint, cls):
            return change  # the same
        plain = defaults(cls)
    if isinstance(change, Mapping) and isinstance(plain, Mapping) and (name := type_of(plain)) is not None:
        hints = hints_of(find_type(name, parts, where))
        new = {k: merge(plain.get(k), v, hints.get(k, Any), parts, f"{where}.{k}") for k, v in change.items() if k != "type"}
        return {**plain, **new}
    if isinstance(change, list | tuple):
        return [merge(None, item, item_of(hint, i), parts, f"{where}[{i}]") for i, item in enumerate(change)]
    return change


def changed(value: Any, changes: Mapping[str, Any], parts: Parts, where: str = "recipe") -> Any:
    """A dataclass with the settings of a nested mapping, which is written as `merge` says.

    Raises:
        RecipeError: with the path to what is unknown, of the wrong type or out of range; if the changes are no mapping, or
            the value holds something that JSON cannot.
    """
    if not isinstance(changes, Mapping):
        raise RecipeError(f"Changes to {where} are written as an object of settings, got {changes!r}.")
    return from_plain(merge(to_plain(value), changes, type(value), parts, where), type(value), parts, where)


def check_names(value: Any, where: str) -> None:
    """Refuses a value that names functions of modules which texts may not name. Called before any of them is needed.

    Args:
        value: of dataclasses; those that hold names say so in ``names_used``.
        where: what it is, in messages.

    Raises:
        RecipeError: see `mixop.core.names.check_name`.
    """
    if isinstance(value, tuple):
        for item in value:
            check_names(item, where)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name in getattr(value, "names_used", ()):
            if ":" in name:
                check_name(name, where)
        for field in dataclasses.fields(value):
            check_names(getattr(value, field.name), where)


def defaults(cls: type) -> dict[str, Any]:
    """A dataclass at its defaults as JSON data; fields without a default are left out."""
    plain: dict[str, Any] = {"type": type_name(cls)}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            plain[field.name] = to_plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            plain[field.name] = to_plain(field.default_factory())
    return plain


def type_of(plain: Any) -> str | None:
    """The class that JSON data stands for, by its name; None if it stands for no dataclass."""
    return plain.get("type") if isinstance(plain, Mapping) else None


def options_of(hint: Any) -> tuple[Any, ...]:
    """The members of a union, None first so that the word "none" is read as None; of any other type, itself."""
    if _is_union(hint):
        return tuple(sorted(typing.get_args(hint), key=lambda option: option is not type(None)))
    return (hint,)


def item_of(hint: Any, index: int) -> Any:
    """The type of an entry of a tuple type."""
    for option in options_of(hint):
        args = typing.get_args(option)
        if typing.get_origin(option) is tuple and args:
            return args[0] if args[-1] is Ellipsis else args[min(index, len(args) - 1)]
    return Any


def _is_part(hint: Any) -> bool:
    """Whether a class name can stand for a value of that type."""
    return any(
        isinstance(o, type) and o is not Any and typing.get_origin(o) is None and not issubclass(o, (*SCALARS, tuple, Mapping))
        for o in options_of(hint)
    )


def _is_literal(text: str, hint: Any) -> bool:
    """Whether a type is a list of texts, and this is one of them."""
    return typing.get_origin(hint) is typing.Literal and text in typing.get_args(hint)


def _dataclass(data: Mapping[str, Any], cls: type, parts: Parts, where: str) -> Any:
    hints = hints_of(cls)
    given = {name: item for name, item in data.items() if name != "type"}
    for name in given:
        if name not in hints:
            raise RecipeError(unknown(f"setting in {where} ({cls.__name__})", name, hints))
    values = {name: from_plain(item, hints[name], parts, f"{where}.{name}") for name, item in given.items()}
    for field in dataclasses.fields(cls):
        required = field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in values:
            raise IncompleteError(f"{where} ({cls.__name__}) is incomplete: {field.name!r} is missing.")
    return _build(lambda: cls(**values), where)


def _build(make: Callable[[], Any], where: str) -> Any:
    try:
        return make()
    except MixopError:
        raise
    except (TypeError, ValueError) as error:  # how an outsider's part refuses its arguments
        raise RecipeError(f"{where} is refused by its class: {error}.") from error


def _match(data: Any, hint: Any, parts: Parts, where: str) -> tuple[bool, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True, data
    if hint is None or hint is type(None):
        return data is None, None
    if origin is typing.Literal:
        return any(type(data) is type(arg) and data == arg for arg in args), data
    if origin is tuple and isinstance(data, list | tuple):
        if len(args) == 2 and args[1] is Ellipsis:
            return True, tuple(from_plain(item, args[0], parts, f"{where}[{i}]") for i, item in enumerate(data))
        if len(args) == len(data):
            return True, tuple(
                from_plain(item, arg, parts, f"{where}[{i}]") for i, (item, arg) in enumerate(zip(data, args, strict=True))
            )
        return False, None
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(data, Mapping):
        return True, {key: from_plain(item, args[1], parts, f"{where}.{key}") for key, item in data.items()}
    if hint is float:  # JSON writes 1.0 as 1 in some hands
        number = isinstance(data, int | float) and not isinstance(data, bool) and abs(data) <= sys.float_info.max
        return number, float(data) if number else None
    if hint in (int, str, bool):
        return type(data) is hint, data
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(data, Mapping):
        return True, _dataclass(data, hint, parts, where)
    return False, None


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _accepts(hint: Any, cls: type) -> bool:
    if hint is Any:
        return True
    if _is_union(hint):
        return any(_accepts(option, cls) for option in typing.get_args(hint))
    origin = typing.get_origin(hint) or hint
    if getattr(origin, "_is_protocol", False):  # parts of outsiders need no base class: called, not inherited
        return True
    return isinstance(origin, type) and issubclass(cls, origin)


def _describe(hint: Any) -> str:
    if _is_union(hint):
        return " or ".join(_describe(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(repr(arg) for arg in typing.get_args(hint))
    names = {float: "a number", int: "a whole number", str: "a text", bool: "true or false", type(None): "nothing"}
    if hint in names:
        return names[hint]
    if typing.get_origin(hint) is tuple:
        args = typing.get_args(hint)
        return "a list" if Ellipsis in args else f"a list of {len(args)}"
    return getattr(hint, "__name__", str(hint))
