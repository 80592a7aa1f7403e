"""TFRecord files: checksums against the standard's own numbers, and files that are not whole."""

import struct

import numpy as np
import pytest

from mixop.core.errors import DataError
from mixop.tables import tfrecord
from mixop.tables.tfrecord import masked_crc32c, records


def crc_by_bits(data):
    """CRC-32C by its definition: one bit after the other."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def framed(data):
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked(crc_by_bits(head))) + data + struct.pack("<I", masked(crc_by_bits(data)))


def test_checksums_are_those_of_the_standard():
    # RFC 3720, appendix B.4
    known = {b"\0" * 32: 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E, b"123456789": 0xE3069283}
    assert masked_crc32c(list(known)).tolist() == [masked(crc) for crc in known.values()]
    assert all(crc_by_bits(data) == crc for data, crc in known.items())


def test_many_texts_of_any_length_together_are_each_by_itself():
    rng = np.random.default_rng(0)
    pieces = [rng.bytes(int(length)) for length in rng.integers(0, 60, 40)]
    assert masked_crc32c(pieces).tolist() == [masked(crc_by_bits(piece)) for piece in pieces]


def test_records_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(tfrecord, "BATCH", 4)
    pieces = [f"record {number}".encode() * (number % 5) for number in range(11)]
    path, told = tmp_path / "file.tfrecord", []
    path.write_bytes(b"".join(map(framed, pieces)))
    assert list(records(path, lambda done, total: told.append((done, total)))) == pieces
    assert told[-1] == (path.stat().st_size,) * 2


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda whole: whole[:-1], "is cut short after"),
        (lambda whole: whole[:5], "its length is out of range"),
        (lambda whole: whole[:16] + b"X" + whole[17:], "of the record at byte 0 its checksum is wrong"),
        (lambda whole: whole[:9] + b"\0" + whole[10:], "the checksum of its length is wrong"),
        (lambda whole: b"no such file at all, but a text", "its length is out of range"),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path, damage, problem):
    path = tmp_path / "file.tfrecord"
    path.write_bytes(damage(framed(b"some bytes") + framed(b"others")))
    with pytest.raises(DataError, match=problem):
        list(records(path))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="Cannot read"):
        list(records(tmp_path / "none.tfrecord"))
