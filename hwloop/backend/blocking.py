"""A base class of backends that execute one operation at a time."""

from __future__ import annotations

import dataclasses
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

from hwloop.backend.protocol import AbortReport, Ticket
from hwloop.capabilities import Capabilities
from hwloop.errors import CrossbarError, DeviceError, LinkError
from hwloop.operations import Operation, Result, Verdict

ABORT_SECONDS = 10.0
"""Longest wait of an abort for the operation under way."""


class BlockingBackend(ABC):
    """Base of a backend that executes one operation at a time.

    A lab writes `describe`, `execute` and `idle`; the worker thread, tickets and ids are supplied
    here.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._under_way: Ticket | None = None
        self._current: Operation | None = None
        self._last = Verdict.APPLIED, 0  # of the operation that ended last, and pulses fired
        self._closing = False
        self._aborted = threading.Event()
        self._failure: CrossbarError | None = None
        self._latched = False
        self._worker: threading.Thread | None = None

    @abstractmethod
    def describe(self) -> Capabilities:
        """Return what the array can do."""

    @abstractmethod
    def execute(self, operation: Operation) -> Result:
        """Execute one operation and return its result, or raise a `CrossbarError`."""

    @abstractmethod
    def idle(self) -> None:
        """Bring all lines to their idle state; called from any thread."""

    @property
    def aborted(self) -> bool:
        """Whether an abort is asked for; a long `execute` looks at it between pulses."""
        return self._aborted.is_set()

    def submit(self, operations: Sequence[Operation]) -> Ticket:
        """Queue operations and return at once."""
        self._raise_failure()
        ticket = Ticket(operations)
        with self._changed:
            if self._worker is None:
                self._worker = threading.Thread(
                    target=self._run, name="hwloop-backend", daemon=True
                )
                self._worker.start()
            self._waiting.append(ticket)
            self._changed.notify_all()
        return ticket

    def wait(self, ticket: Ticket, timeout: float | None = None) -> list[Result]:
        """Block until a submission is done and return its results."""
        if not ticket.done.wait(timeout):
            raise LinkError(
                f"no answer within {timeout} s",
                operation_id=ticket.operations[0].id if ticket.operations else 0,
                verdict=Verdict.UNKNOWN,
                remedy="wait longer, or abort and look at the array",
            )
        if ticket.error is not None:
            self._failure = None
            raise ticket.error
        return ticket.results

    def abort(self) -> AbortReport:
        """Idle the lines, cut the operation under way short, and drop the queue.

        Waits until `execute` has returned, but no longer than `ABORT_SECONDS`: what becomes of an
        operation that goes on for longer is not known.
        """
        self._aborted.set()
        with self._changed:
            self._latched = True
        self.idle()
        with self._changed:
            current, ticket = self._current, self._under_way
            dropped: list[Operation] = []
            if ticket is not None:
                begun = len(ticket.results) + (current is not None)
                dropped += ticket.operations[begun:]
            while self._waiting:
                waiting = self._waiting.popleft()
                dropped += waiting.operations
                for first in waiting.operations[:1]:
                    self._fail(waiting, first, DeviceError("aborted before it began"))
                waiting.done.set()
            partial = None if current is None else self._cut_short(current)
        return AbortReport(partial, tuple(operation.id for operation in dropped))

    def _cut_short(self, operation: Operation) -> Result | None:
        """Return what became of the operation that an abort has met; None if it was finished."""
        ended = self._changed.wait_for(lambda: self._current is not operation, ABORT_SECONDS)
        verdict, fired = self._last if ended else (Verdict.UNKNOWN, 0)
        if verdict is Verdict.APPLIED:
            return None
        return Result(id=operation.id, verdict=verdict, fired=fired)

    def clear(self) -> None:
        """Allow execution again after a failure or an abort."""
        self._failure = None
        self._latched = False
        self._aborted.clear()

    def close(self) -> None:
        """Finish what is queued, idle the lines, and stop the worker."""
        if self._worker is not None:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            self._worker.join()
            self._worker, self._closing = None, False
        self.idle()
        self._raise_failure()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _fail(self, ticket: Ticket, operation: Operation, error: CrossbarError) -> None:
        error.operation_id = error.operation_id or operation.id
        ticket.error = error
        self._failure = error
        self._latched = True
        ticket.done.set()

    def _run(self) -> None:
        while (ticket := self._next()) is not None:
            for operation in ticket.operations:
                if not self._begins(ticket, operation):
                    break
                failure = self._executed(ticket, operation)
                if failure is not None:
                    self._fail(ticket, operation, failure)
                    break
            with self._changed:
                self._under_way = None
            ticket.done.set()

    def _next(self) -> Ticket | None:
        """Wait for a submission; return None when the array is closed."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            self._under_way = self._waiting.popleft()
            return self._under_way

    def _begins(self, ticket: Ticket, operation: Operation) -> bool:
        with self._changed:
            if not self._latched:
                self._current = operation
                return True
        error = DeviceError(
            "not executed: the array is latched after a failure or an abort",
            remedy="look at the first error, then clear()",
        )
        self._fail(ticket, operation, error)
        return False

    def _executed(self, ticket: Ticket, operation: Operation) -> CrossbarError | None:
        """Execute an operation and enter its result, or return why there is none."""
        failure: CrossbarError | None = None
        last = Verdict.UNKNOWN, 0
        try:
            result = self.execute(operation)
            if not result.id:
                result = dataclasses.replace(result, id=operation.id)
            last = result.verdict, result.fired
        except CrossbarError as error:
            failure, last = error, (error.verdict, 0)
        except Exception as error:  # whatever a lab's driver raises becomes part of the family
            failure = DeviceError(
                f"{type(error).__name__} in the backend: {error}", verdict=Verdict.UNKNOWN
            )
            failure.__cause__ = error
        with self._changed:
            if failure is None:
                ticket.results.append(result)
            self._current, self._last = None, last
            self._changed.notify_all()
        return failure
