"""The network of an architecture, and which weights of the model with all choices are its."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import lru_cache

import torch
from torch import Generator, Tensor, nn

from mixop.core.errors import SpaceError
from mixop.core.rng import fenced
from mixop.core.surroundings import undisturbed
from mixop.nets.modules.prune import decide
from mixop.nets.modules.slicing import Kept, Part, cut, cuts, part_of
from mixop.nets.modules.space import ModuleSpace
from mixop.spaces.core import Architecture


def network(space: ModuleSpace, architecture: Architecture, generator: Generator | None = None) -> nn.Module:
    """The model with what was chosen in the place of every choice, its layers as wide as was decided; nothing of mixop in it.

    Layers that were cut keep the part of the weights that they had. Where weights are drawn again by ``reset_parameters``, they
    are drawn for the smaller layer.

    Args:
        space: the space of the model.
        architecture: of the space.
        generator: source of the initial weights, on the CPU; None for torch's own.

    Raises:
        SpaceError: if the architecture does not belong to the space.
    """
    space.check(architecture)
    with nullcontext() if generator is None else fenced(generator):
        model = space.make()
        made = cuts(model, _kept(space, architecture))
        cut(model, made)
        if space.redraws:
            for change in made:
                reset = getattr(model.get_submodule(change.path), "reset_parameters", None)
                if callable(reset):
                    reset()
    return decide(model, dict(architecture.choices))


def kept_entries(space: ModuleSpace, architecture: Architecture) -> dict[str, dict[int, tuple[int, ...]]]:
    """What the widths of an architecture leave of the weights of the model with all its choices.

    Args:
        space: the space of the model.
        architecture: of the space.

    Returns:
        By the name of a parameter or buffer in ``space.make()``, for each axis that is cut, the indices that are kept. What is
        not there is kept as a whole.

    Raises:
        SpaceError: if the architecture does not belong to the space.
    """
    space.check(architecture)
    names = set(space.make(Generator().manual_seed(0)).state_dict())
    return {name: dict(axes) for name, axes in _kept(space, architecture).items() if name in names}


def _kept(space: ModuleSpace, architecture: Architecture) -> Kept:
    chosen = dict(architecture.choices)
    return space.extents.kept({name: chosen[name][0].option for name in space.widths if chosen[name]})


def sliced(space: ModuleSpace, architecture: Architecture, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the network of an architecture takes over from a model with all its choices.

    Args:
        space: the space of the model.
        architecture: of the space.
        state: tensors by the names of ``space.make().state_dict()``: weights and statistics, gradients, moments. Any may be
            missing.

    Returns:
        The tensors by the names of ``mixop.build(architecture, space).state_dict()``, views where that is possible; those that
        ``state`` lacks are missing here too.

    Raises:
        SpaceError: if the architecture does not belong to the space.
    """
    space.check(architecture)
    kept = _parts(space, architecture)
    return {
        name: part_of(state[source], kept.get(source, {}))
        for name, source in _sources(space, architecture).items()
        if source in state
    }


@lru_cache(maxsize=64)
def _parts(space: ModuleSpace, architecture: Architecture) -> dict[str, dict[int, Part]]:
    return {name: {axis: Part(indices) for axis, indices in axes.items()} for name, axes in _kept(space, architecture).items()}


@lru_cache(maxsize=64)
@undisturbed()
def _sources(space: ModuleSpace, architecture: Architecture) -> dict[str, str]:
    """For every name in a network's state the name in the state of the model with all choices."""
    try:
        with torch.device("meta"):
            model = space.make(Generator().manual_seed(0))
    except SpaceError:  # some models cannot be made without numbers
        model = space.make(Generator().manual_seed(0))
    before = {id(module): path for path, module in model.named_modules()}
    built = decide(model, dict(architecture.choices))
    return {
        _join(path, name): _join(before[id(module)], name)
        for path, module in built.named_modules(remove_duplicate=False)
        if id(module) in before  # a sum of inputs is new, and has no state
        for name in _own(module)
    }


def _own(module: nn.Module) -> Iterator[str]:
    """The names in a module's state that are not its children's."""
    children = tuple(f"{name}." for name, _ in module.named_children())
    return (name for name in module.state_dict() if not name.startswith(children))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
