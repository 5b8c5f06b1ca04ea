"""A sheet of a workbook: a map of an array's cells, or a list of forming voltages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.importers.facts import Facts
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.importers.units import unit
from hwloop.characterization.importers.workbook import Sheet, read_sheet, reference, sheet_names
from hwloop.characterization.measurement import Measurement
from hwloop.device_file.explain import short
from hwloop.device_file.problems import FileError, Problem
from hwloop.errors import ConfigurationError

KINDS = ("array_map", "forming")


def read(sources: Sequence[Source], facts: Facts) -> Measurement:
    """Return what a sheet holds; a running index above and beside the values is left out.

    Raises:
        ConfigurationError: no such sheet, no grid of numbers, or `--kind` or `--unit` is not given.
    """
    (source,) = sources
    name = facts.get("sheet")
    names = sheet_names(source)
    if name is None:
        if len(names) > 1:
            raise ConfigurationError(
                f"{source.name}: has the sheets {', '.join(map(repr, names))}",
                remedy=f"say which one: --sheet '{names[0]}'",
            )
        name = names[0]
    kind = facts.need("kind", "what was measured", "array_map (or forming)")
    if kind not in KINDS:
        raise ConfigurationError(f"--kind {kind}: a sheet holds one of {', '.join(KINDS)}")
    sheet = read_sheet(source, name)
    facts.notes["sheet"] = name
    if sheet.formulas:
        facts.notes["formulas"] = f"{sheet.formulas} cells are formulas; their cached values count"
        facts.warnings.append(f"{source.name}: sheet {name}: {facts.notes['formulas']}")
    values = _grid(sheet, f"{source.name}: sheet {name}")
    cells = np.arange(values.size)
    if kind == "array_map":
        rows, cols = np.divmod(cells, values.shape[1])
        columns: dict[str, Any] = {"cell": cells, "row": rows, "col": cols}
        shape = values.shape
        state = facts.state(
            values.ravel(),
            lambda i: "row {}, column {} of the values".format(*np.unravel_index(i, shape)),
        )
        return facts.finish(kind, {**columns, **state})
    if values.shape[1] != 1:
        raise ConfigurationError(
            f"{source.name}: sheet {name}: has {values.shape[1]} columns of values; forming "
            "voltages are one"
        )
    text = facts.need("unit", "the unit of its values", "volt")
    found = unit(text)
    if found.base != "V":
        raise ConfigurationError(f"--unit {text}: forming voltages are in volts")
    facts.assumed("columns.breakdown_volts", "unit")
    return facts.finish(kind, {"cell": cells, "breakdown_volts": values.ravel() * found.factor})


def _grid(sheet: Sheet, where: str) -> NDArray[np.float64]:
    """Return the values of a sheet, NaN where a cell is empty, without a running index."""
    texts = [
        Problem(reference(*place), short(value), "should be a number", "remove texts and titles")
        for place, value in sheet.cells.items()
        if isinstance(value, str)
    ]
    if texts:
        raise FileError(where, texts[:20])
    if not sheet.cells:
        raise ConfigurationError(f"{where}: is empty")
    height = max(row for row, _ in sheet.cells) + 1
    width = max(col for _, col in sheet.cells) + 1
    if height * width > 4 * len(sheet.cells) + 1000:
        raise ConfigurationError(f"{where}: is mostly empty; should be a grid of numbers")
    values = np.full((height, width), np.nan)
    for (row, col), value in sheet.cells.items():
        values[row, col] = value
    above, beside = _runs(values[0, 1:]), _runs(values[1:, 0])
    if np.isnan(values[0, 0]) and above and beside:
        return values[1:, 1:]
    if np.isnan(values[0, 0]):
        raise ConfigurationError(
            f"{where}: A1 is empty, but above and beside the values there is no running index",
            remedy="leave only the values, or an index from 0 or 1 above and beside them",
        )
    return values


def _runs(index: NDArray[np.float64]) -> bool:
    """Return whether these are 0, 1, 2, ... or 1, 2, 3, ..."""
    return index.size > 0 and any(
        np.array_equal(index, np.arange(start, start + index.size)) for start in (0, 1)
    )
