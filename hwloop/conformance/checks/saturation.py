"""Saturation: a converter at its bound says so, and never turns over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwloop.conformance.check import Check
from hwloop.conformance.evidence import Evidence, SkippedError
from hwloop.conformance.marks import look
from hwloop.conformance.rig import Rig
from hwloop.errors import CrossbarError
from hwloop.operations import Direction

MARGIN = 1.2
"""How far beyond the bound a signal should be before saturation is expected."""


def run(rig: Rig, evidence: Evidence) -> None:
    """Drive all lines by the signs of the cells of one output."""
    reached = [_direction(rig, evidence, direction) for direction in Direction]
    best = max(reached)
    if not any(ratio >= MARGIN for ratio in reached):
        raise SkippedError(
            "adc_forward, adc_backward: the cells of the region reach "
            f"{100 * best:.0f} % of their full scale at most"
        )


def _direction(rig: Rig, evidence: Evidence, direction: Direction) -> float:
    """Return the signal relative to the converter's full scale."""
    kind = direction.name.lower()
    forward = direction is Direction.FORWARD
    adc = rig.tile.adc_forward if forward else rig.tile.adc_backward
    ratio, output, signs = _signal(rig, direction)
    if ratio < MARGIN:
        _raise_line(rig, direction, output, signs)
        ratio, output, signs = _signal(rig, direction)
    if ratio < MARGIN:
        return ratio
    driven, seen = (rig.cols, rig.rows) if forward else (rig.rows, rig.cols)
    codes = rig.vectors(direction, 2)
    codes[0, driven] = signs * rig.tile.dac.code_max
    codes[1] = -codes[0]
    try:
        result = rig.one(rig.vmm(direction, codes))
    except CrossbarError as error:
        evidence.expect(False, f"{kind}: signal of {ratio:.2f} full scales", error.message, "read")
        return ratio
    assert result.values is not None and result.saturated is not None
    values = [int(v) for v in result.values[:, seen[output]]]
    flags = [bool(v) for v in result.saturated[:, seen[output]]]
    most = adc.code_max
    name = f"{kind}: signal of {ratio:.2f} full scales, both signs"
    evidence.expect(values == [most, -most], f"{name}: codes", values, [most, -most])
    evidence.expect(all(flags), f"{name}: flags of saturation", flags, [True, True])
    return ratio


def _signal(rig: Rig, direction: Direction) -> tuple[float, int, NDArray[np.int_]]:
    """Return the largest output relative to full scale, its place, and the signs behind it."""
    forward = direction is Direction.FORWARD
    adc = rig.tile.adc_forward if forward else rig.tile.adc_backward
    cells = look(rig, "cells").values
    if cells is None:
        raise SkippedError("read_cells: the cells behind an output are not known")
    by_output = cells if forward else cells.T
    sums = np.abs(by_output).sum(axis=1)
    output = int(sums.argmax())
    amperes = sums[output] * rig.tile.cell_siemens * rig.tile.dac.full_scale
    signs = np.where(by_output[output] < 0, -1, 1)
    return float(amperes / adc.full_scale), output, signs


def _raise_line(rig: Rig, direction: Direction, output: int, signs: NDArray[np.int_]) -> None:
    """Move the cells of an output further in the direction in which they are."""
    if rig.capabilities.kind != "virtual" or "pulse" not in rig.capabilities.operations:
        return
    forward = direction is Direction.FORWARD
    for n, sign in enumerate(signs):
        cell = (rig.rows[output], rig.cols[n]) if forward else (rig.rows[n], rig.cols[output])
        rig.move(cell, int(sign) * rig.scope.mark)


CHECKS = (
    Check(
        "saturation",
        "a converter beyond its bound gives its largest code, by sign, and the flag",
        run,
        needs=("vmm", "read_cells"),
    ),
)
