"""Whether a kind of read sees marks where they are."""

from __future__ import annotations

from hwloop.conformance.evidence import Evidence
from hwloop.conformance.marks import Mark, marks, peak, truth
from hwloop.conformance.rig import Rig

LARGEST_RATIO = 2.0
"""Factor by which two kinds of read may disagree on a change, uncalibrated gains included."""


def expect_marks(rig: Rig, evidence: Evidence, kind: str) -> None:
    """Expect that a kind of read sees every mark at its place, alone, and with its sign."""
    for mark in marks(rig):
        cell, sign = truth(rig, mark)
        where = f"row {cell[0]}, col {cell[1]}"
        name = f"{kind}: {rig.scope.mark} pulses up, then down, at {where}"
        seen = peak(rig, mark, kind)
        if seen is None:
            evidence.expect(False, name, mark.trouble(kind) or "nothing was read", "a change there")
            continue
        fine = seen.visible and seen.cell == cell and seen.alone and seen.change * sign > 0
        expected = f"{where} by more than {sign * seen.threshold:+.2g}, all others unmoved"
        if evidence.expect(fine, name, seen, expected):
            _expect_scale(rig, evidence, mark, kind, seen.change)


def _expect_scale(rig: Rig, evidence: Evidence, mark: Mark, kind: str, change: float) -> None:
    """Expect that two kinds of read agree on the size of a change."""
    other = peak(rig, mark, "cells")
    if kind == "cells" or other is None or other.cell != mark.cell:
        return
    ratio = change / other.change if other.change else 0.0
    slack = 3 * max(other.threshold, mark.threshold(kind)) / max(abs(other.change), 1e-12)
    fine = 1 / LARGEST_RATIO - slack < ratio < LARGEST_RATIO + slack
    evidence.expect(
        fine,
        f"{kind}: size of that change, relative to a read of cells",
        f"{ratio:.2f}",
        f"1, within a factor of {LARGEST_RATIO:g}: full scales are as declared",
    )
