"""Measured data in memory: a header and its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.device_file import MeasurementHeader

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measurement:
    """Measured data.

    Attributes:
        header: what was measured, and how.
        columns: float64 or int64 arrays of equal length by the names of the header's columns.
    """

    header: MeasurementHeader
    columns: Mapping[str, NDArray[Any]]

    @property
    def kind(self) -> str:
        """What was measured."""
        return self.header.kind

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    @property
    def cells(self) -> NDArray[np.int64]:
        """Numbers of the cells, ascending."""
        return np.unique(self.columns["cell"])

    @property
    def state(self) -> Values:
        """The measured state of every row: siemens, or device units where the data is normalised.

        Currents are divided by the read voltage, resistances inverted; NaN was not measured.
        """
        header = self.header
        if header.quantity is None:
            raise KeyError(f"{header.kind} data holds no state")
        values = np.asarray(self.columns[header.quantity], dtype=np.float64)
        if header.quantity == "current_amperes":
            return values / self._read_volts()
        if header.quantity == "resistance_ohms":
            return np.divide(1.0, values, out=np.full_like(values, np.inf), where=values != 0)
        return values

    def _read_volts(self) -> Values | float:
        if "read_volts" in self.columns:
            return np.asarray(self.columns["read_volts"], dtype=np.float64)
        volts = self.header.conditions.read_volts
        assert volts is not None  # the header is checked for it
        return volts

    def select(self, rows: NDArray[Any]) -> Measurement:
        """Return the data of some rows, by a mask or by their numbers."""
        return Measurement(self.header, {name: c[rows] for name, c in self.columns.items()})

    def by_cell(self) -> Iterator[tuple[int, Measurement]]:
        """Yield each cell's number with its rows, in their order."""
        cell = self.columns["cell"]
        order = np.argsort(cell, kind="stable")
        cells, starts = np.unique(cell[order], return_index=True)
        for number, rows in zip(cells, np.split(order, starts[1:]), strict=True):
            yield int(number), self.select(rows)
