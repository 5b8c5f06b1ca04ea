"""What an operation's arrays have to be before the core sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import DeviceError
from hwloop.operations import Operation
from hwloop_sim import core
from hwloop_sim.tile import Lines

MOST_SAMPLES = 1 << 24
"""Most samples of an operation; the generator counts no further."""


def check(
    operation: Operation,
    name: str,
    values: NDArray[Any],
    shape: tuple[int | None, ...],
    largest: int | None,
    *,
    least: int | None = None,
) -> None:
    """Refuse another shape or kind, or values outside least (-largest if None) to largest.

    Without `largest` any value is fine.
    """
    if values.dtype.kind not in "iu":
        raise DeviceError(f"{operation.kind}: {name}: {values.dtype}: expected integers")
    if values.shape != shape and not _same_shape(values.shape, shape):
        expected = ", ".join("any" if want is None else str(want) for want in shape)
        raise DeviceError(f"{operation.kind}: {name}: shape {values.shape}: expected ({expected})")
    if values.shape[0] > MOST_SAMPLES:
        raise DeviceError(f"{operation.kind}: {name}: more than {MOST_SAMPLES} samples")
    if largest is None:
        return
    smallest = -largest if least is None else least
    if not core.all_within(values, smallest, largest):
        low, high = int(values.min()), int(values.max())
        raise DeviceError(
            f"{operation.kind}: {name}: value {low if low < smallest else high}: "
            f"expected {smallest} to {largest}"
        )


def _same_shape(have: tuple[int, ...], want: tuple[int | None, ...]) -> bool:
    return len(have) == len(want) and all(
        w is None or w == h for h, w in zip(have, want, strict=True)
    )


def listed_lines(operation: Operation, name: str, lines: NDArray[Any] | None, count: int) -> Lines:
    """Return the lines of a block, or refuse them."""
    if lines is None:
        return None
    lines = np.asarray(lines)
    if lines.ndim != 1 or lines.dtype.kind not in "iu":
        raise DeviceError(
            f"{operation.kind}: {name}: {lines.dtype} {lines.shape}: expected a list of integers"
        )
    try:
        return core.take_lines(lines, count)
    except ValueError as error:
        raise DeviceError(f"{operation.kind}: {name}: {error}") from error
