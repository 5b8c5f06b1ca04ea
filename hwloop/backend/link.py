"""What a backend tells of the link to its array."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

ROUND_TRIP_BINS = 24
"""Bins of the histogram of round trips: up to 8 seconds."""


@dataclass(slots=True)
class LinkCounters:
    """What went over the link to an array, as counted at the host's end.

    Attributes:
        frames_sent, frames_resent, bytes_sent: to the array; repetitions count in all three.
        frames_received, bytes_received: from the array, valid ones and all.
        frames_bad: received with a wrong check or layout.
        frames_duplicate: answers that had been received before.
        round_trip: seconds between a frame and its answer, smoothed.
        in_flight: frames without an answer.
        most_in_flight: most of them at any time.
        round_trips: histogram of frames that were sent once and answered; bin n holds those that
            took less than 2**n microseconds and no less than half of that, the last one all others.
    """

    frames_sent: int = 0
    frames_resent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    frames_bad: int = 0
    frames_duplicate: int = 0
    round_trip: float = 0.0
    in_flight: int = 0
    most_in_flight: int = 0
    round_trips: list[int] = field(default_factory=lambda: [0] * ROUND_TRIP_BINS)

    def count_round_trip(self, seconds: float) -> None:
        """Enter a round trip in the histogram."""
        self.round_trips[min(int(seconds * 1e6).bit_length(), ROUND_TRIP_BINS - 1)] += 1


@dataclass(frozen=True, slots=True)
class ChipCounters:
    """What went over the link to an array, as counted at the array's end since it booted.

    Attributes:
        frames_good: valid ones received.
        frames_bad: received with a wrong check, version or layout.
        frames_duplicate: requests that had been received before.
        frames_stale: frames of another session, or out of sequence.
    """

    frames_good: int
    frames_bad: int
    frames_duplicate: int
    frames_stale: int


@runtime_checkable
class Linked(Protocol):
    """What a backend offers beside the rest if there is a link between it and its array."""

    @property
    def counters(self) -> LinkCounters:
        """What the host's end has counted so far."""
        ...

    def chip_counters(self) -> ChipCounters:
        """Ask the array for what its end has counted; raises `LinkError`."""
        ...
