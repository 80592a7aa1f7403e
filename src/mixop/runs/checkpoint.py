"""Checkpoints: one file, written atomically, with its own checksum; the previous one is kept beside it.

The file is a line ``mixop-state 1 <sha256>`` and then what `torch.save` wrote. It is loaded with ``weights_only``, so a
tampered file can be wrong but cannot run code, and the checksum says that it is wrong.
"""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import torch

from mixop.core.errors import RunError
from mixop.core.files import read_file
from mixop.runs.write import previous, write_bytes

_MAGIC = b"mixop-state 1 "


def exists(path: Path) -> bool:
    """Whether `load` will find a checkpoint: this one, or the one before if a crash came between the two renames."""
    return path.exists() or previous(path).exists()


def save(path: Path, state: Any) -> None:
    """Saves tensors, numbers, strings and containers of them.

    Raises:
        RunError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    digest = hashlib.sha256(payload).hexdigest().encode()
    write_bytes(path, _MAGIC + digest + b"\n" + payload, keep_previous=True)


def load(path: Path) -> Any:
    """Loads what `save` wrote.

    Raises:
        RunError: if the file is missing, torn or tampered with; the sentence names it and the file kept before it.
    """
    try:
        content = read_file(path)
    except FileNotFoundError as error:
        if previous(path).exists():  # killed between the two renames of `write_bytes`
            return load(previous(path))
        raise RunError(f"There is no checkpoint {path}: the run stopped before its first one; start it again.") from error
    except OSError as error:
        raise RunError(f"Cannot read {path} ({error.strerror or error}): check its permissions.") from error
    head, _, payload = content.partition(b"\n")
    if not head.startswith(_MAGIC) or head[len(_MAGIC) :] != hashlib.sha256(payload).hexdigest().encode():
        older = previous(path)
        way_out = (
            f"the one before it is kept as {older.name}: move it over {path.name} to continue from there"
            if older.exists()
            else "start the run again"
        )
        raise RunError(f"Checkpoint {path} is torn or was changed (its checksum does not match); {way_out}.")
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise RunError(
            f"Checkpoint {path} cannot be loaded by this version of torch ({error}): start the run again."
        ) from error
