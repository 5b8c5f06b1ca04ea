"""The verbs of a tile, one operation each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from numpy.typing import ArrayLike

from hwloop.crossbar.requests import Axis, FloatArray, LineSelection, Owner, Request, Requests
from hwloop.operations import Direction, Operation, Plane, Result

T = TypeVar("T")


class Answer(Protocol):
    """Operations on their way through the array."""

    def results(self) -> list[Result]:
        """Return one result per operation, waiting if need be."""
        ...


class Submitter(Owner, Protocol):
    """What a tile needs of its chip to run operations."""

    def submit(self, operations: Sequence[Operation]) -> Answer:
        """Send operations, in order."""
        ...


class Tile(Requests):
    """One tile of a chip; each verb is one operation and waits for its answer.

    Rows are word lines, columns bit lines, both counted from 0; reads see the difference to the
    reference plane unless another plane is named.
    """

    def __init__(self, chip: Submitter, index: int) -> None:
        super().__init__(chip, index)
        self._submitter = chip

    def pulse(self, row: int, col: int, count: int, shape: str | None = None) -> int:
        """Give one cell `count` pulses, negative to lower it; return the pulses fired."""
        return self._now(self._pulse_request(row, col, count, shape))

    def read_cells(
        self,
        rows: LineSelection = None,
        cols: LineSelection = None,
        *,
        average: int = 1,
        plane: Plane = Plane.DIFFERENCE,
    ) -> FloatArray:
        """Read the cells of a block; return means in siemens, shape (rows, cols).

        The main and the reference plane give conductances, their difference may be negative.
        """
        return self._now(self._read_request(rows, cols, average, plane))

    def read_line(
        self,
        index: int,
        axis: Axis = "row",
        *,
        average: int = 1,
        plane: Plane = Plane.DIFFERENCE,
    ) -> FloatArray:
        """Read the cells of one line; return siemens, shape (cells of the line,)."""
        return self._now(self._line_request(index, axis, average, plane))

    def forward(self, volts: ArrayLike, *, plane: Plane = Plane.DIFFERENCE) -> FloatArray:
        """Drive the columns, volts of shape ([samples,] cols); return the rows' amperes."""
        return self._now(self._vmm_request(Direction.FORWARD, volts, plane))

    def backward(self, volts: ArrayLike, *, plane: Plane = Plane.DIFFERENCE) -> FloatArray:
        """Drive the rows, volts of shape ([samples,] rows); return the columns' amperes."""
        return self._now(self._vmm_request(Direction.BACKWARD, volts, plane))

    def update(
        self,
        x: ArrayLike,
        d: ArrayLike,
        *,
        train_length: int | None = None,
        shape: str | None = None,
    ) -> int:
        """Give rank-1 updates of about `train_length * d x^T` pulses; return the pulses fired.

        Args:
            x: firing probabilities with signs, -1 to 1, shape (cols,) or (samples, cols).
            d: the same for the rows, shape (rows,) or (samples, rows).
            train_length: slots per sample; 31 or the longest that the tile takes by default.
            shape: name of the pulse shape.
        """
        return self._now(self._update_request(x, d, train_length, shape))

    def _now(self, request: Request[T]) -> T:
        (result,) = self._submitter.submit([request.operation]).results()
        return request.convert(result)
