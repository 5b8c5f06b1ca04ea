"""The array under test, with a bound on what is done to it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.backend import CrossbarBackend
from hwloop.capabilities import Capabilities, Configuration, TileCapabilities
from hwloop.conformance.dose import Budget
from hwloop.conformance.region import Cell
from hwloop.conformance.results import check_result
from hwloop.conformance.scope import Scope
from hwloop.crossbar import Chip
from hwloop.errors import CrossbarError, DeviceError
from hwloop.operations import (
    GAIN_ONE,
    Configure,
    Direction,
    Operation,
    OperationClass,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Result,
    Snapshot,
    Vmm,
    code_dtype,
)

SECONDS = 120.0
"""Longest wait for an answer; silence for that long is a failure, not a slow array."""

READS = 64
"""Reads of a cell behind one value."""

FREEDOM = 32
"""Repeated reads, those of all cells together, that an error is taken from at least."""

Values = NDArray[np.float64]
Opener = Callable[[], CrossbarBackend]


class Rig:
    """An open array, and what a check needs of it.

    Args:
        open_array: opens the array.
        scope: what may be done to it.
        arm: id of the physical array that may be moved.

    Attributes:
        pictures: what checks leave for the report, by name.
    """

    def __init__(self, open_array: Opener, scope: Scope, *, arm: str | None = None) -> None:
        self.open_array = open_array
        self.scope = scope
        self.arm = arm
        self.pictures: dict[str, Any] = {}
        self.malformed: list[str] = []
        self.answered = 0
        self._kept: dict[str, Any] = {}
        self.backend = open_array()
        try:
            self.chip = Chip(self.backend, arm=arm)
        except BaseException:
            with contextlib.suppress(Exception):
                self.backend.close()
            raise
        self.capabilities: Capabilities = self.chip.capabilities
        physical = self.capabilities.kind == "physical"
        region = scope.region if physical else None
        self.budget = Budget(self.capabilities.tiles, region, scope.dose)

    @property
    def tile(self) -> TileCapabilities:
        """The tile under test."""
        return self.capabilities.tiles[self.scope.region.tile]

    @property
    def rows(self) -> list[int]:
        """Rows that are looked at."""
        return self.scope.region.rows

    @property
    def cols(self) -> list[int]:
        """Columns that are looked at."""
        return self.scope.region.cols

    @property
    def plane(self) -> Plane:
        """The plane that is read where it does not matter: the difference, if there is one."""
        has = self.tile.reference in ("cell", "column")
        return Plane.DIFFERENCE if has else Plane.MAIN

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what several checks share, made when it is first asked for."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    # --- sending --------------------------------------------------------------------------------

    def run(self, *operations: Operation) -> list[Result]:
        """Execute operations as one submission, through the guard, and return their results.

        Raises:
            CrossbarError: one was refused or failed; the array has been cleared since.
        """
        for operation in operations:
            self.budget.charge(operation)
        try:
            results = self.chip.submit(operations).results()
        except CrossbarError:
            self.clear()
            raise
        return self._checked(operations, results)

    def one(self, operation: Operation) -> Result:
        """Execute one operation."""
        return self.run(operation)[0]

    def charge(self, operations: Sequence[Operation]) -> None:
        """Count operations that go straight to the backend, here and in the guard's ledger."""
        for operation in operations:
            self.budget.charge(operation)
        self.chip.guard.admit([self._usual(operation) for operation in operations])

    def straight(self, *operations: Operation) -> list[Result]:
        """Execute operations that nobody counts: reads, configurations, and malformed ones."""
        try:
            return self.backend.wait(self.backend.submit(operations), SECONDS)
        except CrossbarError:
            self.clear()
            raise

    def clear(self) -> None:
        """Allow execution again."""
        with contextlib.suppress(CrossbarError):
            self.backend.clear()

    @contextlib.contextmanager
    def configured(self, configuration: Configuration) -> Iterator[int]:
        """Install another configuration for the time of a block; gives its hash."""
        try:
            self.straight(Configure(content_json=configuration.canonical()))
            yield configuration.hash()
        finally:
            self.straight(Configure(content_json=self.chip.configuration.canonical()))

    def _usual(self, operation: Operation) -> Operation:
        if operation.repeat is not OperationClass.CONSUMING or not hasattr(
            operation, "configuration"
        ):
            return operation
        changed: Operation = dataclasses.replace(
            operation,
            configuration=self.chip.configuration_hash,  # type: ignore[call-arg]
        )
        return changed

    def _checked(self, operations: Sequence[Operation], results: list[Result]) -> list[Result]:
        self.answered += len(results)
        if len(results) != len(operations):
            text = f"{len(results)} results to {len(operations)} operations"
            self.malformed.append(text)
            raise DeviceError(text)
        for operation, result in zip(operations, results, strict=True):
            faults = check_result(operation, result, self.capabilities.tiles[operation.tile])
            if faults:
                self.malformed += faults
                raise DeviceError(faults[0])
        return results

    # --- making ---------------------------------------------------------------------------------

    def pulse(self, cell: Cell, count: int, *, tile: int | None = None) -> Pulse:
        """Make pulses on one cell."""
        return self.pulses([cell[0]], [cell[1]], np.array([[count]], np.int16), tile=tile)

    def pulses(
        self, rows: Sequence[int], cols: Sequence[int], counts: Any, *, tile: int | None = None
    ) -> Pulse:
        """Make pulses on a block, counts of shape (rows, cols)."""
        return Pulse(
            tile=self.scope.region.tile if tile is None else tile,
            rows=np.asarray(rows, np.int32),
            cols=np.asarray(cols, np.int32),
            counts=np.asarray(counts, np.int16),
            shape=self.chip.default_shape,
            configuration=self.chip.configuration_hash,
            **self.chip.identity(),
        )

    def update(
        self, x: dict[int, int], d: dict[int, int], train_length: int, samples: int = 1
    ) -> OuterUpdate:
        """Make a seeded update from codes by line."""
        tile = self.tile
        return OuterUpdate(
            tile=self.scope.region.tile,
            x_codes=_codes(x, tile.cols, samples, tile.update_code_max),
            d_codes=_codes(d, tile.rows, samples, tile.update_code_max),
            train_lengths=np.full(samples, train_length, np.int32),
            x_gains=np.full(samples, GAIN_ONE, np.int32),
            d_gains=np.full(samples, GAIN_ONE, np.int32),
            shape=self.chip.default_shape,
            configuration=self.chip.configuration_hash,
            **self.chip.identity(),
        )

    def trains(self, x: dict[int, int], d: dict[int, int], slots: int) -> OuterTrains:
        """Make an update of given trains, signs by line, the same in every slot."""
        tile = self.tile
        x_trains = np.repeat(_codes(x, tile.cols, 1, 1)[:, None, :], slots, axis=1)
        d_trains = np.repeat(_codes(d, tile.rows, 1, 1)[:, None, :], slots, axis=1)
        return OuterTrains(
            tile=self.scope.region.tile,
            x_trains=x_trains.astype(np.int8),
            d_trains=d_trains.astype(np.int8),
            shape=self.chip.default_shape,
            configuration=self.chip.configuration_hash,
            **self.chip.identity(),
        )

    def read(
        self,
        rows: Sequence[int] | None = None,
        cols: Sequence[int] | None = None,
        *,
        average: int = 1,
        plane: Plane | None = None,
        tile: int | None = None,
    ) -> ReadCells:
        """Make a read of a block, by default of all that is looked at."""
        return ReadCells(
            tile=self.scope.region.tile if tile is None else tile,
            rows=np.asarray(self.rows if rows is None else rows, np.int32),
            cols=np.asarray(self.cols if cols is None else cols, np.int32),
            average=average,
            plane=self.plane if plane is None else plane,
            **self.chip.identity(),
        )

    def vmm(self, direction: Direction, codes: NDArray[Any]) -> Vmm:
        """Make a vector-matrix read of codes, shape (samples, driven lines)."""
        return Vmm(
            tile=self.scope.region.tile,
            direction=direction,
            codes=codes,
            plane=self.plane,
            **self.chip.identity(),
        )

    def vectors(self, direction: Direction, samples: int = 1) -> NDArray[Any]:
        """Return codes of nothing for a vector-matrix read, shape (samples, driven lines)."""
        tile = self.tile
        size = tile.cols if direction is Direction.FORWARD else tile.rows
        return np.zeros((samples, size), code_dtype(tile.dac.code_max))

    def harmless(self) -> Operation | None:
        """Make a read of next to nothing."""
        if ReadCells.kind in self.capabilities.operations:
            return self.read([self.rows[0]], [self.cols[0]])
        if Vmm.kind in self.capabilities.operations:
            return self.vmm(Direction.FORWARD, self.vectors(Direction.FORWARD))
        return None

    # --- moving and looking ---------------------------------------------------------------------

    def move(self, cell: Cell, count: int) -> int:
        """Give a cell pulses, in as many operations as its limits ask for; return those fired."""
        most = self.chip.configuration.limits.pulses_per_operation or count
        fired, left = 0, abs(count)
        while left > 0:
            part = min(left, abs(most), 30_000)
            fired += self.one(self.pulse(cell, part if count > 0 else -part)).fired
            left -= part
        return fired

    def cells(
        self,
        rows: Sequence[int] | None = None,
        cols: Sequence[int] | None = None,
        *,
        plane: Plane | None = None,
        tile: int | None = None,
        reads: int = READS,
    ) -> tuple[Values, float]:
        """Return means of cell reads in device units, shape (rows, cols), and their error."""
        block = len(self.rows if rows is None else rows) * len(self.cols if cols is None else cols)
        repeats = max(4, -(-FREEDOM // block))  # for a small block, more of them
        average = min(self.tile.average_max, max(reads // repeats, 1))
        count = max(repeats, -(-reads // average))
        operations = [
            self.read(rows, cols, average=average, plane=plane, tile=tile) for _ in range(count)
        ]
        codes = [result.values for result in self.run(*operations)]
        stacked = np.asarray(codes, np.float64) / average * self.cell_unit
        return mean_and_error(stacked, self.cell_unit)

    @property
    def cell_unit(self) -> float:
        """Device units of one code of a cell read."""
        return self.tile.adc_cells.lsb / self.tile.dac.full_scale / self.tile.cell_siemens

    def output_unit(self, direction: Direction) -> float:
        """Return device units of one code of a vector-matrix read with one full input."""
        tile = self.tile
        adc = tile.adc_forward if direction is Direction.FORWARD else tile.adc_backward
        return adc.lsb / tile.dac.full_scale / tile.cell_siemens

    def snapshot(self, tile: int | None = None) -> NDArray[np.uint32] | None:
        """Return the state of a virtual tile, None where it does not show it."""
        if "snapshot" not in self.capabilities.operations:
            return None
        operation = Snapshot(tile=self.scope.region.tile if tile is None else tile)
        values = self.straight(operation)[0].values
        return None if values is None else np.asarray(values, np.uint32)

    def given(self, cell: Cell) -> int | None:
        """Return the pulses that a cell of a virtual array has had, None if it does not say."""
        state = self.snapshot()
        return None if state is None else int(state[3][cell])

    def close(self) -> None:
        """Let the array go."""
        self.chip.close()


def mean_and_error(repeats: Values, lsb: float) -> tuple[Values, float]:
    """Return the mean over the first axis, and the standard error common to all entries.

    The error is no smaller than that of a rounding to `lsb`.
    """
    count = len(repeats)
    variance = float(repeats.var(axis=0, ddof=1).mean()) if count > 1 else 0.0
    return repeats.mean(axis=0), float(np.sqrt(variance / count + (lsb / 4) ** 2))


def _codes(lines: dict[int, int], size: int, samples: int, most: int) -> NDArray[Any]:
    codes = np.zeros((samples, size), code_dtype(most))
    for line, code in lines.items():
        codes[:, line] = code
    return codes
