"""A network's tensors by name, found once: a training step would otherwise walk through all modules several times."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call


class NamedTensors:
    """The parameters and buffers of a network whose modules and parameters stay the same objects.

    Buffers may be replaced, and parameters frozen.

    Args:
        net: the network.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self._parameters = dict(net.named_parameters())
        names = {name for name, _ in net.named_buffers()}
        places = [(f"{at}.{key}" if at else key, module, key) for at, module in net.named_modules() for key in module._buffers]
        self._buffers = [place for place in places if place[0] in names]
        every = sum(1 for _ in net.named_parameters(remove_duplicate=False))
        every += sum(1 for _ in net.named_buffers(remove_duplicate=False))
        self._tied = every > len(self._parameters) + len(self._buffers)

    @property
    def learning(self) -> dict[str, nn.Parameter]:
        """The parameters that learn."""
        return {name: parameter for name, parameter in self._parameters.items() if parameter.requires_grad}

    def buffers(self) -> dict[str, Tensor]:
        """Copies of the buffers."""
        return {name: module._buffers[key].clone() for name, module, key in self._buffers}  # pyright: ignore[reportOptionalMemberAccess]

    def call(self, tensors: Mapping[str, Tensor], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What the network gives with other tensors in the place of its own.

        Args:
            tensors: by name; its own where there is none.
            arguments: of the network.
            named: those by name.
        """
        # torch looks for tied tensors by two walks a call.
        return functional_call(self.net, dict(tensors), arguments, named, tie_weights=self._tied)
