"""Help screens, made from docstrings and from the values that the flags begin with."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from mixop.cli.arguments import Command, Parsed
from mixop.cli.tree import Knob, Tree, first_line, flag_of, plain_text
from mixop.core.values import defaults

WIDEST = 100
COLUMN = 30
"""Where explanations begin; a longer flag has a line of its own."""

_TITLES = {
    "recipe": "The method, --recipe {kind}",
    "space": "The search space, --space {kind}",
    "data": "The data, --data {kind}",
    "protocol": "The training, --protocol {kind}",
    "training": "The training of every network",
}

_METAVARS = {
    "recipe": "NAME",
    "space": "NAME",
    "data": "NAME",
    "protocol": "NAME",
    "out": "PATH",
    "config": "FILE",
    "recipes": "NAME,...",
}

_AUTOMATIC = "auto: halved until a batch fits into the free memory"

_LAST = ("config", "quiet", "json", "debug")

_FILES = """\
Every flag with a dot is a field of a value. It may as well stand in a file given by --config, in a table of that name:"""

_EXAMPLES = {
    "recipe": """\
    [settings]                          # the flags without a dot
    recipe = "drnas"
    epochs = 20

    [recipe]
    regularisers = ["DirichletKL"]      # another part
    weight_optimiser.lr.start = 0.05    # --recipe.weight-optimiser.lr.start 0.05
    architecture_optimiser.lr = 0.001   # a number for a schedule: constant""",
    "protocol": """\
    [settings]                          # the flags without a dot
    random = 3

    [protocol]
    label_smoothing = 0.1               # --protocol.label-smoothing 0.1
    optimiser.lr.start = 0.05
    crop = 2""",
    "training": """\
    [settings]                          # the flags without a dot
    space = "nasbench201"
    epochs = 20

    [training]
    optimiser.lr.start = 0.05           # --training.optimiser.lr.start 0.05""",
    "space": """\
    [settings]                          # the flags without a dot
    recipes = "darts,drnas"
    space = "nasbench201"

    [space]
    channels = 4                        # --space.channels 4""",
    "data": """\
    [settings]                          # the flags without a dot
    data = "npz"

    [data]
    path = "shifted.npz"                # --data.path shifted.npz""",
}

_PRECEDENCE = """\
Flags win over the file, the file wins over what the names stand for. Several values are written with commas between them,
an absent one as none, a part of one's own as package.module:Name. What there is to choose from: mixop list."""


def overview(commands: Sequence[Command], version: str) -> str:
    """What ``mixop --help`` shows."""
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
    lines += [
        "",
        "A first run, a few minutes on a laptop:",
        "",
        "    mixop search --recipe drnas --space nasbench201 --data digits --epochs 3 --out runs/x",
        "    mixop retrain runs/x",
        "",
        *textwrap.wrap("An error is one sentence and exit code 2; --debug shows where it came from.", width),
    ]
    return "\n".join(lines)


def screen(command: Command, parsed: Parsed) -> str:
    """What ``mixop COMMAND --help`` shows.

    Args:
        command: the command.
        parsed: its trees, with the defaults to show.
    """
    width = _width()
    optional = defaults(command.options)
    places = " ".join(f"[{name.upper()}]" if name in optional else name.upper() for name in command.places)
    lines = [f"usage: mixop {command.name} {places}{' ' if places else ''}[flags]", ""]
    about = (command.options.__doc__ or "").partition("\n    Args:")[0]
    for paragraph in about.strip().split("\n\n"):
        lines += [*textwrap.wrap(plain_text(paragraph), width), ""]
    if command.examples:
        lines += [*(f"    {example}" for example in command.examples), ""]
    lines += _own(command, parsed, width)
    for name, tree in parsed.trees.items():
        if name != "settings":
            lines += ["", *_tree(name, tree, parsed.own.plain.get(name, ""), width)]
    if command.values:
        example = _EXAMPLES[next(iter(command.values))]
        page = "\n\n".join((textwrap.fill(_FILES, width - 2), example, textwrap.fill(_PRECEDENCE, width - 2)))
        lines += ["", "Files and precedence", *textwrap.indent(page, "  ").splitlines()]
    return "\n".join(lines)


def _own(command: Command, parsed: Parsed, width: int) -> Iterator[str]:
    """The flags without a dot: what matters first, what is seldom needed last."""
    knobs = {knob.path[0]: knob for knob in parsed.own.knobs()}
    for name in command.places:
        yield from _entry(name.upper(), knobs.pop(name).help, width)
    last = [knobs.pop(name) for name in _LAST if name in knobs]
    for name, knob in knobs.items():
        takes = "" if knob.default == "false" else _METAVARS.get(name, knob.takes)  # a switch takes nothing
        yield from _entry(_flag((name,), takes), knob.help, width)
    for name, path in [*command.shortcuts.items(), *((name, ("settings", name)) for name in command.settings)]:
        for knob in parsed.trees[path[0]].knobs():
            if knob.path == path[1:]:
                about = f"{_with_default(knob)}; {_AUTOMATIC}" if name in command.automatic else _with_default(knob)
                yield from _entry(_flag((name,), knob.takes), about, width)
    for knob in last:
        yield from _entry(_flag(knob.path, _METAVARS.get(knob.path[0], "")), knob.help, width)


def _tree(name: str, tree: Tree, kind: str, width: int) -> Iterator[str]:
    """The flags of a value, a heading for each of its parts."""
    yield _TITLES[name].format(kind=kind)
    first = True
    for (path, of), knobs in groupby(tree.knobs(), key=lambda knob: (knob.path[:-1], knob.of)):
        if path:
            heading = f"{flag_of((name, *path))} {of}"
            yield from ["", *textwrap.wrap(heading, width, initial_indent="  ", subsequent_indent="    ")][first:]
        first = False
        for knob in knobs:
            yield from _entry(_flag((name, *knob.path), knob.takes), _with_default(knob), width)


def _flag(path: Sequence[str], takes: str) -> str:
    return f"{flag_of(path)} {takes}".strip()


def _with_default(knob: Knob) -> str:
    return f"{knob.help} [{'required' if knob.default is None else knob.default}]".strip()


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
