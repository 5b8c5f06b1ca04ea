"""An ideal array in numpy behind `BlockingBackend`, as a lab would write its own backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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
from hwloop.operations import (
    Direction,
    Operation,
    OuterTrains,
    OuterUpdate,
    Pulse,
    ReadCells,
    Result,
    Vmm,
    Wait,
)

SHAPES = {
    "set": PulseShape(
        up=PolarityShape(amplitude_volts=1.2, width_seconds=1e-6, compliance_amperes=1e-4),
        down=PolarityShape(amplitude_volts=-1.0, width_seconds=1e-6),
    ),
    "hard": PulseShape(
        up=PolarityShape(amplitude_volts=3.0, width_seconds=1e-6),
        down=PolarityShape(amplitude_volts=-3.0, width_seconds=1e-6),
    ),
}
STEP = 1e-6
"""Siemens that one pulse adds or takes."""


class BenchArray(BlockingBackend):
    """Cells that move by `STEP` per pulse, read without noise; counts what was really executed."""

    def __init__(
        self,
        rows: int = 4,
        cols: int = 6,
        *,
        tiles: int = 2,
        kind: str = "virtual",
        limits: Limits | None = None,
        operations: frozenset[str] | None = None,
        encodings: tuple[str, ...] = ("trains",),
        reference: str = "none",
    ) -> None:
        super().__init__()
        self.cells = [np.zeros((rows, cols)) for _ in range(tiles)]
        self.executed: list[Operation] = []
        self.idled = 0
        self.hook: Callable[[Operation], None] = lambda operation: None
        tile = TileCapabilities.model_validate(
            {
                "rows": rows,
                "cols": cols,
                "reference": reference,
                "dac": Converter(code_max=63, full_scale=0.2),
                "adc_forward": Converter(code_max=4095, full_scale=20e-6),
                "adc_backward": Converter(code_max=4095, full_scale=20e-6),
                "adc_cells": Converter(code_max=4095, full_scale=20e-6),
                "cell_siemens": 50e-6,
                "update_code_max": 127,
                "longest_train": 63,
                "update_encodings": encodings,
                "average_max": 64,
            }
        )
        known = {"vmm", "read_cells", "pulse", "outer_trains", "outer_update", "configure", "wait"}
        self._capabilities = Capabilities.model_validate(
            {
                "name": "bench",
                "kind": kind,
                "chip_id": "bench-1",
                "tiles": (tile,) * tiles,
                "operations": frozenset(known if operations is None else operations),
                "configuration": Configuration(shapes=SHAPES, limits=limits or Limits()),
            }
        )

    def describe(self) -> Capabilities:
        """Return what the array can do."""
        return self._capabilities

    def idle(self) -> None:
        """Count the calls."""
        self.idled += 1

    def execute(self, operation: Operation) -> Result:
        """Execute one operation on ideal cells."""
        self.hook(operation)
        self.executed.append(operation)
        cells = self.cells[operation.tile]
        tile = self._capabilities.tiles[operation.tile]
        match operation:
            case Vmm():
                forward = operation.direction is Direction.FORWARD
                volts = operation.codes * tile.dac.lsb
                return self._read(volts @ (cells.T if forward else cells), tile.adc_forward)
            case ReadCells():
                block = _block(operation, cells)
                read = self._read(block * tile.dac.full_scale, tile.adc_cells)
                assert read.values is not None
                return Result(
                    values=read.values * operation.average, saturated=read.saturated, ticks=1
                )
            case Pulse():
                rows = np.arange(len(cells)) if operation.rows is None else operation.rows
                cols = np.arange(cells.shape[1]) if operation.cols is None else operation.cols
                cells[np.ix_(rows, cols)] += operation.counts * STEP
                return Result(fired=int(np.abs(operation.counts).sum()), ticks=1)
            case OuterTrains():
                x = operation.x_trains.reshape(-1, cells.shape[1]).astype(int)
                d = operation.d_trains.reshape(-1, cells.shape[0]).astype(int)
                cells += d.T @ x * STEP
                return Result(fired=int((np.abs(d).T @ np.abs(x)).sum()), ticks=len(x))
            case OuterUpdate():
                raise AssertionError("the bench array has no generator")
            case Wait():
                return Result(ticks=operation.ticks)
            case _:
                return Result()

    @staticmethod
    def _read(amperes: Any, adc: Converter) -> Result:
        exact = amperes / adc.lsb
        codes = np.clip(np.rint(exact), -adc.code_max, adc.code_max).astype(np.int32)
        return Result(values=codes, saturated=np.abs(exact) >= adc.code_max, ticks=1)


def _block(operation: ReadCells, cells: Any) -> Any:
    rows = slice(None) if operation.rows is None else operation.rows
    cols = slice(None) if operation.cols is None else operation.cols
    return cells[rows][:, cols]
