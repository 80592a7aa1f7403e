"""What is the run's and not the method's: seed, device, checkpoints, how the network is computed.

The fields and their defaults are read by ``--help``, which must not wait for torch: torch is imported when a value is made.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from mixop.core.errors import RecipeError, unknown
from mixop.core.outside import shortened
from mixop.core.schedules import check_range

Executor = Literal["nodewise", "fused", "triton", "plain", "auto"]
"""The names of `mixop.supernet.executors.EXECUTORS`; ``auto`` for the fastest that fits, see `mixop.engine.fit.computing`."""

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is not the method's but the run's.

    Args:
        seed: of the initial weights, the order of the data, the augmentation and the draws, >= 0.
        device: where torch computes: "cpu", "cuda", "cuda:1" (the second GPU), or "mps".
        checkpoint_seconds: least time between two checkpoints, in seconds; 0 saves after every step.
        threads: of torch on the CPU; 0 takes torch's own number, but never more than the cores that the process may use.
        executor: how a search computes its supernet: ``auto``, the fastest that can; ``fused``, compiled kernels for cells of
            the NAS-Bench-201 and DARTS spaces on a CPU; ``nodewise``, fast everywhere; ``triton``, the same with kernels for
            GPUs, whose speed nobody has measured; or ``plain``, as the papers write it. The numbers agree up to rounding. A
            retraining computes its networks node by node too, unless this is ``plain``.
        precision: of the supernet's convolutions in a search: ``float32``, or ``bfloat16`` by autocast.
        channels_last: whether the plain executor stores images with the channels last; the other executors always do.
        compile: whether torch compiles the supernet's cells at the first step; not with the executors ``fused`` and ``triton``.
        capture: whether the network's part of a step is recorded once as a CUDA graph and replayed; needs "cuda", full
            mixtures and first derivatives.
        accumulate: pieces that a batch is computed in, one after the other, for a device with little memory. The gradient is
            that of the whole batch, except that batch norm takes the statistics of each piece. For first derivatives.
    """

    asked: ClassVar[str] = "mixop.engine.settings.Settings()"

    seed: int = 0
    device: str = "cpu"
    checkpoint_seconds: float = 30.0
    threads: int = 0
    executor: Executor = "auto"
    precision: Precision = "float32"
    channels_last: bool = False
    compile: bool = False
    capture: bool = False
    accumulate: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise RecipeError(f"seed must be a whole number of at least 0, got {shortened(self.seed)}.")
        check_range("checkpoint seconds", self.checkpoint_seconds, at_least=0)
        if isinstance(self.threads, bool) or not isinstance(self.threads, int) or not 0 <= self.threads <= 4096:
            raise RecipeError(f"threads must be a whole number from 0 to 4096, got {shortened(self.threads)}.")
        if isinstance(self.accumulate, bool) or not isinstance(self.accumulate, int) or self.accumulate < 1:
            raise RecipeError(f"accumulate must be a whole number of at least 1, got {shortened(self.accumulate)}.")
        if self.executor not in get_args(Executor):
            raise RecipeError(unknown("executor", str(self.executor), get_args(Executor)))
        if self.precision not in get_args(Precision):
            raise RecipeError(unknown("precision", str(self.precision), get_args(Precision)))

        for name in ("channels_last", "compile", "capture"):
            if not isinstance(getattr(self, name), bool):
                raise RecipeError(f"{name} must be true or false, got {shortened(getattr(self, name))}.")
        cuda = self._check_device()
        if self.executor == "fused":
            self._refuse(self.device != "cpu", "computes on the CPU", "--device cpu, or --executor nodewise")
            self._refuse(self.precision != "float32", "computes in float32", "--precision float32, or --executor nodewise")
        if self.executor == "triton":
            from mixop.supernet.launched import interpreting

            self._refuse(not (cuda or interpreting()), "computes on a GPU", "--device cuda, or --executor nodewise")
        if self.executor in ("fused", "triton"):
            self._refuse(self.compile, "is compiled already", "--compile false, or --executor nodewise")
        if self.capture and not cuda:
            raise RecipeError(f"capture records CUDA graphs, but the device is {self.device!r}: use --device cuda.")

    def _check_device(self) -> bool:
        """Refuses a device that is not here; whether it is a GPU of CUDA."""
        match = re.fullmatch(r"(cpu|cuda|mps)(?::(\d{1,4}))?", self.device) if isinstance(self.device, str) else None
        if match is None:
            raise RecipeError(f"device must be 'cpu', 'cuda', 'cuda:1' (the second GPU) or 'mps', got {self.device!r}.")
        kind, number = match[1], int(match[2] or 0)

        import torch

        if kind == "mps":
            there = int(torch.backends.mps.is_available())
        else:
            there = torch.cuda.device_count() if kind == "cuda" else 1
        if not there:
            raise RecipeError(f"There is no device {kind!r} here that this build of torch can use: use 'cpu'.")
        if number >= there:
            raise RecipeError(f"There is no device {self.device!r} here, the last one is '{kind}:{there - 1}': use {kind!r}.")
        try:
            torch.empty(1, device=self.device)  # a driver that does not fit, a GPU that someone else has for himself
        except (RuntimeError, AssertionError) as error:
            raise RecipeError(
                f"Device {self.device!r} cannot be used here ({str(error).splitlines()[0]}): use 'cpu'."
            ) from error
        return kind == "cuda"

    def _refuse(self, wrong: bool, what: str, instead: str) -> None:
        if wrong:
            raise RecipeError(f"The {self.executor} executor {what}: use {instead}.")

    @property
    def identity(self) -> dict[str, Any]:
        """What a run's numbers depend on: the seed, the executor, and of the others what is not as usual."""
        usual = Settings()
        others = ("precision", "channels_last", "compile", "capture", "accumulate")
        changed = {name: getattr(self, name) for name in others if getattr(self, name) != getattr(usual, name)}
        return {"seed": self.seed, "executor": self.executor, **changed}

    def computing(self, *, cells: bool) -> dict[str, Any]:
        """How the network is computed, as ``environment.json`` records it.

        Args:
            cells: whether the space is one of cells, whose fast executors always have the channels last.
        """
        return {
            "executor": self.executor,
            "precision": self.precision,
            "channels_last": self.channels_last or (cells and self.executor != "plain"),
            "compile": self.compile,
            "capture": self.capture,
        }
