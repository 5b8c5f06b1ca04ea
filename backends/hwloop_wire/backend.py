"""The array behind a link, as a backend."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterable, Sequence

from hwloop import operations as ops
from hwloop.backend import AbortReport, ChipCounters, LinkCounters, Outcome, Ticket
from hwloop.capabilities import Capabilities, Configuration
from hwloop.errors import CrossbarError, DeviceError, LinkError, OutcomeUnknownError
from hwloop_wire import messages as m
from hwloop_wire import results
from hwloop_wire.client import Client
from hwloop_wire.codes import ErrorCode, Flag, Table, error_text, remedy_of
from hwloop_wire.control import Control
from hwloop_wire.cutting import Cutter
from hwloop_wire.describing import shape_entries
from hwloop_wire.frames import Message
from hwloop_wire.layout import MessageError
from hwloop_wire.link import Opener
from hwloop_wire.log import named, text_of
from hwloop_wire.losses import by_verdict, loss_error, settle
from hwloop_wire.observer import Loss, Observer
from hwloop_wire.outcomes import outcome_of
from hwloop_wire.pending import PartRequest, Pending, not_applied
from hwloop_wire.results import PartResult
from hwloop_wire.session import Request

logger = logging.getLogger(__name__)

_FIRST_FAILURE_OF_HARDWARE = ErrorCode.COMPLIANCE


class WireBackend(Observer):
    """A chip behind a link.

    A consuming operation reaches a backend only through the guard, which lets it pass for a
    physical array only if the user has named that chip. So the chip is armed when the first one
    comes, and disarmed by `close`, by its dead-man timer, and by every new session.

    Args:
        opener: opens the link.
        timeout: seconds of silence after which the link has failed.
        deadman: seconds of silence after which the chip idles and disarms itself.
        clear: whether to clear a failure of its hardware that the chip remembers.

    Attributes:
        verdicts: what is known of the operations of submissions that failed or were lost, by id.

    Raises:
        ConfigurationError: the link cannot be opened.
        LinkError: no chip answers, or not as it should.
        DeviceError: the chip remembers a failure of its hardware.
    """

    def __init__(
        self, opener: Opener, *, timeout: float = 5.0, deadman: float = 5.0, clear: bool = False
    ) -> None:
        self.verdicts: dict[int, ops.Verdict] = {}
        self._deadman = deadman
        self._lock = threading.RLock()
        self._failure: CrossbarError | None = None
        self._unexplained: CrossbarError | None = None
        self._latched = False
        self._armed = False
        self._configuration: Configuration | None = None
        self._installed: Configuration | None = None
        self._configuration_lost = False
        self._aborted: list[tuple[Pending, ops.Result]] = []
        self._client = Client(opener, self, timeout=timeout)
        self._control = Control(self._client)
        try:
            self._client.keep_alive = min(self._client.keep_alive, deadman / 4)
            self._clear_what_others_left(clear)
            self._capabilities = self._control.capabilities()
        except BaseException:
            self._client.leave()
            self._client.close()
            raise
        self._cutter = Cutter(self._capabilities.tiles, *self._control.body_limits)

    @property
    def counters(self) -> LinkCounters:
        """What went over the link."""
        return self._client.counters

    def chip_counters(self) -> ChipCounters:
        """Ask the chip for what went over the link."""
        status = self._control.status()
        return ChipCounters(
            frames_good=status.frames_good,
            frames_bad=status.frames_bad,
            frames_duplicate=status.frames_duplicate,
            frames_stale=status.frames_stale,
        )

    @property
    def started_here(self) -> bool:
        """Whether this process started the array: no, it was there."""
        return False

    @property
    def keeps_doses(self) -> bool:
        """Whether the chip's end has its lease and counts its doses for life."""
        return bool(self._client.hello.flags & Flag.LEDGER)

    def installed(self) -> Configuration:
        """Return pulse shapes and limits as the chip gave them back when they were installed."""
        if self._installed is None:
            self._installed = self._control.configuration(Table.INSTALLED)
        return self._installed

    @property
    def last_id(self) -> int:
        """Largest id of a consuming operation that the chip had begun; new ones lie above it."""
        return self._client.hello.intent_id

    @property
    def boot(self) -> int:
        """Number of the chip's boot."""
        return self._client.hello.boot

    def outcome(self, operation: ops.Operation, boot: int | None) -> Outcome:
        """Return what the chip's journal says of an operation of an earlier session."""
        return outcome_of(operation, boot, self._client.hello, self._cutter)

    def status(self) -> m.StatusAnswer:
        """Return the chip's state and counters."""
        return self._control.status()

    def describe(self) -> Capabilities:
        """Return what the array can do."""
        return self._capabilities

    def submit(self, operations: Sequence[ops.Operation]) -> Ticket:
        """Queue operations and return at once, but for a `Configure`, which is read back first.

        Raises:
            ConfigurationError: an operation holds what no message can carry; none was sent.
            CapabilityError: one does not fit the chip's frames; none was sent.
            LinkError: the link has failed, until `clear`.
            CrossbarError: an earlier operation failed.
        """
        self._raise_failure()
        self._client.check()
        ticket = Ticket(operations)
        if self._latched:
            error = DeviceError(
                "not executed: the array is latched after a failure or an abort",
                remedy="look at the first error, then clear()",
            )
            self._fail(ticket, error, operations[0].id if operations else 0)
            return ticket
        requests: list[Request] = []
        for n, operation in enumerate(operations):
            if not isinstance(operation, ops.Configure):
                requests += self._requests(Pending(operation, ticket))
                continue
            self._client.post(requests)
            requests = []
            self._configure(operation, ticket)
            if self._latched:
                self._note(operations[n + 1 :], ops.Verdict.NOT_APPLIED)
                return ticket
        self._client.post(requests)
        if not operations:
            ticket.done.set()
        return ticket

    def wait(self, ticket: Ticket, timeout: float | None = None) -> list[ops.Result]:
        """Block until a submission is done and return its results."""
        if not ticket.done.wait(timeout):
            raise LinkError(
                f"no answer within {timeout} s",
                operation_id=ticket.operations[0].id if ticket.operations else 0,
                verdict=ops.Verdict.UNKNOWN,
                remedy="wait longer, or abort and look at the array",
            )
        if ticket.error is None:
            return ticket.results
        with self._lock:
            if self._failure is ticket.error:
                self._failure = None
        raise self._explained(ticket.error)

    def idle(self) -> None:
        """Bring all lines to their idle state, behind what is queued."""
        self._control.idle()

    def abort(self) -> AbortReport:
        """Idle the lines first, cut the operation under way short, drop the queue."""
        with self._lock:
            self._latched = True
            self._aborted = []
        if self._client.broken:
            return AbortReport(None, ())
        for request in self._client.abort():
            if isinstance(request, PartRequest):
                answer = not_applied(request.pending, request.part, ErrorCode.ABORTED)
                self._take(request.pending, answer)
            else:
                request.lost(LinkError("not sent: aborted"))
        with self._lock:
            aborted, self._aborted = self._aborted, []
        partial = next((r for _, r in aborted if r.verdict is ops.Verdict.PARTIAL), None)
        dropped = [p.operation.id for p, r in aborted if r.verdict is ops.Verdict.NOT_APPLIED]
        logger.info("aborted; not applied: %s", named(dropped) if dropped else "nothing")
        return AbortReport(partial, tuple(sorted(dropped)))

    def clear(self) -> None:
        """Allow execution again after a failure or an abort.

        After the link had failed, `verdicts` then says what became of the operations in flight. In
        a new session the chip gets its configuration again; nothing else is sent again.
        """
        if self._client.broken:
            self._client.recover()
        self._control.clear()
        if self._configuration_lost and self._configuration is not None:
            self._installed = self._control.configure(self._configuration)
        with self._lock:
            self._configuration_lost = False
            self._failure = self._unexplained = None
            self._armed = self._latched = False

    def close(self) -> None:
        """Finish what is queued, idle the lines, and let the chip go."""
        if not self._client.broken:
            self._client.leave()
        self._client.close()
        self._raise_failure()

    # --- what the worker thread tells ---------------------------------------------------------

    def on_loss(self, loss: Loss) -> None:
        """Fail the operations whose answers are lost."""
        with self._lock:
            concerned = settle(loss)
            for pending in concerned:
                self.verdicts[pending.operation.id] = pending.verdict()
            for verdict, ids in by_verdict(concerned).items():
                logger.warning("%s: %s", named(ids), text_of(verdict))
            if loss.hello is not None:
                self._armed = False
                self._configuration_lost = True
            error = loss_error(loss, concerned)
            self._latched = True
            self._failure = self._failure or error
            for pending in concerned:
                self._end(pending.ticket, error)

    def on_trip(self, notice: m.Tripped) -> None:
        """Note that the chip has disarmed itself."""
        self._armed = False

    def on_renewal(self) -> list[Request]:
        """Arm the chip again, for the session is new and its host the same."""
        return [self._arm_request()] if self._armed else []

    def _answered(self, pending: Pending, part: int, message: Message) -> None:
        state = isinstance(pending.operation, ops.Snapshot)
        try:
            if message.type == m.Error.NUMBER:
                answer = not_applied(pending, part, m.Error.unpack(message.body).error)
            elif message.type == m.Result.NUMBER:
                answer = results.decode(message.body, state=state)
            else:
                raise MessageError(f"message {message.type} answers a part")
            self._take(pending, answer)
        except MessageError as error:
            self._garbled(pending, error)

    def _take(self, pending: Pending, answer: PartResult) -> None:
        with self._lock:
            pending.answers.append(answer)
            pending.lost.pop(answer.head.part, None)
            if len(pending.answers) < pending.parts:
                return
            tile = self._capabilities.tiles[pending.operation.tile]
            result = results.merged(pending.operation, tile, pending.answers)
            ticket = pending.ticket
            if result.verdict is ops.Verdict.APPLIED:
                ticket.results.append(result)
                if len(ticket.results) == len(ticket.operations):
                    ticket.done.set()
            else:
                self._aborted.append((pending, result))
                self._refused(pending, result)
            if ticket.error is not None:
                self.verdicts[pending.operation.id] = result.verdict

    def _refused(self, pending: Pending, result: ops.Result) -> None:
        code = results.first_error(pending.answers)
        fired = f" after {result.fired} pulses" if result.verdict is ops.Verdict.PARTIAL else ""
        unknown = result.verdict is ops.Verdict.UNKNOWN
        error: CrossbarError = (OutcomeUnknownError if unknown else DeviceError)(
            f"{pending.operation.kind}: {error_text(code)}{fired}",
            verdict=result.verdict,
            remedy=remedy_of(code),
        )
        if code != ErrorCode.ABORTED and not self._latched:
            self._unexplained = error
        logger.warning(
            "operation %d: %s: %s", pending.operation.id, text_of(result.verdict), error.message
        )
        self._fail(pending.ticket, error, pending.operation.id)

    def _garbled(self, pending: Pending, error: MessageError) -> None:
        unknown = ops.Verdict.UNKNOWN if pending.consuming else ops.Verdict.NOT_APPLIED
        with self._lock:
            self.verdicts[pending.operation.id] = unknown
            link = LinkError(f"the answer to {pending.operation.kind}: {error}", verdict=unknown)
            logger.error(
                "operation %d: %s: %s", pending.operation.id, text_of(unknown), link.message
            )
            self._fail(pending.ticket, link, pending.operation.id)

    # --- failures -----------------------------------------------------------------------------

    def _fail(self, ticket: Ticket, error: CrossbarError, operation_id: int) -> None:
        with self._lock:
            error.operation_id = error.operation_id or operation_id
            self._latched = True
            if ticket.error is None:
                self._failure = self._failure or error
            self._end(ticket, error)

    def _end(self, ticket: Ticket, error: CrossbarError) -> None:
        if not ticket.done.is_set():
            self._note(ticket.operations[: len(ticket.results)], ops.Verdict.APPLIED)
            ticket.error = error
            ticket.done.set()

    def _note(self, operations: Iterable[ops.Operation], verdict: ops.Verdict) -> None:
        self.verdicts.update((operation.id, verdict) for operation in operations)

    def _raise_failure(self) -> None:
        with self._lock:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise self._explained(failure)

    def _explained(self, error: CrossbarError) -> CrossbarError:
        """Add to an error what the chip has to say about it."""
        if error is self._unexplained and not self._client.broken:
            self._unexplained = None
            try:
                status = self._control.status()
            except (LinkError, DeviceError):
                return error
            reasons = (error_text(status.failed_error), status.detail)
            error.message += "".join(f": {r}" for r in reasons if r and r not in error.message)
        return error

    # --- what goes out ------------------------------------------------------------------------

    def _requests(self, pending: Pending) -> list[Request]:
        operation = pending.operation
        try:
            parts = self._cutter.cut(operation, operation.id)
        except CrossbarError as error:
            error.operation_id = operation.id
            raise
        pending.parts = len(parts)
        requests: list[Request] = []
        if pending.consuming and not isinstance(operation, ops.Wait) and not self._armed:
            self._armed = True
            requests.append(self._arm_request())
        consuming = operation.id if pending.consuming else 0
        for number, part in enumerate(parts):
            requests.append(
                PartRequest(
                    *part,
                    done=functools.partial(self._answered, pending, number),
                    identity=consuming,
                    operation=operation.id,
                    pending=pending,
                    part=number,
                )
            )
        return requests

    def _arm_request(self) -> Request:
        arm = m.Arm(
            deadman_ms=round(self._deadman * 1000),
            armed=1,
            chip_id=self._capabilities.chip_id,
        )
        assert m.Arm.NUMBER is not None
        return Request(m.Arm.NUMBER, arm.pack(), m.Done.STRUCT.size, self._arm_answered)

    def _arm_answered(self, message: Message) -> None:
        # What follows an ARM that is refused is refused by the chip as well, and tells the user.
        if message.type != m.Done.NUMBER:
            self._armed = False

    def _configure(self, operation: ops.Configure, ticket: Ticket) -> None:
        try:
            configuration = Configuration.model_validate_json(operation.content_json)
            self._installed = self._control.configure(configuration)
        except ValueError as error:
            refusal = DeviceError(f"configure: not a configuration: {error}")
            self._fail(ticket, refusal, operation.id)
        except CrossbarError as error:
            logger.warning("operation %d: not applied: configure: %s", operation.id, error.message)
            self._fail(ticket, error, operation.id)
        else:
            logger.info("configuration %016x is installed", configuration.hash())
            with self._lock:
                self._configuration = configuration
                entries = shape_entries(configuration)
                self._cutter.shapes = {entry.name: n for n, entry in enumerate(entries)}
                ticket.results.append(ops.Result(id=operation.id))
                if len(ticket.results) == len(ticket.operations):
                    ticket.done.set()

    def _clear_what_others_left(self, clear: bool) -> None:
        status = self._control.status()
        if not status.flags & Flag.LATCHED:
            return
        # Refused parts, aborts and dead-man trips are the doing of an earlier host.
        if status.failed_error >= _FIRST_FAILURE_OF_HARDWARE and not clear:
            raise DeviceError(
                f"the chip remembers: {error_text(status.failed_error)} at operation "
                f"{status.failed_id}: {status.detail or '(no detail)'}",
                remedy="look at the chip, then open it with the option clear=yes",
            )
        self._control.clear()
