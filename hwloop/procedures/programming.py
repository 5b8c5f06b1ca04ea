"""Programming: giving the cells of a tile wanted conductances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwloop.crossbar import Chip, Tile
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import Restore, Snapshot
from hwloop.random import host_generator

PERSISTENT, VISIBLE, REFERENCE, PULSES = range(4)
"""First planes of a `Snapshot`'s state."""

REFERENCE_REACH = np.float32(2.0)
"""Farthest from 0 that a reference is moved: twice the mean bound of cells, device units."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a programming left in a tile.

    Attributes:
        units: conductance difference to the reference plane, device units, shape (rows, cols).
        cut: cells whose target, its error included, lay out of their reach, bool, shape
            (rows, cols).
    """

    units: NDArray[np.float32]
    cut: NDArray[np.bool_]


def write_exact(
    chip: Chip,
    tile: Tile,
    target_units: ArrayLike,
    *,
    error: float = 0.0,
    seed: int = 1,
) -> Written:
    """Set the cells of a virtual array to a target by writing its state, as no real chip could.

    The array cuts what is out of a cell's reach; stuck cells stay where they are. Both operations
    are on the tape like any other.

    Args:
        chip: the array.
        tile: the tile that is written.
        target_units: wanted difference to the reference plane, device units, shape (rows, cols).
        error: standard deviation of a Gaussian error added to the target, device units.
        seed: seed of the error; the tile's index is mixed in.

    Raises:
        CapabilityError: the array is physical.
    """
    if not {"snapshot", "restore"} <= chip.capabilities.operations:
        raise CapabilityError(
            f"{chip.capabilities.name} cannot be written exactly: only virtual arrays take a state",
            remedy="keep the conductances that the cells have (initial_weights='keep'), or program"
            " them by pulses",
        )
    target = np.asarray(target_units, dtype=np.float32)
    shape = (tile.rows, tile.cols)
    if target.shape != shape:
        raise ConfigurationError(f"target_units has shape {target.shape}, expected {shape}")
    if error:
        noise = host_generator(seed, "write error", tile.index).standard_normal(shape, np.float32)
        target = target + np.float32(error) * noise
    planes = _snapshot(chip, tile)
    wanted = target + planes[REFERENCE]
    planes[PERSISTENT] = planes[VISIBLE] = wanted
    _restore(chip, tile, planes)
    held = _snapshot(chip, tile)
    cut = held[PERSISTENT] != wanted
    if cut.any():
        # Reads see what the cell really holds, not the target that it could not reach.
        held[VISIBLE] = held[PERSISTENT]
        _restore(chip, tile, held)
    return Written(held[VISIBLE] - held[REFERENCE], cut)


def offset_reference(chip: Chip, tile: Tile, mean: float, std: float, *, seed: int = 1) -> None:
    """Move the reference plane of a virtual array, as imperfect zero-shifting would have left it.

    The cells stay where they are. The offset of a cell is normal: `r = w* + N(mean, std)` where the
    reference was at the symmetry points w* (Rasch et al. 2024, Methods), cut at `REFERENCE_REACH`.

    Args:
        chip: the array.
        tile: the tile.
        mean, std: of the offset, device units.
        seed: seed of the offsets; the tile's index is mixed in.

    Raises:
        CapabilityError: the array is physical, or has no reference plane.
    """
    if not {"snapshot", "restore"} <= chip.capabilities.operations:
        raise CapabilityError(
            f"the reference of {chip.capabilities.name} cannot be moved: only virtual arrays take "
            "a state",
            remedy="leave the offsets out: a physical array has its own",
        )
    planes = _snapshot(chip, tile)
    noise = host_generator(seed, "reference offset", tile.index).standard_normal(
        (tile.rows, tile.cols), np.float32
    )
    moved = planes[REFERENCE] + np.float32(mean) + np.float32(std) * noise
    planes[REFERENCE] = np.clip(moved, -REFERENCE_REACH, REFERENCE_REACH)
    _restore(chip, tile, planes)


def _snapshot(chip: Chip, tile: Tile) -> NDArray[np.float32]:
    """Return the planes of a tile, shape (state_words, rows, cols), viewed as float32."""
    operation = Snapshot(tile=tile.index, **chip.identity())
    values = chip.submit([operation]).results()[0].values
    assert values is not None
    return values.astype(np.uint32).view(np.float32)


def _restore(chip: Chip, tile: Tile, planes: NDArray[np.float32]) -> None:
    state = np.ascontiguousarray(planes).view(np.uint32)
    chip.submit([Restore(tile=tile.index, state=state, **chip.identity())]).results()
