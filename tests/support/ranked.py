"""Several processes of one machine that do something together, as torchrun starts them."""

import math
import signal
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from killed import CONTEXT
from torch import distributed
from torch.utils._pytree import tree_map_only

from mixop.core.ranks import Ranks
from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.data.images.augment import Augment
from mixop.runs.interrupt import SIGNALS


def blobs(train: int, valid: int, side: int = 8) -> Data:
    """Noisy square images of two classes, shifted, mirrored and cut out in training, with so many examples."""
    count = train + valid + 20
    y = torch.arange(count) % 2
    x = torch.randn(count, 2, side, side, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1, 1)
    return from_arrays(
        x.numpy(),
        y.numpy(),
        valid=valid,
        test_share=20,
        stratified=False,
        layout="nchw",
        augment=Augment(crop=1, flip=True, cutout=2),
    )


DIED = "died"
"""In place of a result: the process ended before it had one."""


def together(size: int, folder: Path, target: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``target(ranks, *arguments)`` returns in each of some processes that are joined by Gloo; `DIED` where one has none.

    Args:
        size: how many processes.
        folder: a directory, where they meet once.
        target: a function of a module.
        arguments: what can be pickled, as its result can.
    """
    pipes, children, results = [], [], []
    for rank in range(size):
        ours, theirs = CONTEXT.Pipe()
        child = CONTEXT.Process(target=_join, args=(theirs, rank, size, str(folder / "meeting"), target, arguments))
        child.start()
        theirs.close()
        pipes.append(ours)
        children.append(child)
    for pipe in pipes:
        try:
            results.append(pipe.recv())
        except EOFError:
            results.append(DIED)
    for child in children:
        child.join()
        child.close()
    errors = [result.text for result in results if isinstance(result, _Failed)]
    assert not errors, "\n".join(errors)
    return results


class _Failed:
    def __init__(self, text: str) -> None:
        self.text = text


def _join(pipe: Connection, rank: int, size: int, place: str, target: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    # Whatever the server that forked this process inherited, or has imported, of signals.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=size)
    try:
        # As plain numbers: a tensor would stay in the memory of this process.
        pipe.send(tree_map_only(torch.Tensor, torch.Tensor.tolist, target(Ranks(rank, size), *arguments)))
    except Exception:
        pipe.send(_Failed(traceback.format_exc()))
    distributed.destroy_process_group()


def in_float64() -> None:
    """From now on this process makes networks and parameters in float64, and passes inputs in it, tokens aside."""
    torch.set_default_dtype(torch.float64)
    for name in ("batch", "augmented"):
        setattr(Data, name, _doubled(getattr(Data, name)))


def _doubled(read: Callable[..., Any]) -> Callable[..., Any]:
    def doubled(self: Data, *args: Any, **kwargs: Any) -> Any:
        batch = read(self, *args, **kwargs)
        return batch._replace(x=batch.x.double()) if batch.x.is_floating_point() else batch

    return doubled


def difference(a: Any, b: Any) -> float:
    """The largest difference of two numbers at the same place, seconds aside; infinite where anything else differs."""
    if isinstance(a, Mapping):
        names = [name for name in a if name != "seconds"]
        return max((difference(a[name], b[name]) for name in names), default=0.0) if a.keys() == b.keys() else math.inf
    if isinstance(a, list | tuple):
        return max(map(difference, a, b), default=0.0) if len(a) == len(b) else math.inf
    if isinstance(a, torch.Tensor):
        return difference(a.flatten().tolist(), b.flatten().tolist()) if a.shape == b.shape else math.inf
    if isinstance(a, float) and a != b:
        return abs(a - b)
    return 0.0 if a == b else math.inf
