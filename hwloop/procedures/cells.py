"""The cells that a plan measures: a block of a tile, or some cells of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.capabilities import TileCapabilities
from hwloop.errors import ConfigurationError
from hwloop.operations import IntArray, Lines

LineChoice = int | slice | Sequence[int] | IntArray | None
"""Lines of one axis: a number, a slice, a list; None is every line."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one tile, numbered row by row.

    Attributes:
        tile: index of the tile.
        rows, cols: lines of the smallest block that holds them, ascending.
        picked: which cells of the block they are, bool, shape (rows, cols).
        whole: whether the block is the whole tile.
    """

    tile: int
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    picked: NDArray[np.bool_]
    whole: bool

    def __len__(self) -> int:
        """Return the number of cells."""
        return int(np.count_nonzero(self.picked))

    @property
    def row(self) -> NDArray[np.int64]:
        """Word line of each cell."""
        return np.broadcast_to(self.rows[:, None], self.picked.shape)[self.picked].astype(np.int64)

    @property
    def col(self) -> NDArray[np.int64]:
        """Bit line of each cell."""
        return np.broadcast_to(self.cols, self.picked.shape)[self.picked].astype(np.int64)

    @property
    def lines(self) -> tuple[Lines, Lines]:
        """Rows and columns of the block, as operations name them."""
        return (None, None) if self.whole else (self.rows, self.cols)

    def block(self, values: int | NDArray[Any]) -> NDArray[Any]:
        """Return values per cell as a block, 0 where no cell is picked."""
        block = np.zeros(self.picked.shape, np.asarray(values).dtype)
        block[self.picked] = values
        return block


def choose_cells(
    tile: TileCapabilities,
    index: int,
    *,
    rows: LineChoice = None,
    cols: LineChoice = None,
    cells: Iterable[tuple[int, int]] | None = None,
) -> Cells:
    """Return cells of a tile: those of a block, or those that are listed.

    Args:
        tile: what the tile is.
        index: its index.
        rows, cols: lines of a block.
        cells: pairs of row and column, in place of a block.

    Raises:
        ConfigurationError: both a block and a list, no cell at all, a cell twice or out of range.
    """
    if cells is None:
        chosen_rows = _lines("rows", rows, tile.rows, index)
        chosen_cols = _lines("cols", cols, tile.cols, index)
        picked = np.ones((len(chosen_rows), len(chosen_cols)), np.bool_)
    else:
        if rows is not None or cols is not None:
            raise ConfigurationError("cells are given as a block and as a list; give one of both")
        pairs = [(int(row), int(col)) for row, col in cells]
        if len(set(pairs)) != len(pairs):
            twice = next(pair for pair in pairs if pairs.count(pair) > 1)
            raise ConfigurationError(f"cells: row {twice[0]}, col {twice[1]} is given twice")
        chosen_rows = _lines("cells: rows", [row for row, _ in pairs], tile.rows, index)
        chosen_cols = _lines("cells: cols", [col for _, col in pairs], tile.cols, index)
        picked = np.zeros((len(chosen_rows), len(chosen_cols)), np.bool_)
        for row, col in pairs:
            picked[np.searchsorted(chosen_rows, row), np.searchsorted(chosen_cols, col)] = True
    whole = picked.shape == (tile.rows, tile.cols)
    return Cells(index, chosen_rows, chosen_cols, picked, whole)


def _lines(name: str, choice: LineChoice, size: int, tile: int) -> NDArray[np.int32]:
    if choice is None:
        return np.arange(size, dtype=np.int32)
    if isinstance(choice, slice):
        start, stop, step = choice.start or 0, choice.stop, choice.step or 1
        lines = np.arange(start, size if stop is None else stop, step)
    else:
        lines = np.unique(np.atleast_1d(np.asarray(choice)))
    if lines.size and lines.dtype.kind not in "iu":
        raise ConfigurationError(f"{name}: {choice!r} should be line numbers, from 0")
    if not lines.size:
        raise ConfigurationError(f"{name}: {choice!r} names no line of tile {tile}")
    if lines.min() < 0 or lines.max() >= size:
        worst = lines.min() if lines.min() < 0 else lines.max()
        raise ConfigurationError(
            f"{name}: {worst} is out of range: tile {tile} has lines 0 to {size - 1}"
        )
    return lines.astype(np.int32)
