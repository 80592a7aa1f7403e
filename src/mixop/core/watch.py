"""Random operations of torch that know its process-wide generators only, handed a generator of this thread instead.

A dispatch mode sees every operation of its own thread and of no other, so two threads that draw at once cannot disturb each
other. It costs some microseconds an operation: it belongs around code that may draw, not around all code.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mixop.core.transfer import upload

Handler = Callable[["Watch", Any, tuple, dict[str, Any]], Any]
"""How an operation is run: by the mode, the operation and its arguments."""

_LENDING = threading.Lock()
"""Held while a process-wide generator stands in for one of ours."""


class Source:
    """The generators of one seed: one for each device, made when something is drawn there.

    Args:
        seed: of each of them, in [0, 2**63).
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._made: dict[torch.device, Generator] = {}
        self._ahead: dict[torch.device, Tensor] = {}

    def on(self, device: torch.device) -> Generator:
        """The generator of a device."""
        if device not in self._made:
            self._made[device] = Generator(device).manual_seed(self.seed)
        return self._made[device]

    def uniform(self, count: int, device: torch.device) -> Tensor:
        """Uniform numbers in [0, 1) on a device, ``(count,)`` float32: drawn on the CPU, and sent there many at a time.

        Unless others are drawn in between, they are those that are drawn on the CPU one after the other.
        """
        left = self._ahead.get(device, torch.empty(0, device=device))
        if len(left) < count:
            drawn = torch.rand(max(count - len(left), AHEAD), generator=self.on(torch.device("cpu")))
            left = torch.cat([left, upload(drawn, device)])
        self._ahead[device] = left[count:]
        return left[:count]


AHEAD = 1 << 14
"""Uniform numbers that a `Source` sends to another device at once."""


class Watch(TorchDispatchMode):
    """Inside, every random operation of this thread draws from a source; the numbers are those of torch's own generator.

    Args:
        source: what is drawn from.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # torch would load its compiler, which takes seconds, to keep it away from here; `keep_out_of_graphs` does that where
        # something is compiled.
        return False

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        handler = _HANDLERS.get(func)
        if handler is None:
            handler = _HANDLERS.setdefault(func, handler_of(func))
        return handler(self, func, args, kwargs or {})


_HANDLERS: dict[Any, Handler] = {}
"""What `handler_of` said of each operation that was seen."""


def handler_of(func: Any) -> Handler:
    """How an operation is run under a `Watch`.

    Args:
        func: an overload of an operation of torch, as a dispatch mode receives it.
    """
    schema = getattr(func, "_schema", None)
    if schema is None:  # an operator of higher order
        return _run
    names = [argument.name for argument in schema.arguments]
    if "generator" in names:
        return _handing(func, names.index("generator"))
    if composed(func):
        return _decompose
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return _run
    twin = _twin(func)
    if twin is not None:
        return _handing(twin, len(names))
    return _WRITTEN_OUT.get(func.overloadpacket, _lend)


@cache
def composed(func: Any) -> bool:
    """Whether an operation is made of others in all that it does. In inference mode torch shows a mode such ones whole."""
    key = torch._C._dispatch_key_parse("CompositeImplicitAutograd")
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key)


def _run(_: Watch, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    return func(*args, **kwargs)


def _decompose(watch: Watch, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    with watch:
        found = func.decompose(*args, **kwargs)
    return func(*args, **kwargs) if found is NotImplemented else found


def _handing(twin: Any, place: int) -> Handler:
    """Runs an operation that takes a generator, at a place among its arguments or by name."""

    def run(watch: Watch, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        given = args[place] if place < len(args) else kwargs.get("generator")
        generator = _generator(watch, args, kwargs) if given is None else None
        if generator is None:  # the caller's own, or nothing is computed
            return func(*args, **kwargs)
        if place < len(args):
            return twin(*args[:place], generator, *args[place + 1 :], **kwargs)
        return twin(*args, **{**kwargs, "generator": generator})

    return run


def _twin(func: Any) -> Any:
    """The overload of an operation that takes a generator besides, None if there is none."""
    own = [(argument.name, str(argument.type)) for argument in func._schema.arguments]
    packet = func.overloadpacket
    for name in packet.overloads():
        other = getattr(packet, name)
        arguments = [(argument.name, str(argument.type)) for argument in other._schema.arguments]
        if [pair for pair in arguments if pair[0] != "generator"] == own and len(arguments) > len(own):
            return other
    return None


def _generator(watch: Watch, args: Iterable[Any], kwargs: Mapping[str, Any]) -> Generator | None:
    """The source's generator on the device of an operation; None where nothing is computed."""
    tensor = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
    device = torch.device(kwargs.get("device") or "cpu") if tensor is None else tensor.device
    return None if device.type == "meta" else watch.source.on(device)


def _like(fill: Callable[..., Any]) -> Handler:
    """Writes ``*_like`` out, which takes a generator in newer versions of torch only."""

    def run(watch: Watch, _: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        like, *limits = args
        made = kwargs.pop("out", None)
        made = torch.empty_like(like, **kwargs) if made is None else made.resize_as_(like)
        generator = _generator(watch, (made,), {})
        return made if generator is None else fill(made, *limits, generator=generator)

    return run


def _between(made: Tensor, *limits: Any, generator: Generator) -> Tensor:
    low, high = (0, *map(int, limits))[-2:]
    return made.random_(low, high, generator=generator)


def _dropout(watch: Watch, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Dropout as torch defines it on the CPU; its kernels for other devices take no generator."""
    x, p = args[:2]
    train = args[2] if len(args) > 2 else kwargs.get("train", True)
    generator = _generator(watch, (x,), {})
    if generator is None or train is False or x.numel() == 0:
        return func(*args, **kwargs)
    keep = 1.0 - p
    mask = torch.empty_like(x, dtype=torch.bool).bernoulli_(keep, generator=generator)
    return (x * mask).mul_(0.0 if keep == 0 else 1.0 / keep), mask


def _lend(watch: Watch, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Runs what can be handed no generator: for this one operation torch's generator has the state of ours."""
    own = _generator(watch, [value for value in args if isinstance(value, Tensor)][:1], kwargs)
    if own is None:
        return func(*args, **kwargs)
    theirs = default_generator(own.device)
    with _LENDING:
        before = theirs.get_state()
        theirs.set_state(own.get_state())
        try:
            return func(*args, **kwargs)
        finally:
            own.set_state(theirs.get_state())
            theirs.set_state(before)


def default_generator(device: torch.device) -> Generator:
    """The generator that torch draws from on a device, unless it is given another one."""
    if device.type == "cpu":
        return torch.default_generator
    module = torch.get_device_module(device)
    return module.default_generators[module.current_device() if device.index is None else device.index]


_WRITTEN_OUT: dict[Any, Handler] = {
    torch.ops.aten.rand_like: _like(Tensor.uniform_),
    torch.ops.aten.randn_like: _like(Tensor.normal_),
    torch.ops.aten.randint_like: _like(_between),
    torch.ops.aten.native_dropout: _dropout,
}
"""Random operations that take no generator, composed of some that do, by name."""
