"""Zero-shifting: the reference plane takes the symmetry points, where cells come to rest.

Kim et al. 2019 (arXiv 1907.10228). Pulses up and down in turn bring all cells of a tile to their
symmetry points at once; both phases and many reads are averaged (`symmetry_point`); then the
reference plane is programmed. How well it was hit decides what TTv2 and c-TTv2 reach (Rasch et al.
2024: some 5 % and 25 % of the range).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.crossbar import Chip, Tile
from hwloop.errors import CapabilityError
from hwloop.lowering import HostReference
from hwloop.operations import Plane, Restore, Snapshot
from hwloop.procedures.programming import REFERENCE
from hwloop.procedures.symmetry_point import symmetry_point
from hwloop.random import host_generator

Block = NDArray[np.float64]

READS = 64
"""Reads of the reference plane behind its error, where the tile sums that many."""


@dataclass(frozen=True, slots=True)
class ZeroShifted:
    """What zero-shifting found and left; arrays of shape (rows, cols).

    Attributes:
        siemens: symmetry points.
        standard_error: of them, siemens.
        settled: whether the cell had settled.
        pulses: pulses that the cell got.
        error_siemens: reference plane less symmetry point, as read back; 0 where the host holds it.
    """

    siemens: Block
    standard_error: Block
    settled: NDArray[np.bool_]
    pulses: NDArray[np.int64]
    error_siemens: Block


def zero_shift(
    chip: Chip,
    tile: Tile,
    *,
    pulses_max: int = 4096,
    error_siemens: float | None = None,
    write_error_units: float = 0.0,
    average: int | None = None,
    shape: str | None = None,
    seed: int = 1,
) -> ZeroShifted:
    """Bring a tile to its symmetry points and make these its reference plane.

    Virtual arrays get the reference by `Restore`; others keep it on the host, by the lowering
    `host_reference`. Cells are left at their symmetry points.

    Args:
        chip: the array.
        tile: the tile.
        pulses_max: most pulses per cell.
        error_siemens: standard error of a symmetry point that is wanted; any by default.
        write_error_units: standard deviation of a Gaussian error of the programmed reference,
            device units; on virtual arrays, to see what a real one would do.
        average: reads behind a value.
        shape: pulse shape; the first one by default.
        seed: seed of the error; the tile's index is mixed in.

    Raises:
        CapabilityError: the array's reference plane cannot be set.
        ConfigurationError: `pulses_max` is too small.
    """
    host = _host_reference(chip)
    found = symmetry_point(
        chip,
        tile,
        pulses_max=pulses_max,
        error_siemens=error_siemens,
        average=average,
        shape=shape,
    )
    block = (tile.rows, tile.cols)
    siemens = found.siemens.reshape(block)
    if host is not None:
        # Reads of the main plane begin at the middle, and so do their differences.
        host.store(tile.index, siemens - tile.capabilities.middle_siemens)
        error = np.zeros(block)
    else:
        noise = host_generator(seed, "reference error", tile.index).standard_normal(block)
        wanted = siemens + write_error_units * tile.capabilities.cell_siemens * noise
        error = _program(chip, tile, wanted) - siemens
    return ZeroShifted(
        siemens,
        found.standard_error.reshape(block),
        found.settled.reshape(block),
        found.pulses.reshape(block),
        error,
    )


def _host_reference(chip: Chip) -> HostReference | None:
    """Return the host's reference if it holds one; refuse an array that takes none at all."""
    try:
        return chip.lowering(HostReference)
    except CapabilityError:
        if {"snapshot", "restore"} <= chip.capabilities.operations:
            return None
        raise CapabilityError(
            f"{chip.capabilities.name} has no reference plane that can be set",
            remedy="let the host hold it: connect(..., lowerings=['host_reference'])",
        ) from None


def _program(chip: Chip, tile: Tile, siemens: Block) -> Block:
    """Write the reference plane of a virtual array; return what it then reads, siemens."""
    capabilities = tile.capabilities
    snapshot = Snapshot(tile=tile.index, **chip.identity())
    state = chip.submit([snapshot]).results()[0].values
    assert state is not None
    planes = state.astype(np.uint32).view(np.float32)
    units = (siemens - capabilities.middle_siemens) / capabilities.cell_siemens
    planes[REFERENCE] = units.astype(np.float32)
    restore = Restore(tile=tile.index, state=planes.view(np.uint32), **chip.identity())
    chip.submit([restore]).results()
    reads = min(READS, capabilities.average_max)
    return np.asarray(tile.read_cells(average=reads, plane=Plane.REFERENCE), np.float64)
