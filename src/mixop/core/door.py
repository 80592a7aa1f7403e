"""The door of an entry point: arguments of a wrong type are refused in one sentence, and torch computes as mixop needs it."""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import torch

from mixop.core.errors import MixopError, RecipeError, unknown
from mixop.core.surroundings import undisturbed

F = TypeVar("F", bound=Callable[..., Any])


def door(error: type[MixopError] = RecipeError) -> Callable[[F], F]:
    """Makes a function an entry point.

    Its arguments are compared with its annotations: numbers, texts, paths, words of a `Literal`, functions, lists and mappings
    of them, and classes. A class says in ``asked`` what to write for it. Annotations of another kind are the function's own
    business. Inside, torch is `mixop.core.surroundings.undisturbed`.

    Args:
        error: what is raised, in one sentence.
    """

    def entrance(function: F) -> F:
        signature = inspect.signature(function)

        @wraps(function)
        def entered(*args: Any, **kwargs: Any) -> Any:
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError:  # Python's own words for a missing argument, or one too many
                return function(*args, **kwargs)
            hints = _hints(function)
            for name, value in given.items():
                check_type(name, value, hints.get(name, Any), error)
            with undisturbed():
                return function(*args, **kwargs)

        return entered  # type: ignore[return-value]

    return entrance


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function)


def check_type(name: str, value: Any, hint: Any, error: type[MixopError] = RecipeError) -> None:
    """Refuses a value that does not fit an annotation.

    Args:
        name: what the value is called in the sentence.
        value: any.
        hint: the annotation.
        error: what is raised.
    """
    if fits(value, hint):
        return
    choices = [choice for part in _parts(hint) if get_origin(part) is Literal for choice in get_args(part)]
    if choices and isinstance(value, str):
        raise error(unknown(name, value, choices))
    raise error(f"{name} must be {words(hint)}, got {shown(value)}.")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says; True for annotations that cannot be compared."""
    if get_origin(hint) in (Union, UnionType):
        parts = get_args(hint)
        if isinstance(value, str) and not value and any((get_origin(part) or part) in (Path, os.PathLike) for part in parts):
            return False  # it would be the directory that the program runs in
        return any(fits(value, part) for part in parts)
    origin = get_origin(hint) or hint
    if origin is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if origin in _SIMPLE:
        return _SIMPLE[origin][0](value)
    if origin is Sequence:
        (item,) = get_args(hint) or (Any,)
        return isinstance(value, Sequence) and not isinstance(value, str | bytes) and all(fits(each, item) for each in value)
    if origin is Mapping:
        key, item = get_args(hint) or (Any, Any)
        return isinstance(value, Mapping) and all(fits(k, key) and fits(v, item) for k, v in value.items())
    if origin is tuple:
        items = get_args(hint)
        if not isinstance(value, tuple | list) or Ellipsis in items:
            return isinstance(value, tuple | list)
        return len(value) == len(items) and all(map(fits, value, items))
    if isinstance(origin, type) and hasattr(origin, "asked"):
        return isinstance(value, origin)
    return True


def words(hint: Any) -> str:
    """What an annotation asks for, in words."""
    parts = _parts(hint)
    if len(parts) > 1:
        texts = list(dict.fromkeys(words(part) for part in parts))
        return " or ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else texts[0]
    origin = get_origin(hint) or hint
    if origin is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    if origin in _SIMPLE:
        return _SIMPLE[origin][1]
    if origin is Sequence:
        return f"a list, each item {words(get_args(hint)[0])}"
    if origin is tuple:
        items = get_args(hint)
        return "a list" if Ellipsis in items else f"a pair ({', '.join(map(words, items))})"
    if origin is Mapping:
        key, item = get_args(hint)
        return f"a mapping from {words(key)} to {words(item)}"
    return getattr(origin, "asked", getattr(origin, "__name__", str(origin)))


def shown(value: Any) -> str:
    """What came, in words, with what to do about something that was not called."""
    if isinstance(value, type):
        return f"the class {value.__name__} itself: call it, {value.__name__}(...)"
    if inspect.isroutine(value):
        return f"the function {value.__name__} itself: call it, {value.__name__}(...)"
    if isinstance(value, str):
        return f"the text {_short(value)}"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, list | tuple | dict | set):
        kind, text = type(value).__name__, repr(value)
        return f"the {kind} {text}" if len(text) <= 60 else f"a {kind}"
    return f"an object of type {type(value).__name__}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _parts(hint: Any) -> list[Any]:
    """The alternatives of an annotation."""
    if get_origin(hint) in (Union, UnionType):
        return [part for each in get_args(hint) for part in _parts(each)]
    return [hint]


_PATH = (lambda value: isinstance(value, os.PathLike), "a path")

_SIMPLE: dict[Any, tuple[Callable[[Any], bool], str]] = {
    Any: (lambda _: True, "anything"),
    NoneType: (lambda value: value is None, "None"),
    bool: (lambda value: isinstance(value, bool), "True or False"),
    int: (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    float: (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    str: (lambda value: isinstance(value, str), "a text"),
    Path: _PATH,
    os.PathLike: _PATH,
    torch.device: (lambda value: isinstance(value, torch.device), "a device such as 'cpu'"),
    Callable: (lambda value: callable(value) and not isinstance(value, type), "a function"),
}
"""Annotations of a simple kind: whether a value fits, and the words for it."""
