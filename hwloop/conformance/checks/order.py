"""Order: operations are executed as they were submitted, within a submission and over several."""

from __future__ import annotations

import numpy as np

from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import TRIES, working
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.marks import SIGMAS, floors
from hwloop.conformance.region import Cell
from hwloop.conformance.rig import READS, Rig
from hwloop.errors import CrossbarError
from hwloop.operations import Operation, ReadCells, Result


def run(rig: Rig, evidence: Evidence) -> None:
    """Read between pulses up and pulses down, without waiting in between."""
    cell = working(rig)
    _, error = rig.cells([cell[0]], [cell[1]])
    threshold = max(SIGMAS * 2 * error, floors(rig).get("cells", 0.0))
    rise = fall = 0.0
    for _ in range(TRIES):  # noise may hide what a cell does at one time
        levels = _levels(rig, evidence, cell)
        if levels is None:
            return
        before, middle, behind = levels
        rise, fall = middle - before, middle - behind
        if min(abs(rise), abs(fall)) > threshold:
            break
    evidence.expect(
        rise > threshold,
        "read behind pulses up of the submission before, less the read before them",
        f"{rise:+.3g}",
        f"more than {threshold:.2g} device units",
    )
    evidence.expect(
        fall > threshold,
        "the same, less the read behind pulses down in its own submission",
        f"{fall:+.3g}",
        f"more than {threshold:.2g} device units",
    )


def _levels(rig: Rig, evidence: Evidence, cell: Cell) -> list[float] | None:
    """Return the cell before pulses up, behind them, and behind pulses down; None if that fails."""
    up, down = pulses(rig, cell, 1), pulses(rig, cell, -1)
    submissions: list[list[Operation]] = [
        [*_reads(rig, cell), *up],
        [*_reads(rig, cell), *down, *_reads(rig, cell)],
    ]
    for operations in submissions:
        for operation in operations:
            rig.budget.charge(operation)
    try:
        sent = [rig.chip.submit(operations) for operations in submissions]
        results = [submission.results() for submission in sent]
    except CrossbarError as failure:
        rig.chip.abort()
        evidence.expect(False, "two submissions, one behind the other", failure.message, "executed")
        return None
    ids = [[r.id for r in answers] for answers in results]
    expected = [[o.id for o in operations] for operations in submissions]
    fine = ids == expected
    evidence.expect(fine, "ids of the results", "as sent" if fine else ids, "as sent")
    if [len(answers) for answers in results] != [len(s) for s in submissions]:
        return None
    return [
        *_means(rig, submissions[0], results[0])[:1],
        *_means(rig, submissions[1], results[1]),
    ]


def pulses(rig: Rig, cell: Cell, sign: int) -> list[Operation]:
    """Return the operations of one mark."""
    most = min(rig.chip.configuration.limits.pulses_per_operation or 30_000, 30_000)
    whole, rest = divmod(rig.scope.mark, most)
    counts = [most] * whole + ([rest] if rest else [])
    return [rig.pulse(cell, sign * count) for count in counts]


def _reads(rig: Rig, cell: Cell) -> list[Operation]:
    average = min(rig.tile.average_max, READS)
    count = -(-READS // average)
    return [rig.read([cell[0]], [cell[1]], average=average) for _ in range(count)]


def _means(rig: Rig, operations: list[Operation], results: list[Result]) -> list[float]:
    """Return the mean of each run of reads, in order, device units."""
    levels: list[list[float]] = [[]]
    for operation, result in zip(operations, results, strict=True):
        if isinstance(operation, ReadCells):
            assert result.values is not None
            levels[-1].append(float(result.values[0, 0]) / operation.average)
        elif levels[-1]:
            levels.append([])
    return [float(np.mean(level)) * rig.cell_unit for level in levels if level]


CHECKS = (
    Check(
        "order",
        "operations are executed as they were submitted, within a submission and over several",
        run,
        needs=("pulse", "read_cells"),
    ),
)
