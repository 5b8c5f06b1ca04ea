"""Results: of the form that is agreed, all of them."""

from __future__ import annotations

from hwloop.conformance.check import Check
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import Rig

SHOWN = 8


def run(rig: Rig, evidence: Evidence) -> None:
    """Tell what was wrong with results so far."""
    faults = list(dict.fromkeys(rig.malformed))
    for fault in faults[:SHOWN]:
        evidence.expect(False, "result", fault, "the agreed form")
    if not faults:
        evidence.expect(
            rig.answered > 0, "results of the agreed form", rig.answered, "one per operation"
        )


CHECKS = (
    Check(
        "results",
        "every result names its operation, has the agreed shape and types, and stays within the "
        "converter's codes",
        run,
    ),
)
