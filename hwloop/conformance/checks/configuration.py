"""The hash of the configuration: an operation that names another one is not executed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from hwloop.capabilities import Configuration, Limits
from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import working
from hwloop.conformance.checks.refusing import expect_refusal
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.region import Cell
from hwloop.conformance.rig import Rig
from hwloop.operations import Operation, OuterTrains, OuterUpdate, Pulse

Consuming = Pulse | OuterUpdate | OuterTrains


def consuming(rig: Rig, cell: Cell, count: int) -> Iterator[Consuming]:
    """Make one operation of each consuming kind that gives a cell pulses."""
    operations = rig.capabilities.operations
    if "pulse" in operations:
        yield rig.pulse(cell, count)
    if "outer_update" in operations:
        most = rig.tile.update_code_max
        yield rig.update({cell[1]: most}, {cell[0]: most}, count)
    if "outer_trains" in operations:
        yield rig.trains({cell[1]: 1}, {cell[0]: 1}, count)


def run(rig: Rig, evidence: Evidence) -> None:
    """Name a hash that was never installed, and one that is no longer in force."""
    cell = working(rig)
    for operation in consuming(rig, cell, 1):
        other = _under(rig, operation, rig.chip.configuration_hash ^ 1)
        expect_refusal(rig, evidence, f"{operation.kind} under a hash of nothing", other)
    limits = rig.chip.configuration.limits.tightened(Limits(pulses_per_operation=1))
    lowered = Configuration(shapes=rig.chip.configuration.shapes, limits=limits)
    if lowered.hash() == rig.chip.configuration_hash:
        return
    with rig.configured(lowered):
        for operation in consuming(rig, cell, 1):
            old = _under(rig, operation, rig.chip.configuration_hash)
            what = f"{operation.kind} under the hash of the configuration before"
            expect_refusal(rig, evidence, what, old)


def _under(rig: Rig, operation: Consuming, configuration: int) -> Operation:
    rig.charge([operation])
    return dataclasses.replace(operation, configuration=configuration)


CHECKS = (
    Check(
        "configuration_hash",
        "what names another configuration than the one in force is not executed",
        run,
        needs=("pulse",),
    ),
)
