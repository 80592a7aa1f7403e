"""Every sentence that mixop refuses something with, read from the code without running it."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from mixop.core.extras import PACKAGES

HOLE = "…"
"""What stands in a message in the place of what only the run knows."""


ASKS = "package"
"""The function that imports the package of an extra, or says which extra it is."""

NAMES = f"There is no {HOLE} {HOLE}: {HOLE}"
"""What is said of a name that is in no table, by `mixop.core.errors.unknown`."""


def error_classes(root: Path) -> dict[str, str]:
    """Every class of error that a user can mend, and what it means, by its name."""
    tree = ast.parse((root / "core" / "errors.py").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: ast.get_docstring(node) or "" for node in classes if node.name.endswith("Error")}


def messages(root: Path) -> dict[str, dict[str, list[str]]]:
    """The sentences by error class and by room, in the order of the code.

    Args:
        root: the package's folder.

    Returns:
        ``{"DataError": {"data": ["Expected images, got …", ...]}}``; a sentence of several rooms stands in the first one.
        Messages that are put together elsewhere are not in it.
    """
    classes = set(error_classes(root))
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(root.rglob("*.py")):
        room = path.relative_to(root).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {*classes, ASKS}
                and node.args
            ):
                name = "MissingExtraError" if node.func.id == ASKS else node.func.id
                sentence = asked(node.args) if node.func.id == ASKS else said(name, node.args)
                known = [other for rooms in found[name].values() for other in rooms]
                if sentence.replace(HOLE, "").strip() and sentence not in known:
                    found[name][room].append(sentence)
    return {name: dict(rooms) for name, rooms in found.items()}


def asked(arguments: list[ast.expr]) -> str:
    """The sentence of `mixop.core.extras.package` for a package that is not installed."""
    module, purpose = map(template, arguments)
    name, extra = PACKAGES.get(module, (HOLE, HOLE))
    return f"{purpose} needs {name}, which is not installed: pip install 'mixop[{extra}]'"


def said(name: str, arguments: list[ast.expr]) -> str:
    """The sentence of an error that the code makes.

    Args:
        name: of its class; that of missing packages puts its sentence together itself.
        arguments: that it is made with.
    """
    if name != "MissingExtraError":
        return NAMES if _asks_for_a_name(arguments[0]) else template(arguments[0])
    package, extra, purpose = map(template, arguments)
    return f"{purpose} needs {package}, which is not installed: pip install 'mixop[{extra}]'"


def _asks_for_a_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "unknown"


def template(node: ast.expr) -> str:
    """A string of the code with holes for what it puts in; one hole for what is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return re.sub(f"{HOLE}+", HOLE, "".join(template(part) for part in node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return re.sub(f"{HOLE}+", HOLE, template(node.left) + template(node.right))
    return HOLE


def matches(sentence: str, message: str) -> bool:
    """Whether a message that was printed comes from this sentence.

    Args:
        sentence: with holes.
        message: one that ends in ``…`` goes on.
    """
    return _pattern(sentence).fullmatch(message) is not None


@cache
def _pattern(sentence: str) -> re.Pattern[str]:
    known = ".*".join(re.escape(part) for part in sentence.removesuffix(f"{HOLE}.").split(HOLE))
    return re.compile(known + (rf"(?:{HOLE}|.*\.)" if sentence.endswith(f"{HOLE}.") else ""), re.DOTALL)
