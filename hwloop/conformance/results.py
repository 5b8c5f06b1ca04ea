"""What a result has to look like, whatever it says."""

from __future__ import annotations

import numpy as np

from hwloop.capabilities import TileCapabilities
from hwloop.operations import (
    Direction,
    Operation,
    OperationClass,
    ReadCells,
    Result,
    Verdict,
    Vmm,
)


def check_result(operation: Operation, result: Result, tile: TileCapabilities) -> list[str]:
    """Return what is wrong with the form of a result of an operation that was executed."""
    name = f"{operation.kind} (operation {operation.id})"
    if not isinstance(result, Result):
        return [f"{name}: the result is a {type(result).__name__}, expected a Result"]
    faults = []
    if result.id != operation.id:
        faults.append(f"{name}: the result is of operation {result.id}")
    if result.verdict is not Verdict.APPLIED:
        faults.append(f"{name}: verdict {result.verdict!r} without an error, expected APPLIED")
    for field in ("fired", "ticks"):
        value = getattr(result, field)
        if not isinstance(value, int | np.integer) or value < 0:
            faults.append(f"{name}: {field} is {value!r}, expected a whole number, 0 or more")
    if isinstance(operation, Vmm | ReadCells):
        faults += _check_values(name, operation, result, tile)
    elif operation.repeat is OperationClass.CONSUMING and result.values is not None:
        faults.append(f"{name}: has values, but it reads nothing")
    return faults


def _check_values(
    name: str, operation: Vmm | ReadCells, result: Result, tile: TileCapabilities
) -> list[str]:
    expected, most = _expected(operation, tile)
    values, saturated = result.values, result.saturated
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu":
        return [f"{name}: values are no array of integers"]
    if values.shape != expected:
        return [f"{name}: values of shape {values.shape}, expected {expected}"]
    if not isinstance(saturated, np.ndarray) or saturated.dtype != np.bool_:
        return [f"{name}: saturated is no array of booleans: {type(saturated).__name__}"]
    if saturated.shape != expected:
        return [f"{name}: saturated of shape {saturated.shape}, expected {expected}"]
    faults = []
    largest = int(np.abs(values.astype(np.int64)).max(initial=0))
    if largest > most:
        faults.append(f"{name}: a value of magnitude {largest}, expected at most {most}")
    average = operation.average if isinstance(operation, ReadCells) else 1
    if average == 1 and (saturated & (np.abs(values.astype(np.int64)) < most)).any():
        faults.append(f"{name}: flagged as saturated below the converter's bound")
    if result.fired:
        faults.append(f"{name}: a read that fired {result.fired} pulses")
    return faults


def _expected(operation: Vmm | ReadCells, tile: TileCapabilities) -> tuple[tuple[int, int], int]:
    if isinstance(operation, Vmm):
        forward = operation.direction is Direction.FORWARD
        adc = tile.adc_forward if forward else tile.adc_backward
        return (len(operation.codes), tile.rows if forward else tile.cols), adc.code_max
    rows = tile.rows if operation.rows is None else len(operation.rows)
    cols = tile.cols if operation.cols is None else len(operation.cols)
    return (rows, cols), tile.adc_cells.code_max * operation.average
