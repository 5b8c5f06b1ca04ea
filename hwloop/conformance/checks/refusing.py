"""Whether the array refuses an operation, says so in the family of errors, and executes nothing."""

from __future__ import annotations

from hwloop.conformance.checks.moving import working
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import Rig
from hwloop.errors import CrossbarError
from hwloop.operations import Operation, Verdict


def expect_refusal(rig: Rig, evidence: Evidence, what: str, operation: Operation) -> None:
    """Send an operation that nobody has counted and expect that the array refuses it."""
    cell = working(rig) if "pulse" in rig.capabilities.operations else None
    before = None if cell is None else rig.given(cell)
    expected = "refused, operation not applied"
    try:
        (result,) = rig.straight(operation)
    except CrossbarError as error:
        seen = f"{type(error).__name__}: {error.message.splitlines()[0]}"
        fine = error.verdict is Verdict.NOT_APPLIED
        evidence.expect(fine, what, f"{seen} ({error.verdict.name.lower()})", expected)
        mine = error.operation_id == operation.id
        if not mine:
            evidence.expect(mine, f"{what}: id of the error", error.operation_id, operation.id)
    except Exception as error:  # the check is about what a backend should not raise
        evidence.expect(
            False, what, f"{type(error).__name__}: {error}", "an error of hwloop.errors"
        )
        rig.clear()
    else:
        seen = f"executed, {result.fired} pulses" if result.fired else "executed"
        evidence.expect(False, what, seen, expected)
    if cell is not None and before is not None:
        after = rig.given(cell)
        if after != before:
            evidence.expect(False, f"{what}: pulses of the cell", after, before)
