"""Source files as lines of text: plain or gzip, any line end, bounded in every direction."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hwloop.errors import ConfigurationError

LARGEST_SOURCE = 1 << 32
"""Bytes of the largest source that is read, unpacked."""

MOST_UNPACKED = 200
"""How many times its size a packed source may unpack to; text of numbers gives ten."""

SMALL = 1 << 26
"""Bytes that any packed source may unpack to."""

LONGEST_LINE = 64 << 20
"""Bytes of the longest line that is read."""

_BLOCK = 1 << 20
_MAGIC = {
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x93NUMPY": "a file of numpy",
    b"PK\x03\x04": "a zip archive: an .xlsx workbook or an .npz",
    b"\x89HDF": "HDF5",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\xd0\xcf\x11\xe0": "an old .xls workbook",
    b"MATLAB": "a MATLAB file",
}


class Source:
    """A file to import.

    Attributes:
        path: where it is.
        name: its name, as messages and headers call it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        try:
            if not path.is_file():
                what = "is not a file" if path.exists() else "there is no such file"
                raise ConfigurationError(f"{path}: {what}")
            self.size = path.stat().st_size
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
        if self.size == 0:
            raise ConfigurationError(f"{self.name}: is empty")
        if self.size > LARGEST_SOURCE:
            raise ConfigurationError(f"{self.name}: has {self.size} bytes, more than are read")

    def sha256(self) -> str:
        """Return the SHA-256 of the file as it is, in hexadecimal."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def first_bytes(self) -> bytes:
        """Return the first bytes, unpacked."""
        with self._open() as file:
            return self._read(file, 4096)

    def lines(self) -> Iterator[str]:
        """Yield the lines without their ends, however they end; raises as `blocks` does."""
        for _, lines in self.blocks():
            yield from lines

    def blocks(self) -> Iterator[tuple[int, list[str]]]:
        """Yield runs of lines without their ends, each with the number of its first, from 1.

        Raises:
            ConfigurationError: binary content, a line or file that is too long, or a gzip file
                that is broken off.
        """
        self._refuse_binary()
        total, rest, number = 0, b"", 1
        with self._open() as file:
            while block := self._read(file, _BLOCK):
                total += len(block)
                if total > max(MOST_UNPACKED * self.size, SMALL) or total > LARGEST_SOURCE:
                    raise ConfigurationError(
                        f"{self.name}: unpacks to more than {total - 1} bytes, which no text of "
                        "numbers does"
                    )
                if b"\0" in block:
                    where = number + block.count(b"\n", 0, block.index(0))
                    raise ConfigurationError(
                        f"{self.name}: line {where}: holds a zero byte, so it is no text",
                        remedy="export the data as text again",
                    )
                # A return at the end of a block may have its line feed in the next.
                held = block[-1:] if block.endswith(b"\r") else b""
                block = rest + block[: len(block) - len(held)]
                block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                whole, end, rest = block.rpartition(b"\n")
                rest += held
                if end:
                    lines = _text(whole, number).split("\n")
                    yield number, lines
                    number += len(lines)
                if len(rest) > LONGEST_LINE:
                    raise ConfigurationError(
                        f"{self.name}: line {number}: is longer than {LONGEST_LINE} bytes",
                        remedy="is this the right file? one row per line is expected",
                    )
        rest = rest.removesuffix(b"\r")
        if rest:
            yield number, [_text(rest, number)]

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        try:
            with self.path.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
                file.seek(0)
                if packed:
                    with gzip.open(file) as unpacked:
                        yield unpacked  # type: ignore[misc]  # read as any binary file
                else:
                    yield file
        except OSError as error:
            raise ConfigurationError(f"{self.name}: cannot be read: {error.strerror}") from None

    def _read(self, file: IO[bytes], size: int) -> bytes:
        try:
            return file.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ConfigurationError(
                f"{self.name}: the gzip file is broken off or damaged: {error}",
                remedy="copy it again, and compare its size with the original",
            ) from None

    def _refuse_binary(self) -> None:
        first = self.first_bytes()
        for magic, what in _MAGIC.items():
            if first.startswith(magic):
                raise ConfigurationError(
                    f"{self.name}: is {what}, not text",
                    remedy="save plain columns as CSV or HDF5; pickles and object arrays can run "
                    "programs and are never opened",
                )
        if not first.strip():
            raise ConfigurationError(f"{self.name}: is empty")


def _text(lines: bytes, number: int) -> str:
    if number == 1:
        lines = lines.removeprefix(b"\xef\xbb\xbf")
    try:
        return lines.decode("utf-8")
    except UnicodeDecodeError:
        return lines.decode("cp1252", errors="replace")  # what older Windows programs write
