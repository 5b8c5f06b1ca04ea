"""One check of every operation, for every backend and for dry runs, and the ledger of dose.

Nothing is ever clipped: an operation passes as it is or is refused, and a refused one has not been
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.capabilities import Capabilities, Configuration, PolarityShape, TileCapabilities
from hwloop.errors import CapabilityError, ConfigurationError, CrossbarError, SafetyError
from hwloop.operations import (
    GAIN_ONE,
    Configure,
    Direction,
    Form,
    IntArray,
    Lines,
    Operation,
    OperationClass,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Reset,
    Restore,
    Vmm,
)

HALF_SELECT_SHARE = {"V/2": 1 / 2, "V/3": 1 / 3, "1T1R": 0.0}
"""Share of a pulse's voltage that a half-selected cell sees, by bias scheme."""

CountArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dose:
    """Most pulses that an operation may give.

    Attributes:
        cell_max: on any one cell.
        row, col: per line, summed over its cells; shapes (rows,) and (cols,).
        cells: per cell, shape (rows, cols), made on demand.
    """

    cell_max: int
    row: CountArray
    col: CountArray
    cells: Callable[[], CountArray]


class Ledger:
    """Pulses charged per line and, where a limit asks for it, per cell, tile by tile."""

    def __init__(self, capabilities: Capabilities, *, per_cell: bool) -> None:
        self.row = [np.zeros(t.rows, np.int64) for t in capabilities.tiles]
        self.col = [np.zeros(t.cols, np.int64) for t in capabilities.tiles]
        self.cells: list[CountArray] | None = None
        if per_cell:
            self.cells = [np.zeros((t.rows, t.cols), np.int64) for t in capabilities.tiles]

    def charge(self, tile: int, dose: Dose) -> None:
        """Add a dose."""
        self.row[tile] += dose.row
        self.col[tile] += dose.col
        if self.cells is not None:
            self.cells[tile] += dose.cells()

    def state(self) -> dict[str, CountArray]:
        """Return the counts as named arrays."""
        arrays = {f"row{i}": a for i, a in enumerate(self.row)}
        arrays |= {f"col{i}": a for i, a in enumerate(self.col)}
        arrays |= {f"cells{i}": a for i, a in enumerate(self.cells or ())}
        return {name: array.copy() for name, array in arrays.items()}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Take the counts of `state`."""
        for name, mine in (("row", self.row), ("col", self.col), ("cells", self.cells or ())):
            for i, array in enumerate(mine):
                array[...] = arrays[f"{name}{i}"]


def _indices(lines: Lines, size: int) -> IntArray:
    return np.arange(size) if lines is None else lines


def pulse_dose(operation: Pulse, tile: TileCapabilities) -> Dose:
    """Return the dose of explicit pulses: exact."""
    rows, cols = _indices(operation.rows, tile.rows), _indices(operation.cols, tile.cols)
    counts = np.abs(operation.counts.astype(np.int64))

    def cells() -> CountArray:
        full = np.zeros((tile.rows, tile.cols), np.int64)
        full[np.ix_(rows, cols)] = counts
        return full

    row, col = np.zeros(tile.rows, np.int64), np.zeros(tile.cols, np.int64)
    row[rows] = counts.sum(axis=1)
    col[cols] = counts.sum(axis=0)
    return Dose(int(counts.max(initial=0)), row, col, cells)


def outer_dose(operation: OuterUpdate) -> Dose:
    """Return the largest dose of a seeded update: all active lines fire in every slot."""
    x = operation.x_codes != 0
    d = operation.d_codes != 0
    lengths = operation.train_lengths.astype(np.int64)
    row = (lengths * x.sum(axis=1)) @ d
    col = (lengths * d.sum(axis=1)) @ x
    cell_max = int((lengths * (x.any(axis=1) & d.any(axis=1))).sum())
    return Dose(cell_max, row, col, lambda: (d * lengths[:, None]).T @ x.astype(np.int64))


def trains_dose(operation: OuterTrains) -> Dose:
    """Return the dose of an update by given trains: exact."""
    x = (operation.x_trains != 0).reshape(-1, operation.x_trains.shape[-1]).astype(np.int64)
    d = (operation.d_trains != 0).reshape(-1, operation.d_trains.shape[-1]).astype(np.int64)
    cells = d.T @ x
    return Dose(int(cells.max(initial=0)), cells.sum(axis=1), cells.sum(axis=0), lambda: cells)


class Guard:
    """Checks operations against capabilities, configuration and limits, and keeps the ledger.

    The ledger is kept for physical arrays, and wherever a limit on pulses is in force.

    Args:
        capabilities: what the array can do.
        configuration: pulse shapes and limits in force: the tightest of device, station and device
        file. armed: whether consuming operations may move the array at all.
    """

    def __init__(
        self, capabilities: Capabilities, configuration: Configuration, *, armed: bool
    ) -> None:
        self.capabilities = capabilities
        self.configuration = configuration
        self.configuration_hash = configuration.hash()
        self.armed = armed
        limits = configuration.limits
        self.ledger = Ledger(capabilities, per_cell=limits.dose_per_cell is not None)
        # A virtual array counts its pulses itself, and wears only where a limit says so.
        self._counts_dose = capabilities.kind == "physical" or any(
            most is not None
            for most in (limits.pulses_per_operation, limits.dose_per_cell, limits.dose_per_line)
        )
        self._shape_faults = {
            name: shape_faults(shape.up, configuration, capabilities.bias_scheme)
            + shape_faults(shape.down, configuration, capabilities.bias_scheme)
            for name, shape in configuration.shapes.items()
        }

    def admit(self, operations: Sequence[Operation]) -> None:
        """Check operations that are about to be sent, all of them before the first is charged.

        Raises:
            ConfigurationError: an operation is malformed: shapes, codes, lines.
            CapabilityError: the array cannot do it.
            SafetyError: a limit forbids it.
        """
        doses: list[tuple[int, Dose]] = []
        for operation in operations:
            try:
                dose = self._check(operation, doses)
            except CrossbarError as error:
                error.operation_id = operation.id
                raise
            if dose is not None:
                doses.append((operation.tile, dose))
        for tile, dose in doses:
            self.ledger.charge(tile, dose)

    def _check(self, operation: Operation, before: list[tuple[int, Dose]]) -> Dose | None:
        caps = self.capabilities
        if operation.kind not in caps.operations:
            raise CapabilityError(
                f"{caps.name} does not understand {operation.kind!r}; it understands "
                f"{', '.join(sorted(caps.operations))}",
                remedy="name a lowering that builds it out of these, if there is one",
            )
        if not 0 <= operation.tile < len(caps.tiles):
            raise ConfigurationError(
                f"tile {operation.tile} does not exist: {caps.name} has {len(caps.tiles)}"
            )
        tile = caps.tiles[operation.tile]
        check_structure(operation, tile)
        if isinstance(operation, Configure):
            for name, faults in self._shape_faults.items():
                if faults:
                    raise SafetyError(f"pulse shape {name!r}: {faults[0]}")
        if operation.repeat is OperationClass.CONSUMING and operation.kind != "wait":
            return self._check_consuming(operation, tile, before)
        return None

    def _check_consuming(
        self, operation: Operation, tile: TileCapabilities, before: list[tuple[int, Dose]]
    ) -> Dose | None:
        if not self.armed:
            raise SafetyError(
                f"{self.capabilities.name} is a physical array and is not armed",
                remedy=f"arm it by its id: --arm {self.capabilities.chip_id}",
            )
        limits = self.configuration.limits
        if isinstance(operation, Form | Reset):
            if isinstance(operation, Form) and not limits.forming:
                raise SafetyError("forming is not allowed by the limits in force")
            return None
        assert isinstance(operation, Pulse | OuterUpdate | OuterTrains)
        self._check_shape(operation.shape)
        if operation.configuration != self.configuration_hash:
            raise SafetyError(
                "the operation was made under another configuration than the one in force"
            )
        if not self._counts_dose:
            return None
        dose = _dose(operation, tile)
        most = limits.pulses_per_operation
        if most is not None and dose.cell_max > most:
            raise SafetyError(
                f"{operation.kind} may give {dose.cell_max} pulses to a cell, "
                f"the limit pulses_per_operation is {most}",
                remedy="split the operation",
            )
        self._check_dose(operation.tile, dose, before)
        return dose

    def _check_shape(self, name: str) -> None:
        faults = self._shape_faults.get(name)
        if faults is None:
            raise ConfigurationError(
                f"unknown pulse shape {name!r}",
                remedy=f"use one of {', '.join(sorted(self._shape_faults))}",
            )
        if faults:
            raise SafetyError(f"pulse shape {name!r}: {faults[0]}")

    def _check_dose(self, tile: int, dose: Dose, before: list[tuple[int, Dose]]) -> None:
        limits = self.configuration.limits
        mine = [d for t, d in before if t == tile]
        if limits.dose_per_line is not None:
            for axis, charged in (("row", self.ledger.row), ("col", self.ledger.col)):
                total = charged[tile] + getattr(dose, axis) + sum(getattr(d, axis) for d in mine)
                line = int(total.argmax())
                if total[line] > limits.dose_per_line:
                    raise SafetyError(
                        f"{axis} {line} of tile {tile} would have had {int(total[line])} pulses, "
                        f"the limit dose_per_line is {limits.dose_per_line}"
                    )
        if limits.dose_per_cell is not None and self.ledger.cells is not None:
            total = self.ledger.cells[tile] + dose.cells() + sum(d.cells() for d in mine)
            row, col = np.unravel_index(int(total.argmax()), total.shape)
            if total[row, col] > limits.dose_per_cell:
                raise SafetyError(
                    f"cell row {row}, col {col} of tile {tile} would have had "
                    f"{int(total[row, col])} pulses, "
                    f"the limit dose_per_cell is {limits.dose_per_cell}"
                )


def _dose(operation: Pulse | OuterUpdate | OuterTrains, tile: TileCapabilities) -> Dose:
    if isinstance(operation, Pulse):
        return pulse_dose(operation, tile)
    if isinstance(operation, OuterUpdate):
        return outer_dose(operation)
    return trains_dose(operation)


def shape_faults(shape: PolarityShape, configuration: Configuration, bias_scheme: str) -> list[str]:
    """Return what the limits have against a pulse of one polarity."""
    limits = configuration.limits
    volts = abs(shape.amplitude_volts)
    checks = (
        ("amplitude", volts, limits.voltage_max, "V", "voltage_max"),
        (
            "half-select voltage",
            volts * HALF_SELECT_SHARE[bias_scheme],
            limits.half_select_max,
            "V",
            "half_select_max",
        ),
        ("width", shape.width_seconds, limits.width_max_seconds, "s", "width_max_seconds"),
        (
            "compliance",
            shape.compliance_amperes or 0.0,
            limits.compliance_max_amperes,
            "A",
            "compliance_max_amperes",
        ),
    )
    return [
        f"{what} {value:g} {unit} is over the limit {name} of {most:g} {unit}"
        for what, value, most, unit, name in checks
        if most is not None and value > most
    ]


def check_structure(operation: Operation, tile: TileCapabilities) -> None:
    """Check that an operation is well formed for its tile.

    Raises:
        ConfigurationError: wrong shape, code or line.
        CapabilityError: the tile lacks what it needs.
    """
    match operation:
        case Vmm():
            driven = tile.cols if operation.direction is Direction.FORWARD else tile.rows
            _check_plane(operation.plane, tile)
            _check_array("codes", operation.codes, (None, driven))
            _check_range("codes", operation.codes, -tile.dac.code_max, tile.dac.code_max)
        case ReadCells():
            _check_plane(operation.plane, tile)
            _check_lines("rows", operation.rows, tile.rows)
            _check_lines("cols", operation.cols, tile.cols)
            if not 1 <= operation.average <= tile.average_max:
                raise CapabilityError(
                    f"average is {operation.average}, expected 1 to {tile.average_max}"
                )
        case Pulse():
            _check_lines("rows", operation.rows, tile.rows)
            _check_lines("cols", operation.cols, tile.cols)
            rows = tile.rows if operation.rows is None else len(operation.rows)
            cols = tile.cols if operation.cols is None else len(operation.cols)
            _check_array("counts", operation.counts, (rows, cols))
            _check_range("counts", operation.counts, -32767, 32767)
        case OuterUpdate():
            if "seeded" not in tile.update_encodings:
                raise CapabilityError(
                    "the tile makes no pulse trains of its own",
                    remedy="use the lowering outer_by_trains or outer_by_counts",
                )
            samples = len(operation.x_codes)
            _check_array("x_codes", operation.x_codes, (samples, tile.cols))
            _check_array("d_codes", operation.d_codes, (samples, tile.rows))
            most = tile.update_code_max
            _check_range("x_codes", operation.x_codes, -most, most)
            _check_range("d_codes", operation.d_codes, -most, most)
            for name in ("train_lengths", "x_gains", "d_gains"):
                _check_array(name, getattr(operation, name), (samples,))
            _check_range("train_lengths", operation.train_lengths, 0, tile.longest_train)
            _check_range("x_gains", operation.x_gains, 1, GAIN_ONE)
            _check_range("d_gains", operation.d_gains, 1, GAIN_ONE)
        case OuterTrains():
            if "trains" not in tile.update_encodings:
                raise CapabilityError("the tile takes no pulse trains from the host")
            samples, slots = operation.x_trains.shape[:2]
            _check_array("x_trains", operation.x_trains, (samples, slots, tile.cols))
            _check_array("d_trains", operation.d_trains, (samples, slots, tile.rows))
            _check_range("x_trains", operation.x_trains, -1, 1)
            _check_range("d_trains", operation.d_trains, -1, 1)
        case Restore():
            _check_array("state", operation.state, (tile.state_words, tile.rows, tile.cols))


def _check_plane(plane: Plane, tile: TileCapabilities) -> None:
    if plane is not Plane.MAIN and tile.reference in ("none", "digital"):
        raise CapabilityError(
            f"the tile has no {plane.name.lower()} plane, its reference is {tile.reference!r}",
            remedy="read the main plane, or use the lowering host_reference",
        )


def _check_array(name: str, array: Any, shape: tuple[int | None, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
        raise ConfigurationError(f"{name} is not an array of integers")
    fits = len(array.shape) == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        expected = tuple("any" if n is None else n for n in shape)
        raise ConfigurationError(f"{name} has shape {array.shape}, expected {expected}")


def _check_range(name: str, array: IntArray, low: int, high: int) -> None:
    if array.size and (array.min() < low or array.max() > high):
        worst = int(array.min()) if array.min() < low else int(array.max())
        raise ConfigurationError(f"{name} holds {worst}, expected {low} to {high}")


def _check_lines(name: str, lines: Lines, size: int) -> None:
    if lines is None:
        return
    if not isinstance(lines, np.ndarray) or lines.dtype.kind not in "iu" or lines.ndim != 1:
        raise ConfigurationError(f"{name} is not a one-dimensional array of line indices")
    _check_range(name, lines, 0, size - 1)
    if len(lines) > 1 and len(np.unique(lines)) != len(lines):
        raise ConfigurationError(f"{name} names a line twice")
