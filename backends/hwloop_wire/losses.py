"""The error that a loss becomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hwloop.errors import CrossbarError, DeviceError, LinkError, OutcomeUnknownError
from hwloop.operations import Verdict
from hwloop_wire.evidence import verdict_of_part
from hwloop_wire.log import text_of
from hwloop_wire.observer import Loss
from hwloop_wire.pending import PartRequest, Pending


def settle(loss: Loss) -> list[Pending]:
    """Note in the operations concerned what became of their parts; return them in order."""
    concerned: dict[int, Pending] = {}
    for request in loss.in_flight:
        if isinstance(request, PartRequest):
            pending = request.pending
            concerned[id(pending)] = pending
            pending.lost[request.part] = _verdict(loss, pending, request.part)
    for request in loss.unsent:
        if isinstance(request, PartRequest):
            pending = request.pending
            concerned[id(pending)] = pending
            pending.lost[request.part] = Verdict.NOT_APPLIED
    return list(concerned.values())


def _verdict(loss: Loss, pending: Pending, part: int) -> Verdict:
    if not pending.consuming:
        return Verdict.NOT_APPLIED
    if loss.hello is None:
        return Verdict.UNKNOWN
    return verdict_of_part(loss.hello, loss.rebooted, pending.operation.id, part)


def loss_error(loss: Loss, concerned: Sequence[Pending]) -> CrossbarError:
    """Return the error of a loss: unknown outcomes first, then the first operation concerned."""
    verdicts = [(pending, pending.verdict()) for pending in concerned]
    unknown = [(p, v) for p, v in verdicts if v is Verdict.UNKNOWN]
    first, verdict = (unknown or verdicts or [(None, Verdict.NOT_APPLIED)])[0]
    message = loss.error.message + _summary(verdicts)
    identity = first.operation.id if first is not None else 0
    if loss.hello is None:
        return LinkError(
            message,
            operation_id=identity,
            verdict=verdict,
            retryable=verdict is Verdict.NOT_APPLIED,
            remedy="look at power and cable; clear() asks the chip what was applied",
        )
    if unknown:
        return OutcomeUnknownError(
            message,
            operation_id=identity,
            verdict=verdict,
            remedy="read the cells that the operation was to change, then decide",
        )
    return DeviceError(
        message,
        operation_id=identity,
        verdict=verdict,
        retryable=verdict is Verdict.NOT_APPLIED,
        remedy="clear() arms and configures the chip again",
    )


def by_verdict(concerned: Iterable[Pending]) -> dict[Verdict, list[int]]:
    """Return the ids of operations by what is known of them."""
    ids: dict[Verdict, list[int]] = {}
    for pending in concerned:
        ids.setdefault(pending.verdict(), []).append(pending.operation.id)
    return ids


def _summary(verdicts: Sequence[tuple[Pending, Verdict]]) -> str:
    if not verdicts:
        return "; nothing was in flight"
    counts = {
        verdict: sum(v is verdict for _, v in verdicts)
        for verdict in Verdict
        if any(v is verdict for _, v in verdicts)
    }
    return "; operations in flight: " + ", ".join(
        f"{count} {text_of(verdict)}" for verdict, count in counts.items()
    )
