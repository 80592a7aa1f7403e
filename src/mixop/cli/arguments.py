"""From the words on the command line, and a configuration file, to a command's options and the values it works with."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_origin

from mixop.cli.files import read_table
from mixop.cli.tree import Tree, flag_of
from mixop.core.errors import RecipeError, unknown
from mixop.core.fields import UnknownFieldError
from mixop.core.names import from_file
from mixop.core.outside import shortened
from mixop.core.trust import allow, named_in
from mixop.core.values import defaults, hints_of

TRUST = "trust"
"""The flag that names modules whose code files may use; it may be repeated."""

AUTO = "auto"
"""The value of a flag that leaves the choice to the command."""


@dataclass(frozen=True)
class Shortcut:
    """A short flag for one field of a value: ``--epochs`` for ``--recipe.epochs``.

    The value needs torch, and the short help must not wait for it. So what it shows stands here.

    Args:
        path: names that lead to the field, ``("recipe", "epochs")``.
        help: what it means.
        default: what the short help shows as its default.
        takes: what to write after the flag.
        automatic: whether ``auto`` may be written: the command then finds the value.
        prepare: called with the tree and the text before any flag is set: other epochs move a warm-up.
    """

    path: tuple[str, str]
    help: str
    default: str
    takes: str = "INT"
    automatic: bool = False
    prepare: Callable[[Tree, str], None] | None = None


@dataclass(frozen=True)
class Command:
    """A command as data.

    Args:
        name: its word.
        options: dataclass of its own flags, whose docstring is the help.
        run: does the work, with what `parse` made.
        values: what else can be set: the word for it, ``recipe``, to a function from the name given (``--recipe NAME``, None
            without it) to the tree to begin with, or None for nothing.
        names: options besides those of ``values`` that may name modules of the user.
        repeated: options that may be given several times, one entry each.
        settings: which settings of a run it takes, fields of `mixop.engine.settings.Settings`.
        shortcuts: short flags by name.
        rare: names of flags that only ``--help-all`` shows.
        examples: commands to show in the help.
    """

    name: str
    options: type
    run: Callable[["Parsed"], None]
    values: Mapping[str, Callable[[str | None], Tree | None]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    shortcuts: Mapping[str, Shortcut] = field(default_factory=dict)
    rare: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def places(self) -> list[str]:
        """Names of the options given by position: as in Python, those before ``_: KW_ONLY``."""
        return [f.name for f in dataclasses.fields(self.options) if not f.kw_only]

    @property
    def rest(self) -> str:
        """Name of the last option given by position, if it takes all words that are left; else empty."""
        *_, last = self.places or ("",)
        return last if last and get_origin(hints_of(self.options)[last]) is tuple else ""

    @property
    def automatic(self) -> set[str]:
        """Names of the short flags whose value may be ``auto``."""
        return {name for name, shortcut in self.shortcuts.items() if shortcut.automatic}


@dataclass
class Parsed:
    """What the user asked of a command.

    Args:
        options: its own options, of the class `Command.options`; None if only the help is wanted.
        own: the same, as a tree.
        trees: the values to build, by their word.
        help: whether only the help is wanted.
        automatic: the short flags whose value the command finds itself.
    """

    options: Any
    own: Tree
    trees: dict[str, Tree]
    help: bool = False
    automatic: frozenset[str] = frozenset()

    def build(self, name: str) -> Any:
        """The value of that word, checked; None without one."""
        return self.trees[name].build() if name in self.trees else None


@dataclass(frozen=True)
class _Token:
    flag: str
    name: str
    value: str | None

    @property
    def text(self) -> str:
        if self.value is None:
            raise RecipeError(f"{self.flag} needs a value: write {self.flag} VALUE.")
        return self.value


HELP, HELP_ALL = ("-h", "--help"), "--help-all"


def parse(command: Command, words: Sequence[str]) -> Parsed:
    """Reads a command's arguments.

    A later flag wins over an earlier one, a flag over the file, and the file over the values that the names stand for.

    Raises:
        RecipeError: naming what is unknown, missing or malformed.
    """
    wants_help = HELP_ALL in words
    tokens, places = _split(command, [word for word in words if word not in (*HELP, HELP_ALL)])
    automatic = {token.name for token in tokens if token.name in command.automatic and token.value == AUTO}
    tokens = [token for token in tokens if token.name not in automatic]
    options = own_tree(command)
    own = hints_of(command.options)
    _allow(command, tokens)
    for token in tokens:
        if token.name in own and token.name not in command.places:
            options.put((token.name,), token.text)
    for name in command.repeated:
        if entries := [token.text for token in tokens if token.name == name]:
            options.plain[name] = entries
    if trusted := [token.text for token in tokens if token.name == TRUST and TRUST in own]:
        options.put((TRUST,), ",".join(trusted))
    config = options.plain.get("config") or ""
    tables = read_table(config) if config else {}
    with from_file(config):
        table = _check_tables(command, tables)
    settings = {name.replace("-", "_"): value for name, value in table.get("settings", {}).items()}
    said = {token.name for token in tokens} | automatic
    automatic |= {name for name, value in settings.items() if name in command.automatic and value == AUTO and name not in said}
    settings = {name: value for name, value in settings.items() if name not in automatic}
    if TRUST in settings:
        raise RecipeError(f"{config}: trust is given on the command line only, as --trust MODULE.")
    for name, value in settings.items():
        if name in own and name not in said:
            options.merge({name: value}, config)
    _take_places(command, options, places, wants_help)

    trees: dict[str, Tree] = {}
    for name, begin in command.values.items():
        kind = options.plain.get(name)
        if kind is not None and not isinstance(kind, str):
            raise RecipeError(f"{config}: settings.{name} must be a name, got {shortened(kind)}.")
        tree = begin(kind)
        if tree is not None:
            trees[name] = tree
    if command.settings:
        trees["settings"] = settings_tree()
    for name in command.values:
        if name in table:
            _require(trees, name).merge(table[name], config)
    for name, value in settings.items():
        if name in command.shortcuts:
            shortcut = command.shortcuts[name]
            word, field_name = shortcut.path
            if shortcut.prepare is not None:
                shortcut.prepare(trees[word], str(value))
            trees[word].merge({field_name: value}, config)
        elif name in command.settings:
            trees["settings"].merge({name: value}, config)
        elif name not in own:
            known = [*own, *command.settings, *command.shortcuts]
            raise RecipeError(f"{config}: {unknown('setting in [settings]', name, known)}")

    for token in tokens:
        shortcut = command.shortcuts.get(token.name)
        if shortcut is not None and shortcut.prepare is not None:
            shortcut.prepare(trees[shortcut.path[0]], token.text)
    # A part is chosen before its fields are set, in whatever order the flags came.
    changes = [(path, token) for token in tokens if (path := _path(command, token)) is not None]
    for path, token in sorted(changes, key=lambda change: len(change[0])):
        try:
            _require(trees, path[0]).put(path[1:], token.text)
        except UnknownFieldError:
            if path[0] in own and options.plain.get(path[0]) is None:
                raise _unnamed(path[0]) from None
            raise RecipeError(_unknown_flag(token.flag, known_flags(command, trees), command)) from None
    built = None if wants_help else options.build()
    return Parsed(built, options, trees, wants_help, frozenset(automatic))


def _allow(command: Command, tokens: Sequence["_Token"]) -> None:
    """Lets files name the modules that the user names: with --trust, or in the value of a part, a function or a choice."""
    own = hints_of(command.options)
    for token in tokens:
        if token.name == TRUST and TRUST in own:
            modules = [module.strip() for module in token.text.split(",")]
            for module in modules:
                if not all(piece.isidentifier() for piece in module.split(".")):
                    raise RecipeError(f"--trust takes the name of a module, package.module, got {module!r}.")
            allow(modules)
        elif token.value is not None and (token.name not in own or token.name in command.values or token.name in command.names):
            allow(named_in(token.value))


def own_tree(command: Command) -> Tree:
    """The command's own options at their defaults."""
    return _defaults(command.options)


def settings_tree() -> Tree:
    """The settings of a run at their defaults."""
    from mixop.engine.settings import Settings

    return _defaults(Settings)


def known_flags(command: Command, trees: Mapping[str, Tree]) -> list[str]:
    """Every flag that the command takes, for the parts chosen so far."""
    names = [name for name in hints_of(command.options) if name not in command.places]
    flags = [flag_of((name,)) for name in (*names, *command.settings, *command.shortcuts)]
    for name, tree in trees.items():
        if name != "settings":
            flags += [flag_of((name, *knob.path)) for knob in tree.knobs()]
    return flags


def _split(command: Command, words: Sequence[str]) -> tuple[list[_Token], list[str]]:
    """Flags with their values, and the words between them."""
    switches = {name for name, hint in hints_of(command.options).items() if hint is bool}
    tokens, places = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            if word.startswith("-") and len(word) > 1:
                raise RecipeError(f"There is no flag {word!r}: flags begin with two dashes, see `mixop {command.name} --help`.")
            places.append(word)
            continue
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if name in switches:
            if equals:
                raise RecipeError(f"{flag} is a switch and takes no value, got {value!r}: write {flag} alone.")
            tokens.append(_Token(flag, name, "true"))
        elif equals:
            tokens.append(_Token(flag, name, value))
        else:
            tokens.append(_Token(flag, name, rest.pop(0) if rest and not rest[0].startswith("--") else None))
    return tokens, places


def _path(command: Command, token: _Token) -> tuple[str, ...] | None:
    """Where in the trees a flag leads; None for the command's own options."""
    if token.name in hints_of(command.options) and token.name not in command.places:
        return None
    if token.name in command.shortcuts:
        return command.shortcuts[token.name].path
    if token.name in command.settings:
        return ("settings", token.name)
    path = tuple(token.name.split("."))
    return path if path[0] in command.values and len(path) > 1 else ("", token.name)


def _require(trees: Mapping[str, Tree], name: str) -> Tree:
    if name in trees:
        return trees[name]
    if name:
        raise _unnamed(name)
    raise UnknownFieldError


def _unnamed(name: str) -> RecipeError:
    return RecipeError(f"There are settings for {name}, but no {name} is named: add --{name} NAME.")


def _unknown_flag(flag: str, known: Sequence[str], command: Command) -> str:
    # The end of a long name, written alone, stands for that flag: --lr, --recipe.lr.
    end = "." + flag.removeprefix("--").rpartition(".")[2]
    near = [name for name in known if name.endswith(end)] or difflib.get_close_matches(flag, known, n=1, cutoff=0.6)
    hint = f"did you mean {' or '.join(near[:2])}?" if near else f"see `mixop {command.name} {HELP_ALL}`."
    return f"mixop {command.name} has no flag {flag}: {hint}"


def _check_tables(command: Command, tables: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    known = [*command.values, "settings"]
    for name, table in tables.items():
        if name not in known:
            raise RecipeError(unknown(f"table for mixop {command.name} called", name, known))
        if not isinstance(table, Mapping):
            raise RecipeError(f"{name} in a configuration file must be a table of settings, got {shortened(table)}.")
    return tables


def _take_places(command: Command, options: Tree, places: Sequence[str], wants_help: bool) -> None:
    rest = command.rest
    single = [name for name in command.places if name != rest]
    for name, word in zip(single, places, strict=False):
        options.put((name,), word)
    if rest and (words := list(places[len(single) :])):
        options.plain[rest] = words
    missing = next((name for name in command.places if name not in options.plain), None)
    if missing and not wants_help:
        raise RecipeError(f"mixop {command.name} needs a {missing.upper()}: write mixop {command.name} {missing.upper()}.")
    if not rest and len(places) > len(command.places):
        hint = f"see `mixop {command.name} --help`"
        raise RecipeError(f"mixop {command.name} does not know what to do with {places[len(command.places)]!r}: {hint}.")


def _defaults(cls: type) -> Tree:
    return Tree("settings", cls, {cls.__name__: cls}, defaults(cls))
