"""Values that are computed when somebody reads them: of a step that nobody looks at, nothing is fetched from the device."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Later(Mapping[str, Any]):
    """A mapping that is computed at the first reading, and then stays as it is.

    Args:
        compute: gives it; what it gives is that of the moment of the first reading.

    Example:
        >>> later = Later(lambda: {"loss": 0.5})
        >>> later["loss"]
        0.5
    """

    def __init__(self, compute: Callable[[], Mapping[str, Any]]) -> None:
        self._compute = compute
        self._values: Mapping[str, Any] | None = None

    def _read(self) -> Mapping[str, Any]:
        if self._values is None:
            self._values = self._compute()
        return self._values

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def __reduce__(self) -> tuple[type[dict], tuple[dict[str, Any]]]:
        return dict, (dict(self._read()),)  # another process reads numbers
