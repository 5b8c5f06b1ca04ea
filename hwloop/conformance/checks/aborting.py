"""Abort: what was cut short and what was never begun is reported, and nothing more is executed."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from hwloop.backend import AbortReport, Ticket
from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import working
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import SECONDS, Rig
from hwloop.errors import CrossbarError
from hwloop.operations import Operation, Result

SECONDS_TO_QUEUE = 0.5
"""Longest wait until a first submission is queued; some arrays execute it instead."""


def latch(rig: Rig, evidence: Evidence) -> None:
    """Abort where nothing is under way, and see that nothing is executed before `clear`."""
    backend = rig.backend
    report = backend.abort()
    try:
        evidence.expect(
            report.partial is None and not report.not_applied,
            "report of an abort of nothing",
            f"{report.partial}, {len(report.not_applied)} not applied",
            "nothing cut short, nothing dropped",
        )
        operation = rig.pulse(working(rig), 1)
        rig.charge([operation])
        for what, asked in (("a pulse", operation), ("a read", rig.harmless())):
            if asked is None:
                continue
            try:
                backend.wait(backend.submit([asked]), SECONDS)
                seen = "executed"
            except CrossbarError as error:
                seen = f"{type(error).__name__} ({error.verdict.name.lower()})"
            fine = "not_applied" in seen
            evidence.expect(fine, f"{what} after abort(), before clear()", seen, "not applied")
        backend.idle()
    finally:
        rig.clear()
    read = rig.harmless()
    if read is not None:
        try:
            rig.one(read)
            seen = "executed"
        except CrossbarError as error:
            seen = error.message
        evidence.expect(seen == "executed", "a read after clear()", seen, "executed")


def queue(rig: Rig, evidence: Evidence) -> None:
    """Abort amid a queue of pulses, and account for every one of them."""
    count = rig.scope.aborted
    cell = working(rig)
    operations: list[Operation] = [rig.pulse(cell, 1 if n % 2 == 0 else -1) for n in range(count)]
    rig.charge(operations)
    before = rig.given(cell)
    half = count // 2
    aborted = _abort_amid(rig, [operations[:half], operations[half:]])
    rig.clear()
    never = _expect_account(evidence, operations, aborted)
    after = rig.given(cell)
    partial = aborted.report.partial
    if before is not None and after is not None:
        cut = 0 if partial is None else 1
        expected = count - len(never) - cut + (0 if partial is None else partial.fired)
        evidence.expect(
            after - before == expected,
            "pulses that the cell has had",
            after - before,
            f"{expected}: {count} operations less {len(never)} that were not begun",
        )
    evidence.note(
        "the abort came after", f"{count - len(never)} of {count} operations had been begun"
    )


@dataclass(frozen=True, slots=True)
class _Aborted:
    """What became of submissions amid which an abort came.

    Attributes:
        report: of the abort.
        answers: results or error of each submission, with its operations; None for one that was not
            taken, because an earlier one had failed.
        queued: submissions that were known to be queued before the abort.
    """

    report: AbortReport
    answers: list[tuple[list[Operation], list[Result] | CrossbarError | None]]
    queued: int


def _abort_amid(rig: Rig, parts: list[list[Operation]]) -> _Aborted:
    """Submit in a thread of its own, since some arrays execute meanwhile, and abort."""
    tickets: list[Ticket | None] = []
    taken = threading.Event()

    def submit() -> None:
        for operations in parts:
            try:
                tickets.append(rig.backend.submit(operations))
            except CrossbarError:
                tickets.append(None)
            taken.set()

    thread = threading.Thread(target=submit, name="conformance-abort")
    thread.start()
    taken.wait(SECONDS_TO_QUEUE)
    queued = len(tickets)
    report = rig.backend.abort()
    thread.join(SECONDS)
    answers: list[tuple[list[Operation], list[Result] | CrossbarError | None]] = []
    for operations, ticket in zip(parts, tickets, strict=False):
        if ticket is None:
            answers.append((operations, None))
            continue
        try:
            answers.append((operations, rig.backend.wait(ticket, SECONDS)))
        except CrossbarError as error:
            answers.append((operations, error))
    return _Aborted(report, answers, queued)


def _expect_account(
    evidence: Evidence, operations: list[Operation], aborted: _Aborted
) -> list[int]:
    """Compare the report with what became of each submission; return ids that were not begun."""
    dropped = list(aborted.report.not_applied)
    known = [operation.id for operation in operations]
    strange = sorted(set(dropped) - set(known))
    evidence.expect(not strange, "ids of the report that nobody sent", strange or "none", "none")
    ordered = dropped == [i for i in known if i in set(dropped)]
    evidence.expect(
        ordered, "ids of the report", "in order" if ordered else "not in order", "in order"
    )
    never: list[int] = []
    for number, (part, answer) in enumerate(aborted.answers):
        name = f"submission {number + 1} of {len(part)} operations"
        ids = [operation.id for operation in part]
        mine = [i for i in ids if i in set(dropped)]
        if answer is None:
            never += ids
            continue
        if not isinstance(answer, CrossbarError):
            fine = not mine and len(answer) == len(part)
            seen = f"{len(answer)} results, {len(mine)} reported as not begun"
            evidence.expect(fine, f"{name}: answered", seen, "all results, none not begun")
            never += mine
            continue
        # What was submitted at the moment of the abort may be in its report, or not, or in part.
        late = number >= aborted.queued and answer.operation_id == ids[0]
        never += ids if late else mine
        if not late:
            _expect_failed(evidence, name, ids, mine, answer, aborted.report)
    return never


def _expect_failed(
    evidence: Evidence,
    name: str,
    ids: list[int],
    mine: list[int],
    error: CrossbarError,
    report: AbortReport,
) -> None:
    """Expect that the operation that an error names and all behind it were reported."""
    if error.operation_id not in ids:
        evidence.expect(False, f"{name}: id of its error", error.operation_id, "one of its own")
        return
    cut = report.partial.id if report.partial is not None else 0
    expected = [i for i in ids[ids.index(error.operation_id) :] if i != cut]
    evidence.expect(
        mine == expected,
        f"{name}, failed at {error.operation_id}: reported as not begun",
        len(mine),
        f"{len(expected)}: this one and all behind it, but for the one cut short",
    )


CHECKS = (
    Check(
        "abort",
        "after an abort nothing is executed until clear()",
        latch,
        needs=("pulse",),
    ),
    Check(
        "abort_queue",
        "an abort amid a queue reports what was cut short and what was never begun",
        queue,
        needs=("pulse",),
    ),
)
