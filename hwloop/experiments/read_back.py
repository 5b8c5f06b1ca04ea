"""What the cells of an array should hold after an interrupted run, and what they do hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.backend import CrossbarBackend
from hwloop.capabilities import Capabilities, TileCapabilities
from hwloop.device_file import StepModel, load
from hwloop.experiments.interrupted import Taped
from hwloop.operations import (
    GAIN_ONE,
    Form,
    Operation,
    OuterTrains,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Reset,
    Verdict,
)

Values = NDArray[np.float64]

AVERAGE = 16
"""Reads behind a value that is read back."""

MOST_STEPS = 1000
"""Most pulses of a cell that are followed one by one."""


def plane_of(tile: TileCapabilities) -> Plane:
    """Return the plane that is read back: the difference to the reference, where there is one."""
    return Plane.MAIN if tile.reference in ("none", "digital") else Plane.DIFFERENCE


def planes_of(
    chip: Capabilities, entries: Iterable[Taped], start: Mapping[int, Values]
) -> list[Plane]:
    """Return the plane by which each tile's cells are known: that of `start`, or of taped reads."""
    planes = [plane_of(tile) for tile in chip.tiles]
    for taped in entries:
        read = taped.operation
        if isinstance(read, ReadCells) and taped.result is not None and read.tile not in start:
            planes[read.tile] = read.plane
    return planes


def read_back(array: CrossbarBackend, planes: Sequence[Plane] | None = None) -> list[Values]:
    """Read all cells, beside the tape; conductance in siemens per tile, shape (rows, cols)."""
    tiles = array.describe().tiles
    operations = [
        ReadCells(
            tile=n,
            average=min(AVERAGE, tile.average_max),
            plane=plane_of(tile) if planes is None else planes[n],
        )
        for n, tile in enumerate(tiles)
    ]
    results = array.wait(array.submit(operations))
    return [
        siemens(tile, operation, result.values)
        for tile, operation, result in zip(tiles, operations, results, strict=True)
    ]


def siemens(tile: TileCapabilities, read: ReadCells, values: Any) -> Values:
    """Return what the sums of codes of a read mean."""
    lsb = tile.adc_cells.lsb / tile.dac.full_scale / read.average
    return np.asarray(values, np.float64) * lsb


def mean_pulses(operation: Operation, tile: TileCapabilities) -> tuple[Values, Values] | None:
    """Return the signed pulses and the pulses that an operation gives each cell, on average.

    Shapes (rows, cols); exact but for seeded updates (`OuterUpdate`), whose mean it is. None for
    operations that give none.
    """
    shape = (tile.rows, tile.cols)
    match operation:
        case Pulse():
            rows = np.arange(tile.rows) if operation.rows is None else operation.rows
            cols = np.arange(tile.cols) if operation.cols is None else operation.cols
            net = np.zeros(shape)
            net[np.ix_(rows, cols)] = operation.counts
            return net, np.abs(net)
        case OuterTrains():
            x = operation.x_trains.reshape(-1, tile.cols).astype(np.float64)
            d = operation.d_trains.reshape(-1, tile.rows).astype(np.float64)
            return d.T @ x, np.abs(d).T @ np.abs(x)
        case OuterUpdate():
            most = tile.update_code_max
            x = operation.x_codes * (operation.x_gains / (GAIN_ONE * most))[:, None]
            d = operation.d_codes * (operation.d_gains / (GAIN_ONE * most))[:, None]
            d = d * operation.train_lengths[:, None]
            return d.T @ x, np.abs(d).T @ np.abs(x)
    return None


@dataclass(slots=True)
class Account:
    """What is known of the cells of a tile.

    Attributes:
        last: conductance at its last read, siemens, NaN where it was never read.
        net, given: signed pulses and pulses since then.
    """

    last: Values
    net: Values
    given: Values


def follow(
    chip: Capabilities,
    entries: Iterable[Taped],
    start: Mapping[int, Values],
    planes: Sequence[Plane],
) -> list[Account]:
    """Follow the operations of a tape cell by cell.

    Args:
        chip: the array.
        entries: operations in order; those that were not applied, or not answered, do not count.
        start: conductances before the first one, by tile.
        planes: whose reads count, by tile.
    """
    accounts = []
    for n, tile in enumerate(chip.tiles):
        shape = (tile.rows, tile.cols)
        last = np.full(shape, np.nan)
        if n in start:
            last = np.array(start[n], np.float64)
        accounts.append(Account(last, np.zeros(shape), np.zeros(shape)))
    for taped in entries:
        operation, result = taped.operation, taped.result
        if result is None or result.verdict is Verdict.NOT_APPLIED:
            continue
        account, tile = accounts[operation.tile], chip.tiles[operation.tile]
        if isinstance(operation, ReadCells):
            if operation.plane is planes[operation.tile] and result.values is not None:
                _read(account, operation, siemens(tile, operation, result.values))
        elif isinstance(operation, Form | Reset):
            account.last[...] = np.nan
        elif (pulses := mean_pulses(operation, tile)) is not None:
            account.net += pulses[0]
            account.given += pulses[1]
    return accounts


def _read(account: Account, read: ReadCells, values: Values) -> None:
    rows, cols = account.last.shape
    place = np.ix_(
        np.arange(rows) if read.rows is None else read.rows,
        np.arange(cols) if read.cols is None else read.cols,
    )
    account.last[place] = values
    account.net[place] = account.given[place] = 0


def step_siemens(chip: Capabilities, tile: int) -> float:
    """Return the mean step of a pulse, in siemens; 0 where nobody knows it."""
    return (chip.granularity or 0.0) * chip.tiles[tile].cell_siemens


def mean_change(chip: Capabilities, tile: int, before: Values, net: Values) -> Values:
    """Return how signed pulses change the cells of a tile on average, siemens.

    By the step curves of the device file, from pulse to pulse; by the mean step where there are
    none. The spread of the cells is left out.

    Args:
        chip: the array.
        tile: index of the tile.
        before: conductances before, siemens from that of a cell at 0.
        net: pulses, positive ones raise.
    """
    unit = chip.tiles[tile].cell_siemens
    model = None if chip.device is None else load(chip.device).model
    if not isinstance(model, StepModel):
        return net * step_siemens(chip, tile)
    up, down = 1 + min(model.up_down, 0.0), 1 - max(model.up_down, 0.0)
    w = np.clip(np.nan_to_num(before) / unit, model.bound_min, model.bound_max)
    begin, left = w.copy(), np.abs(net)
    for _ in range(min(int(np.ceil(left.max(initial=0.0))), MOST_STEPS)):
        rise, fall = model.curves(w)
        step = np.where(net > 0, up * rise, -down * fall) * model.step
        w = np.clip(w + step * np.minimum(left, 1), model.bound_min, model.bound_max)
        left = np.maximum(left - 1, 0)
    return (w - begin) * unit


def differences(
    chip: Capabilities, accounts: list[Account], now: list[Values]
) -> list[dict[str, Any]]:
    """Return how far the cells are from where the tape left them, tile by tile.

    `rms_difference` compares with the last read of each cell, `rms_unexplained` also takes off what
    the pulses since then would have changed on average; both in siemens.
    """
    rows = []
    for n, (account, values) in enumerate(zip(accounts, now, strict=True)):
        known = ~np.isnan(account.last)
        change = (values - account.last)[known]
        rest = change - mean_change(chip, n, account.last, account.net)[known]
        rows.append(
            {
                "tile": n,
                "cells": int(known.sum()),
                "of": int(known.size),
                "rms_difference": _rms(change),
                "rms_unexplained": _rms(rest),
                "most_unexplained": float(np.abs(rest).max(initial=0.0)),
                "pulses_since": float(account.given[known].sum()),
                "step": step_siemens(chip, n),
            }
        )
    return rows


def _rms(values: Values) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """How much of an operation the cells show.

    Attributes:
        share: 0 for nothing, 1 for all of it, as the least squares of the change of each cell on
            the change that the whole operation would have made on average.
        error: standard error of the share.
        cells: cells that say so.
    """

    share: float
    error: float
    cells: int


def share_of(
    chip: Capabilities, operation: Operation, account: Account, now: Values
) -> Share | None:
    """Return how much of an operation the cells show, or None if they cannot tell.

    Only cells that no other pulse has reached since their last read tell: steps depend on the state
    of a cell, so what earlier pulses have done is not known well enough to be taken off.
    """
    tile = chip.tiles[operation.tile]
    pulses = mean_pulses(operation, tile)
    step = step_siemens(chip, operation.tile)
    if pulses is None or not step:
        return None
    known = ~np.isnan(account.last) & (account.given == 0)
    wanted = mean_change(chip, operation.tile, account.last, pulses[0])
    touched = known & (pulses[1] > 0)
    power = float((wanted[touched] ** 2).sum())
    if not power:
        return None
    change = now - account.last
    still = known & (pulses[1] == 0)
    repeat = float(np.std(change[still])) if still.sum() >= 10 else step
    # Steps vary from pulse to pulse and with the state: as much again as they are is allowed.
    variance = repeat**2 + pulses[1] * step**2
    share = float((wanted * change)[touched].sum()) / power
    error = float(np.sqrt((wanted**2 * variance)[touched].sum())) / power
    return Share(share, error, int(touched.sum()))
