"""Columns of measured data as arrays: whole numbers or floats, within the bounds of their names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.device_file.problems import Problem
from hwloop.device_file.quantities import COLUMNS, ColumnRule

_OWN = ColumnRule("", "", gaps=True)


def as_column(name: str, values: NDArray[Any], problems: list[Problem]) -> NDArray[Any]:
    """Return a column as float64, or int64 where it holds whole numbers; add what is wrong."""
    rule = COLUMNS.get(name, _OWN)
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "iufb":
        problems.append(Problem(name, f"numpy type {numbers.dtype}", "should be numbers"))
        return numbers
    if rule.integer and numbers.dtype.kind in "iub":
        numbers = numbers.astype(np.int64)
    else:
        numbers = numbers.astype(np.float64)
        _report(name, numbers, np.isinf(numbers), "should be finite", problems)
        if not rule.gaps:
            _report(name, numbers, np.isnan(numbers), "should be a number in every row", problems)
        if rule.integer:
            broken = np.isfinite(numbers) & (
                (numbers != np.floor(numbers)) | (np.abs(numbers) >= 2.0**53)
            )
            _report(name, numbers, broken, "should be a whole number", problems)
    if rule.minimum != -np.inf:
        low = numbers < rule.minimum
        _report(name, numbers, low, f"should be at least {rule.minimum:g}", problems)
    if rule.maximum != np.inf:
        high = numbers > rule.maximum
        _report(name, numbers, high, f"should be at most {rule.maximum:g}", problems)
    if rule.integer and numbers.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # what has no whole number is reported above
            numbers = numbers.astype(np.int64)
    return np.ascontiguousarray(numbers)


def _report(
    name: str, values: NDArray[Any], wrong: NDArray[Any], expected: str, problems: list[Problem]
) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        first = values[rows[0]]
        value = f"{first:.6g}" if values.dtype.kind == "f" else str(first)
        more = f" ({rows.size} rows)" if rows.size > 1 else ""
        problems.append(Problem(f"{name}, row {rows[0] + 1}", value, expected + more))
