"""Idle: it may be asked for at any time, and changes nothing."""

from __future__ import annotations

import numpy as np

from hwloop.conformance.check import Check
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.marks import SIGMAS, floors, kinds, look
from hwloop.conformance.rig import Rig
from hwloop.errors import CrossbarError


def run(rig: Rig, evidence: Evidence) -> None:
    """Idle the lines twice, between two looks."""
    kind = kinds(rig)[0]
    before = look(rig, kind)
    try:
        rig.backend.idle()
        rig.backend.idle()
        seen = "done"
    except CrossbarError as error:
        seen = error.message
    evidence.expect(seen == "done", "idle(), twice", seen, "done")
    after = look(rig, kind)
    if before.values is None or after.values is None:
        trouble = before.failure or after.failure
        evidence.expect(False, f"{kind} around it", trouble, "answered")
        return
    worst = float(np.abs(after.values - before.values).max())
    quick = 1.5 * SIGMAS * float(np.hypot(before.error, after.error))
    bound = max(quick, floors(rig).get(kind, 0.0))
    evidence.expect(
        worst <= bound, "largest change of a cell", f"{worst:.2g}", f"at most {bound:.2g}"
    )


CHECKS = (
    Check("idle", "the lines may be idled at any time, and the array goes on afterwards", run),
)
