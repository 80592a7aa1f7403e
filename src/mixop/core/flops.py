"""Operations of a pass, counted by torch's own formulas."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mixop.core.watch import composed


class FlopCounter(TorchDispatchMode):
    """Inside, the multiplications and additions of convolutions, products of matrices and attention are counted.

    The totals are those of `torch.utils.flop_counter.FlopCounterMode`, which also keeps them by module, at several times the
    cost of the pass, and loads torch's compiler.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # keeping torch's compiler away would load it, which takes seconds; nothing is compiled here

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

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
        if func is torch.ops.aten.native_batch_norm.default and args[0].is_meta:
            # torch makes its shapes from a formula in Python, which loads the compiler.
            statistics = args[0].new_empty(args[0].shape[1])
            return torch.empty_like(args[0]), statistics, statistics.clone()
        out = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out
