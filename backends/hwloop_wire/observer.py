"""What a client tells its owner."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.errors import LinkError
from hwloop_wire.messages import HelloAnswer, Tripped
from hwloop_wire.session import Request


@dataclass(frozen=True, slots=True)
class Loss:
    """A session that came to an end, or a chip that went silent.

    Attributes:
        error: why.
        in_flight: requests that were sent and not answered.
        unsent: requests that were not sent.
        hello: what the chip said when a new session began, None while it is silent. Without one the
            requests in flight may still be answered.
        rebooted: whether the chip booted in between.
    """

    error: LinkError
    in_flight: list[Request]
    unsent: list[Request]
    hello: HelloAnswer | None = None
    rebooted: bool = False


class Observer:
    """Is told in the worker thread of the client."""

    def on_loss(self, loss: Loss) -> None:
        """Requests are lost, or have no answer in time."""

    def on_trip(self, notice: Tripped) -> None:
        """The chip went idle, disarmed and latched by itself."""

    def on_renewal(self) -> list[Request]:
        """A new session began because sequence numbers were used up; return what goes first."""
        return []
