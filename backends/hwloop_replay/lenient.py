"""A tape that answers by each cell's own history, whatever the order of cells and operations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hwloop.backend import BlockingBackend
from hwloop.capabilities import Capabilities, Configuration
from hwloop.errors import CapabilityError, ReplayError
from hwloop.operations import Configure, Operation, Pulse, ReadCells, Result, Wait
from hwloop.tape.recording import Recording
from hwloop.tape.stream import entries
from hwloop_replay.describing import replayed
from hwloop_replay.history import Cell, Histories, answer, block

OPERATIONS = frozenset({"configure", "pulse", "read_cells", "wait"})


class LenientReplay(BlockingBackend):
    """Answers reads of a cell by the tape's reads of that cell at the same place of its history.

    Every answer carries its distance (`Result.distance`). Pulses cost no chip time here.

    Args:
        recording: the tape.
        bound: largest distance that is answered, in pulses; None for any.

    Attributes:
        farthest: largest distance so far.
    """

    def __init__(self, recording: Recording, bound: int | None = None) -> None:
        super().__init__()
        self.farthest = 0
        self._path = recording.path
        self._bound = bound
        kinds = recording.array.operations & OPERATIONS
        self._capabilities = replayed(recording, kinds)
        self._shapes = recording.array.configuration.shapes
        self._histories = Histories(recording.array)
        self._histories.add(entries(recording.path))
        self._places: dict[Cell, dict[int, int]] = {}
        self._served: dict[tuple[Cell, int], int] = {}

    @property
    def moves_nothing(self) -> bool:
        """Whether no array is behind it: a tape is none."""
        return True

    def describe(self) -> Capabilities:
        """Return what the array said of itself, less what a history of cells cannot answer."""
        return self._capabilities

    def idle(self) -> None:
        """Do nothing: a tape has no lines."""

    def execute(self, operation: Operation) -> Result:
        """Move cells along their histories, or read them there."""
        match operation:
            case Configure():
                text = operation.content_json
                self._shapes = Configuration.model_validate_json(text).shapes
                return Result()
            case Pulse():
                return self._pulse(operation)
            case ReadCells():
                return self._read(operation)
            case Wait():
                return Result(ticks=operation.ticks)
        raise CapabilityError(
            f"a lenient replay does not understand {operation.kind!r}",
            remedy=f"it understands {', '.join(sorted(self._capabilities.operations))}; "
            "mode=strict answers all that is on the tape, in its order",
        )

    def _pulse(self, operation: Pulse) -> Result:
        shape = self._shapes[operation.shape]
        up, down = self._histories.kind(shape, True), self._histories.kind(shape, False)
        for cell, i, j in self._block(operation):
            count = int(operation.counts[i, j])
            if count:
                place = self._places.setdefault(cell, {})
                kind = up if count > 0 else down
                place[kind] = place.get(kind, 0) + abs(count)
                for key in [(cell, int(plane)) for plane in range(3)]:
                    self._served.pop(key, None)
        return Result(fired=int(np.abs(operation.counts.astype(np.int64)).sum()))

    def _read(self, operation: ReadCells) -> Result:
        tile = self._capabilities.tiles[operation.tile]
        rows = tile.rows if operation.rows is None else len(operation.rows)
        cols = tile.cols if operation.cols is None else len(operation.cols)
        values = np.zeros((rows, cols), np.int32)
        saturated = np.zeros((rows, cols), np.bool_)
        distance = 0
        for cell, i, j in self._block(operation):
            code, saturated[i, j], apart = self._cell(cell, operation)
            values[i, j] = round(code * operation.average)
            distance = max(distance, apart)
        self.farthest = max(self.farthest, distance)
        return Result(values=values, saturated=saturated, distance=distance)

    def _cell(self, cell: Cell, operation: ReadCells) -> tuple[float, bool, int]:
        history = self._histories.cells.get(cell)
        tile, row, col = cell
        name = f"cell row {row}, col {col} of tile {tile}"
        if history is None or operation.plane not in history.reads:
            ended = self._histories.ended.get(tile)
            behind = f" before {ended}, which does not say what it does to each cell"
            raise ReplayError(
                f"{self._path} holds no read of the {operation.plane.name.lower()} plane of {name}"
                + (behind if ended else ""),
                remedy="read cells that were measured",
            )
        key = (cell, int(operation.plane))
        served = self._served.get(key, 0)
        self._served[key] = served + 1
        found = answer(history, operation.plane, self._place(cell), served)
        if self._bound is not None and found[2] > self._bound:
            raise ReplayError(
                f"{name} is {found[2]} pulses away from its nearest read on {self._path}, "
                f"the bound is {self._bound}",
                remedy="stay closer to what was measured, or allow more by bound=",
            )
        return found

    def _place(self, cell: Cell) -> NDArray[np.int64]:
        place = np.zeros(len(self._histories.kinds), np.int64)
        for kind, count in self._places.get(cell, {}).items():
            place[kind] = count
        return place

    def _block(self, operation: Pulse | ReadCells) -> Iterator[tuple[Cell, int, int]]:
        tile = self._capabilities.tiles[operation.tile]
        return iter(block(operation.tile, operation.rows, operation.cols, (tile.rows, tile.cols)))
