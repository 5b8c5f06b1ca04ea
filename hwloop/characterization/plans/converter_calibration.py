"""Converter calibration: gain and offset of each output line, from reads of known currents.

The known currents are those that the cells, read one by one, should give for random codes on the
driven lines; vectors without any input give the offset. Cell reads and the converters that drive
the lines are taken as right. An error of the cells' values goes into the gain of a line as a whole,
and is not in its stated error; cells are read often enough to make it small.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwloop.characterization.measurement import Measurement
from hwloop.characterization.plans.base import Count, Plan, Step, Steps
from hwloop.device_file import ConverterCalibration
from hwloop.device_file.quantities import MeasurementKind
from hwloop.errors import ConfigurationError
from hwloop.operations import Direction, Plane
from hwloop.procedures.bench import Bench
from hwloop.random import host_generator

AXES: tuple[Literal["forward", "backward"], ...] = ("forward", "backward")
"""Names of the values 0 and 1 of the column `axis`."""

USUAL_CELL_AVERAGE = 4096

FEWEST_SAMPLES = 8
"""Unsaturated samples that a line needs."""

SIGNIFICANT = 5.0
"""Standard errors by which the slope of a line has to be above 0."""


class ConverterCalibrationPlan(Plan):
    """Reads of all cells, then forward and backward reads of random vectors and of zeros.

    Always of a whole tile, whatever cells are chosen. No pulse is given.
    """

    kind: ClassVar[MeasurementKind] = "converter_calibration"
    own: ClassVar[Mapping[str, tuple[str, str]]] = {
        "sample": ("1", "number of the vector that was read")
    }

    vectors: Annotated[int, Field(ge=8, le=1_000_000)] = 512
    """Random vectors of each axis."""

    zeros: Count = 64
    """Vectors without any input, of each axis."""

    axes: tuple[Literal["forward", "backward"], ...] = Field(default=AXES, min_length=1)
    """Axes to calibrate."""

    average: Count | None = None
    """Reads behind a cell's value; 4096, or as many as the tile sums, by default."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of the vectors."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Operations that the array has to understand."""
        return ("read_cells", "vmm")

    def steps(self, bench: Bench) -> Steps:
        """Yield the cell reads, then the vector reads of each axis."""
        tile = bench.tile.capabilities
        average = self.average or min(USUAL_CELL_AVERAGE, tile.average_max)
        read = bench.tile.new_read_cells(None, None, average, Plane.MAIN)
        answer = yield Step([read], awaited=True)
        siemens: NDArray[np.floating[Any]] = np.zeros((tile.rows, tile.cols))
        if answer is not None:
            assert answer[0].values is not None
            # Vector reads of one plane leave the middle conductance out, as codes do.
            siemens = answer[0].values * (bench.code_siemens / average)
        for axis in self.axes:
            forward = axis == "forward"
            codes = self._codes(axis, tile.cols if forward else tile.rows, tile.dac.code_max)
            direction = Direction.FORWARD if forward else Direction.BACKWARD
            operation = bench.tile.new_vmm(direction, codes, Plane.MAIN)
            answer = yield Step([operation], awaited=True)
            lines = np.arange(tile.rows if forward else tile.cols)
            expected: NDArray[np.floating[Any]]
            measured: NDArray[np.floating[Any]]
            if answer is None:
                expected = measured = saturated = np.zeros((len(codes), len(lines)))
            else:
                values, flags = answer[0].values, answer[0].saturated
                assert values is not None and flags is not None
                volts = codes * tile.dac.lsb
                expected = volts @ (siemens.T if forward else siemens)
                adc = tile.adc_forward if forward else tile.adc_backward
                measured = values * adc.lsb
                saturated = flags.astype(np.float64)
            sample = np.arange(len(codes))
            yield Step(
                lines={
                    "tile": bench.cells.tile,
                    "axis": AXES.index(axis),
                    "line": np.repeat(lines, len(codes)),
                    "sample": np.tile(sample, len(lines)),
                    "expected_amperes": expected.T.ravel(),
                    "measured_amperes": measured.T.ravel(),
                    "saturated": saturated.T.ravel().astype(int),
                }
            )

    def _codes(self, axis: str, lines: int, code_max: int) -> NDArray[np.int32]:
        draw = host_generator(self.seed, "calibration", AXES.index(axis))
        sizes = draw.uniform(0.2, 1, (self.vectors, 1))
        vectors = np.rint(draw.uniform(-1, 1, (self.vectors, lines)) * sizes * code_max)
        return np.concatenate([vectors, np.zeros((self.zeros, lines))]).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration with its standard errors.

    Attributes:
        calibration: gain and offset per output line, as a station file takes them.
        gain_error, offset_error_amperes: standard errors, shape (lines,).
    """

    calibration: ConverterCalibration
    gain_error: NDArray[np.float64]
    offset_error_amperes: NDArray[np.float64]


def calibrate(data: Measurement, date: datetime.date, source: str = "") -> list[Calibrated]:
    """Return the calibrations that measured data give, one per axis, by least squares.

    Args:
        data: of the kind `converter_calibration`.
        date: day of the measurement.
        source: file of the data.

    Raises:
        ConfigurationError: data of another kind, or a line without enough unsaturated samples.
    """
    if data.kind != "converter_calibration":
        raise ConfigurationError(f"{data.kind} data give no converter calibration")
    columns, found = data.columns, []
    for axis in np.unique(columns["axis"]):
        gains, offsets, gain_errors, offset_errors = [], [], [], []
        of_axis = columns["axis"] == axis
        for line in np.unique(columns["line"][of_axis]):
            rows = of_axis & (columns["line"] == line) & (columns["saturated"] == 0)
            x, y = columns["expected_amperes"][rows], columns["measured_amperes"][rows]
            n, spread = len(x), float(((x - x.mean()) ** 2).sum()) if len(x) else 0.0
            if n < FEWEST_SAMPLES or spread == 0:
                raise _says_nothing(AXES[axis], int(line), x)
            slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
            offset = float(y.mean() - slope * x.mean())
            noise = float(np.sqrt(((y - offset - slope * x) ** 2).sum() / (n - 2)))
            if slope < SIGNIFICANT * noise / np.sqrt(spread):
                raise _says_nothing(AXES[axis], int(line), x)
            gains.append(1 / slope)
            offsets.append(offset)
            gain_errors.append(noise / np.sqrt(spread) / slope**2)
            offset_errors.append(noise * np.sqrt(1 / n + x.mean() ** 2 / spread))
        calibration = ConverterCalibration(
            chip_id=data.header.device.chip_id,
            date=date,
            tile=int(columns["tile"][of_axis][0]),
            axis=AXES[axis],
            gain=tuple(gains),
            offset_amperes=tuple(offsets),
            source=source,
        )
        found.append(Calibrated(calibration, np.array(gain_errors), np.array(offset_errors)))
    return found


def _says_nothing(axis: str, line: int, amperes: NDArray[np.float64]) -> ConfigurationError:
    return ConfigurationError(
        f"{axis} line {line}: {len(amperes)} unsaturated samples with currents of up to "
        f"{np.abs(amperes).max(initial=0):g} A say nothing of its gain",
        remedy="read more vectors, bring its cells to other conductances, or drive it with less",
    )
