"""A GPU simulated on the CPU: it counts what a program would launch on one, and what would make the host wait for it.

Numbers are computed on the CPU by the operations that were asked for; only where a tensor lies is simulated. So it shows counts
and misplaced tensors, never seconds.
"""

from collections import Counter
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from mixop.supernet.launched import told

GPU = torch.device("cuda", 99)
"""Where simulated tensors say that they are: what is kept for this device never meets a real one."""

_INSIDE = torch.device("meta")
"""Where torch's own code takes them to be: a device without memory, whose backward passes run in the calling thread."""

_DATA_DEPENDENT = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
_INDEXING = (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_, torch.ops.aten._index_put_impl_)
_COPIES = (torch.ops.aten._to_copy, torch.ops.aten.copy_)
_JOINING = (torch.ops.aten.cat, torch.ops.aten.stack)
_NOTHING = (
    torch.ops.aten.empty,
    torch.ops.aten.empty_like,
    torch.ops.aten.empty_strided,
    torch.ops.aten.new_empty,
    torch.ops.aten.new_empty_strided,
)


class GpuTensor(Tensor):
    """A tensor that says it is on the simulated GPU; its numbers are in a tensor of the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]
    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor) -> "GpuTensor":
        made = torch.Tensor._make_wrapper_subclass(  # pyright: ignore[reportAttributeAccessIssue]
            cls, numbers.shape, numbers.stride(), numbers.storage_offset(), dtype=numbers.dtype, device=_INSIDE
        )
        made.numbers = numbers
        return made

    @property
    def device(self) -> torch.device:  # pyright: ignore[reportIncompatibleVariableOverride]
        return GPU

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        raise RuntimeError(f"{func} was called outside of the simulation that its tensors belong to.")


class _Devices(TorchFunctionMode):
    """Leads what torch is asked for on a GPU to the simulation, before torch looks for one."""

    def __init__(self, pinned: list[Tensor]) -> None:
        super().__init__()
        self.pinned = pinned

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.device:
            return func(*args, **kwargs)
        if func is Tensor.tolist and isinstance(args[0], GpuTensor):
            return args[0].cpu().tolist()
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            x, at, *value = args
            at = tuple(map(_listed, at)) if isinstance(at, tuple) else _listed(at)
            return func(x, at, *value)
        if func is Tensor.pin_memory:
            copy = args[0].clone()
            self.pinned.append(copy)
            return copy
        if func is Tensor.cuda:
            return args[0].to(_INSIDE)
        if func in (torch.tensor, torch.as_tensor) and "device" in kwargs and _inside(kwargs["device"]) == _INSIDE:
            del kwargs["device"]
            return func(*args, **kwargs).to(_INSIDE)
        return func(*map(_inside, args), **{name: _inside(value) for name, value in kwargs.items()})


def _listed(index: Any) -> Any:
    """A list as the tensor that torch makes of it on the host; the device is sent a copy."""
    return torch.tensor(index) if isinstance(index, list) else index


def _inside(value: Any) -> Any:
    if isinstance(value, str) and value.split(":")[0] == "cuda":
        return _INSIDE
    return _INSIDE if isinstance(value, torch.device) and value.type == "cuda" else value


class SimulatedGpu(TorchDispatchMode):
    """Inside, ``"cuda"`` is a simulated GPU, whose tensors do not live on beyond it.

    It does not know what happens in compiled code that is handed a pointer, and random numbers drawn on it come from the CPU.

    Attributes:
        launches: operations that would run on the GPU, views aside, by name. An operation may be several kernels; one of our
            own kernels, which Triton's interpreter runs, is one.
        copies: copies from the host, whether it waits for them or not.
        waits: what the host would wait for, by name: reading a number, sizes that depend on numbers, copies to the host, and
            copies from memory of the host that is not pinned, or not asked for without blocking.

    Example:
        >>> with SimulatedGpu() as gpu:
        ...     x = torch.ones(3, device="cuda")
        ...     (x + x).sum().item()
        6.0
        >>> dict(gpu.waits)
        {'_local_scalar_dense': 1}
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would load its compiler, which takes seconds

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.copies = 0
        self._pinned: list[Tensor] = []
        self._devices = _Devices(self._pinned)
        self._told = ExitStack()

    def __enter__(self) -> Self:
        self._told.enter_context(told(self._kernel))
        self._devices.__enter__()
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        self._devices.__exit__(kind, error, trace)
        self._told.close()

    def _kernel(self, name: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
        self.launches[name] += 1
        return tree_map(_numbers, given)

    def reset(self) -> None:
        """Counts from zero again."""
        self.launches.clear()
        self.waits.clear()
        self.copies = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        leaves = tree_flatten((args, kwargs))[0]
        there = any(isinstance(leaf, GpuTensor) for leaf in leaves)
        if any(isinstance(leaf, Tensor) and not isinstance(leaf, GpuTensor) and leaf.is_meta for leaf in leaves):
            raise RuntimeError(f"{func} was given a tensor that torch made on the device unseen, so that its numbers are lost.")
        asked = kwargs.get("device")
        asked = None if asked is None else torch.device(asked)
        made_there = there if asked is None else asked.type == _INSIDE.type
        packet, name = func.overloadpacket, func.overloadpacket.__name__
        if there or made_there:
            self._count(func, packet, name, args, kwargs, leaves, made_there=made_there)
        if made_there and asked is not None:
            kwargs["device"] = torch.device("cpu")
        if kwargs.get("pin_memory"):
            kwargs["pin_memory"] = False
        found = func(*tree_map(_numbers, args), **tree_map(_numbers, kwargs))
        if not made_there:
            return found
        mine = {id(leaf.numbers): leaf for leaf in leaves if isinstance(leaf, GpuTensor)}
        return tree_map(lambda t: (mine[id(t)] if id(t) in mine else GpuTensor(t)) if isinstance(t, Tensor) else t, found)

    def _count(
        self, func: Any, packet: Any, name: str, args: tuple, kwargs: dict[str, Any], leaves: list[Any], *, made_there: bool
    ) -> None:
        host = [leaf for leaf in leaves if isinstance(leaf, Tensor) and not isinstance(leaf, GpuTensor)]
        if packet in _COPIES:
            source = args[packet is torch.ops.aten.copy_]
            from_host, to_host = not isinstance(source, GpuTensor), not made_there
            if packet is torch.ops.aten.copy_:
                to_host = not isinstance(args[0], GpuTensor)
            self.copies += from_host
            blocking = not (kwargs.get("non_blocking") or args[2:] == (True,))
            if to_host or (from_host and (blocking or not any(source is pinned for pinned in self._pinned))):
                self.waits["copy to the host" if to_host else "copy from the host"] += 1
        elif packet in _INDEXING:
            at = [leaf for leaf in tree_flatten(args[1])[0] if isinstance(leaf, Tensor)]
            if any(index.dtype in (torch.bool, torch.uint8) or not isinstance(index, GpuTensor) for index in at):
                self.waits[name] += 1
        elif any(tag in func.tags for tag in _DATA_DEPENDENT):
            self.waits[name] += 1
        elif any(tensor.dim() or packet in _JOINING for tensor in host):
            raise RuntimeError(f"{name} was given tensors of the GPU and of the host, which a GPU refuses.")
        view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        if not view and packet not in _NOTHING and name != "_local_scalar_dense" and made_there:
            self.launches[name] += 1


def _numbers(value: Any) -> Any:
    return value.numbers if isinstance(value, GpuTensor) else value
