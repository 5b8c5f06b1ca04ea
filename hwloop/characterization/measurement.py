"""Measured data in memory: a header and its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from hwloop.characterization.columns import as_column
from hwloop.device_file import Column, MeasurementHeader
from hwloop.device_file.explain import explain
from hwloop.device_file.problems import FileError, Problem
from hwloop.device_file.quantities import COLUMNS, KINDS, QUANTITIES
from hwloop.errors import ConfigurationError

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

        Currents are divided by the read voltage, resistances inverted; NaN was not measured, or at
        0 V.
        """
        header = self.header
        if header.quantity is None:
            raise KeyError(f"{header.kind} data holds no state")
        values = np.asarray(self.columns[header.quantity], dtype=np.float64)
        if header.quantity == "current_amperes":
            volts = np.broadcast_to(self._read_volts(), values.shape)
            siemens = np.full_like(values, np.nan)
            np.divide(values, volts, out=siemens, where=volts != 0)
            return siemens
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


def measurement(
    kind: str,
    columns: Mapping[str, ArrayLike],
    *,
    name: str,
    own: Mapping[str, Column] | None = None,
    **header: Any,
) -> Measurement:
    """Return measured data of columns of known names, whose units are known too.

    Args:
        kind: what was measured, a key of `hwloop.device_file.quantities.KINDS`.
        columns: values by column name, all of one length; numbers of plain Python lists will do.
            A single number stands for equal values in every row.
        name: name of the device.
        own: unit and meaning of columns with other names than those of
            `hwloop.device_file.quantities.COLUMNS`, by name.
        header: further fields of `MeasurementHeader`.

    Raises:
        ConfigurationError: columns that the kind does not have, or of other units or lengths.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"kind: {kind!r}: should be one of {', '.join(KINDS)}")
    described = []
    for column in columns:
        if column in COLUMNS:
            described.append(Column(name=column, unit=COLUMNS[column].unit))
        elif own and column in own:
            described.append(own[column])
        else:
            raise ConfigurationError(
                f"columns: {column} is no known column",
                remedy="give its unit and meaning in `own`",
            )
    arrays = {key: np.atleast_1d(np.asarray(values)) for key, values in columns.items()}
    try:
        arrays = dict(zip(arrays, np.broadcast_arrays(*arrays.values()), strict=True))
        problems: list[Problem] = []
        arrays = {key: as_column(key, values, problems) for key, values in arrays.items()}
        if problems:
            raise FileError(name, problems)
        checked = MeasurementHeader.model_validate(
            {
                "kind": kind,
                "name": name,
                "quantity": next((q for q in QUANTITIES if q in columns), None),
                "columns": tuple(described),
                **header,
            }
        )
    except ValidationError as error:
        raise explain(error, name) from None
    except ValueError:
        shapes = ", ".join(f"{key} {values.shape}" for key, values in arrays.items())
        raise ConfigurationError(f"columns should have one length: {shapes}") from None
    return Measurement(checked, arrays)
