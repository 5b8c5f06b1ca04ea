"""An ideal array as a lab would write one: describe, execute, idle."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwloop.backend import BlockingBackend
from hwloop.capabilities import (
    Capabilities,
    Configuration,
    Converter,
    PolarityShape,
    PulseShape,
    TileCapabilities,
)
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError
from hwloop.operations import (
    GAIN_ONE,
    Configure,
    Direction,
    Lines,
    Operation,
    OuterUpdate,
    Pulse,
    ReadCells,
    Restore,
    Result,
    Snapshot,
    Vmm,
)

CODE_MAX = 2**23 - 1
RANGE = 16.0
STEP = PolarityShape(amplitude_volts=1.0, width_seconds=1e-6)


class IdealBackend(BlockingBackend):
    """Tiles of cells that move by exactly `delta` device units a pulse, without any noise.

    Attributes:
        cells: device units, float64, one array of shape (rows, cols) per tile.
        submissions: number of submissions since the configuration.
    """

    def __init__(
        self,
        shapes: list[tuple[int, int]],
        *,
        delta: float = 0.01,
        bound: float = 10.0,
        adc_range: float = RANGE,
        virtual: bool = True,
    ) -> None:
        super().__init__()
        self.cells = [np.zeros(shape) for shape in shapes]
        self.delta = delta
        self.bound = bound
        self.adc = Converter(code_max=CODE_MAX, full_scale=adc_range)
        self.virtual = virtual
        self.submissions = -1
        self.kinds: list[str] = []

    def describe(self) -> Capabilities:
        kinds = {"vmm", "read_cells", "pulse", "outer_update", "configure"}
        return Capabilities(
            name="ideal array",
            kind="virtual",
            chip_id="ideal",
            tiles=tuple(
                TileCapabilities(
                    rows=cells.shape[0],
                    cols=cells.shape[1],
                    reference="cell",
                    dac=Converter(code_max=CODE_MAX, full_scale=1.0),
                    adc_forward=self.adc,
                    adc_backward=self.adc,
                    adc_cells=Converter(code_max=CODE_MAX, full_scale=16.0),
                    cell_siemens=1.0,
                    update_code_max=32767,
                    longest_train=255,
                    update_encodings=("seeded",),
                    average_max=64,
                )
                for cells in self.cells
            ),
            operations=frozenset(kinds | ({"snapshot", "restore"} if self.virtual else set())),
            configuration=Configuration(shapes={"set": PulseShape(up=STEP, down=STEP)}),
        )

    def submit(self, operations: Any) -> Any:
        self.submissions += 1
        return super().submit(operations)

    def idle(self) -> None:
        pass

    def execute(self, operation: Operation) -> Result:
        self.kinds.append(operation.kind)
        cells = self.cells[operation.tile]
        match operation:
            case Configure():
                return Result()
            case Vmm():
                forward = operation.direction is Direction.FORWARD
                currents = operation.codes / CODE_MAX @ (cells.T if forward else cells)
                return self._converted(currents, self.adc)
            case ReadCells():
                block = cells[np.ix_(*_block(operation, cells))]
                cell_adc = Converter(code_max=CODE_MAX, full_scale=16.0)
                result = self._converted(block, cell_adc)
                assert result.values is not None
                values = (result.values * operation.average).astype(np.int32)
                return Result(values=values, saturated=result.saturated)
            case Pulse():
                cells[np.ix_(*_block(operation, cells))] += self.delta * operation.counts
            case OuterUpdate():
                return Result(fired=self._update(operation, cells))
            case Snapshot():
                state = np.zeros((4, *cells.shape), np.uint32)
                state[0] = state[1] = cells.astype(np.float32).view(np.uint32)
                return Result(values=state)
            case Restore():
                wanted = operation.state[0].astype(np.uint32).view(np.float32)
                cells[...] = wanted.clip(-self.bound, self.bound)
            case _:
                raise CapabilityError(f"{operation.kind} is not understood")
        np.clip(cells, -self.bound, self.bound, out=cells)
        return Result()

    def _update(self, operation: OuterUpdate, cells: Any) -> int:
        rng = np.random.default_rng([operation.ordinal, operation.tile])
        fired = 0
        for x, d, length, x_gain, d_gain in zip(
            operation.x_codes,
            operation.d_codes,
            operation.train_lengths,
            operation.x_gains,
            operation.d_gains,
            strict=True,
        ):
            for _ in range(length):
                x_fires = rng.random(len(x)) < np.abs(x) / 32767 * x_gain / GAIN_ONE
                d_fires = rng.random(len(d)) < np.abs(d) / 32767 * d_gain / GAIN_ONE
                hits = np.outer(np.sign(d) * d_fires, np.sign(x) * x_fires)
                cells += self.delta * hits
                fired += int(np.abs(hits).sum())
        return fired

    @staticmethod
    def _converted(currents: Any, adc: Converter) -> Result:
        codes = np.rint(currents / adc.lsb)
        saturated = np.abs(codes) >= adc.code_max
        return Result(
            values=codes.clip(-adc.code_max, adc.code_max).astype(np.int32), saturated=saturated
        )


def _block(operation: ReadCells | Pulse, cells: Any) -> tuple[Any, Any]:
    def lines(chosen: Lines, size: int) -> Any:
        return np.arange(size) if chosen is None else chosen

    return lines(operation.rows, cells.shape[0]), lines(operation.cols, cells.shape[1])


def ideal_chip(shapes: list[tuple[int, int]], **options: Any) -> tuple[Chip, IdealBackend]:
    backend = IdealBackend(shapes, **options)
    return Chip(backend), backend
