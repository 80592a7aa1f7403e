"""Help pages, made from docstrings and from the values that the flags start with.

``--help`` shows what most people set. It reads only dataclasses that need no torch, so that it comes at once. ``--help-all``
shows every flag of the parts chosen so far, and loads them for that.
"""

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from mixop.cli.arguments import HELP_ALL, Command, Parsed, own_tree, settings_tree
from mixop.cli.tree import Knob, Tree, first_line, flag_of, plain_text
from mixop.core.values import defaults

WIDEST = 100
COLUMN = 26
"""Where explanations begin; a longer flag gets a line to itself."""

_TITLES = {
    "recipe": "The method, --recipe {kind}",
    "space": "The search space, --space {kind}",
    "data": "The data, --data {kind}",
    "protocol": "The training, --protocol {kind}",
    "training": "The training of every network",
    "runner": "Who computes the runs, --runner {kind}",
}

_METAVARS = {
    "out": "PATH",
    "config": "FILE",
    "table": "FILE",
    "latency": "FILE",
    "recipes": "NAME,...",
    "range": "FIELD=LOW:HIGH[:log]",
    "choice": "FIELD=VALUE,...",
    "executors": "NAME,...",
    "data": "FOLDER",
    "host": "ADDRESS",
}

_LAST = ("watch", "config", "quiet", "json", "debug")

_FILES = """\
A flag with a dot sets one field. A file given by --config sets the same fields, in one table for each value:"""

_EXAMPLES = {
    "recipe": """\
  [settings]                         # flags without a dot
  recipe = "drnas"
  epochs = 20

  [recipe]
  regularisers = ["DirichletKL"]     # other parts
  weight_optimiser.lr.start = 0.05   # --recipe.weight-optimiser.lr.start 0.05
  architecture_optimiser.lr = 0.001  # a schedule that keeps this value""",
    "protocol": """\
  [settings]                         # flags without a dot
  random = 3

  [protocol]
  label_smoothing = 0.1              # --protocol.label-smoothing 0.1
  optimiser.lr.start = 0.05
  crop = 2""",
    "training": """\
  [settings]                         # flags without a dot
  space = "nasbench201"
  epochs = 20

  [training]
  optimiser.lr.start = 0.05          # --training.optimiser.lr.start 0.05""",
    "space": """\
  [settings]                         # flags without a dot
  recipes = "darts,drnas"
  space = "nasbench201"

  [space]
  channels = 4                       # --space.channels 4""",
    "data": """\
  [settings]                         # flags without a dot
  data = "npz"

  [data]
  path = "shifted.npz"               # --data.path shifted.npz""",
}

_PRECEDENCE = """\
A flag wins over the file, and the file over the values that the names stand for. Separate several values by commas, write
none for no value, and package.module:Name for your own part. To see all names: mixop list."""


def overview(commands: Sequence[Command], version: str, *, first_run: bool = True) -> str:
    """What ``mixop --help`` shows; without a first run, what ``mixop table --help`` does."""
    width = _width()
    lines = [
        f"mixop {version}: differentiable neural architecture search on PyTorch",
        "",
        "usage: mixop COMMAND [flags]",
        "       mixop COMMAND --help",
        "",
    ]
    column = max(len(command.name) for command in commands) + 4
    for command in commands:
        lines += _entry(command.name, first_line(command.options), width, column=column)
    if first_run:
        lines += [
            "",
            "A first run of two minutes, and a search by a method that you name:",
            "",
            *_example("mixop find digits --minutes 2", width),
            *_example("mixop search --recipe drnas --space nasbench201 --data digits --epochs 3 --out runs/x", width),
            *_example("mixop retrain runs/x", width),
        ]
    lines += [
        "",
        *textwrap.wrap("An error is one sentence, with exit code 2; --debug shows where it came from.", width),
    ]
    return "\n".join(lines)


def page(command: Command) -> str:
    """What ``mixop COMMAND --help`` shows: the flags that most people need."""
    width = _width()
    knobs = {knob.path[0]: knob for knob in own_tree(command).knobs()}
    lines = list(_head(command, width))
    for name in command.places:
        lines += _entry(name.upper(), _with_own_default(knobs.pop(name)), width)
    last = [knobs.pop(name) for name in _LAST if name in knobs]
    for name, knob in knobs.items():
        if name not in command.rare:
            lines += _own_entry(command, knob, width)
    for name, shortcut in command.shortcuts.items():
        lines += _entry(_flag((name,), shortcut.takes), f"{shortcut.help} [{shortcut.default}]", width)
    for knob in settings_tree().knobs():
        if knob.path[0] in command.settings and knob.path[0] not in command.rare:
            lines += _knob_entry(knob.path, knob, width)
    for knob in last:
        lines += _own_entry(command, knob, width)
    if command.rare or command.values:
        lines += ["", *textwrap.wrap(_more(command), width)]
    return "\n".join(lines)


def full_page(command: Command, parsed: Parsed) -> str:
    """What ``mixop COMMAND --help-all`` shows: every flag.

    Args:
        command: the command.
        parsed: its trees, with the defaults to show.
    """
    width = _width()
    lines = [*_head(command, width), *_short_flags(command, parsed, width)]
    for name, tree in parsed.trees.items():
        if name != "settings":
            lines += ["", *_tree(name, tree, parsed.own.plain.get(name, ""), width)]
    if "config" in command.options.__dataclass_fields__:
        example = _EXAMPLES[next(iter(command.values))]
        text = "\n\n".join((textwrap.fill(_FILES, width - 2), example, textwrap.fill(_PRECEDENCE, width - 2)))
        lines += ["", "Files and precedence", *textwrap.indent(text, "  ").splitlines()]
    return "\n".join(lines)


def _head(command: Command, width: int) -> Iterator[str]:
    """How it is called, what it does, and examples."""
    optional = defaults(command.options)
    words = {name: f"{name.upper()}{'...' if name == command.rest else ''}" for name in command.places}
    places = " ".join(f"[{word}]" if name in optional else word for name, word in words.items())
    yield from (f"usage: mixop {command.name} {places}{' ' if places else ''}[flags]", "")
    # Python 3.13 has taken the indent away itself.
    about = inspect.cleandoc(command.options.__doc__ or "").partition("\nArgs:")[0]
    for paragraph in about.strip().split("\n\n"):
        yield from (*textwrap.wrap(plain_text(paragraph), width), "")
    for example in command.examples:
        yield from _example(example, width)
    if command.examples:
        yield ""


def _more(command: Command) -> str:
    """Where the other flags are."""
    values = [f"the {name}" for name in command.values]
    fields = f", with one for each field of {_joined(values, 'and')}" if values else ""
    flags = [flag_of((name,)) for name in command.values if name in command.options.__dataclass_fields__]
    others = f" Add {_joined(flags, 'or')} to see the fields of another one." if flags else ""
    return f"mixop {command.name} {HELP_ALL} shows every flag{fields}.{others}"


def _joined(words: Sequence[str], last: str) -> str:
    """Words as a list in a sentence: "a, b and c"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _short_flags(command: Command, parsed: Parsed, width: int) -> Iterator[str]:
    """All flags without a dot: what matters first, what is seldom needed last."""
    knobs = {knob.path[0]: knob for knob in parsed.own.knobs()}
    for name in command.places:
        yield from _entry(name.upper(), _with_own_default(knobs.pop(name)), width)
    last = [knobs.pop(name) for name in _LAST if name in knobs]
    for knob in knobs.values():
        yield from _own_entry(command, knob, width)
    for name, shortcut in command.shortcuts.items():
        value = next(knob.default for knob in parsed.trees[shortcut.path[0]].knobs() if knob.path == shortcut.path[1:])
        yield from _entry(_flag((name,), shortcut.takes), f"{shortcut.help} [{value}]", width)
    if command.settings:
        for knob in parsed.trees["settings"].knobs():
            if knob.path[0] in command.settings:
                yield from _knob_entry(knob.path, knob, width)
    for knob in last:
        yield from _own_entry(command, knob, width)


def _tree(name: str, tree: Tree, kind: str, width: int) -> Iterator[str]:
    """The flags of a value, a heading for each of its parts."""
    title = _TITLES[name].format(kind=kind)
    yield title if kind else title.partition(",")[0]  # of the place of a run's data no kind was named
    first = True
    for (path, of), knobs in groupby(tree.knobs(), key=lambda knob: (knob.path[:-1], knob.of)):
        if path:
            heading = f"{flag_of((name, *path))} {of}"
            yield from ["", *textwrap.wrap(heading, width, initial_indent="  ", subsequent_indent="    ")][first:]
        first = False
        for knob in knobs:
            yield from _knob_entry((name, *knob.path), knob, width)


def _own_entry(command: Command, knob: Knob, width: int) -> Iterator[str]:
    """A flag of the command's own."""
    name = knob.path[0]
    takes = "NAME" if name in command.values else _METAVARS.get(name, knob.takes.removeprefix("none|"))
    if knob.default == "false":  # a switch takes nothing
        takes = ""
    return _entry(_flag((name,), takes), _with_own_default(knob), width)


def _with_own_default(knob: Knob) -> str:
    """What an option of the command's own means; where its default is None, its text says what then happens."""
    if knob.default in (None, "none", "false"):
        return knob.help
    return f"{knob.help} [{knob.default}]"


def _knob_entry(path: Sequence[str], knob: Knob, width: int) -> Iterator[str]:
    """The flag of a field, with what it takes, what it means and its value."""
    takes, about = knob.takes, knob.help
    if len(_flag(path, takes)) + 2 > width:  # a long choice of parts is written out in the text
        every = "".join(re.findall(r",\.\.\.$", takes))
        words = takes.removesuffix(",...").split("|")
        names = [word for word in words if not word.isupper() and word != "none"]
        takes = "|".join([word for word in words if word not in names] + ["NAME"]) + every
        about = f"{about} NAME: {_joined(names, 'or')}."
    about = f"{about} [{'required' if knob.default is None else knob.default}]".strip()
    return _entry(_flag(path, takes), about, width)


def _flag(path: Sequence[str], takes: str) -> str:
    return f"{flag_of(path)} {takes}".strip()


def _example(command: str, width: int) -> list[str]:
    """A command to copy, continued on further lines where it is too long."""
    head, *flags = re.split(r" (?=--)", command)  # a flag keeps its value on its line
    first, *words = head.split()
    lines = [f"    {first}"]
    for piece in (*words, *flags):
        if len(lines[-1]) + len(piece) + 3 > width:  # a space before it, and a space and a backslash after it
            lines[-1] += " \\"
            lines.append(f"        {piece}")
        else:
            lines[-1] += f" {piece}"
    return lines


def _entry(left: str, text: str, width: int, column: int = COLUMN) -> Iterator[str]:
    lines = textwrap.wrap(text, max(width - column, 20), break_long_words=False, break_on_hyphens=False) or [""]
    if len(left) > column - 4:
        yield f"  {left}"
    else:
        yield f"  {left}".ljust(column) + lines.pop(0)
    for line in lines:
        yield " " * column + line


def _width() -> int:
    return min(shutil.get_terminal_size((80, 24)).columns, WIDEST)
