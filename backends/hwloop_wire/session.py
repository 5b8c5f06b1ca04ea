"""The host's side of a session: windows, acknowledgements, repetition; no input or output.

Times are seconds of a monotonic clock, handed in.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hwloop.backend import LinkCounters
from hwloop.errors import LinkError
from hwloop_wire.codes import ErrorCode, Flag, Kind
from hwloop_wire.frames import SMALLEST, Frame, Message, encode, message_bytes
from hwloop_wire.log import named
from hwloop_wire.messages import Error, HelloAnswer
from hwloop_wire.pacing import LEAST_WIDTH, Pace

logger = logging.getLogger(__name__)

SHARED_BYTES = 4096
"""Longest frame that messages share: longer ones spare little, and a lost one costs more."""

REPEATED_BYTES = 8192
"""Most bytes of frames that are repeated together: longer ones go again one by one."""

LAST_SEQUENCE = 2**32 - 1


@dataclass(slots=True, eq=False)
class Request:
    """A message on its way to the chip and back.

    Attributes:
        type, body: the message.
        answer_length: most bytes of the body of its answer.
        done: called with the answer.
        identity: id of the consuming operation that it is a part of, else 0.
        operation: id of any operation that it is a part of, else 0; for the log.
        lost: called if there will be none, or not in time.
    """

    type: int
    body: bytes
    answer_length: int
    done: Callable[[Message], None]
    identity: int = 0
    operation: int = 0
    lost: Callable[[LinkError], None] = lambda error: None


@dataclass(slots=True, eq=False)
class _Sent:
    """A request frame that is not acknowledged.

    Attributes:
        sequence: its number.
        stamp: rises with every frame sent, and so orders the last copies of frames.
        sent_at: when it was first sent.
        repeated, late: whether it was sent again, and whether because of a time-out.
        answer: what came back, None before.
    """

    sequence: int
    requests: list[Request]
    raw: bytes
    link_bytes: int
    answer_bytes: int
    stamp: int
    sent_at: float
    repeated: bool = False
    late: bool = False
    answer: list[Message] | None = None


@dataclass(slots=True)
class _GoneBack:
    """To which frame the host last went back, when, and which refusal it heard last."""

    to: int = 0
    at: float = 0.0
    refused: int = 0


@dataclass(slots=True)
class HostSession:
    """A session with a chip.

    Args:
        hello: what the chip answered to HELLO.
        link_bytes: bytes on the link of a frame of a length.
        counters: of the link.
        byte_seconds: what the link takes for a byte, 0 if nobody knows.

    Attributes:
        waiting: requests that were not sent.
        refusal: why the chip takes no more frames of this session, None if it does.
        answered: frames that are answered.
    """

    hello: HelloAnswer
    link_bytes: Callable[[int], int]
    counters: LinkCounters
    byte_seconds: float = 0.0
    waiting: deque[Request] = field(default_factory=deque)
    refusal: Error | None = None
    answered: int = 0

    _pace: Pace = field(default_factory=Pace)
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _next: int = 1
    _acknowledged: int = 0
    _link_bytes: int = 0
    _answer_bytes: int = 0
    _stamp: int = 0
    _clock: float = 0.0
    _late: deque[int] = field(default_factory=lambda: deque(maxlen=64))
    _went_back: _GoneBack = field(default_factory=_GoneBack)
    _prodded: float = 0.0

    def __post_init__(self) -> None:
        self._pace.byte_seconds = self.byte_seconds

    @property
    def in_flight(self) -> list[Request]:
        """Requests that were sent and have no answer, in order."""
        return [r for sent in self._sent.values() if sent.answer is None for r in sent.requests]

    @property
    def idle(self) -> bool:
        """Whether nothing is awaited or waiting."""
        return not self._sent and not self.waiting

    @property
    def awaited(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._sent)

    @property
    def exhausted(self) -> bool:
        """Whether the sequence numbers are used up: the host begins another session."""
        return self._next > LAST_SEQUENCE

    @property
    def deadline(self) -> float:
        """When the oldest frames are repeated."""
        for sent in self._sent.values():
            if sent.answer is None:
                return self._clock + self._pace.timeout_for(sent.link_bytes + sent.answer_bytes)
        return self._clock + self._pace.timeout

    def outgoing(self, now: float) -> list[bytes]:
        """Return the frames to send: the oldest again if due, new ones as the window allows."""
        frames: list[bytes] = []
        if self._sent and now >= self.deadline:
            next(iter(self._sent.values())).late = True
            frames += self._oldest("no answer in time")
            self._clock = now
            self._pace.timed_out()
        while self.waiting and (requests := self._packed()):
            if not self._sent:
                self._clock = now
            frames.append(self._frame(requests, now))
        if self.waiting and not self._sent and not self.exhausted:
            raise LinkError("a message does not fit the frames of the chip")
        return frames

    def progress(self, now: float) -> None:
        """Wait on: what was sent has not left yet."""
        self._clock = now

    def busy(self, now: float) -> None:
        """Wait on: the chip is executing."""
        self._clock = now
        self._pace.busy()

    def spoilt(self, now: float) -> list[bytes]:
        """Take a frame that arrived broken, likely an answer; return frames to send again."""
        self._pace.heard()
        self._pace.disturbed()
        if now < self._prodded + self._pace.round_trip:
            return []
        self._prodded = now
        return self._oldest("a broken frame came")

    def receive(self, frame: Frame, now: float) -> list[bytes]:
        """Take an answer frame, and return frames to send again.

        Raises:
            MessageError: it holds an ERROR that is malformed.
        """
        self._pace.heard()
        error = _whole_frame_error(frame)
        if error is not None:
            return self._refused(frame.sequence, error, now)
        sent = self._sent.get(frame.sequence)
        if sent is None or sent.answer is not None:
            self.counters.frames_duplicate += 1
            if frame.sequence in self._late:
                self._late.remove(frame.sequence)
                self._pace.repeated_too_early()
            return []
        if len(frame.messages) != len(sent.requests):
            self.counters.frames_bad += 1
            return []
        if sent.late:
            self._late.append(frame.sequence)
        seconds = None if sent.repeated else now - sent.sent_at
        if seconds is not None:
            self.counters.count_round_trip(seconds)
        self._pace.answered(seconds)
        answer_bytes = SMALLEST + sum(message_bytes(len(m.body)) for m in frame.messages)
        self._pace.served(sent.sent_at, now, sent.link_bytes + answer_bytes)
        self.counters.round_trip = self._pace.round_trip
        self._clock = now
        sent.answer = frame.messages
        self.answered += 1
        self._deliver()
        # Where the link keeps order, an answer shows what became of all that was sent before its
        # frame: executed with the answer lost, or lost or refused itself. So it goes again.
        lost = [s for s in self._sent.values() if s.answer is None and s.stamp < sent.stamp]
        if not lost:
            self._pace.widen(self.hello.cache_frames)
        return self._again(lost, "a later frame is answered")

    def _refused(self, sequence: int, error: Error, now: float) -> list[bytes]:
        """Take the refusal of a whole frame, and return frames to send again."""
        self._pace.disturbed()
        if error.error != ErrorCode.SEQUENCE:
            self.refusal = error
            return []
        if error.value not in self._sent or sequence not in self._sent:
            return []
        # Every frame behind a lost one is refused, and going back once is enough for all of them.
        # Their numbers rise; one that does not was sent after we went back, so go back again.
        last = self._went_back
        again = error.value != last.to or sequence <= last.refused
        last.refused = sequence
        if not again and now < last.at + self._pace.round_trip:
            return []
        last.to, last.at = error.value, now
        self._pace.narrow()
        lost = [sent for n, sent in self._sent.items() if n >= error.value]
        return self._again(lost, "the chip misses a frame")

    def _deliver(self) -> None:
        while (sent := self._sent.get(self._acknowledged + 1)) and sent.answer is not None:
            self._acknowledged += 1
            del self._sent[self._acknowledged]
            self._link_bytes -= sent.link_bytes
            self._answer_bytes -= sent.answer_bytes
            for request, message in zip(sent.requests, sent.answer, strict=True):
                request.done(message)
        self.counters.in_flight = len(self._sent)

    def _packed(self) -> list[Request]:
        """Take the requests of the next frame off the queue: what one frame and the window hold."""
        hello = self.hello
        most = min(hello.cache_frames, max(int(self._pace.width), LEAST_WIDTH))
        if len(self._sent) >= most or self._bytes_behind > self._pace.bytes_ahead or self.exhausted:
            return []
        answers = min(hello.frame_bytes, hello.cache_bytes - self._answer_bytes)
        link = hello.receive_bytes - self._link_bytes
        request_bytes = answer_bytes = SMALLEST
        taken: list[Request] = []
        blocking = 0 if hello.flags & Flag.RETAINED else self._consuming_in_flight()
        while self.waiting and len(taken) < 0xFFFF:
            request = self.waiting[0]
            if blocking and request.identity and request.identity != blocking:
                break
            more = request_bytes + message_bytes(len(request.body))
            more_answers = answer_bytes + message_bytes(request.answer_length)
            if more > hello.frame_bytes or more_answers > answers or self.link_bytes(more) > link:
                break
            if taken and max(more, more_answers) > SHARED_BYTES:
                break
            if request.identity and not hello.flags & Flag.RETAINED:
                blocking = request.identity
            request_bytes, answer_bytes = more, more_answers
            taken.append(self.waiting.popleft())
        return taken

    @property
    def _bytes_behind(self) -> int:
        """Bytes in flight behind the oldest frame, and those of their answers."""
        if not self._sent:
            return 0
        oldest = next(iter(self._sent.values()))
        return self._link_bytes + self._answer_bytes - oldest.link_bytes - oldest.answer_bytes

    def _consuming_in_flight(self) -> int:
        return next((r.identity for r in self.in_flight if r.identity), 0)

    def _frame(self, requests: list[Request], now: float) -> bytes:
        messages = [Message(r.type, r.body) for r in requests]
        sequence = self._next
        raw = encode(Frame(Kind.REQUEST, self.hello.epoch, sequence, self._acknowledged, messages))
        self._next += 1
        self._stamp += 1
        sent = _Sent(
            sequence,
            requests,
            raw,
            link_bytes=self.link_bytes(len(raw)),
            answer_bytes=SMALLEST + sum(message_bytes(r.answer_length) for r in requests),
            stamp=self._stamp,
            sent_at=now,
        )
        self._sent[sequence] = sent
        self._link_bytes += sent.link_bytes
        self._answer_bytes += sent.answer_bytes
        self.counters.in_flight = len(self._sent)
        self.counters.most_in_flight = max(self.counters.most_in_flight, len(self._sent))
        return raw

    def _oldest(self, why: str) -> list[bytes]:
        """Return the oldest frames again: what becomes of the later ones tells of the first."""
        unanswered = [sent for sent in self._sent.values() if sent.answer is None][:LEAST_WIDTH]
        while len(unanswered) > 1 and sum(s.link_bytes for s in unanswered) > REPEATED_BYTES:
            unanswered.pop()
        return self._again(unanswered, why)

    def _again(self, lost: list[_Sent], why: str) -> list[bytes]:
        """Return the first of some frames again; their answers bring on the others."""
        first = lost[: int(self._pace.width)]
        for sent in first:
            self._stamp += 1
            sent.stamp = self._stamp
            sent.repeated = True
        if first:
            self._pace.disturbed()
        self.counters.frames_resent += len(first)
        if first and logger.isEnabledFor(logging.DEBUG):
            frames = ", ".join(str(sent.sequence) for sent in first)
            what = named(request.operation for sent in first for request in sent.requests)
            logger.debug("%s: frames %s again, %s", why, frames, what)
        return [sent.raw for sent in first]


def most_body_bytes(hello: HelloAnswer, link_bytes: Callable[[int], int]) -> tuple[int, int]:
    """Return the most bytes of a request's body and of an answer's that a frame can hold alone."""
    request = hello.frame_bytes
    while link_bytes(request) > hello.receive_bytes:
        request -= max(1, link_bytes(request) - hello.receive_bytes)
    answer = min(hello.frame_bytes, hello.cache_bytes)
    overhead = SMALLEST + message_bytes(0)
    return (request - overhead) // 8 * 8, (answer - overhead) // 8 * 8


def _whole_frame_error(frame: Frame) -> Error | None:
    if len(frame.messages) == 1 and frame.messages[0].type == Error.NUMBER:
        error = Error.unpack(frame.messages[0].body)
        if error.type == 0:
            return error
    return None
