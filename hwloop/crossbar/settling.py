"""What became of the operations of a submission that failed or was cut off."""

from __future__ import annotations

from hwloop.backend import AbortReport, CrossbarBackend, KnowsVerdicts, Ticket
from hwloop.errors import CrossbarError
from hwloop.operations import OperationClass, Verdict


def verdicts_of(
    ticket: Ticket, backend: CrossbarBackend, report: AbortReport | None = None
) -> dict[int, Verdict]:
    """Return what is known of the consuming operations of a submission that have no result.

    A backend executes in order and stops at the first failure: what lies behind the operation that
    failed, or that an abort cut short, is not applied.

    Args:
        ticket: the submission.
        backend: the array.
        report: what the abort found, if there was one.
    """
    rest = list(ticket.operations[len(ticket.results) :])
    known = backend.verdicts if isinstance(backend, KnowsVerdicts) else {}
    if not known and rest:
        first = _of_first(rest[0].id, ticket.error, report)
        known = {op.id: Verdict.NOT_APPLIED for op in rest} | {rest[0].id: first}
    consuming = [op for op in rest if op.repeat is OperationClass.CONSUMING]
    return {op.id: known.get(op.id, Verdict.UNKNOWN) for op in consuming}


def _of_first(identity: int, error: CrossbarError | None, report: AbortReport | None) -> Verdict:
    if error is not None:
        return error.verdict
    if report is not None and report.partial is not None and report.partial.id == identity:
        return report.partial.verdict
    return Verdict.UNKNOWN
