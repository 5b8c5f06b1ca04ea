"""When a frame is repeated, and how many are in flight: learnt from how a link behaves."""

from __future__ import annotations

import math
from dataclasses import dataclass

FIRST_TIMEOUT, LONGEST_TIMEOUT = 0.02, 0.2
"""Seconds after which a frame is repeated, at first and at most while no round trip is longer."""

LEAST_MARGIN = 0.005
"""Seconds beyond the mean round trip after which a frame is repeated, at least."""

BUSY_TIMEOUT = 0.3
"""Seconds after a BUSY in which the chip says the next one, or answers."""

LEAST_WIDTH = 8
"""Frames that are in flight even on a bad link: an answer to a later one shows that one is lost."""

AHEAD_SECONDS = 0.25
"""Time that link and chip take for what is in flight behind the oldest frame, at most: more speeds
up nothing, and an abort on a byte stream waits behind it."""

_MOST_PATIENCE = 16

_MOST_SECONDS = 1.0
"""Longest time that one frame is thought to take because others took long."""

_MEMORY = 0.9
"""Share of what was learnt of the speed that is left after one more answer."""


@dataclass(slots=True)
class Pace:
    """Time-outs and width of a session.

    Attributes:
        round_trip: seconds between a frame and its answer, smoothed; 0 before the first.
        timeout: seconds without any answer after which the oldest frame is repeated, not counting
            the time that its bytes take.
        width: most frames to have in flight.
        byte_seconds: what the link is known to take for a byte, 0 if nobody knows.
    """

    round_trip: float = 0.0
    timeout: float = FIRST_TIMEOUT
    width: float = 64.0
    byte_seconds: float = 0.0

    _deviation: float = 0.0
    _patience: int = 1
    _silent: bool = False
    _seconds: float = 0.0
    _bytes: float = 0.0
    _learnt: float = 0.0  # seconds that link and chip took for a byte lately
    _answered_at: float = 0.0
    _disturbed: bool = False

    @property
    def bytes_ahead(self) -> float:
        """Bytes of frames and answers that link and chip take `AHEAD_SECONDS` for."""
        each = max(self.byte_seconds, self._learnt)
        return AHEAD_SECONDS / each if each else math.inf

    def timeout_for(self, count: int) -> float:
        """Return seconds without any answer after which the oldest frame is repeated.

        Args:
            count: bytes of that frame and its answer.
        """
        learnt = min(count * self._learnt, _MOST_SECONDS)
        return self.timeout + 2 * max(count * self.byte_seconds, learnt)

    def served(self, sent_at: float, now: float, count: int) -> None:
        """Learn from an answer how fast link and chip are.

        Args:
            sent_at: when its frame was sent.
            now: when it came.
            count: bytes of both.
        """
        if not self._disturbed:
            seconds = now - max(sent_at, self._answered_at)
            self._seconds = _MEMORY * self._seconds + min(seconds, _MOST_SECONDS)
            self._bytes = _MEMORY * self._bytes + count
            self._learnt = self._seconds / self._bytes
        self._disturbed = False
        self._answered_at = now

    def disturbed(self) -> None:
        """Until the next answer time passes for other reasons than the bytes of a frame."""
        self._disturbed = True

    def heard(self) -> None:
        """Something came, if only a broken frame."""
        self._silent = False

    def answered(self, seconds: float | None) -> None:
        """An answer came.

        Args:
            seconds: since its frame was sent; None if that was repeated, for then nobody knows
                which of its copies was answered.
        """
        if seconds is not None:
            # Mean and deviation as TCP keeps them (RFC 6298).
            if not self.round_trip:
                self.round_trip, self._deviation = seconds, seconds / 2
            error = seconds - self.round_trip
            self.round_trip += error / 8
            self._deviation += (abs(error) - self._deviation) / 4
            self._patience = 1
        self.timeout = self._patience * (self.round_trip + max(4 * self._deviation, LEAST_MARGIN))

    def repeated_too_early(self) -> None:
        """Both copies of a frame were answered."""
        self._patience = min(2 * self._patience, _MOST_PATIENCE)

    def timed_out(self) -> None:
        """A time-out passed; only if nothing at all came since the last one is the next longer."""
        if self._silent:
            self.timeout = max(self.timeout, min(2 * self.timeout, LONGEST_TIMEOUT))
        self._silent = True

    def busy(self) -> None:
        """The chip is executing, and says so again before long."""
        self.timeout = max(self.timeout, BUSY_TIMEOUT)
        self.disturbed()

    def narrow(self) -> None:
        """Frames were lost: what is in flight behind them was sent for nothing."""
        self.width = max(self.width / 2, LEAST_WIDTH)

    def widen(self, most: int) -> None:
        """An answer came in its turn."""
        self.width = min(self.width + 1 / self.width, most)
