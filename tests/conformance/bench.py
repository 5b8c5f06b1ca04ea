"""A small bench that does all that is asked of it, for others to break."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.backend import BlockingBackend
from hwloop.capabilities import (
    Capabilities,
    Configuration,
    Converter,
    Limits,
    PolarityShape,
    PulseShape,
    TileCapabilities,
)
from hwloop.errors import CapabilityError, DeviceError
from hwloop.guard import Guard
from hwloop.operations import (
    GAIN_ONE,
    Configure,
    Direction,
    Form,
    Operation,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Result,
    Vmm,
    Wait,
)

VOLTS = 0.2
UNIT_SIEMENS = 40e-6
STEP = 0.05
"""Share of the way to its bound that a pulse moves a cell."""

NOISE = 0.01
"""Of one conversion, device units x full input."""

TICKS_PER_PULSE = 1000
RANGES = {"vmm": 2.0, "cells": 4.0}
"""Device units x full input at the largest codes."""


class Bench(BlockingBackend):
    """Cells between -1 and 1 and a reference plane; every pulse goes part of the way to a bound."""

    rows, cols, tiles = 3, 4, 2
    kind = "virtual"
    limits = Limits(voltage_max=2.0, pulses_per_operation=1000)
    remembered = 0
    """Largest id that any array of this class has begun: a chip remembers over sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = np.zeros((self.tiles, self.rows, self.cols))
        self.reference = np.full((self.rows, self.cols), 0.1)
        self.given = np.zeros((self.tiles, self.rows, self.cols), int)
        self.random = np.random.default_rng(1)
        self.guard: Guard | None = None
        self.idled = 0

    @property
    def last_id(self) -> int:
        return type(self).remembered

    def describe(self) -> Capabilities:
        amperes = UNIT_SIEMENS * VOLTS
        tile = TileCapabilities(
            rows=self.rows,
            cols=self.cols,
            reference="cell",
            dac=Converter(code_max=63, full_scale=VOLTS),
            adc_forward=Converter(code_max=511, full_scale=RANGES["vmm"] * amperes),
            adc_backward=Converter(code_max=511, full_scale=RANGES["vmm"] * amperes),
            adc_cells=Converter(code_max=2047, full_scale=RANGES["cells"] * amperes),
            cell_siemens=UNIT_SIEMENS,
            output_noise=NOISE * amperes,
            update_code_max=127,
            longest_train=40,
            update_encodings=("seeded", "trains"),
            generator="numpy",
            average_max=32,
        )
        shape = PulseShape(
            up=PolarityShape(amplitude_volts=1.5, width_seconds=1e-6, compliance_amperes=1e-4),
            down=PolarityShape(amplitude_volts=-1.5, width_seconds=1e-6),
        )
        kinds = (Configure, Vmm, ReadCells, Pulse, OuterUpdate, OuterTrains, Form, Wait)
        return Capabilities(
            name="bench",
            kind=self.kind,  # type: ignore[arg-type]
            chip_id="bench-7",
            tiles=(tile,) * self.tiles,
            operations=frozenset(kind.kind for kind in kinds),
            granularity=STEP,
            bias_scheme="V/2",
            configuration=Configuration(shapes={"set": shape}, limits=self.limits),
        )

    def installed(self) -> Configuration:
        return self.describe().configuration if self.guard is None else self.guard.configuration

    def idle(self) -> None:
        self.idled += 1

    def execute(self, operation: Operation) -> Result:
        if isinstance(operation, Configure):
            return self.configure(operation)
        self.admit(operation)
        match operation:
            case Vmm():
                return self.vmm(operation)
            case ReadCells():
                return self.read(operation)
            case Pulse():
                return self.pulse(operation)
            case OuterUpdate():
                return self.trains(operation, *self.drawn(operation))
            case OuterTrains():
                return self.trains(operation, operation.x_trains, operation.d_trains)
            case Form():
                return Result(fired=1, ticks=TICKS_PER_PULSE)
            case Wait():
                return Result(ticks=operation.ticks)
        raise CapabilityError(f"the bench has no {operation.kind}")

    def configure(self, operation: Configure) -> Result:
        asked = Configuration.model_validate_json(operation.content_json)
        if asked.limits.tightened(self.limits) != asked.limits:
            raise DeviceError("limits are looser than the bench's own")
        guard = Guard(self.describe(), asked, armed=True)
        guard.admit([operation])
        self.guard = guard
        return Result()

    def admit(self, operation: Operation) -> None:
        """Refuse what the limits forbid, what is malformed, and ids that were used."""
        if self.guard is None:
            raise DeviceError("no configuration is installed")
        if isinstance(operation, Form) and operation.configuration != self.guard.configuration_hash:
            raise DeviceError("another configuration")
        if operation.repeat.name == "CONSUMING" and operation.id:
            self.remember(operation)
        self.guard.admit([operation])

    def remember(self, operation: Operation) -> None:
        if operation.id <= type(self).remembered:
            raise DeviceError(f"operation {operation.id} is not a new one")
        type(self).remembered = operation.id

    # --- reads ----------------------------------------------------------------------------------

    def seen(self, tile: int, plane: Plane) -> NDArray[Any]:
        planes = (self.cells[tile], self.reference, self.cells[tile] - self.reference)
        return planes[plane]

    def vmm(self, operation: Vmm) -> Result:
        cells = self.seen(operation.tile, operation.plane)
        forward = operation.direction is Direction.FORWARD
        exact = self.driven(operation) @ (cells.T if forward else cells)
        return self.converted(exact, RANGES["vmm"], 511, ticks=len(exact))

    def driven(self, operation: Vmm) -> NDArray[Any]:
        return operation.codes / 63

    def read(self, operation: ReadCells) -> Result:
        block = self.seen(operation.tile, operation.plane)[np.ix_(*self.lines(operation))]
        reads = np.broadcast_to(block, (operation.average, *block.shape))
        result = self.converted(reads, RANGES["cells"], 2047)
        assert result.values is not None and result.saturated is not None
        return Result(
            values=result.values.sum(axis=0, dtype=np.int32),
            saturated=result.saturated.any(axis=0),
            ticks=operation.average,
        )

    def converted(self, exact: NDArray[Any], full: float, most: int, ticks: int = 1) -> Result:
        codes = np.rint((exact + self.noise(exact.shape)) / full * most)
        return Result(
            values=self.bounded(codes, most), saturated=self.flags(codes, most), ticks=ticks
        )

    def noise(self, shape: tuple[int, ...]) -> NDArray[Any]:
        return self.random.normal(0, NOISE, shape)

    def bounded(self, codes: NDArray[Any], most: int) -> NDArray[np.int32]:
        return np.clip(codes, -most, most).astype(np.int32)

    def flags(self, codes: NDArray[Any], most: int) -> NDArray[np.bool_]:
        return np.asarray(np.abs(codes) >= most)

    def lines(self, operation: ReadCells | Pulse) -> tuple[NDArray[Any], NDArray[Any]]:
        rows = np.arange(self.rows) if operation.rows is None else operation.rows
        cols = np.arange(self.cols) if operation.cols is None else operation.cols
        return rows, cols

    # --- pulses ---------------------------------------------------------------------------------

    def give(self, tile: int, row: int, col: int, count: int) -> int:
        """Give a cell pulses; returns those fired."""
        towards = 1.0 if count > 0 else -1.0
        keep = (1 - STEP) ** abs(count)
        self.cells[tile, row, col] = towards + keep * (self.cells[tile, row, col] - towards)
        self.given[tile, row, col] += abs(count)
        return abs(count)

    def pulse(self, operation: Pulse) -> Result:
        rows, cols = self.lines(operation)
        fired = sum(
            self.give(operation.tile, int(rows[i]), int(cols[j]), int(count))
            for (i, j), count in np.ndenumerate(operation.counts)
            if count
        )
        return Result(fired=fired, ticks=TICKS_PER_PULSE * fired)

    def drawn(self, operation: OuterUpdate) -> tuple[NDArray[Any], NDArray[Any]]:
        random = np.random.default_rng(operation.ordinal)
        slots = int(operation.train_lengths.max(initial=0))
        trains = []
        for codes, gains in (
            (operation.x_codes, operation.x_gains),
            (operation.d_codes, operation.d_gains),
        ):
            share = np.abs(codes) / 127 * (gains / GAIN_ONE)[:, None]
            fires = random.random((len(codes), slots, codes.shape[1])) < share[:, None, :]
            fires &= (np.arange(slots) < operation.train_lengths[:, None])[:, :, None]
            trains.append(fires * np.sign(codes)[:, None, :])
        return trains[0], trains[1]

    def trains(self, operation: Operation, x: NDArray[Any], d: NDArray[Any]) -> Result:
        fired = 0
        for sample_x, sample_d in zip(x.astype(int), d.astype(int), strict=True):
            for slot_x, slot_d in zip(sample_x, sample_d, strict=True):
                for row, col in np.argwhere(np.outer(slot_d, slot_x)):
                    sign = self.sign(int(slot_x[col]), int(slot_d[row]))
                    fired += self.give(operation.tile, int(row), int(col), sign)
        return Result(fired=fired, ticks=TICKS_PER_PULSE * x.shape[0] * x.shape[1])

    def sign(self, x: int, d: int) -> int:
        return x * d
