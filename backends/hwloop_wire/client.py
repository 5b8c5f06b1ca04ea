"""The host's end of a link: one worker thread that keeps a session with a chip."""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
import time
from collections.abc import Iterable, Sequence

from hwloop.backend import LinkCounters
from hwloop.errors import ConfigurationError, LinkError
from hwloop.operations import Verdict
from hwloop_wire.aborting import Abort
from hwloop_wire.codes import ErrorCode, Kind, error_text
from hwloop_wire.frame_link import FrameLink
from hwloop_wire.frames import Frame, Message, encode
from hwloop_wire.handshake import Handshake
from hwloop_wire.layout import MessageError
from hwloop_wire.link import LinkClosedError, Opener, Waker
from hwloop_wire.log import named
from hwloop_wire.messages import (
    Aborted,
    Busy,
    Bye,
    Done,
    Error,
    HelloAnswer,
    Status,
    StatusAnswer,
    Tripped,
)
from hwloop_wire.observer import Loss, Observer
from hwloop_wire.pacing import FIRST_TIMEOUT, LONGEST_TIMEOUT
from hwloop_wire.session import HostSession, Request

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 1.0
_LONGEST_WAIT = 0.5


class Client:
    """Keeps a session with a chip; `post` and the answers are pipelined.

    Args:
        opener: opens the link.
        observer: is told of losses.
        timeout: seconds of silence after which the link has failed.

    Attributes:
        counters: of the link.
        keep_alive: seconds without a frame after which the host shows that it is alive.

    Raises:
        ConfigurationError: the link cannot be opened.
        LinkError: no chip answers, or not as it should.
    """

    def __init__(self, opener: Opener, observer: Observer, *, timeout: float = 5.0) -> None:
        self.timeout = timeout
        self.keep_alive = KEEP_ALIVE_SECONDS
        self.counters = LinkCounters()
        self._opener = opener
        self._observer = observer
        self._waker = Waker()
        self._changed = threading.Condition()
        self._posted: list[Request] = []
        self._broken: LinkError | None = None
        self._leaving = self._closing = False
        self._abort = Abort()
        self._dropped: list[Request] = []
        self._heard = self._noticed = 0.0
        self._answered_before = -1
        self._clean = True  # whether nothing broken has come since the last answer
        self._pending = 0
        self._link: FrameLink | None = None
        try:
            link = self._attach()
            self.session = self._begin(link, self._hello(link))
        except LinkClosedError as error:
            self._detach()
            self._waker.close()
            raise LinkError(str(error), retryable=True) from error
        except BaseException:
            self._detach()
            self._waker.close()
            raise
        self._worker = threading.Thread(target=self._run, name="hwloop-link", daemon=True)
        self._worker.start()

    @property
    def hello(self) -> HelloAnswer:
        """What the chip said when the session began."""
        return self.session.hello

    @property
    def broken(self) -> bool:
        """Whether the link has failed."""
        return self._broken is not None

    def check(self) -> None:
        """Raise the `LinkError` of a link that has failed."""
        if self._broken is not None:
            raise copy.copy(self._broken)

    def post(self, requests: Sequence[Request]) -> None:
        """Send requests, in order; returns at once.

        Raises:
            LinkError: the link has failed.
        """
        with self._changed:
            self.check()
            self._posted += requests
        self._waker.wake()

    def call(self, number: int | None, body: bytes, answer_length: int) -> Message:
        """Send a control message and return its answer.

        Raises:
            LinkError: the link has failed.
        """
        assert number is not None
        answers: list[Message | LinkError] = []

        def take(answer: Message | LinkError) -> None:
            with self._changed:
                answers.append(answer)
                self._changed.notify_all()

        self.post([Request(number, body, answer_length, done=take, lost=take)])
        with self._changed:
            while not answers:
                self._changed.wait()
        if isinstance(answers[0], LinkError):
            raise copy.copy(answers[0])
        return answers[0]

    def abort(self) -> list[Request]:
        """Abort out of band; return what had not been sent.

        Waits until the chip has said so and all that had been sent is answered.

        Raises:
            LinkError: the chip does not answer.
        """
        with self._changed:
            self._abort.number += 1
            self._abort.requested = True
            self._waker.wake()
            while self._broken is None and (self._abort.under_way or self.session.awaited):
                self._changed.wait(_LONGEST_WAIT)
            self.check()
            return self._dropped

    def leave(self) -> None:
        """End the session behind all that was posted."""
        self._leaving = True
        with contextlib.suppress(LinkError):
            self.call(Bye.NUMBER, b"", Done.STRUCT.size)

    def recover(self) -> None:
        """Go on after the link has failed: wait for what is in flight to be answered or lost.

        Raises:
            LinkError: it fails again.
        """
        with self._changed:
            self._broken = None
            self._heard = time.monotonic()
            self._waker.wake()
            self._changed.notify_all()
            while self._broken is None and not (self._link and self.session.idle):
                self._changed.wait(_LONGEST_WAIT)
            self.check()

    def close(self) -> None:
        """Stop the worker and let the link go."""
        with self._changed:
            self._closing = True
            self._waker.wake()
            self._changed.notify_all()
        self._worker.join()
        self._detach()
        self._waker.close()

    # --- the worker ---------------------------------------------------------------------------

    def _run(self) -> None:
        while self._take_commands():
            try:
                self._step(self._link or self._reopen())
            except LinkClosedError as error:
                self._detach()
                self._cause = error
                logger.warning("%s; in flight: %s", error, _named(self.session.in_flight))
            except LinkError as error:
                self._break(error)
            except Exception as error:  # a worker that dies would leave everybody waiting
                self._break(LinkError(f"{type(error).__name__} in the link's worker: {error}"))

    def _step(self, link: FrameLink) -> None:
        session = self.session
        if session.exhausted and not session.awaited:
            self._renew(link)
            return
        now = time.monotonic()
        for raw in session.outgoing(now):
            link.send(raw)
        self._send_abort(link, now)
        if link.pending:
            session.progress(now)  # repeating what has not left would be of no use
        if not (session.awaited or self._abort.under_way) or link.pending < self._pending:
            self._heard = now
        self._pending = link.pending
        if now - self._heard > self.timeout:
            how = "silent" if now - self._noticed > self.timeout else "no answer"
            raise LinkError(f"{link.name}: {how} for {self.timeout:g} s", retryable=True)
        if session.idle and now - link.spoke >= self.keep_alive:
            session.waiting.append(_status())
            return
        self._listen(link, max(0.0, self._due(link, now) - now))
        if session.refusal is not None:
            self._lost_session(link, session.refusal)

    def _listen(self, link: FrameLink, timeout: float) -> None:
        """Take what the chip sends, and send again what is thereby known to be lost."""
        bad = self.counters.frames_bad
        frames = link.receive(timeout)
        now = time.monotonic()
        if link.grows and self._clean:  # a long answer is on its way
            self._heard = now
            self.session.progress(now)
        again: list[bytes] = []
        for frame in frames:
            if frame.epoch != self.hello.epoch:
                continue  # of another session, so no sign of life in this one
            self._noticed = now
            answered = self.session.answered
            try:
                again += self._take(frame, now)
            except MessageError:
                self.counters.frames_bad += 1
            if self.session.answered != answered:
                self._heard = now
                self._clean = True
        if self.counters.frames_bad != bad:
            self._clean = False
            again += self.session.spoilt(now)
        for raw in again:
            link.send(raw)

    def _take_commands(self) -> bool:
        """Take what other threads asked for; return whether to go on.

        A link that has failed waits here for `recover` or `close`.
        """
        with self._changed:
            while self._broken is not None and not self._closing:
                self._changed.wait()
            session = self.session
            session.waiting += self._posted
            self._posted = []
            if self._abort.requested:
                self._abort.begin()
                self._dropped = list(session.waiting)
                session.waiting.clear()
                logger.info("abort %d; dropped: %s", self._abort.number, _named(self._dropped))
            if session.idle:
                self._changed.notify_all()
            return not self._closing

    def _due(self, link: FrameLink, now: float) -> float:
        """Return when something has to be done if nothing comes before."""
        due = [now + _LONGEST_WAIT, link.spoke + self.keep_alive]
        if self.session.awaited:
            due.append(self.session.deadline)
        if self._abort.due is not None:
            due.append(self._abort.due)
        return min(due)

    def _take(self, frame: Frame, now: float) -> list[bytes]:
        """Take a frame from the chip, and return frames to send again."""
        session = self.session
        if frame.kind == Kind.ANSWER:
            return session.receive(frame, now)
        for message in frame.messages if frame.kind == Kind.NOTICE else ():
            if message.type == Busy.NUMBER:
                self._heard = now
                session.busy(now)
            elif message.type == Aborted.NUMBER:
                self._take_aborted(Aborted.unpack(message.body))
            elif message.type == Tripped.NUMBER:
                notice = Tripped.unpack(message.body)
                logger.warning("the chip went idle: %s", error_text(notice.error))
                self._observer.on_trip(notice)
        return []

    def _send_abort(self, link: FrameLink, now: float) -> None:
        if self._abort.due is None or now < self._abort.due:
            return
        link.send(encode(Frame(Kind.ABORT, self.hello.epoch, self._abort.number, 0, [])))
        self._abort.sent(now)

    def _take_aborted(self, notice: Aborted) -> None:
        with self._changed:
            if notice.number == self._abort.number:
                self._abort.due = None
                self._changed.notify_all()
                what = named([notice.id]) if notice.id else "nothing"
                logger.info(
                    "abort %d: cut %s short after %d pulses", notice.number, what, notice.fired
                )

    def _break(self, error: LinkError) -> None:
        """Give up for now: what is in flight may still be answered, after `recover`."""
        in_flight = self.session.in_flight
        if any(request.identity for request in in_flight):
            error.verdict = Verdict.UNKNOWN
        logger.error("%s; in flight: %s", error.message, _named(in_flight))
        self._lose(Loss(error, in_flight, self._unsent()), broken=error)

    def _lost_session(self, link: FrameLink, refusal: Error) -> None:
        """Begin a new session after the chip refused ours, and tell what was lost."""
        old = self.session
        if refusal.error == ErrorCode.EPOCH and self._leaving:
            self._closing = True  # the chip let us go before; its answer got lost
            self._end(old.in_flight, LinkError("the session has ended"))
            return
        if refusal.error != ErrorCode.EPOCH:
            old.refusal = None
            raise LinkError(f"{link.name}: the chip refused a frame: {error_text(refusal.error)}")
        hello = self._hello(link)
        rebooted = hello.boot != old.hello.boot
        what = "booted" if rebooted else "began another session"
        unsent = self._unsent()
        self.session = self._begin(link, hello)
        error = LinkError(f"{link.name}: the chip {what}")
        lost = _named(old.in_flight), _named(unsent)
        logger.warning("%s; in flight: %s; not sent: %s", error.message, *lost)
        self._lose(Loss(error, old.in_flight, unsent, hello, rebooted))

    def _unsent(self) -> list[Request]:
        with self._changed:
            unsent = [*self.session.waiting, *self._posted]
            self.session.waiting.clear()
            self._posted = []
        return unsent

    def _lose(self, loss: Loss, *, broken: LinkError | None = None) -> None:
        with self._changed:
            self._broken = broken
            self._abort.due = None
        self._observer.on_loss(loss)
        self._end([*loss.in_flight, *loss.unsent], loss.error)

    def _end(self, requests: list[Request], error: LinkError) -> None:
        for request in requests:
            request.lost(error)
        with self._changed:
            self._changed.notify_all()

    def _renew(self, link: FrameLink) -> None:
        hello = self._hello(link)
        waiting = self.session.waiting
        self.session = self._begin(link, hello)
        waiting.extendleft(reversed(self._observer.on_renewal()))
        self.session.waiting = waiting

    def _attach(self) -> FrameLink:
        self._link = FrameLink(self._opener(self._waker), self.counters)
        self._heard = time.monotonic()
        self._pending = 0
        return self._link

    def _detach(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(Exception):  # a port that is gone may fail in any way
                link.close()

    def _reopen(self) -> FrameLink:
        """Open the link again and go on in the session: it settles what was lost."""
        deadline = time.monotonic() + self.timeout
        wait = FIRST_TIMEOUT
        # A link that was opened again and is lost again without an answer is still as silent.
        in_vain, heard = self.session.answered == self._answered_before, self._heard
        self._answered_before = self.session.answered
        if in_vain:
            time.sleep(wait)
        while True:
            try:
                link = self._attach()
                self._heard = heard if in_vain else self._heard
                link.accept(self.hello.frame_bytes)
                in_flight = _named(self.session.in_flight)
                logger.info("%s: open again; in flight: %s", link.name, in_flight)
                return link
            except (LinkClosedError, ConfigurationError) as error:
                if self._closing or time.monotonic() > deadline:
                    then = error.message if isinstance(error, ConfigurationError) else str(error)
                    raise LinkError(f"{self._cause}, and then: {then}", retryable=True) from error
                time.sleep(wait)
                wait = min(2 * wait, LONGEST_TIMEOUT)

    def _hello(self, link: FrameLink) -> HelloAnswer:
        return Handshake(link, self.counters, self.timeout).run()

    def _begin(self, link: FrameLink, hello: HelloAnswer) -> HostSession:
        link.accept(hello.frame_bytes)
        self._heard = time.monotonic()
        about = hello.epoch, hello.chip_id, hello.boot, hello.intent_id
        logger.info("%s: session %08x with %r, boot %d, last operation begun %d", link.name, *about)
        return HostSession(hello, link.bytes_of, self.counters, byte_seconds=link.byte_seconds)


def _status() -> Request:
    assert Status.NUMBER is not None
    return Request(Status.NUMBER, b"", StatusAnswer.STRUCT.size, lambda answer: None)


def _named(requests: Iterable[Request]) -> str:
    return named(request.operation for request in requests)
