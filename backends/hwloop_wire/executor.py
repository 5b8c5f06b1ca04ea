"""Executes parts on a backend: state, guard and journal around every one."""

from __future__ import annotations

import dataclasses
import logging
import threading

from hwloop import device_file
from hwloop import operations as ops
from hwloop.backend import CrossbarBackend, keeps_doses, started_here
from hwloop.capabilities import Capabilities, Configuration, Limits
from hwloop.errors import (
    CapabilityError,
    ConfigurationError,
    CrossbarError,
    OutcomeUnknownError,
    SafetyError,
)
from hwloop.guard import CHIP, Guard, InForce, Ledger, LifeLedger, keeps_life
from hwloop_wire import messages as m
from hwloop_wire import results
from hwloop_wire.codes import ErrorCode
from hwloop_wire.decoding import Asked, Decoder, PartError
from hwloop_wire.describing import shape_entries
from hwloop_wire.journal import Journal
from hwloop_wire.log import named, text_of

logger = logging.getLogger(__name__)


class Executor:
    """An array under a guard of its own.

    Two threads call it: one executes, the other one aborts and looks at `current`.

    It has the lease of a chip, and counts its doses for life, unless a further end of the line
    does; and it keeps the limits that the array, the device file and the station file give.

    Args:
        backend: the array.
        journal: where consuming parts leave their records.
        arm: id of the chip that hosts may move; arrays that this process started need none.
        station: origin and limits of the bench, or None.

    Attributes:
        capabilities: what the array can do, with the tightest limits of chip, station and device.
        armed: whether a host has armed it.
        latched: why nothing is executed, `NONE` if all is well.
        failed: id and part of what latched it.
        detail: what failed, for people.
        current: id and part of the part under way, or None.
        cut_short: id, part and fired pulses of the part that the last abort found under way.
        pulses, ticks: given and spent since the start.
    """

    def __init__(
        self,
        backend: CrossbarBackend,
        journal: Journal,
        arm: str | None,
        station: tuple[str, Limits] | None = None,
    ) -> None:
        self.backend = backend
        self.capabilities, self._in_force = _limited(backend.describe(), station)
        self.journal = journal
        self.decoder = Decoder(self.capabilities.tiles)
        self.configuration: Configuration | None = None
        self.armed = False
        self.latched = ErrorCode.NONE
        self.failed = (0, 0)
        self.detail = ""
        self.current: tuple[int, int] | None = None
        self.cut_short = (0, 0, 0)
        self.pulses = self.ticks = 0
        chip = self.capabilities
        exempt = chip.kind == "virtual" and started_here(backend)
        self._may_arm = exempt or arm == chip.chip_id
        self._life: LifeLedger | None = None
        limits = chip.configuration.limits
        if self._may_arm and keeps_life(chip, limits) and not keeps_doses(backend):
            self._life = LifeLedger(chip, limits)
        self._shapes: list[str] = []
        self._guard: Guard | None = None
        self._ledger: Ledger | None = None
        self._lock = threading.Lock()

    @property
    def keeps_doses(self) -> bool:
        """Whether the lease and the doses for life are kept at this end, or at a further one."""
        return self._life is not None or keeps_doses(self.backend)

    def close(self) -> None:
        """Write the doses down and let others have the chip."""
        if self._life is not None:
            self._life.close()

    def new_session(self) -> None:
        """Disarm, and count doses from zero: a session is a run."""
        self.armed = False
        self._ledger = None
        self._make_guard()

    def arm(self, request: m.Arm) -> ErrorCode:
        """Arm or disarm."""
        if request.chip_id != self.capabilities.chip_id or (request.armed and not self._may_arm):
            return ErrorCode.CHIP
        self.armed = bool(request.armed)
        logger.info("%s", "armed" if self.armed else "disarmed")
        return ErrorCode.NONE

    def configure(self, configuration: Configuration, named: int) -> ErrorCode:
        """Install a configuration under the hash that the host names."""
        if not named:
            return ErrorCode.RANGE
        if configuration.hash() != named:
            return ErrorCode.CONFIGURATION
        offered = self.capabilities.configuration.limits
        if configuration.limits.tightened(offered.installed()) != configuration.limits:
            return ErrorCode.LIMIT
        guard = Guard(self.capabilities, configuration, armed=True)
        operation = ops.Configure(content_json=configuration.canonical())
        try:
            guard.admit([operation])
            self.backend.wait(self.backend.submit([operation]))
        except SafetyError:
            return ErrorCode.LIMIT
        except CrossbarError as error:
            self.backend.clear()  # what cannot be configured latches nothing
            shape = isinstance(error, CapabilityError)
            return ErrorCode.SHAPE if shape else ErrorCode.UNSUPPORTED
        self.configuration = configuration
        self._shapes = [entry.name for entry in shape_entries(configuration)]
        logger.info("configuration %016x is installed", configuration.hash())
        self._make_guard()
        return ErrorCode.NONE

    def idle(self) -> None:
        """Bring all lines to their idle state."""
        self.backend.idle()

    def clear(self) -> None:
        """End a latch."""
        self.backend.clear()
        with self._lock:
            self.latched, self.failed, self.detail = ErrorCode.NONE, (0, 0), ""

    def abort(self) -> None:
        """Idle the lines, latch, and cut the part under way short."""
        with self._lock:
            self.cut_short = (0, 0, 0)
            self._latch(ErrorCode.ABORTED, self.current or (0, 0))
            logger.info("abort; under way: %s", named([self.current[0]] if self.current else []))
        self.backend.abort()

    def trip(self) -> None:
        """Idle the lines, disarm and latch, because the host is silent."""
        self.backend.idle()
        self.armed = False
        with self._lock:
            self._latch(ErrorCode.DEADMAN, (0, 0))
        logger.warning("the host is silent: lines idle, disarmed")

    def refuse(self, error: PartError, head: m.Part | None = None) -> m.Result:
        """Latch, and return the answer to a part that was not executed."""
        place = (head.id, head.part) if head is not None else (0, 0)
        with self._lock:
            if error.code is not ErrorCode.LATCHED:
                self._latch(error.code, place, str(error))
                logger.warning(
                    "%s, part %d: not executed: %s: %s",
                    named(place[:1]),
                    place[1],
                    error.code.name,
                    error,
                )
        return _head(place, error.code, ops.Verdict.NOT_APPLIED)

    def execute(self, asked: Asked) -> bytes:
        """Execute a part and return the body of its answer."""
        head = asked.head
        try:
            operation = self._admit(asked)
        except PartError as refused:
            return self.refuse(refused, head).pack()
        consuming = operation.repeat is ops.OperationClass.CONSUMING
        with self._lock:
            if self.latched:
                return self._latched_answer(head).pack()
            self.current = (head.id, head.part)
        if consuming:
            self.journal.intend(head.id, head.part)
        result, error = self._run(operation)
        with self._lock:
            self.current = None
            aborted = self.latched is ErrorCode.ABORTED
            if aborted:
                self.cut_short = (head.id, head.part, result.fired)
            if result.verdict is not ops.Verdict.APPLIED and not aborted:
                self._latch(ErrorCode.FAILED, (head.id, head.part), error)
            self.pulses += result.fired
            self.ticks += result.ticks
        if result.verdict is not ops.Verdict.APPLIED:
            logger.warning(
                "%s, part %d: %s after %d pulses: %s",
                named([head.id]),
                head.part,
                text_of(result.verdict),
                result.fired,
                error or "aborted",
            )
        if consuming:
            self.journal.commit(head.id, head.part, result.verdict, result.fired)
        code = ErrorCode.NONE
        if result.verdict is not ops.Verdict.APPLIED:
            code = ErrorCode.ABORTED if aborted else ErrorCode.FAILED
        answer = _head((head.id, head.part), code, result.verdict)
        answer = dataclasses.replace(answer, fired=result.fired, ticks=result.ticks)
        applied = result.verdict is ops.Verdict.APPLIED
        if applied and asked.values and result.values is not None:
            answer = dataclasses.replace(answer, values=asked.values, value_bytes=asked.value_bytes)
        return results.encode(answer, result)

    def _admit(self, asked: Asked) -> ops.Operation:
        """Return the operation to execute, or raise `PartError`."""
        if self.latched:
            raise PartError(ErrorCode.LATCHED)
        head, operation = asked.head, asked.operation
        if operation.repeat is ops.OperationClass.CONSUMING:
            evidence = self.journal.evidence
            if (head.id, head.part) <= (evidence.intent_id, evidence.intent_part):
                raise PartError(ErrorCode.ID, f"operation {head.id} is not a new one")
            if not isinstance(operation, ops.Wait):
                operation = self._consuming(operation, asked)
        guard = self._guard or self._guard_of(self.capabilities.configuration)
        try:
            guard.admit([operation])
        except ConfigurationError as error:
            raise PartError(ErrorCode.RANGE, error.message) from error
        except CapabilityError as error:
            raise PartError(ErrorCode.UNSUPPORTED, error.message) from error
        except SafetyError as error:
            # The limit comes first, for what a host is told is short.
            limit = f"{guard.in_force.named(error.limit)}: " if error.limit else ""
            raise PartError(ErrorCode.LIMIT, limit + error.message) from error
        return operation

    def _consuming(self, operation: ops.Operation, asked: Asked) -> ops.Operation:
        if not self.armed:
            raise PartError(ErrorCode.NOT_ARMED)
        if self.configuration is None or self._guard is None:
            raise PartError(ErrorCode.CONFIGURATION, "no configuration is installed")
        if asked.head.configuration != self._guard.configuration_hash:
            raise PartError(ErrorCode.CONFIGURATION)
        if asked.shape is None:
            return operation
        if asked.shape >= len(self._shapes):
            raise PartError(ErrorCode.SHAPE, f"pulse shape {asked.shape} of {len(self._shapes)}")
        changed: ops.Operation = dataclasses.replace(operation, shape=self._shapes[asked.shape])  # type: ignore[call-arg]
        return changed

    def _run(self, operation: ops.Operation) -> tuple[ops.Result, str]:
        try:
            (result,) = self.backend.wait(self.backend.submit([operation]))
            return result, ""
        except OutcomeUnknownError as error:
            return ops.Result(verdict=ops.Verdict.UNKNOWN), error.message
        except CrossbarError as error:
            return ops.Result(verdict=error.verdict), error.message

    def _latched_answer(self, head: m.Part) -> m.Result:
        code = ErrorCode.LATCHED
        return _head((head.id, head.part), code, ops.Verdict.NOT_APPLIED)

    def _latch(self, code: ErrorCode, place: tuple[int, int], detail: str = "") -> None:
        if not self.latched:
            self.latched, self.failed, self.detail = code, place, detail

    def _make_guard(self) -> None:
        if self.configuration is None:
            self._guard = None
            return
        self._guard = self._guard_of(self.configuration)
        if self._ledger is not None and (
            (self._ledger.cells is None) == (self._guard.ledger.cells is None)
        ):
            self._guard.ledger = self._ledger
        self._ledger = self._guard.ledger

    def _guard_of(self, configuration: Configuration) -> Guard:
        """Return a guard that keeps a host's limits, and this end's for life."""
        more = [(CHIP, self.capabilities.configuration.limits), (HOST, configuration.limits)]
        limits = InForce.of(more)
        origins = {
            name: self._in_force.origin(name) if origin == CHIP else origin
            for name, origin in limits.origins.items()
        }
        return Guard(
            self.capabilities,
            configuration.model_copy(update={"limits": limits.limits}),
            armed=True,
            in_force=InForce(limits.limits, origins),
            life=self._life,
        )


HOST = "the host's configuration"
"""Origin of limits that a host has installed."""


def _limited(
    chip: Capabilities, station: tuple[str, Limits] | None
) -> tuple[Capabilities, InForce]:
    """Return what an array can do under the limits of its bench, and where they come from."""
    sources = [(CHIP, chip.configuration.limits)]
    if station is not None:
        sources.append(station)
    if chip.device is not None:
        device = device_file.override(device_file.load(chip.device), chip.device_overrides)
        sources.append((f"device file {chip.device}", device.limits))
    limits = InForce.of(sources)
    configuration = chip.configuration.model_copy(update={"limits": limits.limits})
    return chip.model_copy(update={"configuration": configuration}), limits


def _head(place: tuple[int, int], code: ErrorCode, verdict: ops.Verdict) -> m.Result:
    return m.Result(
        id=place[0],
        fired=0,
        ticks=0,
        values=0,
        part=place[1],
        error=code,
        verdict=verdict,
        value_bytes=0,
    )
