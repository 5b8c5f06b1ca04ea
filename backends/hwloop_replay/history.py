"""The histories of cells on a tape: their pulses in order, and what was read in between.

A cell's place in its history is the number of pulses of each kind that it has had, a kind being a
polarity with its volts, seconds and compliance. On the tape a cell walks a path from place to
place; time and the pulses of other cells are not looked at.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwloop.capabilities import Capabilities, Configuration, PolarityShape, PulseShape
from hwloop.operations import (
    Configure,
    Form,
    Lines,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Reset,
    Restore,
    Verdict,
)
from hwloop.tape import Entry

Cell = tuple[int, int, int]
"""Tile, row, column."""

Kind = tuple[bool, PolarityShape]
"""Whether a pulse raises the conductance, and what it is."""

Counts = NDArray[np.int64]


@dataclass(slots=True)
class Reads:
    """Reads of one plane of a cell.

    Attributes:
        at: pulses that the cell had had before each, all kinds together; ascending.
        codes: mean code of each.
        saturated: whether its converter was at its bound.
    """

    at: array[int] = field(default_factory=lambda: array("q"))
    codes: array[float] = field(default_factory=lambda: array("d"))
    saturated: array[int] = field(default_factory=lambda: array("b"))

    def between(self, begin: int, end: int) -> tuple[float, bool]:
        """Return mean and saturation of the reads from index `begin` to `end`."""
        codes = self.codes[begin:end]
        return sum(codes) / len(codes), any(self.saturated[begin:end])


@dataclass(slots=True)
class History:
    """The path of one cell: runs of pulses of one kind, and reads.

    Attributes:
        kinds: index of each run's kind.
        counts: pulses of each run.
        pulses: all of them.
        reads: by plane.
    """

    kinds: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    pulses: int = 0
    reads: dict[Plane, Reads] = field(default_factory=dict)

    def pulse(self, kind: int, count: int) -> None:
        """Add pulses of a kind."""
        if self.kinds and self.kinds[-1] == kind:
            self.counts[-1] += count
        else:
            self.kinds.append(kind)
            self.counts.append(count)
        self.pulses += count

    def read(self, plane: Plane, code: float, saturated: bool) -> None:
        """Add a read."""
        reads = self.reads.setdefault(plane, Reads())
        reads.at.append(self.pulses)
        reads.codes.append(code)
        reads.saturated.append(saturated)

    def nearest(self, place: Counts) -> tuple[int, int]:
        """Return the point of the path that is nearest to a place.

        Args:
            place: pulses of each kind, shape (kinds,).

        Returns:
            Pulses on the path up to that point, and pulses by which the place differs from it.
        """
        best, position = int(place.sum()), 0
        corner = np.zeros_like(place)
        begun = 0
        for kind, count in zip(self.kinds, self.counts, strict=True):
            ahead = int(place[kind] - corner[kind])
            along = min(max(ahead, 0), count)
            apart = int(np.abs(place - corner).sum()) - abs(ahead) + abs(ahead - along)
            if apart < best:
                best, position = apart, begun + along
            corner[kind] += count
            begun += count
        return position, best


class Histories:
    """The histories of all cells on a tape.

    Attributes:
        cells: by tile, row and column.
        kinds: index of each kind of pulse.
        ended: by tile, the operation behind which its cells' pulses are not known.
    """

    def __init__(self, array: Capabilities) -> None:
        self.cells: dict[Cell, History] = {}
        self.kinds: dict[Kind, int] = {}
        self.ended: dict[int, str] = {}
        self._tiles = array.tiles
        self._shapes: dict[str, PulseShape] = {}

    def add(self, tape: Iterable[Entry]) -> None:
        """Add what a tape holds."""
        for entry in tape:
            operation, result = entry.operation, entry.result
            if isinstance(operation, Configure):
                text = operation.content_json
                self._shapes = Configuration.model_validate_json(text).shapes
            elif operation.tile in self.ended:
                continue
            elif isinstance(operation, ReadCells) and result is not None:
                assert result.values is not None
                self._read(operation, result.values / operation.average, result.saturated)
            elif isinstance(operation, _MOVING):
                if result is not None and result.verdict is Verdict.NOT_APPLIED:
                    continue
                known = isinstance(operation, Pulse) and result is not None
                if known and result is not None and result.verdict is Verdict.APPLIED:
                    assert isinstance(operation, Pulse)
                    self._pulse(operation)
                else:
                    self.ended[operation.tile] = f"{operation.kind} {operation.id}"

    def kind(self, shape: PulseShape, up: bool) -> int:
        """Return the index of a kind of pulse, a new one if need be."""
        kind = (up, shape.up if up else shape.down)
        return self.kinds.setdefault(kind, len(self.kinds))

    def _pulse(self, operation: Pulse) -> None:
        shape = self._shapes[operation.shape]
        up, down = self.kind(shape, True), self.kind(shape, False)
        for cell, i, j in self._block(operation.tile, operation.rows, operation.cols):
            count = int(operation.counts[i, j])
            if count:
                self._history(cell).pulse(up if count > 0 else down, abs(count))

    def _read(
        self,
        operation: ReadCells,
        codes: NDArray[np.float64],
        saturated: NDArray[np.bool_] | None,
    ) -> None:
        for cell, i, j in self._block(operation.tile, operation.rows, operation.cols):
            full = saturated is not None and bool(saturated[i, j])
            self._history(cell).read(operation.plane, float(codes[i, j]), full)

    def _block(self, tile: int, rows: Lines, cols: Lines) -> Iterable[tuple[Cell, int, int]]:
        return block(tile, rows, cols, (self._tiles[tile].rows, self._tiles[tile].cols))

    def _history(self, cell: Cell) -> History:
        history = self.cells.get(cell)
        if history is None:
            history = self.cells[cell] = History()
        return history


_MOVING = (Pulse, OuterUpdate, OuterTrains, Form, Reset, Restore)


def block(
    tile: int, rows: Lines, cols: Lines, shape: tuple[int, int]
) -> Iterable[tuple[Cell, int, int]]:
    """Yield each cell of a block with its row and column within the block."""
    across = list(enumerate(range(shape[1]) if cols is None else cols.tolist()))
    for i, row in enumerate(range(shape[0]) if rows is None else rows.tolist()):
        for j, col in across:
            yield (tile, row, col), i, j


def answer(history: History, plane: Plane, place: Counts, served: int) -> tuple[float, bool, int]:
    """Return what a cell would read at a place.

    Args:
        history: the cell's.
        plane: plane that is read.
        place: pulses of each kind that the cell has had, shape (kinds,).
        served: reads that have been answered for this place before: the taped reads of a place take
            turns, so that they keep their spread.

    Returns:
        Mean code, whether the converter was at its bound, and the distance in pulses to the nearest
        taped read; between two of them codes are interpolated, beyond the last they stay.
    """
    reads = history.reads[plane]
    position, apart = history.nearest(place)
    begin, end = bisect_left(reads.at, position), bisect_right(reads.at, position)
    if end > begin:
        chosen = begin + served % (end - begin)
        return *reads.between(chosen, chosen + 1), apart
    sides: list[tuple[int, float, bool]] = []
    if begin > 0:
        at = reads.at[begin - 1]
        sides.append((position - at, *reads.between(bisect_left(reads.at, at), begin)))
    if end < len(reads.at):
        at = reads.at[end]
        sides.append((at - position, *reads.between(end, bisect_right(reads.at, at))))
    distance = apart + min(side[0] for side in sides)
    saturated = any(side[2] for side in sides)
    if len(sides) == 1:
        return sides[0][1], saturated, distance
    (before, low, _), (behind, high, _) = sides
    return (low * behind + high * before) / (before + behind), saturated, distance
