"""What people pass as data: a `Data`, a source of one, or a data set of torch or Hugging Face as it is."""

from typing import Any, Protocol

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
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, str | bytes | tuple | list | dict):
        return from_dataset(data)
    raise DataError(
        f"data must be a mixop.data.Data, a source of one or a map-style data set, got {type(data).__name__}: make one with "
        "mixop.data.from_arrays(x, y), from_npz, from_folder or from_dataset."
    )
