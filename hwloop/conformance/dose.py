"""Counts the pulses that operations may give, cell by cell, whatever becomes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwloop.capabilities import TileCapabilities
from hwloop.conformance.region import Region
from hwloop.errors import SafetyError
from hwloop.operations import Form, Operation, OuterTrains, OuterUpdate, Pulse, Reset

Counts = NDArray[np.int64]


def most_pulses(operation: Operation, tile: TileCapabilities) -> Counts | None:
    """Return the most pulses that a well-formed operation gives to each cell, or None for none."""
    match operation:
        case Pulse():
            counts = np.zeros((tile.rows, tile.cols), np.int64)
            rows = np.arange(tile.rows) if operation.rows is None else operation.rows
            cols = np.arange(tile.cols) if operation.cols is None else operation.cols
            counts[np.ix_(rows, cols)] = np.abs(operation.counts.astype(np.int64))
            return counts
        case OuterUpdate():
            lengths = operation.train_lengths.astype(np.int64)
            x, d = operation.x_codes != 0, operation.d_codes != 0
            return np.asarray((d * lengths[:, None]).T @ x.astype(np.int64), np.int64)
        case OuterTrains():
            x = (operation.x_trains != 0).reshape(-1, tile.cols).astype(np.int64)
            d = (operation.d_trains != 0).reshape(-1, tile.rows).astype(np.int64)
            return np.asarray(d.T @ x, np.int64)
        case Form() | Reset():
            counts = np.zeros((tile.rows, tile.cols), np.int64)
            rows = np.arange(tile.rows) if operation.rows is None else operation.rows
            cols = np.arange(tile.cols) if operation.cols is None else operation.cols
            counts[np.ix_(rows, cols)] = 1
            return counts
    return None


class Budget:
    """Counts pulses per cell, and refuses those outside of the region or beyond the dose.

    Args:
        tiles: the tiles of the array.
        region: where pulses may go; None for anywhere.
        most: most pulses that any one cell may get; None for any number.
    """

    def __init__(
        self, tiles: tuple[TileCapabilities, ...], region: Region | None, most: int | None
    ) -> None:
        self._tiles = tiles
        self._most = most
        self.spent = [np.zeros((t.rows, t.cols), np.int64) for t in tiles]
        self._allowed = [np.ones((t.rows, t.cols), np.bool_) for t in tiles]
        if region is not None:
            for n, allowed in enumerate(self._allowed):
                inside = np.zeros_like(allowed)
                if n == region.tile:
                    rows = slice(region.first_row, region.last_row + 1)
                    inside[rows, region.first_col : region.last_col + 1] = True
                self._allowed[n] = inside

    def charge(self, operation: Operation) -> None:
        """Count an operation that is about to be sent.

        Raises:
            SafetyError: it would leave the region or exceed the dose.
        """
        if not 0 <= operation.tile < len(self._tiles):
            return
        pulses = most_pulses(operation, self._tiles[operation.tile])
        if pulses is None:
            return
        if pulses[~self._allowed[operation.tile]].any():
            raise SafetyError(f"{operation.kind} would pulse cells outside of the region")
        total = self.spent[operation.tile] + pulses
        if self._most is not None and total.max(initial=0) > self._most:
            raise SafetyError(
                f"{operation.kind} would bring a cell to {int(total.max())} pulses, the dose is "
                f"{self._most}",
                remedy="allow a larger dose, or a larger region: --dose, --region",
            )
        self.spent[operation.tile] = total

    def copy(self) -> list[Counts]:
        """Return the pulses per cell so far, tile by tile."""
        return [counts.copy() for counts in self.spent]
