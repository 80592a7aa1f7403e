"""The only reader of JSON and TOML from outside: files, lines of files and flags become plain data here, and nowhere else.

The standard library reads more than we can use: a million brackets, ``NaN``, ``1e999`` as infinity, numbers of a thousand
digits, the last of two equal keys. All of that is refused with the reason. The caller knows which file it is and what to do.
"""

import json
import math
import re
import tomllib
from typing import Any, NoReturn

DEEPEST = 64
"""Levels of lists and objects. A recipe has about ten, and whoever walks through the data recurses for every level."""

LARGEST = 2**64
"""Whole numbers stay below; seeds of torch come near."""

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


class MalformedError(ValueError):
    """A text is no data that we read; the message is the reason, without the file and without a full stop."""


def parse_json(content: bytes | str) -> Any:
    """JSON data: objects, lists, texts, finite numbers, true, false and null.

    Args:
        content: the text, or its bytes in UTF-8, with or without a byte order mark.

    Raises:
        MalformedError: if it is something else, nests deeper than `DEEPEST`, repeats a key, or has a number out of range.
    """
    text = decoded(content)
    _check_depth(text)
    try:
        return json.loads(
            text, parse_float=_finite, parse_int=_whole, parse_constant=_constant, object_pairs_hook=_without_repeats
        )
    except json.JSONDecodeError as error:
        raise MalformedError(f"{error.msg} in line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:  # the caller is near the limit already
        raise MalformedError("it is nested too deeply") from error


def parse_object(content: bytes | str) -> dict[str, Any]:
    """`parse_json` of an object.

    Raises:
        MalformedError: also if it is a list, a text or a number.
    """
    found = parse_json(content)
    if not isinstance(found, dict):
        raise MalformedError(f"it must be an object, got {shortened(found)}")
    return found


def parse_toml(content: bytes | str) -> dict[str, Any]:
    """The tables of a TOML file, of the same kinds of values as JSON.

    Raises:
        MalformedError: if it is no TOML, nests too deeply, or holds a date or a number out of range.
    """
    text = decoded(content)
    try:
        found = tomllib.loads(text, parse_float=_finite)
    except MalformedError:
        raise
    except RecursionError as error:
        raise MalformedError("it is nested too deeply") from error
    except ValueError as error:  # tomllib's own, and a number of thousands of digits
        raise MalformedError(str(error).rstrip(".")) from error
    _check_values(found)
    return found


def decoded(content: bytes | str) -> str:
    """Text in UTF-8, without a byte order mark.

    Raises:
        MalformedError: if it is something else.
    """
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedError(f"it is no text in UTF-8 (byte {error.start})") from error


def as_json(value: Any) -> Any:
    """Plain data as it comes back from a file: tuples as lists."""
    return json.loads(json.dumps(value))


def shortened(value: Any, length: int = 60) -> str:
    """What came, for a message."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # too deep, or a number of too many digits to be written
        text = f"a {type(value).__name__}"
    return text if len(text) <= length else text[: length - 3] + "..."


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for match in _BRACKETS.finditer(text):
        mark = match[0]
        if mark in ("[", "{"):
            depth += 1
            if depth > DEEPEST:
                raise MalformedError(f"it is nested more than {DEEPEST} deep")
        elif mark in ("]", "}"):
            depth -= 1


def _check_values(found: Any) -> None:
    """Refuses what JSON could not hold, level by level instead of by recursion."""
    level = [found]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, int) and not -LARGEST < value < LARGEST:
                raise MalformedError("it holds a whole number beyond 64 bits")
            elif not isinstance(value, str | bool | int | float):
                raise MalformedError(f"it holds a date or a time, {value}, which no setting is")
        if not inner:
            return
        level = inner
    raise MalformedError(f"it is nested more than {DEEPEST} deep")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise MalformedError(f"it holds {shortened(text)}, which is no finite number")
    return value


def _whole(text: str) -> int:
    value = int(text) if len(text) <= 21 else LARGEST
    if not -LARGEST < value < LARGEST:
        raise MalformedError("it holds a whole number beyond 64 bits")
    return value


def _constant(text: str) -> NoReturn:
    raise MalformedError(f"it holds {text}, which is no finite number")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedError(f"it has two entries {shortened(twice)}")
    return found
