"""Makes the operations behind the verbs of a tile, and converts their results into SI units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwloop.capabilities import Capabilities, TileCapabilities
from hwloop.errors import ConfigurationError
from hwloop.operations import (
    GAIN_ONE,
    Direction,
    IntArray,
    Lines,
    Operation,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Result,
    Vmm,
)

FloatArray = NDArray[np.floating[Any]]
Axis = Literal["row", "column"]
LineSelection = int | Sequence[int] | IntArray | None
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Owner(Protocol):
    """What a tile needs of its chip to make operations."""

    @property
    def capabilities(self) -> Capabilities:
        """What the array can do."""
        ...

    @property
    def default_shape(self) -> str:
        """Name of the first pulse shape."""
        ...

    @property
    def configuration_hash(self) -> int:
        """Hash of the pulse shapes and limits in force."""
        ...

    def identity(self) -> dict[str, int]:
        """Return a fresh id and noise ordinal."""
        ...


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """An operation with the conversion of its result into SI units."""

    operation: Operation
    convert: Callable[[Result], T]


class Requests:
    """Makes the requests behind the verbs of a tile."""

    def __init__(self, chip: Owner, index: int) -> None:
        self.chip = chip
        self.index = index
        self.capabilities: TileCapabilities = chip.capabilities.tiles[index]

    @property
    def rows(self) -> int:
        """Number of word lines."""
        return self.capabilities.rows

    @property
    def cols(self) -> int:
        """Number of bit lines."""
        return self.capabilities.cols

    def new_vmm(
        self, direction: Direction, codes: IntArray, plane: Plane = Plane.DIFFERENCE
    ) -> Vmm:
        """Make a vector-matrix read of DAC codes, shape (samples, driven lines)."""
        return Vmm(
            tile=self.index, direction=direction, codes=codes, plane=plane, **self.chip.identity()
        )

    def new_read_cells(
        self,
        rows: Lines = None,
        cols: Lines = None,
        average: int = 1,
        plane: Plane = Plane.DIFFERENCE,
    ) -> ReadCells:
        """Make a read of the cells of a block."""
        return ReadCells(
            tile=self.index,
            rows=rows,
            cols=cols,
            average=average,
            plane=plane,
            **self.chip.identity(),
        )

    def new_pulse(
        self, rows: Lines, cols: Lines, counts: IntArray, shape: str | None = None
    ) -> Pulse:
        """Make explicit pulses, counts of shape (rows, cols)."""
        return Pulse(
            tile=self.index,
            rows=rows,
            cols=cols,
            counts=counts,
            shape=shape or self.chip.default_shape,
            configuration=self.chip.configuration_hash,
            **self.chip.identity(),
        )

    def new_outer_update(
        self,
        x_codes: IntArray,
        d_codes: IntArray,
        train_lengths: IntArray,
        x_gains: IntArray,
        d_gains: IntArray,
        shape: str | None = None,
    ) -> OuterUpdate:
        """Make a batch of rank-1 stochastic updates."""
        return OuterUpdate(
            tile=self.index,
            x_codes=x_codes,
            d_codes=d_codes,
            train_lengths=train_lengths,
            x_gains=x_gains,
            d_gains=d_gains,
            shape=shape or self.chip.default_shape,
            configuration=self.chip.configuration_hash,
            **self.chip.identity(),
        )

    def _pulse_request(self, row: int, col: int, count: int, shape: str | None) -> Request[int]:
        counts = np.array([[_whole("count", count)]], np.int16)
        operation = self.new_pulse(_lines("row", row), _lines("col", col), counts, shape)
        return Request(operation, lambda result: result.fired)

    def _read_request(
        self, rows: LineSelection, cols: LineSelection, average: int, plane: Plane
    ) -> Request[FloatArray]:
        operation = self.new_read_cells(
            _lines("rows", rows), _lines("cols", cols), _whole("average", average), plane
        )
        adc, dac = self.capabilities.adc_cells, self.capabilities.dac
        siemens = adc.lsb / dac.full_scale / average
        zero = 0.0 if plane is Plane.DIFFERENCE else self.capabilities.middle_siemens
        return Request(operation, lambda result: zero + _values(result) * siemens)

    def _line_request(
        self, index: int, axis: Axis, average: int, plane: Plane
    ) -> Request[FloatArray]:
        if axis not in ("row", "column"):
            raise ConfigurationError(f"axis is {axis!r}, expected 'row' or 'column'")
        row, col = (index, None) if axis == "row" else (None, index)
        request = self._read_request(row, col, average, plane)
        return Request(request.operation, lambda result: request.convert(result).ravel())

    def _vmm_request(
        self, direction: Direction, volts: ArrayLike, plane: Plane
    ) -> Request[FloatArray]:
        tile = self.capabilities
        forward = direction is Direction.FORWARD
        signal = _finite("volts", volts)
        single = signal.ndim == 1
        vectors = np.atleast_2d(signal)
        driven = tile.cols if forward else tile.rows
        if vectors.ndim != 2 or vectors.shape[1] != driven:
            raise ConfigurationError(
                f"volts has shape {signal.shape}, expected ({driven},) or (samples, {driven})"
            )
        if np.abs(vectors).max(initial=0) > tile.dac.full_scale * (1 + 1e-9):
            raise ConfigurationError(
                f"volts reaches {np.abs(vectors).max():g} V, "
                f"the converter {tile.dac.full_scale:g} V"
            )
        codes = np.rint(vectors / tile.dac.lsb).astype(np.int32)
        amperes = (tile.adc_forward if forward else tile.adc_backward).lsb

        def convert(result: Result) -> FloatArray:
            current = _values(result) * amperes
            return current[0] if single else current

        return Request(self.new_vmm(direction, codes, plane), convert)

    def _update_request(
        self, x: ArrayLike, d: ArrayLike, train_length: int | None, shape: str | None
    ) -> Request[int]:
        tile = self.capabilities
        length = min(31, tile.longest_train) if train_length is None else train_length
        codes = []
        for name, values, size in (("x", x, tile.cols), ("d", d, tile.rows)):
            array = np.atleast_2d(_finite(name, values))
            if array.ndim != 2 or array.shape[1] != size:
                raise ConfigurationError(
                    f"{name} has shape {array.shape}, expected ({size},) or (samples, {size})"
                )
            if np.abs(array).max(initial=0) > 1:
                raise ConfigurationError(
                    f"{name} reaches {np.abs(array).max():g}, "
                    "expected firing probabilities of -1 to 1"
                )
            codes.append(np.rint(array * tile.update_code_max).astype(np.int32))
        if len(codes[0]) != len(codes[1]):
            raise ConfigurationError(f"x has {len(codes[0])} samples, d has {len(codes[1])}")
        samples = len(codes[0])
        full = np.full(samples, GAIN_ONE, np.int32)
        lengths = np.full(samples, _whole("train_length", length), np.int32)
        operation = self.new_outer_update(codes[0], codes[1], lengths, full, full, shape)
        return Request(operation, lambda result: result.fired)


def _values(result: Result) -> IntArray:
    assert result.values is not None
    return result.values


def _whole(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ConfigurationError(f"{name} is {value!r}, expected a whole number")
    if not -32767 <= value <= 32767:
        raise ConfigurationError(f"{name} is {value}, expected at most 32767")
    return int(value)


def _lines(name: str, lines: LineSelection) -> Lines:
    if lines is None:
        return None
    array = np.atleast_1d(np.asarray(lines))
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise ConfigurationError(f"{name} is {lines!r}, expected a line index or a list of them")
    return array.astype(np.int32)


def _finite(name: str, values: ArrayLike) -> FloatArray:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} is not an array of numbers: {error}") from error
    if not np.isfinite(array).all():
        raise ConfigurationError(f"{name} holds NaN or infinite values")
    return array
