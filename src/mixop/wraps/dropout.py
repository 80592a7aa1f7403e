"""Dropout behind skip connections, fading out."""

import math
from dataclasses import dataclass, replace

from torch import Tensor, nn

from mixop.core.errors import RecipeError
from mixop.core.rng import rand
from mixop.core.schedules import Progress, check_range
from mixop.nets.ops import BatchNorm
from mixop.wraps.base import EdgeSpec, MakeEdge, TimedOperation, Wrap


class DroppedSkip(TimedOperation):
    """The identity under element-wise dropout."""

    def __init__(self, drop: "SkipDropout") -> None:
        super().__init__()
        self.drop = drop

    def forward(self, x: Tensor, progress: float = 0.0) -> Tensor:
        probability = self.drop.probability(progress)
        if not self.training or probability == 0:
            return x
        keep = 1.0 - probability
        # Drawn on the CPU, whatever the device and the layout: the caller fences it.
        return x * (rand(x.shape, x.device, by_example=True).lt(keep).to(x.dtype) / keep)


@dataclass(frozen=True, kw_only=True)
class SkipDropout(Wrap):
    """Element-wise dropout on the output of every skip connection that is not strided; its rate decays.

    In epoch e of a stage of E epochs the rate is ``rate * (E - e - 1) / E`` while the architecture waits in warm-up. When it
    begins to move the rate starts fresh: ``rate * exp(-decay * t)``, where t counts from 0 to 1 over the epochs in which it
    moves. With the 10 and 15 epochs of the authors' stages that is their ``exp(-0.2 (e - 10))``.

    Args:
        rate: initial rate, in [0, 1).
        decay: speed of the later decay, over the epochs in which the architecture moves, >= 0.

    Source: Chen et al. 2019 (arXiv:1904.12760), section 3.3, and the authors' code.
    """

    rate: float = 0.3
    decay: float = 3.0

    def __post_init__(self) -> None:
        check_range("rate of SkipDropout", self.rate, at_least=0)
        if not self.rate < 1:
            raise RecipeError(f"rate of SkipDropout must be less than 1, got {self.rate:g}: 1 drops everything.")
        check_range("decay of SkipDropout", self.decay, at_least=0)

    def probability(self, progress: float) -> float:
        """The rate at a time in [0, 1]."""
        if isinstance(progress, Progress) and progress.waiting:
            return self.rate * max(0.0, 1 - float(progress.whole) - 1 / progress.whole.epochs)
        return self.rate * math.exp(-self.decay * float(progress))

    @property
    def draws(self) -> bool:
        return True

    def __call__(self, make_edge: MakeEdge) -> MakeEdge:
        def make(spec: EdgeSpec) -> nn.Module:
            def make_option(name: str, channels: int, stride: int, norm: BatchNorm, dims: int) -> nn.Module:
                skip = name in spec.skips and stride == 1
                return DroppedSkip(self) if skip else spec.make(name, channels, stride, norm, dims)

            return make_edge(replace(spec, make=make_option))

        return make
