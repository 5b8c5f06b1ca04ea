"""Duplicates: a consuming operation under an id that has been used is not executed again."""

from __future__ import annotations

from hwloop.backend import RemembersIds
from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import height, working
from hwloop.conformance.evidence import Evidence, SkippedError
from hwloop.conformance.rig import Rig
from hwloop.errors import CrossbarError
from hwloop.operations import Verdict


def run(rig: Rig, evidence: Evidence) -> None:
    """Raise a cell, lower it, and submit the first operation once more."""
    if not isinstance(rig.backend, RemembersIds):
        raise SkippedError("last_id: the array does not say that it remembers ids")
    cell = working(rig)
    count = min(rig.scope.mark, rig.chip.configuration.limits.pulses_per_operation or 30_000)
    first = rig.pulse(cell, count)
    rig.run(first)
    rig.one(rig.pulse(cell, -count))
    before, bound = height(rig, cell)
    given = rig.given(cell)
    rig.charge([first])
    try:
        (result,) = rig.straight(first)
        seen = f"answered: {result.verdict.name.lower()}, {result.fired} pulses"
        said = True  # an answer from memory is as good as a refusal
    except CrossbarError as refusal:
        seen = f"{refusal.message.splitlines()[0]} ({refusal.verdict.name.lower()})"
        said = refusal.verdict is not Verdict.UNKNOWN
    evidence.expect(said, f"pulse {first.id} again", seen, "refused, or answered from memory")
    after, _ = height(rig, cell)
    evidence.expect(
        after - before <= bound,
        "change of the cell by the second submission",
        f"{after - before:+.3g}",
        f"at most {bound:.2g} device units",
    )
    if given is not None:
        now = rig.given(cell)
        evidence.expect(now == given, "pulses that the cell has had", now, given)


CHECKS = (
    Check(
        "duplicates",
        "a consuming operation under an id that has been used is not executed again",
        run,
        needs=("pulse",),
    ),
)
