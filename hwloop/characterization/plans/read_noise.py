"""Read noise: reads of untouched cells in time."""

from __future__ import annotations

from typing import ClassVar

from hwloop.characterization.plans.base import Count, Plan, Seconds, Step, Steps
from hwloop.device_file.quantities import MeasurementKind
from hwloop.procedures.bench import Bench


class ReadNoise(Plan):
    """Reads one after the other, on the chip's clock; no pulse is given."""

    kind: ClassVar[MeasurementKind] = "read_noise"

    reads: Count = 1024
    """Reads of each cell."""

    interval_seconds: Seconds = 0.0
    """Chip time to wait between two reads, besides what a read takes."""

    average: Count = 1
    """Reads behind a value."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Operations that the array has to understand."""
        return ("read_cells", "wait") if self.interval_seconds else ("read_cells",)

    def steps(self, bench: Bench) -> Steps:
        """Yield reads, and waits between them."""
        for number in range(self.reads):
            wait = bench.wait(self.interval_seconds) if number else []
            yield Step([*wait, bench.read(self.average)], {"sequence": number})
