"""mixop: differentiable neural architecture search on PyTorch.

The names below are loaded when they are first used, so that ``import mixop.spaces`` stays free of torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixop import data, evaluate, recipes, relax, report, searchers, spaces, tasks, testing
    from mixop.api import RetrainResult, SearchResult, resume, retrain, search
    from mixop.comparison.compare import compare
    from mixop.comparison.curve import cost_curve
    from mixop.comparison.ranges import OneOf, Range
    from mixop.comparison.select import select
    from mixop.comparison.tune import tune
    from mixop.comparison.tuned import TuneResult
    from mixop.core import optim, schedules
    from mixop.core.errors import MixopError
    from mixop.core.types import Draw
    from mixop.evaluate.export import export
    from mixop.evaluate.predict import predict
    from mixop.evaluate.protocol import Protocol
    from mixop.evaluate.trained import load_network
    from mixop.finder.estimators import Classifier, Regressor
    from mixop.finder.find import find
    from mixop.finder.known import KnownResult, train_known
    from mixop.finder.result import FindResult
    from mixop.nets import ops
    from mixop.nets.added import add_loss
    from mixop.nets.discrete import build
    from mixop.nets.modules.choice import Choice, InputChoice
    from mixop.nets.modules.width import Width
    from mixop.recipe.core import Recipe
    from mixop.relax.base import Relaxation
    from mixop.report.html import write_report
    from mixop.spaces.core import Architecture, Space

__version__ = "1.0.0"

_HOME = {
    "Architecture": "mixop.spaces.core",
    "Choice": "mixop.nets.modules.choice",
    "Classifier": "mixop.finder.estimators",
    "Draw": "mixop.core.types",
    "InputChoice": "mixop.nets.modules.choice",
    "KnownResult": "mixop.finder.known",
    "MixopError": "mixop.core.errors",
    "OneOf": "mixop.comparison.ranges",
    "Protocol": "mixop.evaluate.protocol",
    "Range": "mixop.comparison.ranges",
    "Recipe": "mixop.recipe.core",
    "Regressor": "mixop.finder.estimators",
    "Relaxation": "mixop.relax.base",
    "FindResult": "mixop.finder.result",
    "RetrainResult": "mixop.api",
    "SearchResult": "mixop.api",
    "TuneResult": "mixop.comparison.tuned",
    "Space": "mixop.spaces.core",
    "Width": "mixop.nets.modules.width",
    "add_loss": "mixop.nets.added",
    "build": "mixop.nets.discrete",
    "compare": "mixop.comparison.compare",
    "cost_curve": "mixop.comparison.curve",
    "export": "mixop.evaluate.export",
    "find": "mixop.finder.find",
    "predict": "mixop.evaluate.predict",
    "load_network": "mixop.evaluate.trained",
    "resume": "mixop.api",
    "retrain": "mixop.api",
    "search": "mixop.api",
    "select": "mixop.comparison.select",
    "train_known": "mixop.finder.known",
    "tune": "mixop.comparison.tune",
    "write_report": "mixop.report.html",
}

_FOLDERS = ("data", "evaluate", "recipes", "relax", "report", "searchers", "spaces", "tasks", "testing")

_MODULES = {
    **{name: f"mixop.{name}" for name in _FOLDERS},
    "ops": "mixop.nets.ops",
    "optim": "mixop.core.optim",
    "schedules": "mixop.core.schedules",
}

__all__ = [
    "Architecture",
    "Choice",
    "Classifier",
    "Draw",
    "FindResult",
    "InputChoice",
    "KnownResult",
    "MixopError",
    "OneOf",
    "Protocol",
    "Range",
    "Recipe",
    "Regressor",
    "Relaxation",
    "RetrainResult",
    "SearchResult",
    "Space",
    "TuneResult",
    "Width",
    "add_loss",
    "build",
    "compare",
    "cost_curve",
    "data",
    "evaluate",
    "export",
    "find",
    "load_network",
    "ops",
    "optim",
    "predict",
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
    "tasks",
    "testing",
    "train_known",
    "tune",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mixop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
