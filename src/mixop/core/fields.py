"""One field of a value by the path of names that leads to it, as flags write it: ``weight_optimiser.lr.start``."""

import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mixop.core.values import Parts, find_type, hints_of, item_of, merge, type_of


class UnknownFieldError(LookupError):
    """There is no field of that name."""


def put(plain: Any, path: Sequence[str], change: Callable[[Any], Any], hint: Any, parts: Parts, where: str) -> Any:
    """JSON data of a value with one field changed, to be built by `mixop.core.values.from_plain`.

    Args:
        plain: the value as JSON data.
        path: names that lead to the field; a number for an entry of a list. Empty for the value itself.
        change: called with the type of the field; gives what `mixop.core.values.merge` takes.
        hint: type of the value.
        parts: mixop's own classes by name.
        where: the path to the value, for error messages.

    Raises:
        UnknownFieldError: if the value, as it is, has no such field.
        RecipeError: if the change names a part that does not exist.
    """
    if not path:
        return merge(plain, change(hint), hint, parts, where)
    name, rest = path[0], path[1:]
    if isinstance(plain, list) and name.isdecimal() and int(name) < len(plain):
        index = int(name)
        changed = put(plain[index], rest, change, item_of(hint, index), parts, f"{where}[{index}]")
        return [*plain[:index], changed, *plain[index + 1 :]]
    if typing.get_origin(hint) is Mapping and isinstance(plain, Mapping):  # an entry of its own: protocol.network.hidden
        return {**plain, name: put(plain.get(name), rest, change, typing.get_args(hint)[1], parts, f"{where}.{name}")}
    if not isinstance(plain, Mapping) or type_of(plain) is None:
        raise UnknownFieldError
    hints = hints_of(find_type(plain["type"], parts, where))
    if name not in hints:
        raise UnknownFieldError
    return {**plain, name: put(plain.get(name), rest, change, hints[name], parts, f"{where}.{name}")}
