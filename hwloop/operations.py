"""The vocabulary of the seam: frozen operations on one tile, and their results.

Operations carry integers, as the converters of a chip see them. They are checked at the boundary
(`hwloop.crossbar` and `hwloop.guard`), not when they are made, so that making one costs about a
microsecond.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import IntEnum
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer[Any]]
Lines = NDArray[np.integer[Any]] | None
"""Indices of the lines of one axis; None means every line."""

GAIN_ONE = 65536
"""Gain of a side of an outer-product update at which the largest code always fires."""


def code_dtype(code_max: int) -> np.dtype[np.signedinteger[Any]]:
    """Return the narrowest type of codes up to a magnitude: tapes and links carry no wider one."""
    return np.dtype(np.int8 if code_max < 2**7 else np.int16 if code_max < 2**15 else np.int32)


class Direction(IntEnum):
    """Direction of a vector-matrix read: columns driven (forward) or rows driven (backward)."""

    FORWARD = 0
    BACKWARD = 1


class Plane(IntEnum):
    """Plane of conductances that a read sees."""

    MAIN = 0
    REFERENCE = 1
    DIFFERENCE = 2


class Verdict(IntEnum):
    """What is known of an operation's effect on the array."""

    APPLIED = 0
    NOT_APPLIED = 1
    PARTIAL = 2
    UNKNOWN = 3


class OperationClass(IntEnum):
    """How an operation may be repeated on a link.

    Pure and absolute ones freely, sampling ones under the same id, consuming ones never.
    """

    PURE = 0
    ABSOLUTE = 1
    SAMPLING = 2
    CONSUMING = 3


_SMALL_BYTES = 256
"""About what an operation or a result takes without its largest array."""


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return type(a) is type(b) and a == b


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Operation:
    """What every operation carries; its arrays are not changed once it is made.

    Attributes:
        tile: index of the tile on the chip.
        id: identity of the operation, unique per array for life; 0 before `Chip` gives one.
        ordinal: number that keys the operation's noise; given by `Chip`, untouched by chunking and
        retries.
    """

    kind: ClassVar[str] = ""
    repeat: ClassVar[OperationClass] = OperationClass.PURE

    tile: int
    id: int = field(default=0, kw_only=True)
    ordinal: int = field(default=0, kw_only=True)

    def content(self) -> dict[str, Any]:
        """Return the fields that say what to do: all but `id` and `ordinal`."""
        return {name: getattr(self, name) for name in CONTENT[type(self)]}

    @property
    def nbytes(self) -> int:
        """About the bytes that the operation takes in memory."""
        array = _LARGEST[type(self)](self)
        return _SMALL_BYTES if array is None else _SMALL_BYTES + array.nbytes

    def __eq__(self, other: object) -> bool:
        """Operations are equal if they ask for the same, whatever their identity."""
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, n), getattr(other, n)) for n in CONTENT[type(self)])

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Vmm(Operation):
    """Vector-matrix read of a batch of vectors.

    Attributes:
        direction: columns driven (forward) or rows driven (backward).
        codes: DAC codes, shape (samples, driven lines), best in `code_dtype`.
        plane: plane that is read.
    """

    kind: ClassVar[str] = "vmm"
    repeat: ClassVar[OperationClass] = OperationClass.SAMPLING

    direction: Direction
    codes: IntArray
    plane: Plane = Plane.DIFFERENCE


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReadCells(Operation):
    """Read of the cells of a line or block, one at a time by their own converter range.

    Attributes:
        rows, cols: the block's lines; None is every line.
        average: number of reads that are summed.
        plane: plane that is read.
    """

    kind: ClassVar[str] = "read_cells"
    repeat: ClassVar[OperationClass] = OperationClass.SAMPLING

    rows: Lines = None
    cols: Lines = None
    average: int = 1
    plane: Plane = Plane.DIFFERENCE


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pulse(Operation):
    """Whole pulses on the cells of a line, block or mask.

    Attributes:
        rows, cols: the block's lines; None is every line.
        counts: signed pulses per cell, int16, shape (rows, cols); positive raises the conductance.
        shape: name of the pulse shape.
        configuration: hash of the configuration and limits in force.
    """

    kind: ClassVar[str] = "pulse"
    repeat: ClassVar[OperationClass] = OperationClass.CONSUMING

    rows: Lines = None
    cols: Lines = None
    counts: IntArray
    shape: str
    configuration: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OuterUpdate(Operation):
    """A batch of rank-1 stochastic updates, made on the device from codes and its seeded generator.

    A line fires in a slot with probability `gain / GAIN_ONE * |code| / code_max`; a cell gets one
    pulse where its row and its column fire, upwards where the signs of their codes agree (Gokmen
    and Vlasov 2016).

    Attributes:
        x_codes: shape (samples, columns), best in `code_dtype`.
        d_codes: the same, shape (samples, rows).
        train_lengths: slots per sample, int32, shape (samples,).
        x_gains, d_gains: int32, shape (samples,), 1 to `GAIN_ONE`.
        shape: name of the pulse shape.
        configuration: hash of the configuration and limits in force.
    """

    kind: ClassVar[str] = "outer_update"
    repeat: ClassVar[OperationClass] = OperationClass.CONSUMING

    x_codes: IntArray
    d_codes: IntArray
    train_lengths: IntArray
    x_gains: IntArray
    d_gains: IntArray
    shape: str
    configuration: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OuterTrains(Operation):
    """A batch of rank-1 updates whose pulse trains the host has drawn.

    Attributes:
        x_trains: int8 in {-1, 0, 1}, shape (samples, slots, columns).
        d_trains: int8 in {-1, 0, 1}, shape (samples, slots, rows).
        shape: name of the pulse shape.
        configuration: hash of the configuration and limits in force.
    """

    kind: ClassVar[str] = "outer_trains"
    repeat: ClassVar[OperationClass] = OperationClass.CONSUMING

    x_trains: IntArray
    d_trains: IntArray
    shape: str
    configuration: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Form(Operation):
    """Forming of the cells of a block by a named recipe of the device."""

    kind: ClassVar[str] = "form"
    repeat: ClassVar[OperationClass] = OperationClass.CONSUMING

    rows: Lines = None
    cols: Lines = None
    recipe: str
    configuration: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reset(Operation):
    """Reset of the cells of a block to their low state by a named recipe of the device."""

    kind: ClassVar[str] = "reset"
    repeat: ClassVar[OperationClass] = OperationClass.CONSUMING

    rows: Lines = None
    cols: Lines = None
    recipe: str
    configuration: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Configure(Operation):
    """Installs the table of pulse shapes and the limits, as one object.

    Attributes:
        content_json: canonical JSON of the configuration (`hwloop.capabilities.Configuration`).
    """

    kind: ClassVar[str] = "configure"
    repeat: ClassVar[OperationClass] = OperationClass.ABSOLUTE

    tile: int = 0
    content_json: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Wait(Operation):
    """Lets the chip's clock run.

    Attributes:
        ticks: chip time to wait, in ticks of `Capabilities.tick_seconds`.
    """

    kind: ClassVar[str] = "wait"
    repeat: ClassVar[OperationClass] = OperationClass.CONSUMING

    tile: int = 0
    ticks: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Snapshot(Operation):
    """Reads the whole state of a tile of a virtual array, as `Restore.state`."""

    kind: ClassVar[str] = "snapshot"
    repeat: ClassVar[OperationClass] = OperationClass.PURE


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Restore(Operation):
    """Writes the whole state of a tile of a virtual array.

    A persistent value outside its cell's bounds becomes the bound, as after a pulse.

    Attributes:
        state: uint32, shape (`state_words` of the tile, rows, cols): bits of the float32 planes
            persistent, visible and reference, and the pulses counted per cell; where cells change
            with time also the tick of a cell's last pulse and the tick that it is, low words
            before high words.
    """

    kind: ClassVar[str] = "restore"
    repeat: ClassVar[OperationClass] = OperationClass.ABSOLUTE

    state: IntArray


KINDS: dict[str, type[Operation]] = {
    cls.kind: cls
    for cls in (
        Vmm,
        ReadCells,
        Pulse,
        OuterUpdate,
        OuterTrains,
        Form,
        Reset,
        Configure,
        Wait,
        Snapshot,
        Restore,
    )
}
"""Operation classes by their name in capabilities, tapes and protocol."""

CONTENT: dict[type[Operation], tuple[str, ...]] = {
    cls: tuple(f.name for f in fields(cls) if f.name not in ("id", "ordinal"))
    for cls in KINDS.values()
}
"""Names of the fields that say what an operation asks for, in canonical order."""

_LARGEST: dict[type[Operation], Callable[[Any], IntArray | None]] = {
    **dict.fromkeys(KINDS.values(), lambda operation: None),
    Vmm: attrgetter("codes"),
    Pulse: attrgetter("counts"),
    OuterUpdate: attrgetter("x_codes"),
    OuterTrains: attrgetter("x_trains"),
    Restore: attrgetter("state"),
}
"""The largest array of an operation."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Result:
    """What a backend answers to one operation.

    Attributes:
        id: id of the operation.
        verdict: what is known of its effect.
        values: integers of a read: ADC codes of a `Vmm`, int32, shape (samples, output lines); sums
        of codes of
            a `ReadCells`, int32, shape (rows, cols); state of a `Snapshot`; None otherwise.
        saturated: bool, one per value, where the converter was at its bound; None without a read.
        fired: pulses given by the operation, all cells together.
        ticks: chip time it took, in ticks of `Capabilities.tick_seconds`.
        distance: pulses between the state that an answer was made for and the nearest one that was
            ever measured; None for what is no estimate. No part of a result's identity.
    """

    id: int = 0
    verdict: Verdict = Verdict.APPLIED
    values: IntArray | None = None
    saturated: NDArray[np.bool_] | None = None
    fired: int = 0
    ticks: int = 0
    distance: int | None = None

    @property
    def nbytes(self) -> int:
        """About the bytes that the result takes in memory."""
        return _SMALL_BYTES if self.values is None else _SMALL_BYTES + 2 * self.values.nbytes

    def __eq__(self, other: object) -> bool:
        """Results are equal if they carry the same, whatever their id."""
        if type(other) is not Result:
            return NotImplemented
        names = ("verdict", "values", "saturated", "fired", "ticks")
        return all(_same(getattr(self, n), getattr(other, n)) for n in names)

    __hash__ = None  # type: ignore[assignment]
