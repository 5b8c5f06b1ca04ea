"""Errors: what is malformed is refused in the family of errors, and latches until it is cleared.

Consuming operations that are malformed here ask for no pulse, so that even one that is executed
does no harm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from hwloop.conformance.check import Check
from hwloop.conformance.checks.refusing import expect_refusal
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import SECONDS, Rig
from hwloop.errors import CrossbarError
from hwloop.operations import Direction, Form, Operation, Plane, Pulse, Reset

Named = Iterator[tuple[str, Operation]]


def malformed(rig: Rig, evidence: Evidence) -> None:
    """Send one of each kind of malformed operation."""
    for what, operation in _malformed(rig):
        expect_refusal(rig, evidence, what, operation)
    read = rig.harmless()
    if read is not None:
        rig.one(read)
        evidence.note("a read after all that", "answered")


def latched(rig: Rig, evidence: Evidence) -> None:
    """Send a malformed operation, and see that nothing is executed before `clear`."""
    backend, read = rig.backend, rig.harmless()
    what, bad = next(_malformed(rig))
    if read is None:
        return
    try:
        backend.wait(backend.submit([bad, read]), SECONDS)
        first = "executed"
    except CrossbarError as error:
        first = type(error).__name__
    if not evidence.expect(first != "executed", f"{what}, then a read", first, "refused"):
        return
    try:
        backend.wait(backend.submit([read]), SECONDS)
        second = "executed"
    except CrossbarError as error:
        second = type(error).__name__
    evidence.expect(
        second != "executed", "a read behind the failure, before clear()", second, "not executed"
    )
    rig.clear()
    try:
        rig.one(read)
        third = "executed"
    except CrossbarError as error:
        third = error.message
    evidence.expect(third == "executed", "the read after clear()", third, "executed")


def _malformed(rig: Rig) -> Named:
    operations = rig.capabilities.operations
    if "vmm" in operations:
        yield from _vectors(rig)
    if "read_cells" in operations:
        yield from _reads(rig)
    if "pulse" in operations:
        yield from _pulses(rig)
    if "outer_update" in operations:
        yield from _updates(rig)
    if "outer_trains" in operations:
        trains = rig.trains({}, {}, 1)
        longer = np.zeros((2, 1, rig.tile.rows), np.int8)
        yield "outer_trains with a sample too many", dataclasses.replace(trains, d_trains=longer)
    if rig.capabilities.kind == "virtual":  # a chip that forms nevertheless would not forget it
        yield from _not_offered(rig)


def _vectors(rig: Rig) -> Named:
    tile, most = rig.tile, rig.tile.dac.code_max

    forward = Direction.FORWARD
    nothing = rig.vectors(forward)
    yield "vmm with a code too many", rig.vmm(forward, np.zeros((1, tile.cols + 1), np.int32))
    beyond = nothing.astype(np.int32)
    beyond[0, rig.cols[0]] = most + 1
    yield "vmm with a code above code_max", rig.vmm(forward, beyond)
    missing = len(rig.capabilities.tiles)
    operation = dataclasses.replace(rig.vmm(forward, nothing), tile=missing)
    yield "vmm on a tile that is not there", operation
    if tile.reference in ("none", "digital"):
        operation = dataclasses.replace(rig.vmm(forward, nothing), plane=Plane.REFERENCE)
        yield "vmm of a plane that is not there", operation


def _reads(rig: Rig) -> Named:
    tile = rig.tile
    row, col = rig.rows[0], rig.cols[0]
    yield "read_cells of a row that is not there", rig.read([tile.rows], [col])
    yield "read_cells of a column that is not there", rig.read([row], [tile.cols])
    yield "read_cells of column -1", rig.read([row], [-1])
    yield "read_cells with average 0", rig.read([row], [col], average=0)
    most = tile.average_max
    yield "read_cells with more than average_max", rig.read([row], [col], average=most + 1)


def _pulses(rig: Rig) -> Named:
    tile = rig.tile
    row, col = rig.rows[0], rig.cols[0]
    zero = np.zeros((1, 1), np.int16)
    yield "pulse on a row that is not there", rig.pulses([tile.rows], [col], zero)
    yield "pulse on a column that is not there", rig.pulses([row], [tile.cols], zero)
    yield "pulse on row -1", rig.pulses([-1], [col], zero)
    counts = np.zeros((2, 1), np.int16)
    yield "pulse with a count too many", rig.pulses([row], [col], counts)
    missing = len(rig.capabilities.tiles)
    yield "pulse on a tile that is not there", rig.pulses([row], [col], zero, tile=missing)
    yield (
        "pulse of a shape that is not there",
        Pulse(
            tile=rig.scope.region.tile,
            rows=np.array([row], np.int32),
            cols=np.array([col], np.int32),
            counts=zero,
            shape="no such shape",
            configuration=rig.chip.configuration_hash,
            **rig.chip.identity(),
        ),
    )


def _updates(rig: Rig) -> Named:
    tile = rig.tile
    update = rig.update({}, {}, 1)
    wide = np.zeros((1, tile.cols + 1), np.int8)
    yield "outer_update with a column too many", dataclasses.replace(update, x_codes=wide)
    update = rig.update({}, {}, 1)
    longer = np.zeros((2, tile.rows), np.int8)
    yield "outer_update with a sample too many", dataclasses.replace(update, d_codes=longer)
    update = rig.update({}, {}, 1)
    beyond = np.array([tile.longest_train + 1], np.int32)
    yield "outer_update with too long a train", dataclasses.replace(update, train_lengths=beyond)


def _not_offered(rig: Rig) -> Named:
    tile, configuration = rig.scope.region.tile, rig.chip.configuration_hash
    for kind in (Form, Reset):
        if kind.kind not in rig.capabilities.operations:
            operation = kind(
                tile=tile,
                rows=np.array([rig.rows[0]], np.int32),
                cols=np.array([rig.cols[0]], np.int32),
                recipe="none",
                configuration=configuration,
                **rig.chip.identity(),
            )
            yield f"{kind.kind}, which the array does not offer", operation


CHECKS = (
    Check(
        "errors",
        "what is malformed is refused by an error of hwloop.errors that names its operation",
        malformed,
    ),
    Check(
        "latch",
        "nothing is executed behind a failed operation until clear()",
        latched,
    ),
)
