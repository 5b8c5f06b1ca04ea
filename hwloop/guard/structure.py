"""Whether an operation is well formed for its tile."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwloop.capabilities import TileCapabilities
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import (
    GAIN_ONE,
    Direction,
    Form,
    IntArray,
    Lines,
    Operation,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Reset,
    Restore,
    Vmm,
)


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
        case Form() | Reset():
            _check_lines("rows", operation.rows, tile.rows)
            _check_lines("cols", operation.cols, tile.cols)
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
