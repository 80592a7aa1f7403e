"""Copies between the host and a device that do not make the host wait."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor on a device, differentiable; as it is where it is there already.

    A GPU is sent it from pinned memory and without waiting: from other memory the host would wait until all that was launched
    before is done. The way back, of a gradient, has to wait.
    """
    device = torch.device(device)
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return _Upload.apply(tensor, device)  # type: ignore[return-value]


def upload_all(tensors: Mapping[str, Tensor], device: torch.device | str) -> dict[str, Tensor]:
    """Tensors of one dtype on a device, sent there in one copy; as they are where they are there already."""
    device = torch.device(device)
    if device.type != "cuda" or all(tensor.device.type != "cpu" for tensor in tensors.values()):
        return {name: tensor.to(device) for name, tensor in tensors.items()}
    flat = upload(torch.cat([tensor.flatten() for tensor in tensors.values()]), device)
    parts = flat.split([tensor.numel() for tensor in tensors.values()])
    return {name: part.view(tensor.shape) for part, (name, tensor) in zip(parts, tensors.items(), strict=True)}


class _Upload(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, tensor: Tensor, device: torch.device) -> Tensor:
        return tensor.detach().pin_memory().to(device, non_blocking=True)

    @staticmethod
    def backward(_: Any, *grads: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Download.apply(grads[0]), None  # type: ignore[return-value]


class _Download(torch.autograd.Function):
    """The way back of a gradient, which may be differentiated itself."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.device = tensor.device
        return tensor.detach().cpu()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return upload(grads[0], ctx.device)


def download(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the host, without a gradient, in one copy for each dtype; the host waits for them."""
    found = {name: tensor.detach() for name, tensor in tensors.items()}
    away = [name for name, tensor in found.items() if tensor.device.type != "cpu"]
    for dtype in {found[name].dtype for name in away}:
        names = [name for name in away if found[name].dtype == dtype]
        flat = torch.cat([found[name].flatten() for name in names]).cpu()
        parts = flat.split([found[name].numel() for name in names])
        found |= {name: part.view(found[name].shape) for name, part in zip(names, parts, strict=True)}
    return found


def double(values: Tensor) -> Tensor:
    """Values in float64; on the CPU where their device has no float64 (MPS)."""
    return values.cpu().double() if values.device.type == "mps" else values.double()


def constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Numbers as a tensor of a dtype and device, made once: copying them to the device at every step would wait for it.

    Args:
        values: the numbers.
        like: a tensor of the dtype and device wanted.
    """
    if torch.compiler.is_compiling():  # tracing makes tensors without values, which must not be kept
        return torch.tensor(values, dtype=like.dtype, device=like.device)
    return _made(values, like.dtype, like.device)


def indices(values: tuple[int, ...], device: torch.device) -> Tensor:
    """Whole numbers as an int64 tensor on a device, made once, as `constant`: an index on the host would be copied there."""
    if torch.compiler.is_compiling():
        return torch.tensor(values, dtype=torch.int64, device=device)
    return _made(values, torch.int64, device)


@lru_cache(maxsize=64)
def _made(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # what is made in inference mode could not take part in training later
        return torch.tensor(values, dtype=dtype, device=device)
