"""What a training asks of any network, mixop's own or a user's: outputs, an auxiliary head, a state, drop path."""

from typing import Any

from torch import Tensor, nn

from mixop.nets.discrete import DiscreteNetwork
from mixop.nets.skeleton import State


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


def set_drop_path(net: nn.Module, probability: float) -> None:
    """Sets the probability that the output of an operation is zero; a user's network has none."""
    if isinstance(net, DiscreteNetwork):
        net.drop_path = probability


def without_auxiliary(net: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network, those of an auxiliary head aside: only training needs it."""
    own = isinstance(net, DiscreteNetwork)
    return {
        name: value for name, value in net.state_dict(keep_vars=True).items() if not (own and name.startswith("auxiliary."))
    }
