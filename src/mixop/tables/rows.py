"""Which architecture a row of a table is, and which row an architecture has."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import SpaceError
from mixop.core.names import from_file
from mixop.core.values import check_names, from_plain
from mixop.spaces import SPACE_TYPES
from mixop.spaces.core import Architecture, Space
from mixop.spaces.describe import with_shape
from mixop.tables.columns import ColumnStore


class ArchitectureRows:
    """The rows of a table, numbered from 0.

    Args:
        store: the columns of the table.
    """

    def __init__(self, store: ColumnStore) -> None:
        self.store, self.header = store, store.header

    @property
    def name(self) -> str:
        """The table's name."""
        return self.header.name

    def __len__(self) -> int:
        return self.header.architectures.shape[0]

    @cached_property
    def space(self) -> Space:
        """The search space.

        Raises:
            SpaceError: if mixop does not have it.
        """
        plain = self.header.space
        if plain is None or not isinstance(plain.get("type"), str) or plain["type"] not in SPACE_TYPES:
            raise SpaceError(
                f"The table {self.name} is about {self.header.space_name or 'a space'}, which mixop does not have: query it by "
                "strings and numbers."
            )
        with from_file(f"The table {self.name}"):
            space = from_plain(with_shape(plain), Space, SPACE_TYPES, "space of the table")
            check_names(space, "space of the table")
        return space

    def index(self, architecture: Architecture | str | int) -> int:
        """The row of an architecture.

        Args:
            architecture: a member of the space, its native string, or a row.

        Raises:
            SpaceError: if it does not belong to the space, or is not in the table.
        """
        if isinstance(architecture, int | np.integer) and not isinstance(architecture, bool):
            if not 0 <= architecture < len(self):
                raise SpaceError(f"The table {self.name} numbers its architectures 0 to {len(self) - 1}, got {architecture}.")
            return int(architecture)
        if isinstance(architecture, str) and self.header.space is None:
            row = self._texts.get(architecture)
        else:
            if isinstance(architecture, str):
                architecture = self.space.from_native(architecture)
            if not isinstance(architecture, Architecture):
                raise SpaceError(f"Expected an architecture, its native string or its number, got {architecture!r}.")
            architecture = self.space.adopted(architecture)
            self.space.check(architecture)
            row = self._row(architecture)
        if row is None:
            raise SpaceError(f"The table {self.name} does not hold {architecture}; it has {len(self):,} architectures.")
        return row

    def native(self, index: int) -> str:
        """The native string of a row.

        Raises:
            SpaceError: if there is no such row, or no such space.
        """
        index = self.index(index)
        if self.header.decisions is None:
            return self.store.raw(self.header.architectures)[index].tobytes().rstrip(b"\0").decode()
        return self.space.to_native(self.architecture(index))

    def architecture(self, index: int) -> Architecture:
        """The architecture of a row.

        Raises:
            SpaceError: if there is no such row, or mixop does not have the space.
        """
        index = self.index(index)
        if self.header.decisions is None:
            return self.space.from_native(self.native(index))
        options = iter(self.store.raw(self.header.architectures)[index].tolist())
        return self.space.architecture([[next(options) for _ in group.decisions] for group in self.space.groups])

    def _row(self, architecture: Architecture) -> int | None:
        if self.header.signatures is not None:
            signature = self.space.signature(architecture)
            if signature is None:
                return None
            signatures, order = self._signatures
            at = int(np.searchsorted(signatures, signature))
            return int(order[at]) if at < len(signatures) and signatures[at] == signature else None
        if self.header.decisions is None:
            return self._texts.get(self.space.to_native(architecture))
        code = 0
        for names, option in zip(self.header.decisions, architecture.options(), strict=True):
            code = code * len(names) + names.index(option)
        codes, order = self._codes
        at = int(np.searchsorted(codes, code))
        return int(order[at]) if at < len(codes) and codes[at] == code else None

    @cached_property
    def _codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every architecture as one number, in increasing order, and the rows in that order."""
        assert self.header.decisions is not None
        codes = np.zeros(len(self), dtype=np.int64)
        for e, names in enumerate(self.header.decisions):
            codes = codes * len(names) + self.store.raw(self.header.architectures)[:, e]
        order = np.argsort(codes)
        return codes[order], order

    @cached_property
    def _signatures(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What equal networks have in common, in increasing order, and the rows in that order."""
        assert self.header.signatures is not None
        signatures = self.store.raw(self.header.signatures)
        order = np.argsort(signatures)
        return signatures[order], order

    @cached_property
    def _texts(self) -> dict[str, int]:
        return {self.native(i): i for i in range(len(self))}
