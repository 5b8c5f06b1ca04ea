"""The part of a tile that a conformance run may touch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hwloop.capabilities import Capabilities, TileCapabilities
from hwloop.errors import ConfigurationError

_REGION = re.compile(r"(\d+):(\d+)-(\d+),(\d+)-(\d+)")

Cell = tuple[int, int]

MOST_LINES = 16
"""Most lines of either side that are looked at: those nearest to the region's edges."""


@dataclass(frozen=True, slots=True)
class Region:
    """A block of a tile; both ends of each range belong to it.

    Attributes:
        tile: index of the tile.
        first_row, last_row, first_col, last_col: its lines.
    """

    tile: int
    first_row: int
    last_row: int
    first_col: int
    last_col: int

    def __str__(self) -> str:
        """Return it as it is written at the command line."""
        rows = f"{self.first_row}-{self.last_row}"
        return f"{self.tile}:{rows},{self.first_col}-{self.last_col}"

    @property
    def rows(self) -> list[int]:
        """Rows that are looked at."""
        return _some(self.first_row, self.last_row)

    @property
    def cols(self) -> list[int]:
        """Columns that are looked at."""
        return _some(self.first_col, self.last_col)

    @property
    def corners(self) -> list[Cell]:
        """The cells at its corners, each once."""
        every = (
            (row, col)
            for row in (self.first_row, self.last_row)
            for col in (self.first_col, self.last_col)
        )
        return list(dict.fromkeys(every))

    def near(self, corner: Cell) -> list[Cell]:
        """Return cells to try in place of a corner, the nearest first, the corner itself first."""
        row_step = 1 if corner[0] == self.first_row else -1
        col_step = 1 if corner[1] == self.first_col else -1
        steps = ((0, 0), (0, 1), (1, 0), (1, 1))
        cells = ((corner[0] + i * row_step, corner[1] + j * col_step) for i, j in steps)
        return [cell for cell in cells if cell[0] in self.rows and cell[1] in self.cols]


def parse_region(text: str) -> Region:
    """Return the region that a text such as `0:3-6,10-13` names.

    Raises:
        ConfigurationError: it names none.
    """
    match = _REGION.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(
            f"region {text!r} is not TILE:R0-R1,C0-C1",
            remedy="write for example 0:3-6,10-13 for rows 3 to 6 and columns 10 to 13 of tile 0",
        )
    region = Region(*map(int, match.groups()))
    if region.last_row < region.first_row or region.last_col < region.first_col:
        raise ConfigurationError(f"region {text!r}: a range ends before it begins")
    return region


def whole(tile: TileCapabilities, index: int = 0) -> Region:
    """Return the region that is all of a tile."""
    return Region(index, 0, tile.rows - 1, 0, tile.cols - 1)


def check_region(region: Region, capabilities: Capabilities) -> None:
    """Check that a region lies on the array.

    Raises:
        ConfigurationError: it does not.
    """
    tiles = capabilities.tiles
    if region.tile >= len(tiles):
        raise ConfigurationError(
            f"region {region}: {capabilities.name} has {len(tiles)} tiles, counted from 0"
        )
    tile = tiles[region.tile]
    if region.last_row >= tile.rows or region.last_col >= tile.cols:
        raise ConfigurationError(
            f"region {region}: tile {region.tile} has {tile.rows} rows and {tile.cols} columns, "
            "counted from 0"
        )


def _some(first: int, last: int) -> list[int]:
    lines = list(range(first, last + 1))
    if len(lines) <= MOST_LINES:
        return lines
    return lines[: MOST_LINES // 2] + lines[-MOST_LINES // 2 :]
