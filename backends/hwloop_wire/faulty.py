"""Links with the faults of `hwloop.testing`, to try client and chip on."""

from __future__ import annotations

from collections.abc import Callable

from hwloop.testing import FaultSpec, FaultyLink, Schedule
from hwloop_wire.link import Link, LinkClosedError, Opener, Waker


def faulty(
    opener: Opener,
    faults: FaultSpec,
    seed: int | None = None,
    reboot: Callable[[], None] | None = None,
) -> Opener:
    """Return an opener whose links have faults.

    Args:
        opener: opens the links.
        faults: what goes wrong on them.
        seed: of the first link, in place of that of `faults`; that of each further one is one more.
        reboot: boots the chip anew; None where nobody here can.

    Raises:
        ConfigurationError: a reboot is wanted that cannot be had.
    """
    schedule = Schedule(faults, reboot)
    count = 0

    def open_link(waker: Waker) -> Link:
        nonlocal count
        count += 1
        first = faults.seed if seed is None else seed
        return FaultyLink(
            opener(waker), faults, first + count - 1, schedule=schedule, closed=LinkClosedError
        )

    return open_link
