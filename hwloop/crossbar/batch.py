"""Batches: one submission for many operations on many tiles."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Generic, TypeVar

from numpy.typing import ArrayLike

from hwloop.crossbar.requests import Axis, FloatArray, LineSelection, Request, Requests
from hwloop.crossbar.tile import Answer, Submitter
from hwloop.errors import ConfigurationError
from hwloop.operations import Direction, Plane

T = TypeVar("T")


class Pending(Generic[T]):
    """The answer to an operation of a batch; `result` waits for it."""

    __slots__ = ("_batch", "_index", "_request")

    def __init__(self, batch: Batch, index: int, request: Request[T]) -> None:
        self._batch = batch
        self._index = index
        self._request = request

    def result(self) -> T:
        """Return the answer, waiting if need be."""
        return self._request.convert(self._batch.submission.results()[self._index])


class BatchTile(Requests):
    """A tile in a batch: the verbs of `Tile`, whose answers come as `Pending`."""

    def __init__(self, batch: Batch, index: int) -> None:
        super().__init__(batch.chip, index)
        self._batch = batch

    def pulse(self, row: int, col: int, count: int, shape: str | None = None) -> Pending[int]:
        """Queue pulses on one cell."""
        return self._batch.add(self._pulse_request(row, col, count, shape))

    def read_cells(
        self,
        rows: LineSelection = None,
        cols: LineSelection = None,
        *,
        average: int = 1,
        plane: Plane = Plane.DIFFERENCE,
    ) -> Pending[FloatArray]:
        """Queue a read of the cells of a block."""
        return self._batch.add(self._read_request(rows, cols, average, plane))

    def read_line(
        self,
        index: int,
        axis: Axis = "row",
        *,
        average: int = 1,
        plane: Plane = Plane.DIFFERENCE,
    ) -> Pending[FloatArray]:
        """Queue a read of the cells of one line."""
        return self._batch.add(self._line_request(index, axis, average, plane))

    def forward(self, volts: ArrayLike, *, plane: Plane = Plane.DIFFERENCE) -> Pending[FloatArray]:
        """Queue a forward read."""
        return self._batch.add(self._vmm_request(Direction.FORWARD, volts, plane))

    def backward(self, volts: ArrayLike, *, plane: Plane = Plane.DIFFERENCE) -> Pending[FloatArray]:
        """Queue a backward read."""
        return self._batch.add(self._vmm_request(Direction.BACKWARD, volts, plane))

    def update(
        self,
        x: ArrayLike,
        d: ArrayLike,
        *,
        train_length: int | None = None,
        shape: str | None = None,
    ) -> Pending[int]:
        """Queue rank-1 stochastic updates."""
        return self._batch.add(self._update_request(x, d, train_length, shape))


class Batch:
    """One submission for many operations on many tiles, sent when its block ends."""

    def __init__(self, chip: Submitter) -> None:
        self.chip = chip
        self._requests: list[Request[Any]] = []
        self._submission: Answer | None = None

    def __getitem__(self, index: int) -> BatchTile:
        """Return a tile whose verbs queue operations."""
        return BatchTile(self, index)

    def __enter__(self) -> Batch:
        """Return the batch itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send what was queued, unless the block failed."""
        if error is None and self._requests:
            self._submission = self.chip.submit([r.operation for r in self._requests])

    def add(self, request: Request[T]) -> Pending[T]:
        """Queue a request."""
        self._requests.append(request)
        return Pending(self, len(self._requests) - 1, request)

    @property
    def submission(self) -> Answer:
        """The submission, once the block has ended."""
        if self._submission is None:
            raise ConfigurationError(
                "the batch has not been sent", remedy="ask for results behind the with block"
            )
        return self._submission
