"""The table of cells of a device file: every measured cell as itself, not drawn from a spread."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from hwloop.device_file.base import Frozen
from hwloop.device_file.problems import FileError, Problem
from hwloop.errors import ConfigurationError

LARGEST_TABLE = 64 << 20
"""Bytes of the largest table of cells that is read."""

PLACES = ("tile", "row", "col")
"""Columns that say which cell a line is about; without `tile` all cells are of tile 0."""

QUANTITIES: dict[str, tuple[float, float]] = {
    "step_up": (0.0, 100.0),
    "step_down": (0.0, 100.0),
    "bound_max": (0.0, 100.0),
    "bound_min": (-100.0, 0.0),
    "write_noise": (0.0, 100.0),
    "state": (-100.0, 100.0),
    "reference": (-100.0, 100.0),
    "stuck": (0.0, 1.0),
}
"""Columns that a table may have, with the range of their values, all in device units: step scales
`a` of both directions (magnitudes), bounds, the standard deviation of the noise that a pulse adds
to what reads see, the state at the start, the reference, and 1 for a cell that pulses do not move.
What is empty is drawn."""

_MOST_LINES = 1 << 14
_MOST_PROBLEMS = 20


class CellTable(Frozen):
    """Where the table of cells is: a CSV file with a line of column names, then a line per cell."""

    file: str = Field(pattern=r"^[^/\\\x00]+\.csv$", max_length=200)
    """File name, in the folder of the device file."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A table of cells; two are equal if their files are.

    Attributes:
        content: the bytes of the file.
        places: tile, row and column of each line, shape (lines, 3).
        quantities: values of the columns of `QUANTITIES` that the table has, NaN where empty.
    """

    content: bytes
    places: NDArray[np.int64]
    quantities: dict[str, NDArray[np.float64]]

    def __eq__(self, other: object) -> bool:
        """Compare the files."""
        return isinstance(other, Cells) and self.content == other.content

    def __hash__(self) -> int:
        """Hash the file."""
        return hash(self.content)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of each tile, as far as the lines reach."""
        tiles = range(int(self.places[:, 0].max()) + 1)
        sides = [
            self.places[self.places[:, 0] == tile, 1:].max(axis=0, initial=-1) for tile in tiles
        ]
        return [(int(rows) + 1, int(cols) + 1) for rows, cols in sides]

    def plane(self, name: str, tile: int, rows: int, cols: int) -> NDArray[np.float64]:
        """Return a quantity of the cells of a tile, NaN where the table has none."""
        plane = np.full((rows, cols), np.nan)
        if name in self.quantities:
            here = self.places[:, 0] == tile
            here &= (self.places[:, 1] < rows) & (self.places[:, 2] < cols)
            _, row, col = self.places[here].T
            plane[row, col] = self.quantities[name][here]
        return plane

    def reach(self) -> float:
        """Return the largest magnitude of a bound, state or reference."""
        names = ("bound_max", "bound_min", "state", "reference")
        planes = [self.quantities[n] for n in names if n in self.quantities]
        return max((float(np.nanmax(np.abs(p), initial=0.0)) for p in planes), default=0.0)


def write_cells(columns: Mapping[str, ArrayLike]) -> Cells:
    """Return the table of some columns; what was not measured is NaN.

    Args:
        columns: `row`, `col`, perhaps `tile`, and any of `QUANTITIES`, all of one length.

    Raises:
        ConfigurationError: a column is missing or unknown, or holds what it cannot.
    """
    values = {name: np.asarray(column, np.float64) for name, column in columns.items()}
    lines = [",".join(values)]
    for entries in zip(*(v.tolist() for v in values.values()), strict=True):
        cells = zip(values, entries, strict=True)
        lines.append(",".join(_text(name, value) for name, value in cells))
    return parse_cells(("\n".join(lines) + "\n").encode(), "cells")


def _text(name: str, value: float) -> str:
    if np.isnan(value):
        return ""
    return str(int(value)) if name in (*PLACES, "stuck") and value == int(value) else repr(value)


def read_cells(table: CellTable, folder: Path, where: str) -> Cells:
    """Return the table of a device file.

    Args:
        table: what the device file says of it.
        folder: of the device file.
        where: what messages call the device file.

    Raises:
        FileError: the table is missing, another one, or holds what it cannot.
    """
    path = folder / table.file
    try:
        if not path.is_file():
            problem = Problem("cells.file", table.file, "there is no such file beside it")
            raise FileError(where, [problem], remedy="keep a device file and its table together")
        with path.open("rb") as file:
            content = file.read(LARGEST_TABLE + 1)
    except OSError as error:
        problem = Problem("cells.file", table.file, f"cannot be read: {error.strerror}")
        raise FileError(where, [problem]) from None
    if len(content) > LARGEST_TABLE:
        raise FileError(table.file, [Problem("", "", f"is larger than {LARGEST_TABLE} bytes")])
    found = hashlib.sha256(content).hexdigest()
    if found != table.sha256:
        expected = f"should be {table.sha256}, as cells.sha256 in {where} says"
        remedy = "the table was changed: restore it, or state its SHA-256"
        raise FileError(table.file, [Problem("SHA-256", found, expected, remedy)])
    return parse_cells(content, table.file)


def parse_cells(content: bytes, where: str) -> Cells:
    """Return the table that the bytes of a CSV file hold.

    Raises:
        FileError: what is wrong with it, one line per problem.
    """
    reader = csv.reader(io.StringIO(content.decode("utf-8", "replace")))
    names = next(reader, [])
    _check_names(names, where)
    problems: list[Problem] = []
    lines: list[list[float]] = []
    for fields in reader:
        line = _line(names, fields, reader.line_num, problems)
        lines.append(line)
        if len(problems) >= _MOST_PROBLEMS:
            break
    if not lines:
        problems.append(Problem("", "", "has no cells"))
    if problems:
        raise FileError(where, problems)
    values = dict(zip(names, np.array(lines).T, strict=True))
    zeros = np.zeros(len(lines))
    places = np.stack([values.pop(name, zeros) for name in PLACES], axis=1).astype(np.int64)
    _check_places(places, where)
    return Cells(content, places, values)


def _check_names(names: list[str], where: str) -> None:
    known = (*PLACES, *QUANTITIES)
    problems = [
        Problem("line 1", name, f"should be one of {', '.join(known)}")
        for name in names
        if name not in known
    ]
    problems += [
        Problem("line 1", "", f"column {n} is missing") for n in PLACES[1:] if n not in names
    ]
    if len(set(names)) != len(names):
        problems.append(Problem("line 1", "", "a column is there twice"))
    if problems:
        raise FileError(where, problems)


def _line(names: list[str], fields: list[str], number: int, problems: list[Problem]) -> list[float]:
    if len(fields) != len(names):
        problems.append(
            Problem(f"line {number}", f"{len(fields)} fields", f"should be {len(names)}")
        )
        return [np.nan] * len(names)
    values = []
    for name, field in zip(names, fields, strict=True):
        low, high = QUANTITIES.get(name, (0.0, _MOST_LINES - 1.0))
        whole = name in PLACES or name == "stuck"
        try:
            value = float(field) if field.strip() or name in PLACES else np.nan
            fine = np.isnan(value) if not field.strip() else low <= value <= high
        except ValueError:
            value, fine = np.nan, False
        if not fine or (whole and not np.isnan(value) and value != int(value)):
            what = "a whole number" if whole else "a number"
            expected = f"should be {what} from {low:g} to {high:g}"
            problems.append(Problem(f"line {number}, column {name}", field, expected))
        values.append(value)
    return values


def _check_places(places: NDArray[np.int64], where: str) -> None:
    _, first, counts = np.unique(places, axis=0, return_index=True, return_counts=True)
    if (counts > 1).any():
        tile, row, col = places[first[counts > 1][0]].tolist()
        problem = Problem(f"tile {tile}, row {row}, col {col}", "", "is there twice")
        raise FileError(where, [problem])


def require(cells: Cells | None, name: str) -> Cells:
    """Return the table of a device that names one.

    Raises:
        ConfigurationError: the device was made of text alone, without its folder.
    """
    if cells is None:
        raise ConfigurationError(
            f"device {name}: its table of cells was not read",
            remedy="load the device file by its path, or use population=drawn",
        )
    return cells
