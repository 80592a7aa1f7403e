"""Every sentence that mixop refuses something with, read from the code without running it."""

import ast
import re
from collections import defaultdict
from pathlib import Path

HOLE = "…"
"""What stands in a message in the place of what only the run knows."""


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
        ``{"DataError": {"data": ["Expected images, got …", ...]}}``; messages that are put together elsewhere are not in it.
    """
    classes = set(error_classes(root))
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(root.rglob("*.py")):
        room = path.relative_to(root).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes and node.args:
                sentence = template(node.args[0])
                if sentence.replace(HOLE, "").strip() and sentence not in found[node.func.id][room]:
                    found[node.func.id][room].append(sentence)
    return {name: dict(rooms) for name, rooms in found.items()}


def template(node: ast.expr) -> str:
    """A string of the code with holes for what it puts in; one hole for what is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return re.sub(f"{HOLE}+", HOLE, "".join(template(part) for part in node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return re.sub(f"{HOLE}+", HOLE, template(node.left) + template(node.right))
    return HOLE


def matches(sentence: str, said: str) -> bool:
    """Whether a message that was printed, or a beginning of it, comes from this sentence."""
    pattern = ".*".join(re.escape(part) for part in sentence.split(HOLE))
    return re.fullmatch(pattern, said, re.S) is not None
