"""Pulses: which cell they reach, in which direction, and how many are reported."""

from __future__ import annotations

import numpy as np

from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import swing_at
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.marks import marks, truth
from hwloop.conformance.rig import Rig


def place(rig: Rig, evidence: Evidence) -> None:
    """Find the cell that pulses have reached."""
    for mark in marks(rig):
        row, col = mark.cell
        name = f"{rig.scope.mark} pulses on row {row}, col {col}"
        if mark.failure:
            evidence.expect(False, name, mark.failure, "executed")
            continue
        cell, sign = truth(rig, mark)
        moved = f"row {cell[0]}, col {cell[1]}"
        evidence.expect(cell == mark.cell, f"{name}: cell that moves", moved, "the same")
        evidence.expect(
            sign > 0, f"{name}: positive counts", "raise it" if sign > 0 else "lower it", "raise it"
        )
        fired = (mark.fired_up, mark.fired_down)
        expected = (rig.scope.mark, rig.scope.mark)
        evidence.expect(fired == expected, f"{name}: fired, up and down", fired, expected)


def block(rig: Rig, evidence: Evidence) -> None:
    """Give different counts to the cells of a block whose rows are named backwards."""
    rows, cols = [rig.rows[-1], rig.rows[0]], [rig.cols[-1], rig.cols[0]]
    rows, cols = rows[: len(set(rows))], cols[: len(set(cols))]
    # Only one corner is moved, by a count at a known place of the block.
    counts = np.zeros((len(rows), len(cols)), np.int16)
    counts[0, -1] = 1
    cell = (rows[0], cols[-1])

    def give(sign: int) -> int:
        fired = 0
        most = rig.chip.configuration.limits.pulses_per_operation or rig.scope.mark
        left = rig.scope.mark
        while left > 0:
            part = min(left, most, 30_000)
            fired += rig.one(rig.pulses(rows, cols, sign * part * counts)).fired
            left -= part
        return fired

    swing_at(rig, evidence, cell, lambda: give(1), lambda: give(-1), "a block named backwards")


CHECKS = (
    Check(
        "pulses",
        "pulses reach the cell that is named, raise it with positive counts, and are all reported",
        place,
        needs=("pulse",),
    ),
    Check(
        "pulse_blocks",
        "the counts of a block reach its cells in the order in which lines are named",
        block,
        needs=("pulse",),
    ),
)
