"""What a command that moves an array is told beside the settings of its run."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.testing import FaultSpec


@dataclass(frozen=True, slots=True)
class Moves:
    """What is no part of a run's settings.

    Attributes:
        arm: id of the chip that may be moved.
        faults: what goes wrong on the link.
        url: where the array is now.
    """

    arm: str | None
    faults: FaultSpec | None
    url: str | None
