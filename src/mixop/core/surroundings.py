"""What torch keeps for a thread or for the whole process, set as mixop computes, and given back to the caller as it was."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch

from mixop.core.errors import RunError
from mixop.core.machine import cores


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, torch computes the same whatever the caller has set; outside, everything is as the caller left it.

    Gradients are recorded, outside of inference mode and without autocast; new tensors are of float32 and on the CPU unless
    somebody says otherwise. All that belongs to this thread, but for the default dtype, which torch has one of: while it is
    inside, other threads of the process see float32.
    """
    with ExitStack() as stack:
        enter = stack.enter_context
        if torch.is_inference_mode_enabled():
            enter(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            enter(torch.enable_grad())
        for device in ("cpu", "cuda", "mps", "xpu"):
            if _autocasts(device):
                enter(torch.autocast(device, enabled=False))
        # Asked for first, since this context slows every function of torch. A tensor is asked: the default device of torch 2.6
        # knows no context.
        if torch.empty(0).device.type != "cpu":
            enter(torch.device("cpu"))
        enter(_FLOAT32)
        yield


def _autocasts(device: str) -> bool:
    try:
        return torch.is_autocast_enabled(device)
    except RuntimeError:  # not in this build of torch
        return False


class _DefaultType:
    """The default dtype of the process, float32 from the first one that enters to the last one that leaves."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, torch.float32

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.set_default_dtype(self._before)


_FLOAT32 = _DefaultType()


@contextmanager
def using(threads: int) -> Iterator[None]:
    """Inside, torch computes on the CPU with this number of threads, for calls from this thread of the program.

    Torch's number belongs to the thread that computes; only what new threads begin with is the process's, and that stays as
    it was. So two searches in two threads may have different numbers.

    Args:
        threads: how many; 0 for torch's own number, but no more than there are cores.

    Raises:
        RunError: if torch cannot change the number any more, as builds without OpenMP cannot.
    """
    before = torch.get_num_threads()
    wanted = threads or min(before, cores())
    if wanted == before:
        yield
        return
    try:
        _set(wanted)
    except RuntimeError as error:
        raise RunError(
            f"Torch computes with {before} threads and cannot change that here ({str(error).splitlines()[0]}): give "
            f"--threads {before}, or set OMP_NUM_THREADS before the program starts."
        ) from error
    try:
        yield
    finally:
        _set(before)


def _set(threads: int) -> None:
    """Sets the number of this thread, and leaves the one that new threads begin with."""
    with _SETTING:
        of_new_ones: list[int] = []
        _elsewhere(lambda: of_new_ones.append(torch.get_num_threads()))
        torch.set_num_threads(threads)
        if of_new_ones[0] != threads:
            _elsewhere(lambda: torch.set_num_threads(of_new_ones[0]))


_SETTING = threading.Lock()


def _elsewhere(run: Callable[[], object]) -> None:
    """Runs a function in a thread that nobody else has used."""
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
