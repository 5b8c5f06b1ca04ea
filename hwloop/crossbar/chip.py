"""Chips: the array with its guard and tape, and `connect`, which opens one."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hwloop import device_file
from hwloop.backend import (
    AbortReport,
    CrossbarBackend,
    KeepsJournal,
    LinkCounters,
    Linked,
    RemembersIds,
    Ticket,
    moves_nothing,
    open_backend,
)
from hwloop.capabilities import Capabilities, Configuration, Limits
from hwloop.crossbar.batch import Batch
from hwloop.crossbar.safety import (
    CALLER,
    check_installed,
    is_armed,
    load_bench,
    make_guard,
    sources,
)
from hwloop.crossbar.settling import verdicts_of
from hwloop.crossbar.tile import Tile
from hwloop.device_file import DeviceFile
from hwloop.errors import CapabilityError, ConfigurationError, CrossbarError
from hwloop.guard import InForce, LifeLedger
from hwloop.lowering import Lowered
from hwloop.operations import Configure, Operation, Restore, Result, Snapshot, Wait
from hwloop.tape import HashTape, TapeSink

L = TypeVar("L")

ID_GAP = 1 << 20
"""Ids that are left out behind the last one that an array remembers. An earlier run may have put as
many on its tape that were never sent, and what an array says of an id has to be about one operation
only."""


def connect(
    url: str,
    *,
    device: str | None = None,
    station: str | os.PathLike[str] | None = None,
    limits: Limits | None = None,
    arm: str | None = None,
    tape: TapeSink | None = None,
    lowerings: Iterable[str] = (),
) -> Chip:
    """Open the array that a URL names, with guard, tape and worker inside.

    Args:
        url: for example `sim:reram-om,shape=64x64,seed=1`.
        device: name or path of the device file; the backend's own by default.
        station: path of the station file of the bench; the tightest of its limits, the chip's own
            and the device file's holds.
        limits: further limits, which can only tighten.
        arm: id of the chip that may be moved; arrays that this process starts need none.
        tape: where operations and results are recorded; by default only their hash is kept.
        lowerings: names of lowerings that build missing capabilities (`hwloop.lowering.LOWERINGS`).

    Raises:
        ConfigurationError: URL, device file, station file or lowering is wrong.
        SafetyError: another process holds the chip, or it does not take the limits.
    """
    backend = open_backend(url)
    try:
        return Chip(
            backend,
            device=device,
            station=station,
            limits=limits,
            arm=arm,
            tape=tape,
            lowerings=lowerings,
        )
    except BaseException:
        with contextlib.suppress(CrossbarError):
            backend.close()
        raise


@dataclass(slots=True)
class Totals:
    """What a chip has done since it was opened.

    Attributes:
        operations: operations executed.
        pulses: pulses given, all cells together.
        ticks: chip time, in ticks.
    """

    operations: int = 0
    pulses: int = 0
    ticks: int = 0


class Submission:
    """Operations on their way through the array; `results` waits for them."""

    __slots__ = ("_chip", "_combine", "_results", "ticket")

    def __init__(
        self, chip: Chip, ticket: Ticket, combine: Callable[[list[Result]], list[Result]] | None
    ) -> None:
        self._chip = chip
        self.ticket = ticket
        self._combine = combine
        self._results: list[Result] | None = None

    def results(self) -> list[Result]:
        """Return one result per operation, waiting if need be."""
        if self._results is None:
            self._chip._collect(self)
        assert self._results is not None
        return self._results

    def _finish(self, raw: list[Result]) -> None:
        self._results = raw if self._combine is None else self._combine(raw)


class Chip:
    """An array with its guard and tape; `chip[i]` is tile i.

    Args:
        backend: the array.
        device, station, limits, arm, tape, lowerings: as of `connect`.
        limits_from: where `limits` come from, for people.
        rehearsal: whether the doses of the chip's life are left as they are.

    Attributes:
        capabilities: what the array can do.
        device: the device file that describes its cells, or None.
        guard: the limits in force, and the ledger.
        tape: the record.
        totals: operations, pulses and chip time so far.
        first_id, next_id: ids of the first operation through this object, and of the next one.
    """

    def __init__(
        self,
        backend: CrossbarBackend,
        *,
        device: str | None = None,
        station: str | os.PathLike[str] | None = None,
        limits: Limits | None = None,
        limits_from: str = CALLER,
        arm: str | None = None,
        tape: TapeSink | None = None,
        lowerings: Iterable[str] = (),
        rehearsal: bool = False,
    ) -> None:
        self.backend = backend
        own = backend.describe()
        bench = None if station is None else load_bench(station)
        self.device: DeviceFile | None = None
        if device is not None:
            self.device = device_file.load(device)
        elif own.device is not None:
            self.device = device_file.override(device_file.load(own.device), own.device_overrides)
        if self.device is not None:
            own = own.model_copy(update={"granularity": self.device.granularity})
        self._lowered = Lowered(own, lowerings)
        self.capabilities: Capabilities = self._lowered.capabilities
        more = [] if limits is None else [(limits_from, limits)]
        name = device or own.device or ""
        in_force = InForce.of(sources(own, self.device, name, bench, more))
        shapes = own.configuration.shapes or (self.device.shapes if self.device else {})
        configuration = Configuration(shapes=shapes, limits=in_force.limits)
        armed = is_armed(backend, own, arm, self.device)
        still = rehearsal or moves_nothing(backend)
        self.guard = make_guard(
            backend, own, configuration, in_force, bench, armed=armed, rehearsal=still
        )
        self._life = self.guard.life
        self.tape: TapeSink = tape if tape is not None else HashTape()
        self.totals = Totals()
        # Ids are unique for the life of an array, and some arrays outlive their hosts.
        last = backend.last_id if isinstance(backend, RemembersIds) else 0
        self.first_id = 1 + (last + ID_GAP if last else 0)
        self.next_id = self.first_id
        self.next_ordinal = 1
        self._outstanding: deque[Submission] = deque()
        self._tiles = [Tile(self, i) for i in range(len(self.capabilities.tiles))]
        self._closed = False
        # With what is in force, so that a replay needs no other file.
        recorded = own.model_copy(update={"configuration": configuration})
        boot = {"boot": backend.boot} if isinstance(backend, KeepsJournal) else {}
        try:
            self.tape.event({"chip": recorded.model_dump(mode="json"), **boot})
            self.submit([Configure(content_json=configuration.canonical())]).results()
            check_installed(backend, configuration)
        except BaseException:
            self._let_go()
            raise

    def __getitem__(self, index: int) -> Tile:
        """Return a tile."""
        if not 0 <= index < len(self._tiles):
            raise ConfigurationError(
                f"tile {index} does not exist: {self.capabilities.name} has {len(self._tiles)}"
            )
        return self._tiles[index]

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self._tiles)

    def __enter__(self) -> Chip:
        """Return the chip itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the chip; an interrupted or failed block aborts what is queued first."""
        try:
            if error is not None:
                self.abort()
        finally:
            self.close()

    @property
    def configuration(self) -> Configuration:
        """Pulse shapes and limits in force."""
        return self.guard.configuration

    @property
    def configuration_hash(self) -> int:
        """Hash of `configuration`, named by every consuming operation."""
        return self.guard.configuration_hash

    @property
    def default_shape(self) -> str:
        """Name of the first pulse shape."""
        return next(iter(self.configuration.shapes))

    @property
    def link(self) -> LinkCounters | None:
        """What has gone over the link to the array, None where there is no link."""
        return self.backend.counters if isinstance(self.backend, Linked) else None

    @property
    def chip_seconds(self) -> float:
        """Chip time so far."""
        return self.totals.ticks * self.capabilities.tick_seconds

    def identity(self) -> dict[str, int]:
        """Return a fresh id and noise ordinal for an operation, as keyword arguments."""
        self.next_id += 1
        self.next_ordinal += 1
        return {"id": self.next_id - 1, "ordinal": self.next_ordinal - 1}

    def submit(self, operations: Sequence[Operation]) -> Submission:
        """Send operations, in order; returns at once."""
        operations, combine = self._lowered.rewrite(operations, self.identity)
        self.guard.admit(operations)
        self.tape.operations(operations)
        submission = Submission(self, self.backend.submit(operations), combine)
        self._outstanding.append(submission)
        return submission

    def flush(self) -> None:
        """Wait until everything that was submitted is done and on the tape."""
        while self._outstanding:
            self._collect(self._outstanding[-1])
        self.tape.flush()

    def lowering(self, kind: type[L]) -> L:
        """Return a lowering in use, for example `HostReference`, to tell it what it has to know."""
        return self._lowered.step(kind)

    def batch(self) -> Batch:
        """Return a batch: one submission for many operations, sent when its block ends."""
        return Batch(self)

    def wait(self, seconds: float) -> None:
        """Let the chip's clock run."""
        ticks = round(seconds / self.capabilities.tick_seconds)
        self.submit([Wait(ticks=ticks, **self.identity())]).results()

    def snapshot(self, tiles: Sequence[int] | None = None) -> list[NDArray[np.uint32]]:
        """Return the whole state of tiles (default: all) of a virtual array, beside the tape."""
        self.flush()
        operations = [Snapshot(tile=i) for i in (range(len(self)) if tiles is None else tiles)]
        self._needs("snapshot")
        results = self.backend.wait(self.backend.submit(operations))
        return [r.values for r in results]  # type: ignore[misc]

    def restore(
        self, states: Sequence[NDArray[np.uint32]], tiles: Sequence[int] | None = None
    ) -> None:
        """Write the whole state of tiles (default: the first ones), beside the tape."""
        self.flush()
        self._needs("restore")
        numbers = range(len(states)) if tiles is None else tiles
        operations = [Restore(tile=i, state=s) for i, s in zip(numbers, states, strict=True)]
        self.guard.admit(operations)
        self.backend.wait(self.backend.submit(operations))

    def abort(self) -> AbortReport:
        """Idle the lines at once, cut the operation under way short, and drop what is queued."""
        report = self.backend.abort()
        try:
            for submission in self._outstanding:
                self._settle(submission, report)
        finally:
            self._outstanding.clear()
        self.tape.event({"abort": {"not_applied": list(report.not_applied)}})
        self.backend.clear()
        return report

    def close(self) -> None:
        """Finish what is queued, idle the lines, and close backend and tape."""
        if self._closed:
            return
        self._closed = True
        try:
            self.flush()
        finally:
            try:
                self.backend.close()
            finally:
                self._let_go()
                self.tape.close()

    def _let_go(self) -> None:
        """Write the doses down, and let others have the chip."""
        if isinstance(self._life, LifeLedger):
            self._life.close()

    def _needs(self, kind: str) -> None:
        if kind not in self.capabilities.operations:
            raise CapabilityError(
                f"{self.capabilities.name} has no {kind!r}: only virtual arrays show their state"
            )

    def _collect(self, wanted: Submission) -> None:
        while self._outstanding:
            first = self._outstanding[0]
            try:
                results = self.backend.wait(first.ticket)
            except CrossbarError:
                self._outstanding.popleft()
                self._settle(first)
                raise
            self._outstanding.popleft()
            self._record(results)
            first._finish(results)
            if first is wanted:
                return

    def _record(self, results: Sequence[Result]) -> None:
        self.tape.results(results)
        totals = self.totals
        for result in results:
            totals.operations += 1
            totals.pulses += result.fired
            totals.ticks += result.ticks
            if result.values is not None:
                result.values.flags.writeable = False  # a tape may not have written it yet
            if result.distance is not None:
                self.tape.event({"distance": result.distance, "operation": result.id})

    def _settle(self, submission: Submission, report: AbortReport | None = None) -> None:
        """Put on the tape what became of a submission that failed or was cut off."""
        ticket = submission.ticket
        self._record(ticket.results)
        verdicts = verdicts_of(ticket, self.backend, report)
        if verdicts:
            named = {str(identity): v.name.lower() for identity, v in verdicts.items()}
            why = ticket.error.message if ticket.error is not None else "aborted"
            self.tape.event({"verdicts": named, "because": why})
