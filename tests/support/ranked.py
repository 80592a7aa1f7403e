"""Several processes of one machine that do something together, as torchrun starts them."""

import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from killed import CONTEXT
from torch import distributed

from mixop.core.ranks import Ranks


def together(size: int, folder: Path, target: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``target(ranks, *arguments)`` returns in each of some processes that are joined by Gloo.

    Args:
        size: how many processes.
        folder: an empty directory, where they meet.
        target: a function of a module.
        arguments: what can be pickled, as its result can.
    """
    pipes, children = [], []
    for rank in range(size):
        ours, theirs = CONTEXT.Pipe()
        child = CONTEXT.Process(target=_join, args=(theirs, rank, size, str(folder / "meeting"), target, arguments))
        child.start()
        theirs.close()
        pipes.append(ours)
        children.append(child)
    results = [pipe.recv() for pipe in pipes]
    for child in children:
        child.join()
        child.close()
    errors = [result for result in results if isinstance(result, _Failed)]
    assert not errors, "\n".join(error.text for error in errors)
    return results


class _Failed:
    def __init__(self, text: str) -> None:
        self.text = text


def _join(pipe: Connection, rank: int, size: int, place: str, target: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=size)
    try:
        pipe.send(target(Ranks(rank, size), *arguments))
    except BaseException:
        pipe.send(_Failed(traceback.format_exc()))
    finally:
        distributed.destroy_process_group()
