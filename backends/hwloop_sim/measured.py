"""Measured cells of a device file in place of drawn ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.device_file import DeviceFile
from hwloop.device_file.cells import Cells
from hwloop.errors import ConfigurationError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a table of cells says of one tile; without a table nothing.

    Attributes:
        cells: the table, or None.
        tile: index of the tile.
    """

    cells: Cells | None
    tile: int

    @classmethod
    def of(cls, device: DeviceFile, tile: int, rows: int, cols: int) -> Measured:
        """Return what a device's table says of a tile.

        Raises:
            ConfigurationError: the table does not cover the tile.
        """
        cells = device.measured_cells
        if cells is not None:
            shapes = cells.shapes
            have = shapes[tile] if tile < len(shapes) else (0, 0)
            if rows > have[0] or cols > have[1]:
                shape = "+".join(f"{r}x{c}" for r, c in shapes)
                raise ConfigurationError(
                    f"tile {tile} of {rows}x{cols} cells: the table of cells of device "
                    f"{device.name} has {have[0]}x{have[1]} of it",
                    remedy=f"use shape={shape}, or population=drawn",
                )
        return cls(cells, tile)

    @property
    def reach(self) -> float:
        """Largest magnitude of a bound, state or reference in the whole table."""
        return 0.0 if self.cells is None else self.cells.reach()

    def put(self, name: str, drawn: Floats) -> Floats:
        """Return what was measured of a quantity, and what was drawn where nothing was."""
        if self.cells is None:
            return drawn.copy()
        measured = self.cells.plane(name, self.tile, *drawn.shape)
        return np.where(np.isnan(measured), drawn, measured)
