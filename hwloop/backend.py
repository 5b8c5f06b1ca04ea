"""The protocol of a backend, a base class for simple ones, and their discovery."""

from __future__ import annotations

import dataclasses
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from hwloop.capabilities import Capabilities
from hwloop.errors import ConfigurationError, CrossbarError, DeviceError, LinkError
from hwloop.operations import Operation, Result, Verdict

ENTRY_POINT_GROUP = "hwloop.backends"


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


class BlockingBackend(ABC):
    """Base of a backend that executes one operation at a time.

    A lab writes `describe`, `execute` and `idle`; the worker thread, tickets and ids are supplied
    here.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._aborted = threading.Event()
        self._failure: CrossbarError | None = None
        self._latched = False
        self._current: Operation | None = None
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
        if self._worker is None:
            self._worker = threading.Thread(target=self._run, name="hwloop-backend", daemon=True)
            self._worker.start()
        ticket = Ticket(operations)
        self._queue.put(ticket)
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
        """Idle the lines, cut the operation under way short, and drop the queue."""
        self._aborted.set()
        self.idle()
        current = self._current
        dropped: list[int] = []
        while True:
            try:
                ticket = self._queue.get_nowait()
            except queue.Empty:
                break
            if ticket is None:
                self._queue.put(None)
                break
            dropped += [op.id for op in ticket.operations]
            self._fail(ticket, ticket.operations[0], DeviceError("aborted before it began"))
        self._latched = True
        partial = None
        if current is not None:
            partial = Result(id=current.id, verdict=Verdict.PARTIAL)
        return AbortReport(partial, tuple(dropped))

    def clear(self) -> None:
        """Allow execution again after a failure or an abort."""
        self._failure = None
        self._latched = False
        self._aborted.clear()

    def close(self) -> None:
        """Finish what is queued, idle the lines, and stop the worker."""
        if self._worker is not None:
            self._queue.put(None)
            self._worker.join()
            self._worker = None
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
        while (ticket := self._queue.get()) is not None:
            for operation in ticket.operations:
                if self._latched:
                    error = DeviceError(
                        "not executed: the array is latched after a failure or an abort",
                        remedy="look at the first error, then clear()",
                    )
                    self._fail(ticket, operation, error)
                    break
                self._current = operation
                try:
                    result = self.execute(operation)
                except CrossbarError as error:
                    self._fail(ticket, operation, error)
                    break
                except (
                    Exception
                ) as error:  # whatever a lab's driver raises becomes part of the family
                    wrapped = DeviceError(
                        f"{type(error).__name__} in the backend: {error}", verdict=Verdict.UNKNOWN
                    )
                    wrapped.__cause__ = error
                    self._fail(ticket, operation, wrapped)
                    break
                finally:
                    self._current = None
                ticket.results.append(
                    result if result.id else dataclasses.replace(result, id=operation.id)
                )
            ticket.done.set()


class BackendFactory(Protocol):
    """What an entry point names: opens a backend from the parts of a URL."""

    def __call__(self, address: str, options: dict[str, str]) -> CrossbarBackend:
        """Open the array; unknown options are a `ConfigurationError`."""
        ...


def split_url(url: str) -> tuple[str, str, dict[str, str]]:
    """Split `scheme:address,key=value,...` into scheme, address and options.

    Raises:
        ConfigurationError: no scheme, or an option without `=` or given twice.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or not scheme:
        raise ConfigurationError(
            f"backend URL {url!r} has no scheme",
            remedy="write for example sim:reram-om,shape=64x64,seed=1",
        )
    address, *pairs = rest.split(",")
    if "=" in address and not address.startswith(("/", ".")) and "://" not in address:
        pairs, address = [address, *pairs], ""
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            raise ConfigurationError(
                f"backend URL {url!r}: option {pair!r} is not key=value",
                remedy="separate options by commas, for example shape=64x64,seed=1",
            )
        if key in options:
            raise ConfigurationError(f"backend URL {url!r}: option {key!r} is given twice")
        options[key] = value
    return scheme, address, options


def schemes() -> dict[str, EntryPoint]:
    """Return the installed backends by the scheme of their URLs."""
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def open_backend(url: str) -> CrossbarBackend:
    """Open the backend that a URL names.

    Raises:
        ConfigurationError: unknown scheme or option.
    """
    scheme, address, options = split_url(url)
    known = schemes()
    if scheme not in known:
        raise ConfigurationError(
            f"backend URL {url!r}: unknown scheme {scheme!r}",
            remedy=f"use one of {', '.join(sorted(known)) or '(no backend is installed)'}",
        )
    factory: BackendFactory = known[scheme].load()
    return factory(address, options)
