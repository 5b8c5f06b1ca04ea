"""The protocol of a backend."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hwloop.capabilities import Capabilities
from hwloop.errors import CrossbarError
from hwloop.operations import Operation, Result


class Ticket:
    """A submission under way; only its backend looks inside."""

    __slots__ = ("done", "error", "operations", "results")

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.results: list[Result] = []
        self.error: CrossbarError | None = None
        self.done = threading.Event()


@dataclass(frozen=True, slots=True)
class AbortReport:
    """What an abort found: the operation that was cut short, and those that were never begun."""

    partial: Result | None
    not_applied: tuple[int, ...]


@runtime_checkable
class CrossbarBackend(Protocol):
    """What hwloop asks of an array.

    Operations are executed in the order of submission. After a failed operation nothing more is
    executed until `clear`, and the error is raised by the next `submit`, `wait` or `close`.
    """

    def describe(self) -> Capabilities:
        """Return what the array can do."""
        ...

    def submit(self, operations: Sequence[Operation]) -> Ticket:
        """Queue operations and return at once."""
        ...

    def wait(self, ticket: Ticket, timeout: float | None = None) -> list[Result]:
        """Block until a submission is done and return its results, one per operation."""
        ...

    def idle(self) -> None:
        """Bring all lines to their idle state."""
        ...

    def abort(self) -> AbortReport:
        """Idle the lines first, cut the operation under way short, drop the queue.

        Nothing more is executed until `clear`.
        """
        ...

    def clear(self) -> None:
        """Allow execution again after a failure or an abort."""
        ...

    def close(self) -> None:
        """Idle the lines and let the array go."""
        ...
