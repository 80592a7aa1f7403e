"""The reference: every public name with its signature and its docstring.

Public is what a face (an ``__init__.py``) lists in ``__all__``, and what the other modules of `PAGES` define at their top
without an underscore. mkdocstrings reads the docstrings where a page names them.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import mixop
from mixop.spaces import READY

ROOT = Path(mixop.__file__).parent

PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "mixop": ("What most programs need", ("mixop",)),
    "data": ("Data", ("mixop.data",)),
    "spaces": ("Search spaces", ("mixop.spaces", "mixop.models")),
    "recipes": ("Recipes", ("mixop.recipes", "mixop.plan.scaling")),
    "relax": ("Relaxations", ("mixop.relax",)),
    "bilevel": ("Schemes", ("mixop.bilevel", "mixop.bilevel.perturb", "mixop.bilevel.weight_step")),
    "derive": ("Derivations", ("mixop.derive",)),
    "regularise": ("Regularisers", ("mixop.regularise",)),
    "wraps": ("Wraps", ("mixop.wraps",)),
    "monitors": (
        "Monitors",
        (
            "mixop.monitors.base",
            "mixop.monitors.collapse",
            "mixop.monitors.eigenvalue",
            "mixop.monitors.skips",
            "mixop.monitors.relevance",
        ),
    ),
    "optim": ("Optimisers and schedules", ("mixop.core.optim", "mixop.core.schedules")),
    "tasks": ("Tasks", ("mixop.tasks",)),
    "evaluate": ("Training, scoring, exporting", ("mixop.evaluate", "mixop.evaluate.ranking")),
    "searchers": ("Black-box searchers", ("mixop.searchers",)),
    "tables": ("Tables of trained architectures", ("mixop.tables", "mixop.tabulate")),
    "experiments": ("Experiments and published numbers", ("mixop.experiments.run", "mixop.comparison.published")),
    "nets": (
        "Operations and costs",
        ("mixop.nets.ops", "mixop.nets.costs", "mixop.nets.latency", "mixop.nets.timing"),
    ),
    "measure": (
        "Time and speed",
        tuple(f"mixop.measure.{module.name}" for module in pkgutil.iter_modules([str(ROOT / "measure")])),
    ),
    "analysis": (
        "Analysis",
        tuple(f"mixop.analysis.{module.name}" for module in pkgutil.iter_modules([str(ROOT / "analysis")])),
    ),
    "testing": ("Contracts of parts", ("mixop.testing",)),
    "errors": ("Errors", ("mixop.core.errors",)),
}
"""Every page by its file name: its title, and the modules and faces whose names are on it. The order is that of the menu."""


def names(module: ModuleType) -> list[str]:
    """The public names of a module: those that it lists, constants last, else the functions and classes that it defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__, key=str.isupper)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"]


def home(module: ModuleType, name: str) -> str | None:
    """Where griffe finds what a name stands for: the path of its definition; None for a module.

    A constant has no home of its own, so the imports of its module are followed.
    """
    found = getattr(module, name)
    if inspect.ismodule(found):
        return None
    if name in READY and module.__name__ in ("mixop.spaces", "mixop.models"):
        return READY[name].factory.replace(":", ".")
    if inspect.isclass(found) or inspect.isfunction(found):
        inner = inspect.unwrap(found)
        if hasattr(importlib.import_module(inner.__module__), inner.__qualname__):
            return f"{inner.__module__}.{inner.__qualname__}"
    return _followed(module, name)


def _followed(module: ModuleType, name: str) -> str:
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _followed(importlib.import_module(node.module), alias.name)
    return f"{module.__name__}.{name}"


def pages() -> Iterator[tuple[str, str, str]]:
    """Every page of the reference: its file name, its title and its text."""
    told: dict[str, tuple[str, str]] = {}
    for file, (title, modules) in PAGES.items():
        yield file, title, page(file, title, modules, told)


def page(file: str, title: str, modules: tuple[str, ...], told: dict[str, tuple[str, str]]) -> str:
    """One page. What another page has told already is a link to it.

    Args:
        file: the page's file name.
        title: of the page.
        modules: whose names it holds.
        told: the page and the name under which a definition was shown, by its path; what is new here is added.
    """
    parts = [f"# {title}"]
    for module_name in modules:
        module = importlib.import_module(module_name)
        parts.append(f"## `{module_name}`\n\n{inspect.getdoc(module) or ''}")
        elsewhere = []
        for name in names(module):
            path = home(module, name)
            if path is None:
                elsewhere.append(_module_line(name, getattr(module, name)))
            elif path in told:
                there, known = told[path]
                elsewhere.append(f"- `{name}`: [`{known}`]({'' if there == file else f'{there}.md'}#{known})")
            else:
                known = f"{module_name}.{name}"
                told[path] = (file, known)
                parts.append(_block(known, path))
        if elsewhere:
            parts.append("Shown elsewhere:\n\n" + "\n".join(elsewhere))
    return "\n\n".join(parts) + "\n"


def _module_line(name: str, module: ModuleType) -> str:
    there = next((file for file, (_, modules) in PAGES.items() if module.__name__ in modules), None)
    if there is None:
        return f"- `{name}`: {inspect.getdoc(module)}"
    return f"- [`{name}`]({there}.md)"


def _block(known: str, path: str) -> str:
    """What mkdocstrings turns into a signature and a docstring, under the name that users write."""
    short = known.rpartition(".")[2]
    return f'<span id="{known}"></span>\n\n::: {path}\n    options:\n      heading: {known}\n      toc_label: {short}'
