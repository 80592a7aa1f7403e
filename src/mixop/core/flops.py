"""Operations of a pass, counted by torch's own formulas."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mixop.core.watch import composed

_FUSED = ("attention", "rnn", "lstm", "gru", "transformer")
"""In the names of such kernels."""


class FlopCounter(TorchDispatchMode):
    """Inside, the multiplications and additions of convolutions, products of matrices and attention are counted.

    The totals are those of `torch.utils.flop_counter.FlopCounterMode`, which also keeps them by module, at several times the
    cost of the pass, and loads torch's compiler.

    ``missed`` says whether an operation ran that computes in one kernel what torch has no formula for, as attention and
    recurrent layers do on a CPU. A pass without numbers, on the device ``meta``, has no such kernels, but loads the compiler.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # keeping torch's compiler away would load it, which takes seconds; nothing is compiled here

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.missed = False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):  # an operator of higher order
            return func(*args, **kwargs)
        formula = flop_registry.get(func.overloadpacket)
        if formula is None and composed(func):
            with self:
                found = func.decompose(*args, **kwargs)
            if found is not NotImplemented:
                return found
        out = func(*args, **kwargs)
        if formula is None:
            self.missed |= any(word in func.name() for word in _FUSED)
        else:
            self.total += formula(*args, **kwargs, out_val=out)
        return out
