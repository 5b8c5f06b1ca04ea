"""The state of an abort, as the host sends it."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop_wire.pacing import FIRST_TIMEOUT, LONGEST_TIMEOUT


@dataclass(slots=True)
class Abort:
    """The abort under way, which is repeated until the chip has told of it.

    Attributes:
        number: of the last abort.
        requested: whether another thread asks for one.
        due: when it is sent next, None if there is none under way.
    """

    number: int = 0
    requested: bool = False
    due: float | None = None
    _wait: float = FIRST_TIMEOUT

    @property
    def under_way(self) -> bool:
        """Whether the chip has not told of it."""
        return self.requested or self.due is not None

    def begin(self) -> None:
        """Send it at once."""
        self.requested = False
        self.due, self._wait = 0.0, FIRST_TIMEOUT

    def sent(self, now: float) -> None:
        """Send it again later."""
        self.due = now + self._wait
        self._wait = min(2 * self._wait, LONGEST_TIMEOUT)
