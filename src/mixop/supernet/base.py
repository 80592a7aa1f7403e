"""What every supernet is: a network that holds weights only and takes the mixing weights as an argument."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mixop.core.types import Active, Mix
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import State
from mixop.spaces.core import Group, Space
from mixop.wraps.base import Wrap


class Supernet(nn.Module, ABC):
    """``outputs = net(x, mix)``; the architecture is an argument, so perturbing or unrolling is a function call.

    Attributes:
        space: the search space.
        norm: batch norm settings.
        wraps: how its edges are wrapped.
        carries: whether it carries a state from window to window of a stream; a pass then gives outputs and state.
    """

    space: Space
    norm: BatchNorm
    wraps: Sequence[Wrap] = ()
    carries: bool = False

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every group that needs mixing weights."""
        return self.space.groups

    @property
    def reference(self) -> "Supernet":
        """A supernet with the names and shapes of this one's state, to read its structure from; its numbers mean nothing."""
        return self

    def to_plain(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors that belong to parameters or buffers of this executor (gradients, momentum) by the plain executor's names.

        Args:
            tensors: by the names of this one's parameters or buffers, any of which may be missing.
        """
        return dict(tensors)

    def from_plain(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of `to_plain`; where a part of a tensor is missing, it is zero."""
        return dict(tensors)

    @abstractmethod
    def idle(self, active: Active) -> list[tuple[Tensor, slice]]:
        """The weights that no running option has: parameters, each with a range of its first axis.

        Args:
            active: for every group the options that run.
        """

    def cells_of(self, group: str) -> int:
        """How many cells of the network a group decides, each of which may have a draw of its own; 0 where there are none."""
        return 0

    def compile_cells(self) -> None:
        """Has torch compile what it can of the network at the first pass."""

    @abstractmethod
    def forward(
        self, x: Any, mix: Mix, active: Active | None = None, *, progress: float = 0.0, state: State | None = None
    ) -> Any:
        """Outputs of a batch under given mixing weights.

        Args:
            x: inputs ``(B, *shape)``, or tokens ``(B, T)``.
            mix: for each of `groups` its mixing weights ``(E, O)``, or ``(L, E, O)`` for each of its `cells_of`.
            active: for draws that leave options out, the options of each decision that run, as host-side integers, by cell
                where the weights are; the others contribute their weight alone (zero in value, with a gradient). A decision
                none of whose options run is absent.
            progress: time in [0, 1], for wraps that change with it.
            state: for a network that carries, what the window before left; None or () at the start of a stream.

        Returns:
            Outputs ``(B, K)``, or ``(B, K, *positions)`` where the space is dense; of a network that carries, a pair of them
            and the new state.
        """
