"""The squared distance of the architecture parameters to an anchor: L2."""

from dataclasses import dataclass

from torch import Tensor

from mixop.core.schedules import check_range
from mixop.regularise.base import Point, Regulariser, total


@dataclass(frozen=True, kw_only=True)
class AnchorL2(Regulariser):
    """``weight / 2 * |params - anchor|^2``, summed over all groups.

    With anchor 0 its gradient is exactly that of weight decay in Adam or SGD. DrNAS calls it the distance of the
    concentration to its anchor 1, measured in eta.

    Args:
        weight: >= 0.
        anchor: where the parameters are drawn to.

    Source: Chen et al. 2021 (arXiv:2006.10355), eq. 8 and code.
    """

    weight: float = 1e-3
    anchor: float = 0.0

    def __post_init__(self) -> None:
        check_range("weight of AnchorL2", self.weight, at_least=0)
        check_range("anchor of AnchorL2", self.anchor)

    def __call__(self, at: Point) -> Tensor:
        return self.weight / 2 * total([(value - self.anchor).square().sum() for value in at.params.values()])
