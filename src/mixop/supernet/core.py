"""What every executor is: a supernet that holds weights only and takes the mixing weights as an argument."""

from torch import Tensor

from mixop.network import MakeCell, Skeleton
from mixop.ops import BatchNorm
from mixop.spaces.core import Layer, Space
from mixop.types import Active, Mix


class Supernet(Skeleton):
    """``logits = net(x, mix)``; the architecture is an argument, so perturbing or unrolling is a function call.

    Args:
        space: the search space.
        make_cell: builds the executor's cells, called as ``cell(inputs, weights, active)``.
        norm: batch norm settings.
    """

    def __init__(self, space: Space, make_cell: MakeCell, norm: BatchNorm) -> None:
        super().__init__(space, make_cell, norm)
        self.space = space
        self.norm = norm

    def forward(self, x: Tensor, mix: Mix, active: Active | None = None) -> Tensor:
        """Logits of a batch under given mixing weights.

        Args:
            x: images ``(B, C, H, W)``.
            mix: for each group of the space its mixing weights ``(E, O)``.
            active: for draws that leave options out, the options of each decision that run, as host-side integers; the
                others contribute their weight alone (zero in value, with a gradient).

        Returns:
            ``(B, classes)``.
        """

        def context(spec: Layer) -> tuple:
            name = spec.group or ""
            return mix[name], active[name] if active is not None else None

        return self.walk(x, context)
