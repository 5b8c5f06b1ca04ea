"""The file of a chip's doses: what is written into it is safe before anything is sent.

A file begins with a name and two marks, each the length up to which the file is known to be whole,
with a checksum; the larger one that is valid counts, and they are written in turn. Records follow:
a length, a checksum and a body. The first body says which chip it is, as JSON; every other one sets
counts: sections of tile, kind of count (row, column, cell), number, indices and values.

Records are appended and synchronised before the mark is moved, and the mark before the caller goes
on. What lies behind the mark is counted as far as it is whole; a file that does not reach its mark,
or is not whole up to there, has lost something and is refused. The file is made, and made anew when
it has grown, under another name, so that it is never seen half written.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import weakref
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError

BOOK = "doses"
"""Name of the file in a chip's folder."""

MAGIC = b"hwloop doses 1\r\n"
_MARK = struct.Struct("<QI4x")
_MARKS = 2
_BEGIN = len(MAGIC) + _MARKS * _MARK.size
_RECORD = struct.Struct("<II")
_SECTION = struct.Struct("<HBxI")
ROW, COL, CELL, SETTLED = range(4)

Indices = NDArray[np.uint32]
Values = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Section:
    """Counts that are set.

    Attributes:
        tile: index of the tile.
        axis: `ROW`, `COL`, or `CELL`, whose indices run along the rows; or `SETTLED`, whose value
            is 1 when nothing is reserved.
        indices, values: which counts, and what they are.
    """

    tile: int
    axis: int
    indices: Indices
    values: Values


class Book:
    """A file of doses that is written.

    Args:
        path: the file; it is made anew.
        about: what the first record says.
        sections: all counts.

    Raises:
        ConfigurationError: it cannot be written.
    """

    def __init__(self, path: Path, about: dict[str, Any], sections: Iterable[Section]) -> None:
        self._path = path
        records = _record(json.dumps(about, sort_keys=True).encode()) + _record(_body(sections))
        size = _BEGIN + len(records)
        content = MAGIC + _mark(size) * _MARKS + records
        partial = path.with_name(f"{path.name}.partial")
        with _disk_errors(path):
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            try:
                _write(descriptor, content, 0)
                os.fsync(descriptor)
                os.replace(partial, path)
                _sync_folder(path.parent)
            except BaseException:
                os.close(descriptor)
                raise
        self._descriptor = descriptor
        self._finish = weakref.finalize(self, os.close, descriptor)
        self.size = size
        self._turn = 0

    def set(self, sections: Iterable[Section]) -> None:
        """Set counts; they are safe when this returns.

        Raises:
            ConfigurationError: they cannot be written; the counts in the file are as before.
        """
        record = _record(_body(sections))
        with _disk_errors(self._path):
            _write(self._descriptor, record, self.size)
            os.fsync(self._descriptor)
            place = len(MAGIC) + self._turn * _MARK.size
            _write(self._descriptor, _mark(self.size + len(record)), place)
            os.fsync(self._descriptor)
        self._turn = (self._turn + 1) % _MARKS
        self.size += len(record)

    def close(self) -> None:
        """Let the file go."""
        self._finish()
        self._descriptor = -1


def read_book(path: Path) -> tuple[dict[str, Any], list[Section]]:
    """Return what a file says of its chip, and the counts that it sets, in order.

    Raises:
        ConfigurationError: it cannot be read, or has lost something.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    marks = [
        length
        for turn in range(_MARKS)
        if (length := _read_mark(content, len(MAGIC) + turn * _MARK.size))
    ]
    if not content.startswith(MAGIC) or not marks:
        raise _lost(path, "its head is not whole")
    bodies, end = _bodies(content)
    if end < max(marks):
        raise _lost(path, f"it is whole up to byte {end} of {max(marks)}")
    try:
        about = json.loads(bodies[0])
        sections = [section for body in bodies[1:] for section in _sections(body)]
    except (ValueError, IndexError, struct.error) as error:
        raise _lost(path, f"a record cannot be read: {error}") from None
    if not isinstance(about, dict):
        raise _lost(path, "its first record names no chip")
    return about, sections


def _lost(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} has lost doses: {what}; nothing was sent",
        remedy="bring it back from a backup; or move it away, and the chip's doses begin at 0",
    )


def _bodies(content: bytes) -> tuple[list[bytes], int]:
    """Return the bodies of whole records from the first one on, and where they end."""
    bodies, at = [], _BEGIN
    while at + _RECORD.size <= len(content):
        length, check = _RECORD.unpack_from(content, at)
        body = content[at + _RECORD.size : at + _RECORD.size + length]
        if len(body) < length or zlib.crc32(body) != check:
            break
        bodies.append(body)
        at += _RECORD.size + length
    return bodies, at


def _sections(body: bytes) -> list[Section]:
    sections, at = [], 0
    while at < len(body):
        tile, axis, count = _SECTION.unpack_from(body, at)
        at += _SECTION.size
        indices = np.frombuffer(body, "<u4", count, at)
        at += 4 * count
        values = np.frombuffer(body, "<i8", count, at)
        at += 8 * count
        sections.append(Section(tile, axis, indices, values))
    return sections


def _body(sections: Iterable[Section]) -> bytes:
    return b"".join(
        _SECTION.pack(section.tile, section.axis, len(section.indices))
        + section.indices.astype("<u4").tobytes()
        + section.values.astype("<i8").tobytes()
        for section in sections
    )


def _record(body: bytes) -> bytes:
    return _RECORD.pack(len(body), zlib.crc32(body)) + body


def _mark(length: int) -> bytes:
    return _MARK.pack(length, zlib.crc32(length.to_bytes(8, "little")))


def _read_mark(content: bytes, at: int) -> int:
    """Return a mark, 0 if it is not valid."""
    if len(content) < at + _MARK.size:
        return 0
    length, check = _MARK.unpack_from(content, at)
    return int(length) if zlib.crc32(int(length).to_bytes(8, "little")) == check else 0


def _write(descriptor: int, content: bytes, at: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, at)
        content, at = content[written:], at + written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}; nothing was sent",
            remedy="make room, or set HWLOOP_STATE to a folder that can be written",
        ) from error
