"""Backends that stand in for an array: one that only says what it is, one that answers as taped."""

from __future__ import annotations

from collections.abc import Sequence

from hwloop.backend import AbortReport, Ticket
from hwloop.capabilities import Capabilities
from hwloop.errors import ReplayError
from hwloop.operations import Configure, Operation, Result
from hwloop.tape import Tape


class Described:
    """What is known of an array; it takes a configuration, and nothing else."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities

    @property
    def moves_nothing(self) -> bool:
        """Whether no array is behind it: so it is."""
        return True

    def describe(self) -> Capabilities:
        """Return what the array can do."""
        return self._capabilities

    def submit(self, operations: Sequence[Operation]) -> Ticket:
        """Answer as far as possible."""
        ticket = Ticket(operations)
        for operation in operations:
            result = self._answer(operation)
            if result is None:
                ticket.error = ReplayError(f"no array is there to execute {operation.kind}")
                break
            ticket.results.append(result)
        ticket.done.set()
        return ticket

    def wait(self, ticket: Ticket, timeout: float | None = None) -> list[Result]:
        """Return the results of a submission."""
        if ticket.error is not None:
            raise ticket.error
        return ticket.results

    def idle(self) -> None:
        """Do nothing."""

    def abort(self) -> AbortReport:
        """Do nothing."""
        return AbortReport(None, ())

    def clear(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def _answer(self, operation: Operation) -> Result | None:
        return Result(id=operation.id) if isinstance(operation, Configure) else None


class Taped(Described):
    """An array that answers what a tape says, operation by operation, up to the tape's end.

    Args:
        capabilities: what the array was able to do.
        tape: the tape.
    """

    def __init__(self, capabilities: Capabilities, tape: Tape) -> None:
        configuration = capabilities.configuration
        limits = configuration.limits.installed()  # what is taped is in the doses for life already
        configuration = configuration.model_copy(update={"limits": limits})
        super().__init__(capabilities.model_copy(update={"configuration": configuration}))
        self._entries = iter(tape)
        self._ended = False

    def _answer(self, operation: Operation) -> Result | None:
        entry = None if self._ended else next(self._entries, None)
        if entry is None or entry.result is None:  # what follows was on its way as well
            self._ended = True
            return None
        if entry.operation != operation:
            raise ReplayError(
                f"operation {operation.id}, {operation.kind}, differs from the tape",
                remedy="use the library version that made the tape",
            )
        return entry.result
