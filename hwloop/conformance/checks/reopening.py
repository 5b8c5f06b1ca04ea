"""Closing and opening again: nothing is left behind, and a session counts its dose from zero."""

from __future__ import annotations

import dataclasses

from hwloop.backend import RemembersIds
from hwloop.capabilities import Capabilities, Configuration, Limits
from hwloop.conformance.check import Check
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import Rig
from hwloop.errors import CrossbarError

_STABLE = ("name", "kind", "chip_id", "tiles", "operations", "configuration", "bias_scheme")


def run(rig: Rig, evidence: Evidence) -> None:
    """Close the array, open it again, and try the limit on the dose of a run to the pulse."""
    said = rig.backend.describe()
    last = rig.chip.next_id - 1
    try:
        rig.close()
        seen = "closed"
    except CrossbarError as error:
        seen = error.message
    evidence.expect(seen == "closed", "close()", seen, "closed")
    again = Rig(rig.open_array, rig.scope, arm=rig.arm)
    try:
        again.budget = rig.budget
        _same(evidence, said, again.backend.describe())
        if isinstance(again.backend, RemembersIds) and isinstance(rig.backend, RemembersIds):
            evidence.note("last id, before and after", f"{last}, {again.backend.last_id}")
        read = again.harmless()
        if read is not None:
            again.one(read)
            evidence.note("a read", "answered")
        if "pulse" in said.operations:
            _dose(again, evidence)
    finally:
        again.close()


def _same(evidence: Evidence, before: Capabilities, after: Capabilities) -> None:
    for name in _STABLE:
        if getattr(before, name) != getattr(after, name):
            evidence.expect(
                False, f"{name}, opened again", getattr(after, name), getattr(before, name)
            )
    evidence.note("opened again", after.chip_id)


def _dose(rig: Rig, evidence: Evidence) -> None:
    """Expect that exactly as many pulses are given in a run as its limit allows."""
    limits = rig.chip.configuration.limits.tightened(Limits(dose_per_cell=2))
    lowered = Configuration(shapes=rig.chip.configuration.shapes, limits=limits)
    with rig.configured(lowered) as configuration:
        given = 0
        refusal = ""
        for count in (1, -1, 1):
            operation = rig.pulse(rig.scope.region.corners[0], count)
            rig.charge([operation])
            asked = dataclasses.replace(operation, configuration=configuration)
            try:
                given += rig.straight(asked)[0].fired
            except CrossbarError as error:
                refusal = error.message.splitlines()[0]
                break
        most = limits.dose_per_cell
        evidence.expect(
            given == most and bool(refusal),
            f"pulses on a cell in a new run under dose_per_cell = {most}",
            f"{given}, then: {refusal or 'no refusal'}",
            f"{most}, then a refusal",
        )


CHECKS = (
    Check(
        "reopening",
        "the array can be closed and opened again, is the same, and counts the dose of a run "
        "from zero",
        run,
    ),
)
