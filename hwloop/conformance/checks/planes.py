"""Planes: pulses move the main plane, never the reference."""

from __future__ import annotations

import numpy as np

from hwloop.conformance.check import Check
from hwloop.conformance.evidence import Evidence, SkippedError
from hwloop.conformance.marks import SIGMAS, floors, look, marks, peak
from hwloop.conformance.rig import Rig


def run(rig: Rig, evidence: Evidence) -> None:
    """See the marks in the main plane, none in the reference, and their difference."""
    if rig.tile.reference not in ("cell", "column"):
        raise SkippedError(f"reference is {rig.tile.reference!r}: there is one plane")
    for mark in marks(rig):
        where = f"row {mark.cell[0]}, col {mark.cell[1]}"
        main, reference = peak(rig, mark, "main"), peak(rig, mark, "reference")
        if main is None or reference is None:
            trouble = mark.trouble("main") or mark.trouble("reference")
            evidence.expect(False, f"planes at {where}", trouble, "both planes are read")
            continue
        difference = peak(rig, mark, "cells")
        if difference is None or not difference.visible:
            evidence.note(f"mark at {where}", "not visible in the difference")
            continue
        evidence.expect(main.visible, f"main plane, mark at {where}", main, "a change")
        # Reference cells share lines with main cells: a disturbance is not a pulse.
        moved = abs(reference.change)
        bound = max(reference.threshold, abs(difference.change) / 3)
        evidence.expect(
            moved <= bound,
            f"reference plane, mark at {where}",
            f"changed by {moved:.2g}",
            f"at most {bound:.2g}",
        )
    looks = {kind: look(rig, kind) for kind in ("cells", "main", "reference")}
    values = [looks[kind].values for kind in ("cells", "main", "reference")]
    if any(v is None for v in values):
        return
    both, main_plane, reference_plane = (np.asarray(v) for v in values)
    worst = float(np.abs(both - (main_plane - reference_plane)).max())
    error = SIGMAS * float(np.sqrt(sum(one.error**2 for one in looks.values())))
    error = max(error, floors(rig).get("cells", 0.0))
    # Rounding of three reads, and gains that are not calibrated.
    bound = error + 0.1 * float(np.abs(main_plane).max()) + 2 * rig.cell_unit
    evidence.expect(
        worst < bound,
        "difference less main plus reference, worst cell",
        f"{worst:.2g}",
        f"below {bound:.2g} device units",
    )


CHECKS = (
    Check(
        "planes",
        "pulses move the main plane, not the reference, and the difference is their difference",
        run,
        needs=("read_cells", "pulse"),
    ),
)
