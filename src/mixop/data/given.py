"""What people pass as data: a `Data`, a source of one, or a data set of torch or Hugging Face as it is."""

import inspect
import os
from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import DataLoader

from mixop.core.door import shown
from mixop.core.errors import DataError
from mixop.data.core import Data, Source
from mixop.data.datasets import from_dataset


class MapStyle(Protocol):
    """A data set that can be asked for by index, as torch's and Hugging Face's."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


def given(data: Any) -> Data:
    """The data that a user means.

    Args:
        data: a `Data`; a `Source`, which is loaded; or a map-style data set, whose examples are then divided by the defaults
            of `mixop.data.from_dataset`.

    Raises:
        DataError: if it is none of these, saying what is.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, Source):
        return data.load()
    if isinstance(data, type) or inspect.isroutine(data):
        raise DataError(f"data must be a data set, got {shown(data)}.")
    if isinstance(data, str | os.PathLike):
        path = os.fspath(data)
        raise DataError(
            f"data must be a data set, got the path {path!r}: load it with mixop.data.from_folder({path!r}) or "
            f"mixop.data.from_npz({path!r})."
        )
    if isinstance(data, DataLoader):
        raise DataError("data must be a data set, got a DataLoader: pass the set that it reads, loader.dataset.")
    listed = isinstance(data, bytes | tuple | list | dict | Tensor) or hasattr(data, "__array__")
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not listed:
        return from_dataset(data)
    raise DataError(
        f"data must be a mixop.data.Data, a source of one or a map-style data set, got {shown(data)}: make one with "
        "mixop.data.from_arrays(x, y), from_npz, from_folder or from_dataset."
    )
