"""Choosing operations of a tape by kind, tile, cell and id."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.operations import (
    Form,
    Lines,
    Operation,
    OuterTrains,
    OuterUpdate,
    Pulse,
    ReadCells,
    Reset,
    Restore,
    Snapshot,
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted of a tape; None is no condition.

    Attributes:
        kinds: kinds of operations.
        tile: index of the tile.
        cell: row and column that the operation reads or may move by itself; reads of whole
            vectors do neither.
        first, last: smallest and largest id.
    """

    kinds: frozenset[str] | None = None
    tile: int | None = None
    cell: tuple[int, int] | None = None
    first: int | None = None
    last: int | None = None

    def __contains__(self, operation: Operation) -> bool:
        """Return whether an operation is wanted."""
        return (
            (self.kinds is None or operation.kind in self.kinds)
            and (self.tile is None or operation.tile == self.tile)
            and (self.first is None or operation.id >= self.first)
            and (self.last is None or operation.id <= self.last)
            and (self.cell is None or touches(operation, *self.cell))
        )


def touches(operation: Operation, row: int, col: int) -> bool:
    """Return whether an operation reads a cell by itself, or may move it."""
    match operation:
        case Pulse():
            place = within(operation.rows, operation.cols, row, col, operation.counts.shape)
            return place is not None and operation.counts[place] != 0
        case ReadCells() | Form() | Reset():
            return within(operation.rows, operation.cols, row, col) is not None
        case OuterUpdate():
            x, d = operation.x_codes, operation.d_codes
            inside = row < d.shape[-1] and col < x.shape[-1]
            return inside and bool(((d[:, row] != 0) & (x[:, col] != 0)).any())
        case OuterTrains():
            x, d = operation.x_trains, operation.d_trains
            inside = row < d.shape[-1] and col < x.shape[-1]
            return inside and bool(((d[..., row] != 0) & (x[..., col] != 0)).any())
        case Snapshot() | Restore():
            return True
    return False


def within(
    rows: Lines, cols: Lines, row: int, col: int, shape: tuple[int, ...] | None = None
) -> tuple[int, int] | None:
    """Return the place of a cell in a block, or None if it lies outside.

    Args:
        rows, cols: the block's lines; None is every line.
        row, col: the cell.
        shape: rows and columns of the block, where they are known.
    """
    place = []
    for lines, line in ((rows, row), (cols, col)):
        found = [line] if lines is None else [i for i, n in enumerate(lines.tolist()) if n == line]
        if not found:
            return None
        place.append(found[0])
    if shape is not None and (place[0] >= shape[0] or place[1] >= shape[1]):
        return None
    return place[0], place[1]
