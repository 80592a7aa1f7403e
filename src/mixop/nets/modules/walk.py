"""The decisions of a model: found by walking through its modules."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from torch import nn

from mixop.core.errors import SpaceError
from mixop.nets.modules.choice import LEAVE, NAME, TAKE, Choice, Decided, InputChoice
from mixop.spaces import core
from mixop.spaces.core import Decision, Group, Roles, choices_of

Option = tuple[str, str]
"""A decision and one of its options, by their names."""

Chosen = tuple[core.Choice, ...]
"""What an architecture takes in one decision; nothing where it does not reach it."""


@dataclass(frozen=True)
class Found:
    """A decision of a model.

    Args:
        group: the decision as a group of a space.
        places: for each module that it decides, the options of other decisions that the module lies inside of.
    """

    group: Group
    places: tuple[tuple[Option, ...], ...]

    def lives(self, chosen: Mapping[str, str]) -> bool:
        """Whether one of its modules is reached.

        Args:
            chosen: the option of every decision around it that is reached itself.
        """
        return any(all(chosen.get(name) == option for name, option in place) for place in self.places)


@dataclass(frozen=True)
class Plan:
    """All decisions of a model, each after those that it lies inside of.

    Args:
        found: by name.
    """

    found: Mapping[str, Found]

    @property
    def groups(self) -> tuple[Group, ...]:
        """The decisions as groups."""
        return tuple(found.group for found in self.found.values())

    def settled(self, choices: Mapping[str, Chosen]) -> dict[str, Chosen]:
        """The choices of every decision, without those that are not reached: inside of options that were not chosen."""
        reached: dict[str, str] = {}
        settled = {}
        for name, found in self.found.items():
            settled[name] = choices.get(name, ()) if found.lives(reached) else ()
            reached |= _option(name, found.group, settled[name])
        return settled

    def families(self) -> list[list[str]]:
        """The decisions in families that do not depend on each other, for counting."""
        family: dict[str, int] = {}
        for number, (name, found) in enumerate(self.found.items()):
            near = {family[other] for place in found.places for other, _ in place}
            family = {other: number if mark in near else mark for other, mark in family.items()} | {name: number}
        return [[name for name in family if family[name] == mark] for mark in dict.fromkeys(family.values())]


def find(model: nn.Module) -> Plan:
    """The decisions of a model, each with the name that its first module shares or has.

    A module that lies at several places of the model is one module, and so is its decision. Sets the names of the decisions in
    the model's choices.

    Raises:
        SpaceError: if there are none, or two choices of one name differ.
    """
    names: dict[int, str] = {}
    first: dict[str, Decided] = {}
    places: dict[str, list[tuple[Option, ...]]] = {}
    for module, path, around in visit(model):
        if not isinstance(module, Decided):
            continue
        name = module.decision = names.setdefault(id(module), module.share or path or type(module).__name__.lower())
        if not NAME.fullmatch(name.replace(".", "_")):
            raise SpaceError(f"A choice cannot be called {name!r}: make it an attribute of a module, or give it share=.")
        _check_alike(name, first.setdefault(name, module), module)
        if around not in places.setdefault(name, []):
            places[name].append(around)
    if not first:
        raise SpaceError(
            f"{type(model).__name__} has no choice to search: put mixop.Choice({{...}}) in place of one of its modules. A "
            "choice must be an attribute of a module, or in a ModuleList, ModuleDict or Sequential (a plain list hides it)."
        )
    skips = _skips(first.values())
    found = {}
    for name in _ordered(places):
        found[name] = Found(_group(name, first[name], Roles(absent=(LEAVE,), skips=skips)), tuple(places[name]))
    return Plan(found)


def decided(model: nn.Module) -> Iterator[Decided]:
    """Every module of a model whose pass depends on a decision, once."""
    return (module for module in model.modules() if isinstance(module, Decided))


def visit(
    module: nn.Module, path: str = "", around: tuple[Option, ...] = (), seen: frozenset[int] = frozenset()
) -> Iterator[tuple[nn.Module, str, tuple[Option, ...]]]:
    """Modules with their paths and the options around them, in the order of the model; every place of a module is visited.

    The path leaves out the inside of choices: ``block.conv7.norm``, not ``block.options.conv7.norm``.
    """
    if id(module) in seen:  # a module inside of itself
        return
    seen |= {id(module)}
    yield module, path, around
    if isinstance(module, Choice):
        # An option knows its choice by the name that its decision has got when it was yielded.
        for name in module.names:
            yield from visit(module.option(name), _join(path, name), (*around, (module.decision, name)), seen)
        return
    for name, child in module.named_children():
        yield from visit(child, _join(path, name), around, seen)


def chain(model: nn.Module) -> tuple[str, ...]:
    """The decisions of a bound model in the order in which its choices follow one another; empty where they do not.

    They do where every choice stands in an `nn.Sequential`, which stands in no other module than that, and no choice lies
    inside of another one.
    """
    found = list(_in_a_row(model))
    return tuple(choice.decision for choice in found) if len(found) == sum(1 for _ in decided(model)) else ()


def _in_a_row(module: nn.Module) -> Iterator[Choice]:
    if isinstance(module, Choice):
        yield module
    elif type(module) is nn.Sequential:  # another class may call its children in any order
        for child in module:
            yield from _in_a_row(child)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _check_alike(name: str, first: Decided, other: Decided) -> None:
    if type(first) is not type(other) or first.names != other.names or getattr(first, "keep", 0) != getattr(other, "keep", 0):
        raise SpaceError(
            f"Choices that share a decision must have the same options, but {name!r} has {', '.join(first.names)} and "
            f"{', '.join(other.names)}: give them different names in share=, or the same options."
        )


def _group(name: str, module: Decided, roles: Roles) -> Group:
    if isinstance(module, InputChoice) and module.keep != 1:
        count = len(module.names)
        rows = tuple(Decision(source, count, (LEAVE, TAKE)) for source in range(count))
        return Group(name, rows, keep=module.keep or 0, roles=roles)
    return Group(name, (Decision(0, 1, module.names),), roles=roles)


def _skips(modules: Iterable[Decided]) -> tuple[str, ...]:
    """Names of options that pass their input on, wherever they occur."""
    kinds: dict[str, set[bool]] = {}
    for module in modules:
        if not isinstance(module, Choice):
            continue
        for name in module.names:
            kinds.setdefault(name, set()).add(isinstance(module.option(name), nn.Identity))
    return tuple(name for name, identity in kinds.items() if identity == {True})


def _ordered(places: Mapping[str, Sequence[tuple[Option, ...]]]) -> list[str]:
    """The decisions, each after those around it.

    Raises:
        SpaceError: where two lie inside of each other.
    """
    left, ordered = dict(places), []
    while left:
        ready = (name for name, where in left.items() if not any(other in left for place in where for other, _ in place))
        name = next(ready, None)
        if name is None:
            raise SpaceError(f"The choices {' and '.join(left)} lie inside of each other: give them different names in share=.")
        ordered.append(name)
        del left[name]
    return ordered


def count(plan: Plan) -> int:
    """How many architectures the decisions of a plan allow; what is not reached makes no difference."""
    return prod(sum(1 for _ in ways(plan, family)) for family in plan.families())


def ways(plan: Plan, names: Sequence[str]) -> Iterator[dict[str, Chosen]]:
    """Every way to decide some decisions, which depend on no others; the last one varies fastest."""

    def go(index: int, made: dict[str, Chosen], reached: dict[str, str]) -> Iterator[dict[str, Chosen]]:
        if index == len(names):
            yield made
            return
        name = names[index]
        found = plan.found[name]
        for chosen in choices_of(found.group) if found.lives(reached) else ((),):
            yield from go(index + 1, {**made, name: chosen}, {**reached, **_option(name, found.group, chosen)})

    return go(0, {}, {})


def _option(name: str, group: Group, chosen: Chosen) -> dict[str, str]:
    """What other decisions may lie inside of: the option of a decision that has one."""
    return {name: chosen[0].option} if len(group.decisions) == 1 and chosen else {}
