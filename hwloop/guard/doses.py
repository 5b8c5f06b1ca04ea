"""How many pulses an operation gives at most, and the counts of what has been given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.capabilities import Capabilities, TileCapabilities
from hwloop.operations import (
    Form,
    IntArray,
    Lines,
    Operation,
    OuterTrains,
    OuterUpdate,
    Pulse,
    Reset,
)

CountArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dose:
    """Most pulses that an operation may give.

    Attributes:
        cell_max: on any one cell: no less than the largest of `cells`, and equal to it but for a
            seeded update of several samples.
        row, col: per line, summed over its cells; shapes (rows,) and (cols,).
        cells: per cell, shape (rows, cols), made on demand.
    """

    cell_max: int
    row: CountArray
    col: CountArray
    cells: Callable[[], CountArray]


class Ledger:
    """Pulses charged per line and, where somebody asks for it, per cell, tile by tile.

    Attributes:
        row, col: per line and tile; shapes (rows,) and (cols,).
        cells: per cell and tile, shape (rows, cols), or None.
    """

    def __init__(self, capabilities: Capabilities, *, per_cell: bool) -> None:
        self._begin([(t.rows, t.cols) for t in capabilities.tiles], per_cell=per_cell)

    @classmethod
    def of_shapes(cls, tiles: Iterable[tuple[int, int]], *, per_cell: bool) -> Ledger:
        """Return a ledger for tiles of some shapes."""
        ledger = cls.__new__(cls)
        ledger._begin(list(tiles), per_cell=per_cell)
        return ledger

    def _begin(self, tiles: list[tuple[int, int]], *, per_cell: bool) -> None:
        self.row = [np.zeros(rows, np.int64) for rows, _ in tiles]
        self.col = [np.zeros(cols, np.int64) for _, cols in tiles]
        self.cells: list[CountArray] | None = None
        if per_cell:
            self.cells = [np.zeros(shape, np.int64) for shape in tiles]

    def charge(self, tile: int, dose: Dose) -> None:
        """Add a dose."""
        self.row[tile] += dose.row
        self.col[tile] += dose.col
        if self.cells is not None:
            self.cells[tile] += dose.cells()

    def bound_cells(self) -> None:
        """Begin to count per cell: none can have had more than its row or its column."""
        if self.cells is None:
            lines = zip(self.row, self.col, strict=True)
            self.cells = [np.minimum.outer(row, col) for row, col in lines]

    def state(self) -> dict[str, CountArray]:
        """Return the counts as named arrays."""
        arrays = {f"row{i}": a for i, a in enumerate(self.row)}
        arrays |= {f"col{i}": a for i, a in enumerate(self.col)}
        arrays |= {f"cells{i}": a for i, a in enumerate(self.cells or ())}
        return {name: array.copy() for name, array in arrays.items()}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Take the counts of `state`."""
        for name, mine in (("row", self.row), ("col", self.col), ("cells", self.cells or ())):
            for i, array in enumerate(mine):
                array[...] = arrays[f"{name}{i}"]


def dose_of(operation: Operation, tile: TileCapabilities) -> Dose:
    """Return the most pulses that a consuming operation may give.

    A forming and a reset follow a recipe of the device that does not say how many pulses it takes;
    they count as one for each cell.
    """
    match operation:
        case Pulse():
            return pulse_dose(operation, tile)
        case OuterUpdate():
            return outer_dose(operation)
        case OuterTrains():
            return trains_dose(operation)
        case Form() | Reset():
            rows, cols = _indices(operation.rows, tile.rows), _indices(operation.cols, tile.cols)
            return _block_dose(np.ones((len(rows), len(cols)), np.int64), rows, cols, tile)
    raise TypeError(f"{operation.kind} gives no pulses")


def pulse_dose(operation: Pulse, tile: TileCapabilities) -> Dose:
    """Return the dose of explicit pulses: exact."""
    rows, cols = _indices(operation.rows, tile.rows), _indices(operation.cols, tile.cols)
    return _block_dose(np.abs(operation.counts.astype(np.int64)), rows, cols, tile)


def outer_dose(operation: OuterUpdate) -> Dose:
    """Return the largest dose of a seeded update: all active lines fire in every slot."""
    x = operation.x_codes != 0
    d = operation.d_codes != 0
    lengths = operation.train_lengths.astype(np.int64)
    row = (lengths * x.sum(axis=1)) @ d
    col = (lengths * d.sum(axis=1)) @ x
    cell_max = int((lengths * (x.any(axis=1) & d.any(axis=1))).sum())
    return Dose(cell_max, row, col, lambda: (d * lengths[:, None]).T @ x.astype(np.int64))


def trains_dose(operation: OuterTrains) -> Dose:
    """Return the dose of an update by given trains: exact."""
    x = (operation.x_trains != 0).reshape(-1, operation.x_trains.shape[-1]).astype(np.int64)
    d = (operation.d_trains != 0).reshape(-1, operation.d_trains.shape[-1]).astype(np.int64)
    cells = d.T @ x
    return Dose(int(cells.max(initial=0)), cells.sum(axis=1), cells.sum(axis=0), lambda: cells)


def _indices(lines: Lines, size: int) -> IntArray:
    return np.arange(size) if lines is None else lines


def _block_dose(counts: CountArray, rows: IntArray, cols: IntArray, tile: TileCapabilities) -> Dose:
    def cells() -> CountArray:
        full = np.zeros((tile.rows, tile.cols), np.int64)
        full[np.ix_(rows, cols)] = counts
        return full

    row, col = np.zeros(tile.rows, np.int64), np.zeros(tile.cols, np.int64)
    row[rows] = counts.sum(axis=1)
    col[cols] = counts.sum(axis=0)
    return Dose(int(counts.max(initial=0)), row, col, cells)
