"""The protocol of a backend, a base class for simple ones, and their discovery."""

from __future__ import annotations

import dataclasses
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from hwloop.capabilities import Capabilities, Configuration
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


@runtime_checkable
class Elsewhere(Protocol):
    """What a backend offers beside the rest if its array is not a part of this process."""

    @property
    def started_here(self) -> bool:
        """Whether this process started the array; one that it found has to be armed."""
        ...

    @property
    def keeps_doses(self) -> bool:
        """Whether the array's end has the chip's lease and counts its doses for life."""
        ...


@runtime_checkable
class StandIn(Protocol):
    """What a backend offers beside the rest if no array is behind it, as in a rehearsal."""

    @property
    def moves_nothing(self) -> bool:
        """Whether nothing is moved, so that nothing has to be armed and no dose counts."""
        ...


@runtime_checkable
class TellsConfiguration(Protocol):
    """What a backend offers beside the rest if its array can say what is installed in it."""

    def installed(self) -> Configuration:
        """Return pulse shapes and limits as the array holds them."""
        ...


def started_here(backend: CrossbarBackend) -> bool:
    """Return whether this process started an array."""
    return backend.started_here if isinstance(backend, Elsewhere) else True


def keeps_doses(backend: CrossbarBackend) -> bool:
    """Return whether an array's other end keeps the lease and the doses of the chip."""
    return backend.keeps_doses if isinstance(backend, Elsewhere) else False


def moves_nothing(backend: CrossbarBackend) -> bool:
    """Return whether a backend only stands in for an array."""
    return backend.moves_nothing if isinstance(backend, StandIn) else False


@runtime_checkable
class KnowsVerdicts(Protocol):
    """What a backend offers beside the rest if it tells each lost operation's fate by itself."""

    @property
    def verdicts(self) -> dict[int, Verdict]:
        """What is known of the operations of submissions that failed or were lost, by id."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a consuming operation, as the array's journal has it.

    Attributes:
        verdict: applied, not applied, partial or unknown.
        fired: pulses that it gave, None where the journal does not say.
        evidence: what the verdict rests on, for people.
    """

    verdict: Verdict
    fired: int | None
    evidence: str


@runtime_checkable
class KeepsJournal(Protocol):
    """What a backend offers beside the rest if its array remembers what it was doing."""

    @property
    def last_id(self) -> int:
        """Largest id of a consuming operation that the array has ever begun, 0 for none."""
        ...

    @property
    def boot(self) -> int:
        """A number that changes whenever the array boots."""
        ...

    def outcome(self, operation: Operation, boot: int | None) -> Outcome:
        """Return what became of an operation of an earlier session, before anything is moved.

        Args:
            operation: as it was sent, by its id.
            boot: `boot` of the session in which it was sent, None if nobody knows.
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
