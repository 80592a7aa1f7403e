"""mixop: differentiable neural architecture search on PyTorch.

The names below are loaded when they are first used, so that ``import mixop.spaces`` stays free of torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixop import data, evaluate, ops, optim, recipes, relax, report, schedules, searchers, spaces, testing
    from mixop.api import RetrainResult, SearchResult, resume, retrain, search
    from mixop.comparison.compare import compare
    from mixop.errors import MixopError
    from mixop.evaluate.export import export
    from mixop.evaluate.protocol import Protocol
    from mixop.evaluate.trained import load_network
    from mixop.network import build
    from mixop.recipe import Recipe
    from mixop.relax.base import Relaxation
    from mixop.report.html import write_report
    from mixop.selection import select
    from mixop.spaces.core import Architecture, Space
    from mixop.types import Draw

__version__ = "0.1.0"

_HOME = {
    "Architecture": "mixop.spaces.core",
    "Draw": "mixop.types",
    "MixopError": "mixop.errors",
    "Protocol": "mixop.evaluate.protocol",
    "Recipe": "mixop.recipe",
    "Relaxation": "mixop.relax.base",
    "RetrainResult": "mixop.api",
    "SearchResult": "mixop.api",
    "Space": "mixop.spaces.core",
    "build": "mixop.network",
    "compare": "mixop.comparison.compare",
    "export": "mixop.evaluate.export",
    "load_network": "mixop.evaluate.trained",
    "resume": "mixop.api",
    "retrain": "mixop.api",
    "search": "mixop.api",
    "select": "mixop.selection",
    "write_report": "mixop.report.html",
}

_FOLDERS = ("data", "evaluate", "ops", "optim", "recipes", "relax", "report", "schedules", "searchers", "spaces", "testing")

__all__ = [
    "Architecture",
    "Draw",
    "MixopError",
    "Protocol",
    "Recipe",
    "Relaxation",
    "RetrainResult",
    "SearchResult",
    "Space",
    "build",
    "compare",
    "data",
    "evaluate",
    "export",
    "load_network",
    "ops",
    "optim",
    "recipes",
    "relax",
    "report",
    "resume",
    "retrain",
    "schedules",
    "search",
    "searchers",
    "select",
    "spaces",
    "testing",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return import_module(f"mixop.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mixop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
