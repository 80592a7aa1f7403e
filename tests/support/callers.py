"""What somebody who calls mixop may have set in torch."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch


class DefaultType(AbstractContextManager[None]):
    """Another default dtype inside."""

    def __enter__(self):
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *error):
        torch.set_default_dtype(torch.float32)


CALLERS: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default dtype": DefaultType,
    "default device": lambda: torch.device("meta"),
}
