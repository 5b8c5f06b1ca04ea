"""The arrays behind the fixed fields of a message."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hwloop_wire.layout import Body, MessageError
from hwloop_wire.part_messages import LISTED_COLS, LISTED_ROWS

CODE_TYPES: dict[int, np.dtype[np.signedinteger[Any]]] = {
    1: np.dtype("<i1"),
    2: np.dtype("<i2"),
    4: np.dtype("<i4"),
}
"""Types of codes and counts by their `width`."""

U16_TYPE = np.dtype("<u2")
U32_TYPE = np.dtype("<u4")

Lines = NDArray[np.integer[Any]] | None


def joined(head: Body, *arrays: NDArray[Any]) -> bytes:
    """Return a body: fixed fields, then each array at the next multiple of its element's size."""
    pieces = [head.pack()]
    at = len(pieces[0])
    for array in arrays:
        gap = -at % array.itemsize
        if gap:
            pieces.append(bytes(gap))
        pieces.append(array.tobytes())
        at += gap + array.nbytes
    return b"".join(pieces)


def narrowed(values: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return the values in the narrowest type of the wire that holds them."""
    if values.size == 1:  # single pulses are frequent, and numpy is slow on them
        low = high = int(values.ravel()[0])
    else:
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for width, dtype in CODE_TYPES.items():
        bound = 1 << 8 * width - 1
        if -bound <= low and high < bound:
            return values.astype(dtype)
    raise MessageError(f"{low if low < 0 else high} does not fit 32 bits")


class TailReader:
    """Takes the arrays off a body, one after the other.

    Args:
        raw: the body.
        at: bytes of its fixed fields.
    """

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw = raw
        self._at = at

    def take(self, dtype: DTypeLike, *shape: int) -> NDArray[Any]:
        """Return the next array; it is read-only.

        Raises:
            MessageError: the body is too short for it.
        """
        kind = np.dtype(dtype)
        begin = self._at + -self._at % kind.itemsize
        count = 1
        for n in shape:
            count *= n
        end = begin + count * kind.itemsize
        if end > len(self._raw):
            raise MessageError(f"the body has {len(self._raw)} bytes, its arrays need {end}")
        self._at = end
        array = np.frombuffer(self._raw, kind, count, begin) if count else np.empty(0, kind)
        return array.reshape(shape)

    def codes(self, width: int, *shape: int) -> NDArray[np.integer[Any]]:
        """Return the next array of codes of a width."""
        if width not in CODE_TYPES:
            raise MessageError(f"width is {width}, expected 1, 2 or 4")
        return self.take(CODE_TYPES[width], *shape)

    def lines(self, first: int, count: int, listed: bool) -> NDArray[np.integer[Any]]:
        """Return the lines of one axis of a block, listed or a range."""
        if listed:
            return self.take(U16_TYPE, count)
        return np.arange(first, first + count)

    def end(self) -> None:
        """Check that nothing follows.

        Raises:
            MessageError: something does.
        """
        if self._at != len(self._raw):
            raise MessageError(f"{len(self._raw) - self._at} bytes too many")


class Block:
    """The rows and columns of a block, as parts carry them.

    Args:
        rows, cols: ranges, or the lists that travel.
    """

    __slots__ = ("cols", "height", "rows", "width")

    def __init__(self, rows: slice | NDArray[Any], cols: slice | NDArray[Any]) -> None:
        self.rows = rows
        self.cols = cols
        self.height = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        self.width = cols.stop - cols.start if isinstance(cols, slice) else len(cols)

    @classmethod
    def of(cls, rows: Lines, cols: Lines, shape: tuple[int, int]) -> Block:
        """Return a block.

        Args:
            rows, cols: line numbers; None is every line.
            shape: rows and columns of the tile.

        Raises:
            MessageError: a line does not fit 16 bits.
        """
        return cls(_range(rows, shape[0]), _range(cols, shape[1]))

    def some_rows(self, begin: int, end: int) -> Block:
        """Return the block of the rows `begin` to `end` of this one."""
        whole = end - begin == self.height
        return self if whole else Block(_some(self.rows, begin, end), self.cols)

    def some_cols(self, begin: int, end: int) -> Block:
        """Return the block of the columns `begin` to `end` of this one."""
        whole = end - begin == self.width
        return self if whole else Block(self.rows, _some(self.cols, begin, end))

    def fields(self) -> dict[str, int]:
        """Return the fields of a part that holds the block."""
        rows_listed = not isinstance(self.rows, slice)
        cols_listed = not isinstance(self.cols, slice)
        return {
            "row_first": self.rows.start if isinstance(self.rows, slice) else 0,
            "row_count": self.height,
            "col_first": self.cols.start if isinstance(self.cols, slice) else 0,
            "col_count": self.width,
            "listed": LISTED_ROWS * rows_listed | LISTED_COLS * cols_listed,
        }

    def lists(self) -> list[NDArray[Any]]:
        """Return the arrays of a part that holds the block."""
        return [lines for lines in (self.rows, self.cols) if not isinstance(lines, slice)]


def _some(lines: slice | NDArray[Any], begin: int, end: int) -> slice | NDArray[Any]:
    if isinstance(lines, slice):
        return slice(lines.start + begin, lines.start + end)
    return lines[begin:end]


def _range(lines: Lines, size: int) -> slice | NDArray[Any]:
    """Return lines as a range if they are one, else as the list that travels."""
    if lines is None:
        return slice(0, size)
    count = len(lines)
    if count == 1:
        only = int(lines[0])
        if not 0 <= only <= 0xFFFF:
            raise MessageError(f"line {only} does not fit 16 bits")
        return slice(only, only + 1)
    if count and (int(lines.min()) < 0 or int(lines.max()) > 0xFFFF):
        raise MessageError(f"line {int(lines.max())} does not fit 16 bits")
    if count and (np.diff(lines) == 1).all():
        return slice(int(lines[0]), int(lines[0]) + count)
    return lines.astype(U16_TYPE)
