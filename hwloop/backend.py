"""The protocol of a backend, a base class for simple ones, and their discovery."""

from __future__ import annotations

import dataclasses
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
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


@runtime_checkable
class RemembersIds(Protocol):
    """What a backend offers beside the rest if its array remembers ids from run to run."""

    @property
    def last_id(self) -> int:
        """Largest id of a consuming operation that the array has ever begun, 0 for none.

        New ids lie above it, so that ids are unique per array for life.
        """
        ...


ROUND_TRIP_BINS = 24
"""Bins of the histogram of round trips: up to 8 seconds."""


@dataclass(slots=True)
class LinkCounters:
    """What went over the link to an array, as counted at the host's end.

    Attributes:
        frames_sent, frames_resent, bytes_sent: to the array; repetitions count in all three.
        frames_received, bytes_received: from the array, valid ones and all.
        frames_bad: received with a wrong check or layout.
        frames_duplicate: answers that had been received before.
        round_trip: seconds between a frame and its answer, smoothed.
        in_flight: frames without an answer.
        most_in_flight: most of them at any time.
        round_trips: histogram of frames that were sent once and answered; bin n holds those that
            took less than 2**n microseconds and no less than half of that, the last one all others.
    """

    frames_sent: int = 0
    frames_resent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    frames_bad: int = 0
    frames_duplicate: int = 0
    round_trip: float = 0.0
    in_flight: int = 0
    most_in_flight: int = 0
    round_trips: list[int] = field(default_factory=lambda: [0] * ROUND_TRIP_BINS)

    def count_round_trip(self, seconds: float) -> None:
        """Enter a round trip in the histogram."""
        self.round_trips[min(int(seconds * 1e6).bit_length(), ROUND_TRIP_BINS - 1)] += 1


@dataclass(frozen=True, slots=True)
class ChipCounters:
    """What went over the link to an array, as counted at the array's end since it booted.

    Attributes:
        frames_good: valid ones received.
        frames_bad: received with a wrong check, version or layout.
        frames_duplicate: requests that had been received before.
        frames_stale: frames of another session, or out of sequence.
    """

    frames_good: int
    frames_bad: int
    frames_duplicate: int
    frames_stale: int


@runtime_checkable
class Linked(Protocol):
    """What a backend offers beside the rest if there is a link between it and its array."""

    @property
    def counters(self) -> LinkCounters:
        """What the host's end has counted so far."""
        ...

    def chip_counters(self) -> ChipCounters:
        """Ask the array for what its end has counted; raises `LinkError`."""
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
