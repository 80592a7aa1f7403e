"""Spaces of choices in a model: the arguments of the function that makes the model are flags, ``--space.width 16``."""

import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixop.cli.tree import Knob, Tree, arguments_of, first_line, flag_of, read, written
from mixop.core.errors import RecipeError, unknown
from mixop.core.fields import UnknownFieldError
from mixop.core.names import from_file
from mixop.core.values import SCALARS, from_plain, options_of

FIELDS = ("pretrained", "input_shape", "outputs", "dense", "tokens")
"""Fields of the space itself that have flags; all but the first are sizes, which the data gives."""

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Argument:
    """An argument of a function.

    Args:
        hint: its type, as `mixop.core.values` knows types.
        default: its default; `REQUIRED` without one.
        help: what the function's docstring says of it.
    """

    hint: Any
    default: Any
    help: str


@dataclass
class FactoryTree(Tree):
    """A module space in the making.

    Args:
        arguments: of the function that makes the model, by name, without the sizes that the data gives.
        open: whether the function takes arguments of any name.
        about: what the function is, for headings.
    """

    arguments: Mapping[str, Argument] = field(default_factory=dict)
    open: bool = False
    about: str = ""

    def merge(self, changes: Mapping[str, Any], file: str = "") -> None:
        with from_file(file):
            for name in changes:
                if not self._takes_argument(name) and name not in FIELDS:
                    raise RecipeError(unknown(f"argument of {self.plain['factory']} called", name, [*self.arguments, *FIELDS]))
        given = {name: value for name, value in changes.items() if self._takes_argument(name)}
        self.plain = {**self.plain, "arguments": {**self.plain["arguments"], **given}}
        super().merge({name: value for name, value in changes.items() if name in FIELDS}, file)

    def put(self, path: Sequence[str], text: str) -> None:
        (name, *deeper) = path
        if deeper or not (self._takes_argument(name) or name in FIELDS):
            raise UnknownFieldError
        if name in FIELDS:
            super().put(path, text)
        if self._takes_argument(name):  # a function that loads weights is told so too
            hint = self.arguments[name].hint if name in self.arguments else Any
            self.plain = {**self.plain, "arguments": {**self.plain["arguments"], name: read(text, hint)}}

    def read(self, path: Sequence[str], text: str) -> Any:
        (name, *deeper) = path
        if deeper or name in FIELDS or name not in self.arguments:
            return super().read(path, text)
        return read(text, self.arguments[name].hint)

    def knobs(self) -> Iterator[Knob]:
        given = self.plain["arguments"]
        for name, argument in self.arguments.items():
            if name not in FIELDS:
                value = given.get(name, argument.default)
                default = None if value is REQUIRED else written(list(value) if isinstance(value, tuple) else value)
                yield Knob((name,), self._takes(argument.hint), default, argument.help, self.about)
        own = {knob.path[0]: knob for knob in super().knobs()}
        yield from (own[name] for name in FIELDS)

    def build(self) -> Any:
        from mixop.nets.modules.space import needs_sizes

        given = self.plain["arguments"]
        for name, argument in self.arguments.items():
            if name in given:
                with from_file(self.file if name in ((self.filed or {}).get("arguments") or {}) else ""):
                    from_plain(given[name], argument.hint, {}, f"{self.name}.{name}")
            elif argument.default is REQUIRED:
                takes = self._takes(argument.hint)
                flag = f"{flag_of((self.name, name))} {takes}"
                raise RecipeError(f"{self.plain['factory']} needs {flag}: {argument.help or 'it has no default.'}")
        space = super().build()
        needs_sizes(space)  # says what is wrong with a model that can be made already
        return space

    def _takes_argument(self, name: str) -> bool:
        return name in self.arguments or (self.open and name not in FIELDS)


def factory_tree(kind: str, found: Any) -> FactoryTree | None:
    """The space of a class or function that makes a model; None for something else.

    Args:
        kind: its name, ``package.module:name``.
        found: what the name leads to.

    Raises:
        RecipeError: for a model that is made already.
    """
    from torch import Generator, nn

    from mixop.core.rng import fenced
    from mixop.core.values import defaults
    from mixop.nets.modules.space import PARTS, SIZES, ModuleSpace
    from mixop.spaces.core import Space

    if isinstance(found, nn.Module):
        raise RecipeError(f"--space {kind} is a model that is made already: name the class or the function that makes it.")
    if isinstance(found, type) and not issubclass(found, nn.Module):
        return None
    if not callable(found) or isinstance(found, Space):
        return None
    arguments, is_open = arguments_of_function(found)
    if not isinstance(found, type) and not any(argument.default is REQUIRED for argument in arguments.values()):
        # Nothing but its result says whether a function makes a space or a model.
        try:
            with fenced(Generator().manual_seed(0)):
                made = found()
        except Exception:
            made = None  # calling it again says what is wrong, if it needs no sizes of data
        if not isinstance(made, nn.Module) and not arguments.keys() & set(SIZES):
            return None
    plain = {**defaults(ModuleSpace), "factory": kind}
    others = {name: argument for name, argument in arguments.items() if name not in SIZES}
    return FactoryTree("space", Space, PARTS, plain, arguments=others, open=is_open, about=f"{kind}: {first_line(found)}")


def ready_tree(name: str) -> FactoryTree:
    """A ready space, with all arguments of its model: what a run keeps does not depend on later defaults."""
    from mixop.core.trust import imported
    from mixop.core.values import to_plain
    from mixop.nets.modules.space import PARTS, SIZES
    from mixop.spaces.core import Space
    from mixop.spaces.ready import READY

    module, _, function = READY[name].factory.partition(":")
    arguments, _ = arguments_of_function(getattr(imported(module), function))
    plain = to_plain(getattr(imported(module), name)())
    others = {word: argument for word, argument in arguments.items() if word not in SIZES}
    return FactoryTree("space", Space, PARTS, plain, arguments=others, about=f"{name}: {READY[name].about}")


def arguments_of_function(function: Any) -> tuple[dict[str, Argument], bool]:
    """The arguments of a function or class by name, and whether it takes others too.

    Those whose default no file can hold, a class for example, are left out.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return {}, True
    target = function.__init__ if isinstance(function, type) else function
    try:
        hints = typing.get_type_hints(target)
    except Exception:  # an annotation of the user's may name what is not there
        hints = {}
    docs = {**arguments_of(target), **arguments_of(function)}
    found, is_open = {}, False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            is_open = True
        elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            hint = _hint(hints.get(name, REQUIRED), parameter.default)
            if hint is not REQUIRED:
                found[name] = Argument(hint, parameter.default, docs.get(name, ""))
    return found, is_open


def _hint(hint: Any, default: Any) -> Any:
    """The type of an argument as a flag has it; `REQUIRED` if it can have none."""
    simple = default is REQUIRED or isinstance(default, (*SCALARS, tuple, list))
    if hint is not REQUIRED and _is_simple(hint):
        hint = _with_tuples(hint)
        return hint | None if default is None and hint is not Any and type(None) not in options_of(hint) else hint
    if not simple:
        return REQUIRED
    if hint is REQUIRED and isinstance(default, bool | str):
        return type(default)
    if hint is REQUIRED and isinstance(default, int | float):
        return int | float
    return Any


def _is_simple(hint: Any) -> bool:
    if hint is Any or hint in SCALARS:
        return True
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return True
    if origin in (tuple, list):
        return all(arg is Ellipsis or _is_simple(arg) for arg in args)
    return len(options_of(hint)) > 1 and all(_is_simple(option) for option in options_of(hint))


def _with_tuples(hint: Any) -> Any:
    """A type with tuples of any length in place of lists: files know one kind of list."""
    if typing.get_origin(hint) is list:
        return tuple[(_with_tuples(typing.get_args(hint)[0]), ...)]
    options = options_of(hint)
    if len(options) > 1:
        return typing.Union[tuple(_with_tuples(option) for option in options)]  # noqa: UP007  # of as many as there are
    return hint
