"""What a training asks of any network, mixop's own or a user's: outputs, an auxiliary head, a state, drop path."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from mixop.nets.discrete import DiscreteNetwork
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.skeleton import State
from mixop.spaces.core import Space
from mixop.spaces.stacked import Stacked

Net = TypeVar("Net", bound=nn.Module)


def channels_last(net: Net, space: Space) -> Net:
    """The network with the channels of images last in memory, which is faster on a CPU (see `studies/short_training.py`).

    Numbers agree up to rounding. Networks of features and signals stay as they are, and so do models of the user's own: their
    code may look at the memory (``x.view(len(x), -1)``), and they say themselves how they are laid out.

    Args:
        net: the network; changed.
        space: whose network it is.
    """
    return net.to(memory_format=torch.channels_last) if is_laid_out(space) else net  # type: ignore[call-overload]


def is_laid_out(space: Space) -> bool:
    """Whether the networks of a space take images, and their code is mixop's own."""
    own = space.is_ready if isinstance(space, ModuleSpace) else isinstance(space, Stacked)
    return own and space.dims == 2


def carries(net: nn.Module) -> bool:
    """Whether a network carries a state from window to window: ``net(x, state)`` then gives outputs and state."""
    return bool(getattr(net, "carries", False))


def training_outputs(net: nn.Module, x: Tensor, state: State | None = None) -> tuple[Any, Tensor | None, State]:
    """Outputs, those of the auxiliary head if the network has one and trains, and the new state.

    Args:
        net: the network.
        x: inputs ``(B, *shape)``, or tokens ``(B, T)``.
        state: what the window before left, () at the start of a stream; None for a window without a stream around it.
    """
    if isinstance(net, DiscreteNetwork):
        return net.training_outputs(x, state)
    if carries(net):
        outputs, after = net(x, () if state is None else state)
        return outputs, None, after
    return net(x), None, ()


def trained(net: nn.Module) -> list[nn.Parameter]:
    """The parameters that learn: those of a frozen part (``requires_grad`` false) neither move nor decay."""
    return [parameter for parameter in net.parameters() if parameter.requires_grad]


def freeze(net: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Freezes parameters by their names.

    Args:
        net: the network; changed.
        patterns: names, beginnings of names (``stem`` for ``stem.conv.weight``), or with ``*`` and ``?``.

    Returns:
        The patterns that match no parameter.
    """
    unmatched = list(patterns)
    for name, parameter in net.named_parameters():
        its = [pattern for pattern in patterns if _matches(name, pattern)]
        if its:
            parameter.requires_grad_(False)
        unmatched = [pattern for pattern in unmatched if pattern not in its]
    return unmatched


def frozen_norms(net: nn.Module, patterns: Sequence[str]) -> list[nn.Module]:
    """The batch norms that patterns freeze whole: their statistics stay as they are, too."""

    def frozen(path: str, module: nn.Module) -> bool:
        names = [f"{path}.{name}" for name, _ in module.named_parameters(recurse=False)] or [path]
        return all(any(_matches(name, pattern) for pattern in patterns) for name in names)

    norms = [(path, module) for path, module in net.named_modules() if isinstance(module, _NormBase)] if patterns else []
    return [module for path, module in norms if frozen(path, module)]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def set_drop_path(net: nn.Module, probability: float, *, deeper: bool = False) -> None:
    """Sets the probability that the output of an operation is zero; a user's network has none.

    Args:
        net: the network.
        probability: in every cell, in [0, 1).
        deeper: whether it is that of the last cell, and ``k / K`` of it in the k-th of K cells.
    """
    if isinstance(net, DiscreteNetwork):
        net.drop_path, net.drop_deeper = probability, deeper


def without_auxiliary(net: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network, those of an auxiliary head aside: only training needs it."""
    own = isinstance(net, DiscreteNetwork)
    return {
        name: value for name, value in net.state_dict(keep_vars=True).items() if not (own and name.startswith("auxiliary."))
    }
