"""Operations on their way through a link."""

from __future__ import annotations

from dataclasses import dataclass, field

from hwloop import operations as ops
from hwloop.backend import Ticket
from hwloop_wire.evidence import verdict_of_operation
from hwloop_wire.messages import Result
from hwloop_wire.results import PartResult
from hwloop_wire.session import Request


@dataclass(slots=True, eq=False)
class Pending:
    """An operation whose parts are not all answered.

    Attributes:
        operation: what was asked.
        ticket: its submission.
        parts: number of its parts.
        answers: what came back, in order.
        lost: verdicts of parts that have no answer, by number.
    """

    operation: ops.Operation
    ticket: Ticket
    parts: int = 0
    answers: list[PartResult] = field(default_factory=list)
    lost: dict[int, ops.Verdict] = field(default_factory=dict)

    @property
    def consuming(self) -> bool:
        """Whether it may be executed only once."""
        return self.operation.repeat is ops.OperationClass.CONSUMING

    def verdict(self) -> ops.Verdict:
        """Return what is known of it."""
        known = [ops.Verdict(answer.head.verdict) for answer in self.answers]
        return verdict_of_operation([*known, *self.lost.values()])


@dataclass(slots=True, eq=False)
class PartRequest(Request):
    """A part on its way to the chip and back."""

    pending: Pending = field(kw_only=True)
    part: int = field(kw_only=True)


def not_applied(pending: Pending, part: int, error: int) -> PartResult:
    """Return the answer of a part that never reached the chip, or that it could not read."""
    head = Result(
        id=pending.operation.id,
        fired=0,
        ticks=0,
        values=0,
        part=part,
        error=error,
        verdict=ops.Verdict.NOT_APPLIED,
        value_bytes=0,
    )
    return PartResult(head, None, None)
