"""When a frame is repeated, and how many are in flight: learnt from how a link behaves."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_TIMEOUT, LONGEST_TIMEOUT = 0.02, 0.2
"""Seconds after which a frame is repeated, at first and at most while no round trip is longer."""

LEAST_MARGIN = 0.005
"""Seconds beyond the mean round trip after which a frame is repeated, at least."""

BUSY_TIMEOUT = 0.3
"""Seconds after a BUSY in which the chip says the next one, or answers."""

LEAST_WIDTH = 8
"""Frames that are in flight even on a bad link: an answer to a later one shows that one is lost."""

_MOST_PATIENCE = 16


@dataclass(slots=True)
class Pace:
    """Time-outs and width of a session.

    Attributes:
        round_trip: seconds between a frame and its answer, smoothed; 0 before the first.
        timeout: seconds without any answer after which the oldest frame is repeated.
        width: most frames to have in flight.
    """

    round_trip: float = 0.0
    timeout: float = FIRST_TIMEOUT
    width: float = 64.0

    _deviation: float = 0.0
    _patience: int = 1
    _silent: bool = False

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

    def narrow(self) -> None:
        """Frames were lost: what is in flight behind them was sent for nothing."""
        self.width = max(self.width / 2, LEAST_WIDTH)

    def widen(self, most: int) -> None:
        """An answer came in its turn."""
        self.width = min(self.width + 1 / self.width, most)
