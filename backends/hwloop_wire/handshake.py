"""HELLO: begins a session on a link, or says why there is none."""

from __future__ import annotations

import os
import time

from hwloop.backend import LinkCounters
from hwloop.errors import LinkError
from hwloop_wire.codes import PROTOCOL_VERSION, ErrorCode, Kind
from hwloop_wire.frame_link import FRAME_BEFORE_HELLO, FrameLink
from hwloop_wire.frames import Frame, Message, encode
from hwloop_wire.layout import MessageError
from hwloop_wire.messages import DICTIONARY, Error, Hello, HelloAnswer
from hwloop_wire.pacing import FIRST_TIMEOUT, LONGEST_TIMEOUT


class Handshake:
    """One HELLO and its repetitions.

    Args:
        link: to the chip.
        counters: of the link, to tell what came instead of an answer.
        timeout: seconds of silence that are waited for.
    """

    def __init__(self, link: FrameLink, counters: LinkCounters, timeout: float) -> None:
        self._link = link
        self._counters = counters
        self._timeout = timeout
        nonce = int.from_bytes(os.urandom(8), "little")
        self._nonce = nonce
        hello = Hello(nonce=nonce, dictionary=DICTIONARY)
        assert Hello.NUMBER is not None
        self._raw = encode(Frame(Kind.REQUEST, 0, 0, 0, [Message(Hello.NUMBER, hello.pack())]))

    def run(self) -> HelloAnswer:
        """Repeat HELLO until it is answered.

        Raises:
            LinkClosedError: the other end is gone.
            LinkError: silence, something else than a chip, another version or dictionary, or a chip
                that another host holds.
        """
        link, counters = self._link, self._counters
        begin = time.monotonic()
        before = (counters.bytes_received, counters.frames_received)
        wait, due = FIRST_TIMEOUT, begin
        on_line = 2 * link.byte_seconds * FRAME_BEFORE_HELLO
        link.other_version = None
        while (now := time.monotonic()) < begin + self._timeout:
            if now >= due:
                counters.frames_resent += due > begin
                link.send(self._raw)
                due = now + wait + on_line
                wait = min(2 * wait, LONGEST_TIMEOUT)
            frames = link.receive(max(0.0, due - time.monotonic()))
            if link.other_version is not None:
                raise LinkError(
                    f"{link.name}: the chip speaks protocol version {link.other_version}, "
                    f"this host {PROTOCOL_VERSION}",
                    remedy="update the firmware or hwloop, so that both are of one version",
                )
            for frame in frames:
                answer = self._answer(frame)
                if answer is not None:
                    return self._checked(answer)
        bytes_received = counters.bytes_received - before[0]
        frames_received = counters.frames_received - before[1]
        raise LinkError(
            self._silence(bytes_received, frames_received),
            remedy="look at port, baud rate, keys and power; is another device on that port?",
            retryable=True,
        )

    def _answer(self, frame: Frame) -> HelloAnswer | None:
        if frame.kind != Kind.ANSWER or frame.sequence or len(frame.messages) != 1:
            return None
        (message,) = frame.messages
        try:
            if message.type == HelloAnswer.NUMBER:
                answer = HelloAnswer.unpack(message.body)
                return answer if answer.nonce == self._nonce else None
            if message.type == Error.NUMBER:
                self._refused(Error.unpack(message.body))
        except MessageError:
            pass
        return None

    def _checked(self, answer: HelloAnswer) -> HelloAnswer:
        room = min(answer.frame_bytes, answer.receive_bytes, answer.cache_bytes)
        if room < FRAME_BEFORE_HELLO or not answer.cache_frames or not answer.epoch:
            raise LinkError(f"{self._link.name}: the chip describes itself wrongly: {answer}")
        return answer

    def _refused(self, error: Error) -> None:
        if error.error == ErrorCode.DICTIONARY:
            raise LinkError(
                f"{self._link.name}: the chip's messages have dictionary {error.value:08x}, "
                f"this host's {DICTIONARY:08x}",
                remedy="build the firmware from the messages.h of this hwloop",
            )
        if error.error == ErrorCode.LEASE:
            raise LinkError(
                f"{self._link.name}: another host holds the chip",
                remedy="wait until it lets go",
                retryable=True,
            )

    def _silence(self, bytes_received: int, frames_received: int) -> str:
        if not bytes_received:
            return f"{self._link.name}: no answer within {self._timeout:g} s, not a single byte"
        return (
            f"{self._link.name}: no answer to HELLO within {self._timeout:g} s, but "
            f"{bytes_received} bytes with {frames_received} valid frames: this is no hwloop chip, "
            "or not at that baud rate"
        )
