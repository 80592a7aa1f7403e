"""What a supernet measures on the validation part, with its weights as they are."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from mixop.core.measure import Number
from mixop.core.ranks import ALONE, Ranks
from mixop.core.rng import draws_unseen, fenced
from mixop.core.transfer import upload_all
from mixop.core.types import Active, Batch, Mix, in_float32
from mixop.data.core import Data
from mixop.derive.base import Norm
from mixop.spaces.core import Architecture, Space
from mixop.supernet.base import Supernet
from mixop.supernet.batched import NORMS
from mixop.supernet.divided import divided

EVALUATION_BATCH = 256
"""Least number of examples in a batch of the epoch's own measurement: larger ones are faster."""

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

CALIBRATION = 10
"""Batches of training examples that recalibrated statistics are averaged over."""


def one_path(space: Space, architecture: Architecture, like: Mix) -> tuple[dict[str, Tensor], Active]:
    """The mixing weights that run an architecture inside a supernet, and the options that run: none on a dropped decision.

    Args:
        space: the search space.
        architecture: which option on which decision.
        like: mixing weights of the dtype and device wanted.
    """
    mix = {name: torch.zeros_like(value) for name, value in like.items()}
    active: dict[str, tuple[tuple[int, ...], ...]] = {}
    for group in space.groups:
        running: list[tuple[int, ...]] = [()] * len(group.decisions)
        for choice in architecture.of(group.name):
            option = group.decisions[choice.decision].options.index(choice.option)
            mix[group.name][choice.decision, option] += 1.0  # 2 where a node adds the same twice
            running[choice.decision] = tuple(dict.fromkeys((*running[choice.decision], option)))
        active[group.name] = tuple(running)
        # Edge weights of a supernet with edge normalisation: the architecture adds its edges up.
        mix.update({inputs.name: torch.ones_like(mix[inputs.name]) for inputs in group.input_groups if inputs.name in mix})
    return mix, active


@torch.no_grad()
def score(
    net: Supernet,
    data: Data,
    mix: Mix,
    active: Active | None = None,
    *,
    batch_size: int,
    batches: int | None = None,
    norm: Norm = "running",
    progress: float = 1.0,
    ranks: Ranks = ALONE,
) -> dict[str, Number]:
    """The task's measures on the validation part, in its order and without augmentation; changes nothing.

    Args:
        net: the supernet.
        data: its data, on the same device.
        mix: mixing weights, on that device or on the host.
        active: the options that run; None for all.
        batch_size: examples in a batch.
        batches: how many batches, from the first; None for the whole split.
        norm: what batch norm uses.
        progress: time in [0, 1], for wraps that change with it.
        ranks: the processes that divide every batch among them; all get the same measures.
    """
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    mix = upload_all(mix, data.device)
    time = {"progress": progress}
    # What a network draws by itself (noise as an operation) is the same for everything that is compared.
    with fenced(Generator().manual_seed(0), watch=draws_unseen(net)):
        if norm == "recalibrated":
            recalibrate(
                net,
                buffers,
                data,
                batch_size,
                lambda batch: _outputs(ranks, batch.x, lambda x: functional_call(net, buffers, (x, mix, active), time)),
            )
        _evaluate(net, norm)
        totals = data.task.totals()
        for outputs, batch in _passes(net, buffers, data.sweep("valid", batch_size, batches), mix, active, time, ranks):
            totals.add(outputs, batch.y)
    return totals.value()


@torch.no_grad()
def try_out(net: Supernet, data: Data, mix: Mix) -> None:
    """Passes two examples through network, loss and measures, to find a misfit before a search begins; changes nothing.

    Args:
        net: the supernet.
        data: its data, on the same device.
        mix: mixing weights.

    Raises:
        MixopError: if they do not fit together.
    """
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    mix = upload_all(mix, data.device)
    net.eval()
    with fenced(Generator().manual_seed(0), watch=draws_unseen(net)):
        for outputs, batch in _passes(net, buffers, data.sweep("valid", 2, 1), mix, None, {"progress": 0.0}):
            data.task.loss(in_float32(outputs), batch.y)
            data.task.totals().add(outputs, batch.y)


def _passes(
    net: Supernet,
    buffers: dict[str, Tensor],
    batches: Iterable[Batch],
    mix: Mix,
    active: Active | None,
    time: dict[str, Any],
    ranks: Ranks = ALONE,
) -> Iterator[tuple[Tensor, Batch]]:
    """The outputs of each batch, and the batch."""

    def carrying(x: Tensor, state: Any) -> Any:
        return functional_call(net, buffers, (x, mix, active), {**time, "state": state})

    state: Any = ()
    for batch in batches:
        if net.carries:
            outputs, state = _outputs(
                ranks,
                batch.x,
                lambda x, state: functional_call(net, buffers, (x, mix, active), {**time, "state": state}),
                state,
            )
        else:
            outputs = _outputs(ranks, batch.x, lambda x: functional_call(net, buffers, (x, mix, active), time))
        yield outputs, batch


def _outputs(ranks: Ranks, x: Tensor, run: Callable[..., Any], *carried: Any) -> Any:
    return divided(ranks, x, run, *carried)[0] if ranks.divide(len(x)) else run(x, *carried)


def _evaluate(net: nn.Module, norm: Norm) -> None:
    """Evaluation mode, except for batch norms that use each batch's own statistics."""
    net.eval()
    for module in net.modules() if norm == "batch" else ():
        if isinstance(module, NORMS):
            module.train()


@torch.no_grad()
def recalibrate(
    net: nn.Module, buffers: Mapping[str, Tensor], data: Data, batch_size: int, run: Callable[[Batch], object]
) -> None:
    """Fills the statistics of batch norms with their means over the first training batches; other buffers stay.

    Args:
        net: whose norms they are; it is left in evaluation mode, its norms in training mode.
        buffers: by their names in the network; changed.
        data: on the network's device.
        batch_size: examples in a batch.
        run: passes a batch through the network with these buffers.
    """
    for name, buffer in buffers.items():
        if name.endswith(_STATISTICS):
            buffer.fill_(1 if name.endswith("running_var") else 0)
    _evaluate(net, "batch")
    with _averaging(net):
        for batch in data.sweep("train", batch_size, CALIBRATION):
            run(batch)


@contextmanager
def _averaging(net: nn.Module) -> Iterator[None]:
    """Inside, running statistics are means over all batches in place of decaying ones."""
    norms = [(module, module.momentum) for module in net.modules() if isinstance(module, NORMS)]
    for module, _ in norms:
        module.momentum = None
    try:
        yield
    finally:
        for module, momentum in norms:
            module.momentum = momentum
