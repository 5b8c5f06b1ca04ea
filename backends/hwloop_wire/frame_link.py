"""A link that carries whole frames and counts what passes."""

from __future__ import annotations

import time

from hwloop.backend import LinkCounters
from hwloop_wire.frames import (
    Frame,
    FrameError,
    OtherVersionError,
    Splitter,
    decode,
    encoded_bytes,
    to_stream,
)
from hwloop_wire.link import Link

FRAME_BEFORE_HELLO = 512
"""Longest frame until HELLO says more."""


class FrameLink:
    """Sends and receives frames over a link.

    Args:
        link: carries their bytes.
        counters: count them.

    Attributes:
        byte_seconds: of the link.
        spoke: when a frame was last sent, monotonic.
        grows: whether bytes of a frame came last whose end did not.
        other_version: version of the last frame that was of another one, else None.
    """

    def __init__(self, link: Link, counters: LinkCounters) -> None:
        self.name = link.name
        self.byte_seconds = link.byte_seconds
        self.spoke = 0.0
        self.grows = False
        self.other_version: int | None = None
        self._link = link
        self._counters = counters
        self._splitter = Splitter(encoded_bytes(FRAME_BEFORE_HELLO))

    @property
    def pending(self) -> int:
        """Bytes that were sent and have not left."""
        return self._link.pending

    def bytes_of(self, length: int) -> int:
        """Return the most bytes that a frame of a length takes."""
        return encoded_bytes(length) if self._link.stream else length

    def accept(self, frame_bytes: int) -> None:
        """Take frames up to this length."""
        self._splitter.limit = encoded_bytes(max(frame_bytes, FRAME_BEFORE_HELLO))

    def send(self, raw: bytes) -> None:
        """Send a frame.

        Raises:
            LinkClosedError: the other end is gone.
        """
        sent = to_stream(raw) if self._link.stream else raw
        self._counters.frames_sent += 1
        self._counters.bytes_sent += len(sent)
        self.spoke = time.monotonic()
        self._link.send(sent)

    def receive(self, timeout: float) -> list[Frame]:
        """Return the frames that come, none after a time-out or when the link is woken.

        Raises:
            LinkClosedError: the other end is gone.
        """
        raw = self._link.receive(timeout)
        self.grows = False
        if not raw:
            return []
        counters = self._counters
        counters.bytes_received += len(raw)
        if self._link.stream:
            bad = self._splitter.bad
            pieces = self._splitter.feed(raw)
            self.grows = self._splitter.within and not pieces and self._splitter.bad == bad
            counters.frames_bad += self._splitter.bad - bad
        else:
            pieces = [raw]
        frames = []
        for piece in pieces:
            try:
                frames.append(decode(piece))
                counters.frames_received += 1
            except OtherVersionError as error:
                self.other_version = error.version
                counters.frames_bad += 1
            except FrameError:
                counters.frames_bad += 1
        return frames

    def close(self) -> None:
        """Let the link go."""
        self._link.close()
