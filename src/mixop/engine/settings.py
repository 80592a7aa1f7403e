"""What is the run's and not the method's: seed, device, checkpoints."""

from dataclasses import dataclass
from typing import Literal

import torch

from mixop.errors import RecipeError, unknown
from mixop.schedules import check_range
from mixop.supernet.executors import EXECUTORS


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is not the method's but the run's.

    Args:
        seed: of initial weights, data order, augmentation and draws, >= 0.
        device: where torch computes, "cpu" or "cuda".
        checkpoint_seconds: least time between two checkpoints, in seconds; 0 saves after every step.
        executor: how a search computes its supernet: ``nodewise``, fast, or ``plain``, as the papers write it. The numbers are
            the same up to rounding.
    """

    seed: int = 0
    device: str = "cpu"
    checkpoint_seconds: float = 30.0
    executor: Literal["nodewise", "fused", "plain"] = "nodewise"

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise RecipeError(f"seed must be a whole number of at least 0, got {self.seed!r}.")
        check_range("checkpoint seconds", self.checkpoint_seconds, at_least=0)
        if self.executor not in EXECUTORS:
            raise RecipeError(unknown("executor", str(self.executor), EXECUTORS))
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise RecipeError(
                f"Device {self.device!r} cannot be used here ({str(error).splitlines()[0]}): use 'cpu'."
            ) from error
