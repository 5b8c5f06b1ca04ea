"""What of a `FaultSpec` happens once, counted over all connections."""

from __future__ import annotations

from collections.abc import Callable

from hwloop.errors import ConfigurationError
from hwloop.testing.spec import LINK_POINTS, FaultSpec


class Schedule:
    """The faults that happen once; links that are opened one after the other share it.

    Args:
        spec: the faults.
        reboot: boots the array anew; None where nobody here can.

    Attributes:
        sent: messages that the host has sent.
        answered: times that something came from the array.

    Raises:
        ConfigurationError: a reboot is wanted at a point that a link does not know, or of an array
            that nobody here can boot.
    """

    def __init__(self, spec: FaultSpec, reboot: Callable[[], None] | None = None) -> None:
        for wanted in spec.reboots:
            if wanted.point not in LINK_POINTS or reboot is None:
                raise ConfigurationError(
                    f"faults: reboot={wanted.point}@{wanted.passage}: "
                    + (
                        "the link cannot boot the array at its other end"
                        if wanted.point in LINK_POINTS
                        else f"this link knows no point {wanted.point}"
                    ),
                    remedy="reboots are for arrays that the host starts, as emulator:native",
                )
        self.sent = self.answered = 0
        self._reboot = reboot
        self._disconnects = set(spec.disconnects)
        self._stalls = {stall.message: stall.seconds for stall in spec.stalls}
        self._reboots = {(reboot.point, reboot.passage) for reboot in spec.reboots}

    def before_request(self) -> float:
        """Count a message that is about to leave; return the seconds that the link stalls."""
        self.sent += 1
        self._boot("before-request", self.sent)
        return self._stalls.pop(self.sent, 0.0)

    def after_request(self) -> bool:
        """Return whether the link breaks behind the message that has just left."""
        self._boot("after-request", self.sent)
        if self.sent in self._disconnects:
            self._disconnects.remove(self.sent)
            return True
        return False

    def before_answer(self) -> bool:
        """Count something that has come; return whether it is lost by a reboot."""
        self.answered += 1
        return self._boot("before-answer", self.answered)

    def _boot(self, point: str, passage: int) -> bool:
        if (point, passage) not in self._reboots or self._reboot is None:
            return False
        self._reboots.remove((point, passage))
        self._reboot()
        return True
