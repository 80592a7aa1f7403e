"""Choices with fewer options, and models with their choices made."""

from collections.abc import Mapping, Sequence

import torch
from torch import fx, nn

from mixop.core.errors import SpaceError
from mixop.nets.modules.choice import TAKE, Choice, Decided, InputChoice
from mixop.nets.modules.walk import Chosen, decided
from mixop.nets.modules.width import Width


def keep_options(model: nn.Module, kept: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Takes the options out of a model's choices that a search has left behind.

    Args:
        model: bound to its decisions; changed.
        kept: for some decisions the options of their rows that stay.
    """
    for choice in decided(model):
        if choice.decision not in kept:
            continue
        if isinstance(choice, Width):
            choice.leave(kept[choice.decision][0])
            continue
        if not isinstance(choice, Choice):
            raise SpaceError(f"The options of {choice.decision} are not modules, and cannot be pruned one by one.")
        for name in choice.names:
            if name not in kept[choice.decision][0]:
                del choice.options._modules[name]
        if choice.default not in choice.names:
            choice.default = choice.names[0]


def decide(model: nn.Module, chosen: Mapping[str, Chosen]) -> nn.Module:
    """Puts what was chosen in the place of every choice; nothing of mixop stays in the model.

    Args:
        model: bound to its decisions; changed.
        chosen: what an architecture takes in every decision.

    Returns:
        The model, which is another module where the model is a choice itself.
    """
    made: dict[int, nn.Module] = {}

    def instead(module: Decided) -> nn.Module:
        if id(module) not in made:
            made[id(module)] = _settled(module, chosen.get(module.decision, ()))
        return made[id(module)]

    def replaced(module: nn.Module) -> nn.Module:
        while isinstance(module, Decided):
            module = instead(module)
        return module

    model = replaced(model)
    seen: set[int] = set()
    stack = [model]
    while stack:
        parent = stack.pop()
        if id(parent) in seen:
            continue
        seen.add(id(parent))
        for name, child in list(parent._modules.items()):
            if child is not None:
                parent._modules[name] = replaced(child)
                stack.append(parent._modules[name])  # type: ignore[arg-type]  # it is not None
    return model


def _settled(module: Decided, chosen: Chosen) -> nn.Module:
    """What stands in the place of a choice."""
    if isinstance(module, Choice):
        return module.option(chosen[0].option if chosen else module.default)
    if isinstance(module, InputChoice):
        if module.keep == 1:
            kept = [module.names.index(chosen[0].option)] if chosen else [0]
        else:
            kept = [choice.decision for choice in chosen if choice.option == TAKE]
        return sum_of(len(module.names), kept, module.scale)
    if isinstance(module, Width):
        return nn.Identity()  # the layers around it have been cut
    raise SpaceError(f"No network can be built with {type(module).__name__} {module.decision}.")


def sum_of(count: int, kept: Sequence[int], scale: float = 1.0) -> nn.Module:
    """A module that adds up some of the tensors that it is called with, one by one.

    It is written as a graph, since torch has no such module, and a network that is taken away needs nothing of mixop.

    Args:
        count: of tensors.
        kept: which of them are added up; zeros if none is.
        scale: of the sum.
    """
    graph = fx.Graph()
    given = [graph.placeholder(f"x{k}") for k in range(count)]
    if kept:
        total = given[kept[0]]
        for k in kept[1:]:
            total = graph.call_function(torch.add, (total, given[k]))
        if scale != 1:
            total = graph.call_function(torch.mul, (total, scale))
    else:
        total = graph.call_function(torch.zeros_like, (given[0],))
    graph.output(total)
    return fx.GraphModule(nn.Module(), graph, "Sum")
