"""Models and examples that a program holds and no name leads to: a space refers to them by what they are."""

import copy
import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy as is_lazy_tensor
from torch.utils._pytree import tree_flatten

from mixop.core.errors import SpaceError

HELD = "held:"
"""What the name of a held object begins with."""

_OBJECTS: dict[str, Any] = {}


def hold(what: Any) -> str:
    """The name of an object that this process keeps from now on; equal objects have equal names.

    Args:
        what: a model, of which a copy is kept, or an example of its inputs.
    """
    digest = hashlib.sha256()
    for piece in _pieces(what):
        digest.update(piece)
    name = f"{HELD}{type(what).__name__}@{digest.hexdigest()[:16]}"
    if name not in _OBJECTS:
        _OBJECTS[name] = copy.deepcopy(what)
    return name


def held(name: str, space: str) -> Any:
    """The object of a name.

    Raises:
        SpaceError: if it was held by another process.
    """
    if name not in _OBJECTS:
        raise SpaceError(
            f"The space {space} was made from an object of a program ({name.removeprefix(HELD).partition('@')[0]}), which this "
            "process does not have: make the space again with mixop.spaces.in_module from the same object, or make it from a "
            "function or class that Python can import."
        )
    return _OBJECTS[name]


def is_held(name: str) -> bool:
    """Whether a name is that of a held object."""
    return name.startswith(HELD)


def is_lazy(module: nn.Module) -> bool:
    """Whether a module gets its weights from the first inputs that it sees, and has seen none yet."""
    return isinstance(module, LazyModuleMixin) and any(map(is_lazy_tensor, module.parameters(recurse=False)))


def _pieces(what: Any) -> Iterator[bytes]:
    """What makes an object what it is: of a model its structure, weights and buffers."""
    if isinstance(what, nn.Module):
        lazy = next((layer for layer in what.modules() if is_lazy(layer)), None)
        if lazy is not None:
            raise SpaceError(
                f"A layer of this {type(what).__name__} has no weights yet ({type(lazy).__name__}): pass it an example, or "
                "give in_module the class or a function that makes it."
            )
        yield repr(what).encode()
        for name, value in what.state_dict(keep_vars=True).items():
            yield name.encode()
            yield from _pieces(value)
        return
    leaves, spec = tree_flatten(what)
    yield str(spec).encode()
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            value = leaf.detach().cpu().contiguous()
            yield f"{value.dtype}{tuple(value.shape)}".encode()
            yield bytes(value.view(torch.uint8).numpy().tobytes()) if value.numel() and value.dim() else repr(value).encode()
        else:
            yield repr(leaf).encode()
