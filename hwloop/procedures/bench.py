"""Operations on chosen cells of a tile, and what their reads mean in siemens."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwloop.capabilities import Capabilities, Configuration
from hwloop.crossbar import Chip
from hwloop.crossbar.requests import Owner, Requests
from hwloop.device_file.explain import nearest
from hwloop.errors import ConfigurationError
from hwloop.operations import Operation, Plane, ReadCells, Result, Wait
from hwloop.procedures.cells import Cells

T = TypeVar("T")
Values = NDArray[np.float64]
Answer = Sequence[Result] | None
Exchange = Generator[Sequence[Operation], Answer, T]
"""A procedure as a dialogue: it yields operations and is sent their results. None in place of them
says that nothing was sent; the procedure then goes on as in its worst case, so that the operations
of such a rehearsal bound those of every run."""

USUAL_AVERAGE = 16
"""Reads behind a value, where no other number is asked for and the tile sums that many."""

MOST_COUNT = 32767
"""Most pulses that one operation can give a cell."""


def carry_out(chip: Chip, exchange: Exchange[T]) -> T:
    """Carry a procedure out on an array and return what it comes to."""
    answer: Answer = None
    while True:
        try:
            operations = exchange.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = chip.submit(operations).results()


@dataclass(frozen=True, slots=True)
class Sketch:
    """An owner of operations that are never sent: all have the same identity."""

    capabilities: Capabilities
    default_shape: str
    configuration_hash: int

    def identity(self) -> dict[str, int]:
        """Return the id and ordinal of nothing."""
        return {"id": 0, "ordinal": 0}


class Bench:
    """Cells of a tile, and the way to them.

    Args:
        owner: the chip, or a `Sketch` of it.
        configuration: pulse shapes and limits in force.
        cells: the cells.

    Attributes:
        owner, configuration, cells: as given.
        tile: makes operations on their tile.
    """

    def __init__(self, owner: Owner, configuration: Configuration, cells: Cells) -> None:
        self.owner = owner
        self.configuration = configuration
        self.cells = cells
        self.tile = Requests(owner, cells.tile)

    def average(self, wanted: int | None) -> int:
        """Return the reads behind a value: those wanted, or what is usual."""
        return wanted or min(USUAL_AVERAGE, self.tile.capabilities.average_max)

    def shape(self, name: str | None) -> str:
        """Return the name of a pulse shape, the first one by default.

        Raises:
            ConfigurationError: there is no such shape.
        """
        known = self.configuration.shapes
        if name is None and known:
            return next(iter(known))
        if name is None or name not in known:
            near = nearest(name or "", known)
            raise ConfigurationError(
                f"shape: {name!r} is no pulse shape of {self.owner.capabilities.name}",
                remedy=f"did you mean {near}?" if near else f"shapes: {', '.join(known) or 'none'}",
            )
        return name

    def pulse(self, counts: int | NDArray[Any], shape: str | None = None) -> list[Operation]:
        """Return pulses on the cells, a number for all or one per cell; positive raises.

        Trains that are longer than one operation may give are split.
        """
        left = self.cells.block(counts).astype(np.int64)
        most = self.configuration.limits.pulses_per_operation
        most = MOST_COUNT if most is None else max(min(most, MOST_COUNT), 1)
        rows, cols = self.cells.lines
        operations: list[Operation] = []
        while left.any():
            now = np.clip(left, -most, most)
            left -= now
            operations.append(self.tile.new_pulse(rows, cols, now.astype(np.int16), shape))
        return operations

    def read(self, average: int) -> ReadCells:
        """Return a read of the main plane of the block."""
        rows, cols = self.cells.lines
        return self.tile.new_read_cells(rows, cols, average, Plane.MAIN)

    def wait(self, seconds: float) -> list[Operation]:
        """Return a wait of chip time, if it is a tick at least."""
        ticks = round(seconds / self.owner.capabilities.tick_seconds)
        return [Wait(ticks=ticks, **self.owner.identity())] if ticks > 0 else []

    @property
    def code_siemens(self) -> float:
        """Conductance of one code of one read."""
        tile = self.tile.capabilities
        return tile.adc_cells.lsb / tile.dac.full_scale

    def siemens(self, operation: Operation, result: Result) -> Values:
        """Return the conductance of each cell that a read gives."""
        assert isinstance(operation, ReadCells)
        assert result.values is not None
        codes = result.values[self.cells.picked].astype(np.float64)
        middle = self.tile.capabilities.middle_siemens
        return middle + codes * (self.code_siemens / operation.average)

    def saturated(self, result: Result) -> NDArray[np.bool_]:
        """Return which cells were read at the bound of the converter."""
        if result.saturated is None:
            return np.zeros(len(self.cells), np.bool_)
        return result.saturated[self.cells.picked]
