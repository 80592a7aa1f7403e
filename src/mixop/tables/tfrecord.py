"""TFRecord files without TensorFlow: records one after the other, each with its length and checksums.

A record is its length (8 bytes, little-endian), a checksum of those bytes, its bytes, and a checksum of them. Checksums are
CRC-32C, rotated by 15 bits and moved by a constant.

Source: TensorFlow's guide "TFRecord and tf.train.Example"; CRC-32C: RFC 3720, appendix B.4.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError
from mixop.core.files import open_file

BATCH = 4096
"""Records whose checksums are computed together."""

LARGEST = 2**24
"""Bytes of a record at most."""

_POLYNOMIAL, _DELTA = 0x82F63B78, 0xA282EAD8


@cache
def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


def masked_crc32c(pieces: Sequence[bytes]) -> NDArray[np.uint32]:
    """The masked checksums of some texts of bytes, ``(n,)``.

    All of them are taken byte by byte together: one after the other they would take a hundred times as long.

    Example:
        >>> [hex(number) for number in masked_crc32c([b"123456789"])]
        ['0xc78ab0e5']
    """
    table = _table()
    order = np.argsort([-len(piece) for piece in pieces], kind="stable")
    lengths = np.array([len(pieces[at]) for at in order], dtype=np.int64)
    longest = int(lengths[0]) if len(lengths) else 0
    padded = np.frombuffer(b"".join(pieces[at].ljust(longest, b"\0") for at in order), dtype=np.uint8)
    columns = np.ascontiguousarray(padded.reshape(len(pieces), longest).T) if longest else np.empty((0, len(pieces)), np.uint8)
    crc = np.full(len(pieces), 0xFFFFFFFF, dtype=np.uint32)
    ends = np.searchsorted(-lengths, -np.arange(longest), side="left")  # how many texts are longer than each position
    for column, end in zip(columns, ends.tolist(), strict=True):
        some = crc[:end]
        crc[:end] = table[(some ^ column[:end]) & 0xFF] ^ (some >> 8)
    crc = ~crc
    found = np.empty(len(pieces), dtype=np.uint32)
    found[order] = ((crc >> 15) | (crc << 17)) + np.uint32(_DELTA)
    return found


def records(path: Path, observe: Callable[[int, int], None] | None = None) -> Iterator[bytes]:
    """The records of a file, in order, each after its checksum was found to be right.

    Args:
        path: the file.
        observe: called with the bytes read and their total.

    Raises:
        DataError: if the file cannot be read, is cut short or damaged, or no TFRecord file.
    """
    try:
        size = path.stat().st_size
        with open_file(path) as file:
            at, batch = 0, list[tuple[int, bytes, bytes, bytes]]()
            while True:
                head = file.read(12)
                if not head:
                    break
                length = int.from_bytes(head[:8], "little")
                if len(head) < 12 or length > min(LARGEST, size):
                    raise _damaged(path, at, "its length is out of range")
                body = file.read(length + 4)
                if len(body) < length + 4:
                    raise DataError(f"{str(path)!r} is cut short after {at:,} of its {size:,} bytes: download it again.")
                batch.append((at, head, body[:-4], body[-4:]))
                at += 12 + len(body)
                if len(batch) == BATCH:
                    yield from _checked(path, batch)
                    batch = []
                    if observe is not None:
                        observe(at, size)
            yield from _checked(path, batch)
    except OSError as error:
        raise DataError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    if observe is not None:
        observe(size, size)


def _checked(path: Path, batch: Sequence[tuple[int, bytes, bytes, bytes]]) -> Iterator[bytes]:
    if not batch:
        return
    for pieces, sums, what in (
        ([head[:8] for _, head, _, _ in batch], [head[8:] for _, head, _, _ in batch], "the checksum of its length is wrong"),
        ([data for _, _, data, _ in batch], [tail for _, _, _, tail in batch], "its checksum is wrong"),
    ):
        wrong = np.flatnonzero(masked_crc32c(pieces) != np.frombuffer(b"".join(sums), dtype="<u4"))
        if len(wrong):
            raise _damaged(path, batch[wrong[0]][0], what)
    yield from (data for _, _, data, _ in batch)


def _damaged(path: Path, at: int, why: str) -> DataError:
    return DataError(f"{str(path)!r} is damaged, or no TFRecord file: of the record at byte {at:,} {why}; download it again.")
