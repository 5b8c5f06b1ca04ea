"""Tapes as CSV: a line per operation, for spreadsheets and plotting programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hwloop.operations import (
    CONTENT,
    Form,
    Operation,
    Pulse,
    ReadCells,
    Reset,
    Restore,
    Snapshot,
)
from hwloop.tape.entry import Entry
from hwloop.tape.selecting import within
from hwloop.tape.text import plain

RESULT = ("verdict", "values", "saturated", "fired", "ticks")


def write_csv(path: Path, tape: Iterable[Entry], cell: tuple[int, int] | None = None) -> int:
    """Write operations with their results, one at a time, and return how many.

    Arrays become JSON in a field. Where a cell is given, arrays over cells become that cell's value
    instead.

    Args:
        path: the file.
        tape: what is written.
        cell: row and column of the only cell of interest.
    """
    fields = list(dict.fromkeys(name for names in CONTENT.values() for name in names))
    columns = ["id", "ordinal", "kind", *fields, *(f"result_{name}" for name in RESULT)]
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for entry in tape:
            writer.writerow(_row(entry, cell))
            written += 1
    return written


def _row(entry: Entry, cell: tuple[int, int] | None) -> dict[str, Any]:
    operation, result = entry.operation, entry.result
    values: dict[str, Any] = operation.content()
    if result is not None:
        values |= {f"result_{name}": getattr(result, name) for name in RESULT}
    if cell is not None:
        values |= _of_cell(operation, values, cell)
    row = {"id": operation.id, "ordinal": operation.ordinal, "kind": operation.kind}
    return row | {name: _field(value) for name, value in values.items()}


def _of_cell(
    operation: Operation, values: Mapping[str, Any], cell: tuple[int, int]
) -> dict[str, Any]:
    """Return what replaces arrays over cells: the cell's values, of a state all planes."""
    place: tuple[Any, ...] | None = None
    changes: dict[str, Any] = {}
    if isinstance(operation, Snapshot | Restore):
        place = slice(None), *cell
    elif isinstance(operation, Pulse | ReadCells | Form | Reset):
        place = within(operation.rows, operation.cols, *cell)
        changes = {"rows": cell[0], "cols": cell[1]}
    for name in ("counts", "state", "result_values", "result_saturated"):
        array = values.get(name)
        if place is not None and array is not None:
            value = array[place]
            changes[name] = value if value.ndim else int(value)
    return changes


def _field(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, np.ndarray):
        return json.dumps(value.astype(int).tolist(), separators=(",", ":"))
    return plain(value)
