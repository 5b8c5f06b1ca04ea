"""Repeating: what is safe to ask again gives the same again."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import working
from hwloop.conformance.evidence import Evidence, SkippedError
from hwloop.conformance.marks import VECTOR_REPEATS
from hwloop.conformance.rig import Rig
from hwloop.operations import (
    Configure,
    Direction,
    Operation,
    OuterUpdate,
    Restore,
)

SIGMAS_OF_A_READ = 8.0

Ints = NDArray[np.integer[Any]]


def reads(rig: Rig, evidence: Evidence) -> None:
    """Make the same reads twice, under the same ids and ordinals."""
    operations: list[Operation] = []
    if "read_cells" in rig.capabilities.operations:
        operations.append(rig.read(average=min(4, rig.tile.average_max)))
    if "vmm" in rig.capabilities.operations:
        codes = rig.vectors(Direction.FORWARD, VECTOR_REPEATS)
        codes[:, rig.cols] = rig.tile.dac.code_max
        operations.append(rig.vmm(Direction.FORWARD, codes))
    # A virtual array that shows its state has no other: state and ordinal make the answer.
    exact = "snapshot" in rig.capabilities.operations
    for operation in operations:
        first, second = _twice(rig, operation)
        differ = int(np.count_nonzero(first != second))
        if exact:
            evidence.expect(
                differ == 0,
                f"{operation.kind} again, same id and ordinal: values that differ",
                differ,
                "0: noise is keyed by the ordinal",
            )
            continue
        spread = np.abs(first.astype(np.int64) - second).max()
        others = [rig.one(_fresh(rig, operation)).values for _ in range(8)]
        noise = np.std(np.asarray(others, np.float64), axis=0).max() + 0.5
        evidence.expect(
            spread <= SIGMAS_OF_A_READ * np.sqrt(2) * noise,
            f"{operation.kind} again: largest difference in codes",
            int(spread),
            f"at most {SIGMAS_OF_A_READ * np.sqrt(2) * noise:.1f}",
        )
    configure = Configure(content_json=rig.chip.configuration.canonical())
    rig.straight(configure, configure)
    evidence.note("configure, twice", "taken")


def _twice(rig: Rig, operation: Operation) -> tuple[Ints, Ints]:
    """Make a read twice, on an array that shows its state from the same state."""
    state = rig.snapshot()
    answers = []
    for _ in range(2):
        if state is not None:
            rig.run(Restore(tile=operation.tile, state=state))
        values = rig.one(operation).values
        assert values is not None
        answers.append(values)
    return answers[0], answers[1]


def seeded(rig: Rig, evidence: Evidence) -> None:
    """Make the same seeded update twice, from the same state."""
    tile = rig.tile
    if "seeded" not in tile.update_encodings:
        raise SkippedError("update_encodings: no seeded updates")
    length = min(31, tile.longest_train, rig.scope.mark)
    limit = rig.chip.configuration.limits.pulses_per_operation
    length = min(length, limit or length)
    half = max(tile.update_code_max // 2, 1)
    cell = working(rig)
    x = {col: half for col in {cell[1], *rig.cols[:4]}}
    d = {row: tile.update_code_max for row in {cell[0], *rig.rows[:4]}}
    first = rig.update(x, d, length)
    same = dataclasses.replace(rig.update(x, d, length), ordinal=first.ordinal)
    if "restore" in rig.capabilities.operations:
        a, b = (_from_the_same_state(rig, operation) for operation in (first, same))
        cells = int(np.count_nonzero((a != b).any(axis=0)))
        evidence.expect(cells == 0, "same update from the same state: cells that differ", cells, 0)
        return
    fired = [rig.one(operation).fired for operation in (first, same)]
    evidence.expect(
        fired[0] == fired[1], "pulses of the same update, twice", fired, "equal: same seed"
    )


def _from_the_same_state(rig: Rig, operation: OuterUpdate) -> NDArray[np.uint32]:
    start = rig.kept("state for seeded updates", rig.snapshot)
    rig.run(Restore(tile=operation.tile, state=start))
    rig.one(operation)
    state = rig.snapshot()
    assert state is not None
    # Where cells change with time the state also holds the tick, which goes on.
    return state[:4]


def _fresh(rig: Rig, operation: Operation) -> Operation:
    return dataclasses.replace(operation, **rig.chip.identity())


CHECKS = (
    Check(
        "repeated_reads",
        "a read that is made again gives the same: the same bits on a virtual array that shows its "
        "state, else the same within its noise",
        reads,
    ),
    Check(
        "repeated_seeds",
        "a seeded update that is made again fires the same pulses",
        seeded,
        needs=("outer_update", "pulse"),
    ),
)
