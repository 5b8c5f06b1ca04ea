"""What a chip's journal says of parts that were sent and not answered."""

from __future__ import annotations

from collections.abc import Iterable

from hwloop.operations import Verdict
from hwloop_wire.codes import Flag
from hwloop_wire.messages import HelloAnswer


def verdict_of_part(hello: HelloAnswer, rebooted: bool, identity: int, part: int) -> Verdict:
    """Return what became of a consuming part of an earlier session.

    Args:
        hello: what the chip says when it is back.
        rebooted: whether it booted in between.
        identity, part: of the part, in the chip's numbers.
    """
    if rebooted and not hello.flags & Flag.RETAINED:
        return Verdict.UNKNOWN
    mine = (identity, part)
    # Records carry the whole id: a commit that outlived several boots says nothing of later parts.
    commit = (hello.commit_id, hello.commit_part)
    if mine < commit:
        return Verdict.APPLIED
    if mine == commit:
        return Verdict(min(hello.commit_verdict, Verdict.UNKNOWN))
    if mine <= (hello.intent_id, hello.intent_part):
        return Verdict.UNKNOWN
    return Verdict.NOT_APPLIED


def verdict_of_operation(parts: Iterable[Verdict]) -> Verdict:
    """Return what became of an operation from what became of its parts."""
    verdicts = set(parts)
    if Verdict.UNKNOWN in verdicts:
        return Verdict.UNKNOWN
    return verdicts.pop() if len(verdicts) == 1 else Verdict.PARTIAL
