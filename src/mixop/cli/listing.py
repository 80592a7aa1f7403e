"""What ``mixop list`` lists: names, and the first line of what their docstrings say."""

from collections.abc import Callable, Mapping
from typing import Any

from mixop.cli.tree import first_line

PUBLISHED = "published"
"""The topic whose tables have a screen of their own, `mixop.cli.survey`."""


def _recipes() -> dict[str, str]:
    from mixop.recipes import RECIPES

    return {name: first_line(function) for name, function in RECIPES.items()}


def _spaces() -> dict[str, str]:
    from mixop.spaces import SPACES
    from mixop.spaces.ready import READY

    return {name: first_line(cls) for name, cls in SPACES.items()} | {name: ready.about for name, ready in READY.items()}


def _data() -> dict[str, str]:
    from mixop.data import SOURCES

    return {name: first_line(cls) for name, cls in SOURCES.items()}


def _relaxations() -> dict[str, str]:
    from mixop.relax import ALL

    return {cls.__name__: first_line(cls) for cls in ALL.values()}


def _protocols() -> dict[str, str]:
    from mixop.evaluate.protocol import PROTOCOLS

    return {
        name: f"{p.epochs} epochs of {type(p.optimiser).__name__}, batches of {p.batch_size}" for name, p in PROTOCOLS.items()
    }


def _architectures() -> dict[str, str]:
    from mixop.spaces import SPACES
    from mixop.spaces.published import ARCHITECTURES, SIZES, in_words

    return {
        name: SPACES[architecture.space](**SIZES.get(name, {})).to_native(architecture)
        if architecture.space in SPACES
        else in_words(architecture)
        for name, architecture in ARCHITECTURES.items()
    }


def _experiments() -> dict[str, str]:
    """Published searches a method a line, with the sets that it has experiments on besides CIFAR-10; then the others."""
    from mixop.comparison.reproduce import CIFAR10, EXPERIMENTS, SETS
    from mixop.experiments.catalogue import CATALOGUE
    from mixop.recipes import RECIPES

    lines = {}
    for name, search in EXPERIMENTS.items():
        if search.dataset == CIFAR10:
            others = [SETS[one.dataset].suffix for one in EXPERIMENTS.values() if one.method == search.method]
            also = f"; also {', '.join(filter(None, others))}" if any(others) else ""
            lines[name] = f"{first_line(RECIPES[search.method]).partition(':')[0]}{also}"
    return lines | {name: experiment.question for name, experiment in CATALOGUE.items()}


def _published() -> dict[str, str]:
    from mixop.comparison.survey import TABLES, TITLES

    about = {}
    for name, numbers in TABLES.items():
        titles = dict.fromkeys(TITLES[number.dataset] for number in numbers)
        about[name] = f"{len(numbers)} numbers on {', '.join(titles)}: {numbers[0].source}"
    return about


def numbers() -> dict[str, list[dict[str, Any]]]:
    """Every published number with all that is known of it, by table."""
    from mixop.comparison.survey import TABLES

    return {name: [number.to_json() for number in numbers] for name, numbers in TABLES.items()}


def _searchers() -> dict[str, str]:
    from mixop.searchers import SEARCHERS

    return {name: first_line(cls) for name, cls in SEARCHERS.items()}


def _tables() -> dict[str, str]:
    from mixop.tables.catalogue import open_table, shipped_names

    return {
        name: f"{len(open_table(name))} architectures on {', '.join(open_table(name).datasets)}" for name in shipped_names()
    }


def _operations() -> dict[str, str]:
    from mixop.nets.ops import OPERATIONS, BatchNorm

    operations = {name: make(4, 1, BatchNorm(), 2) for name, make in OPERATIONS.items()}
    return {name: " - ".join(_layer(module) for module in [*net.children()] or [net]) for name, net in operations.items()}


def _layer(module: Any) -> str:
    if type(module).__module__.startswith("mixop."):
        return first_line(type(module))
    kernel = getattr(module, "kernel_size", None)
    kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    return type(module).__name__ + (f" {kernel[0]}x{kernel[1]}" if kernel[0] else "")


TOPICS: Mapping[str, Callable[[], dict[str, str]]] = {
    "recipes": _recipes,
    "searchers": _searchers,
    "spaces": _spaces,
    "data": _data,
    "relaxations": _relaxations,
    "protocols": _protocols,
    "architectures": _architectures,
    "operations": _operations,
    "tables": _tables,
    "experiments": _experiments,
    PUBLISHED: _published,
}
"""Names and descriptions of each topic."""
