"""An array behind the tape of its interrupted run: the tape answers, as long as it can."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from hwloop.backend import (
    AbortReport,
    ChipCounters,
    CrossbarBackend,
    KnowsVerdicts,
    LinkCounters,
    Linked,
    Ticket,
    keeps_doses,
    moves_nothing,
    started_here,
)
from hwloop.capabilities import Capabilities
from hwloop.crossbar.chip import ID_GAP
from hwloop.errors import CrossbarError, ReplayError
from hwloop.experiments.interrupted import Interrupted, Taped
from hwloop.operations import Configure, Operation, Result, Verdict
from hwloop.tape.differences import excerpt
from hwloop.tape.format import operation_content

Settled = Mapping[int, tuple[Verdict, int | None]]
"""What became of open operations: verdict, and pulses if they are known."""


class Fed:
    """Answers an interrupted run's operations from its tape, and sends nothing until that ends.

    What was in flight when the run stopped, and is settled as applied, is answered without being
    sent; what was not applied is sent under its own id, and reads are read now. Then everything is
    the array's.

    Args:
        array: the array, opened.
        interrupted: the tape.
        settled: what became of open consuming operations.

    Attributes:
        live: whether the tape has come to its end.
        again: open operations that were sent.
        untold: ids of operations that were applied, and whose pulses nobody knows.
    """

    def __init__(self, array: CrossbarBackend, interrupted: Interrupted, settled: Settled) -> None:
        self.array = array
        self.live = False
        self.again: list[Operation] = []
        self.untold: list[int] = []
        self._interrupted = interrupted
        self._entries = deque(interrupted.operations)
        self._settled = settled
        self._configure: Operation | None = None
        self._when_live: Callable[[], None] | None = None
        self._failure: CrossbarError | None = None
        first = interrupted.first_id
        self.last_id = first - 1 - ID_GAP if first > ID_GAP else 0

    def when_live(self, act: Callable[[], None]) -> None:
        """Call `act` as soon as the array goes live."""
        self._when_live = act
        self._look_ahead()

    def skip_to(self, offset: int) -> None:
        """Go on behind a place of the tape."""
        self._entries = deque(self._interrupted.behind(offset))
        self._look_ahead()

    # --- what an array offers ------------------------------------------------------------------

    @property
    def started_here(self) -> bool:
        """Whether this process started the array."""
        return started_here(self.array)

    @property
    def keeps_doses(self) -> bool:
        """Whether the array's other end keeps its doses."""
        return keeps_doses(self.array)

    @property
    def moves_nothing(self) -> bool:
        """Whether no array is behind it."""
        return moves_nothing(self.array)

    @property
    def counters(self) -> LinkCounters:
        """What has gone over the link, nothing where there is none."""
        return self.array.counters if isinstance(self.array, Linked) else LinkCounters()

    def chip_counters(self) -> ChipCounters:
        """Ask the array for what its end has counted."""
        if isinstance(self.array, Linked):
            return self.array.chip_counters()
        return ChipCounters(0, 0, 0, 0)

    @property
    def verdicts(self) -> dict[int, Verdict]:
        """What is known of operations that failed, by their ids on the tape.

        Of those that the tape would have answered next, it is what was known of them before: that a
        session fails before it comes to them changes nothing.
        """
        waiting = {taped.operation.id for taped in self._entries}
        before = {n: verdict for n, (verdict, _) in self._settled.items() if n in waiting}
        known = self.array.verdicts if isinstance(self.array, KnowsVerdicts) else {}
        if not self._interrupted.shifts:
            return before | known
        last = self._interrupted.shifts[-1]
        back = self._interrupted.on_chip(last[0] + 1) - last[0] - 1
        return before | {(n - back if n - back > last[0] else n): v for n, v in known.items()}

    def describe(self) -> Capabilities:
        """Return what the array can do."""
        return self.array.describe()

    def submit(self, operations: Sequence[Operation]) -> Ticket:
        """Answer from the tape, or send."""
        if self.live and not self._entries:
            return self._send(operations)
        ticket = _Answered(operations)
        if self._failure is not None:
            ticket.error = self._failure
            ticket.done.set()
            return ticket
        try:
            for operation in operations:
                ticket.results.append(self._answer(operation))
        except CrossbarError as error:
            error.operation_id = error.operation_id or operation.id
            # As in any array, nothing behind a failure is answered: a tape on which a later pulse
            # has a result and an earlier read has none could not be repeated.
            ticket.error = self._failure = error
        ticket.done.set()
        if self._failure is None:
            self._look_ahead()
        return ticket

    def wait(self, ticket: Ticket, timeout: float | None = None) -> list[Result]:
        """Return the results of a submission."""
        if isinstance(ticket, _Answered):
            if ticket.error is not None:
                raise ticket.error
            return ticket.results
        if isinstance(ticket, _Sent):
            self.array.wait(ticket.inner, timeout)
            return ticket.results
        return self.array.wait(ticket, timeout)

    def idle(self) -> None:
        """Bring all lines to their idle state."""
        self.array.idle()

    def abort(self) -> AbortReport:
        """Abort what is under way."""
        return self.array.abort()

    def clear(self) -> None:
        """Allow execution again."""
        self._failure = None
        self.array.clear()

    def close(self) -> None:
        """Let the array go."""
        self.array.close()

    # --- answers -------------------------------------------------------------------------------

    def _answer(self, operation: Operation) -> Result:
        if not self._entries:  # the tape ended within a submission
            self._go_live()
            return self._execute(operation)
        taped = self._entries[0]
        if operation_content(operation) != operation_content(taped.operation):
            raise self._differs(operation, taped)
        self._entries.popleft()
        if isinstance(operation, Configure):
            self._configure = operation
        if taped.result is not None:
            return dataclasses.replace(taped.result, id=operation.id)
        self._go_live()
        verdict, fired = self._settled.get(operation.id, (Verdict.NOT_APPLIED, None))
        if not taped.consuming or verdict is Verdict.NOT_APPLIED:
            self.again.append(operation)
            return self._execute(operation)
        if fired is None:
            self.untold.append(operation.id)
        return Result(id=operation.id, verdict=verdict, fired=fired or 0)

    def _execute(self, operation: Operation) -> Result:
        return self.wait(self._send([operation]))[0]

    def _send(self, operations: Sequence[Operation]) -> Ticket:
        moved = [self._interrupted.on_chip(op.id) if op.id else 0 for op in operations]
        if moved == [op.id for op in operations]:
            return self.array.submit(operations)
        renamed = [
            dataclasses.replace(op, id=identity)
            for op, identity in zip(operations, moved, strict=True)
        ]
        return _Sent(operations, self.array.submit(renamed))

    def _look_ahead(self) -> None:
        """Go live before anything new is asked for, so that it is guarded as new."""
        if not self._entries or self._entries[0].result is None:
            self._go_live()

    def _go_live(self) -> None:
        if self.live or self._when_live is None:
            return
        self.live = True
        if self._configure is not None:
            self.array.wait(self.array.submit([self._configure]))
        self._when_live()

    def _differs(self, asked: Operation, taped: Taped) -> ReplayError:
        after = [entry.operation for entry in list(self._entries)[1:3]]
        text = excerpt(self._interrupted.operations.index(taped), asked, taped.operation, (), after)
        return ReplayError(
            f"the repeated run differs from {self._interrupted.path}; nothing was sent\n{text}",
            remedy="resume with the library versions, options and data of the interrupted run",
        )


class _Answered(Ticket):
    """A submission that needs nobody any more."""

    __slots__ = ()


class _Sent(Ticket):
    """A submission under other ids than those of the tape."""

    __slots__ = ("inner",)

    def __init__(self, operations: Sequence[Operation], inner: Ticket) -> None:
        self.inner = inner
        super().__init__(operations)

    @property
    def results(self) -> list[Result]:
        """Results so far, under the ids of the tape."""
        return [
            dataclasses.replace(result, id=operation.id)
            for result, operation in zip(self.inner.results, self.operations, strict=False)
        ]

    @results.setter
    def results(self, results: list[Result]) -> None:
        """Results are those of the array."""

    @property
    def error(self) -> CrossbarError | None:
        """What went wrong."""
        return self.inner.error

    @error.setter
    def error(self, error: CrossbarError | None) -> None:
        """Errors are those of the array."""
