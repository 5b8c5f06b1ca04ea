"""What a chip's journal says of whole operations of an earlier session."""

from __future__ import annotations

from hwloop.backend import Outcome
from hwloop.operations import Operation, Verdict
from hwloop_wire.codes import Flag
from hwloop_wire.cutting import Cutter
from hwloop_wire.evidence import verdict_of_operation, verdict_of_part
from hwloop_wire.messages import HelloAnswer


def outcome_of(
    operation: Operation, boot: int | None, hello: HelloAnswer, cutter: Cutter
) -> Outcome:
    """Return what became of a consuming operation of an earlier session, all its parts together.

    Args:
        operation: as it was sent, by its id.
        boot: of the chip when it was sent, None if nobody knows.
        hello: what the chip says when it is back, before anything is moved.
        cutter: cuts operations as they were cut.
    """
    rebooted = boot != hello.boot
    parts = cutter.count(operation)
    verdicts = [verdict_of_part(hello, rebooted, operation.id, part) for part in range(parts)]
    whole = parts == 1 and operation.id == hello.commit_id
    return Outcome(
        verdict_of_operation(verdicts),
        hello.commit_fired if whole and verdicts[0] is not Verdict.UNKNOWN else None,
        _words(operation.id, parts, hello, rebooted),
    )


def _words(identity: int, parts: int, hello: HelloAnswer, rebooted: bool) -> str:
    since = "booted since" if rebooted else "not booted since"
    if rebooted and not hello.flags & Flag.RETAINED:
        return f"{since}, and the chip keeps no journal over a boot"
    intent, commit = (
        f"{number}" if part == 0 else f"{number}, part {part}"
        for number, part in (
            (hello.intent_id, hello.intent_part),
            (hello.commit_id, hello.commit_part),
        )
    )
    cut = f" of {parts} parts" if parts > 1 else ""
    return (
        f"operation {identity}{cut}; last begun {intent}, last ended {commit} "
        f"({hello.commit_fired} pulses); {since}"
    )
