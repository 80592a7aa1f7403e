"""A data set on its way to a worker."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from mixop.core.errors import DataWarning, RunError
from mixop.data.core import PARTS, Data, Source


@dataclass(frozen=True)
class Portable:
    """A data set on its way to a worker: where it comes from, or the examples themselves if it was given in Python.

    Args:
        source: loads it again.
        values: fields of `Data`, if there is no source; examples reduce themselves to plain arrays.
        fingerprint: of the set.
    """

    source: Source | None
    values: Mapping[str, Any]
    fingerprint: str

    @classmethod
    def of(cls, data: Data) -> "Portable":
        """Packs a set."""
        if data.source is not None:
            return cls(data.source, {}, data.fingerprint)
        # Arrays for the tensors: those would travel through shared memory, which runs out of files.
        parts = {part: data.at(part).cpu().numpy() for part in PARTS}
        return cls(None, {f.name: getattr(data, f.name) for f in fields(Data)} | parts, data.fingerprint)

    def load(self) -> Data:
        """The set.

        Raises:
            RunError: if its files have changed.
        """
        if self.source is None:
            return Data(**{**self.values, **{part: torch.from_numpy(self.values[part]) for part in PARTS}})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # the process that began has said it
            data = self.source.load()
        if data.fingerprint != self.fingerprint:
            raise RunError(f"The files of {data.name} changed since the command began: restore the original files.")
        return data
