"""Endurance: the two end states against the number of switching cycles."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from hwloop.characterization.plans.base import Count, Plan, Step, Steps, log_spaced
from hwloop.device_file.quantities import MeasurementKind
from hwloop.operations import Operation
from hwloop.procedures.bench import Bench

CYCLES_PER_STEP = 64
"""Cycles without a read that go out together."""


class Endurance(Plan):
    """Cycles of pulses up and down on all cells at once, read in both states now and then."""

    kind: ClassVar[MeasurementKind] = "endurance"

    cycles: Count = 1000
    """Cycles in all."""

    pulses: Count = 20
    """Pulses of half a cycle."""

    points: Annotated[int, Field(ge=2, le=10_000)] = 20
    """Cycles, at equal ratios, in which both states are read."""

    average: Count | None = None
    """Reads behind a value; 16, or as many as the tile sums, by default."""

    shape: str | None = None
    """Pulse shape; the first one by default."""

    def shapes(self, bench: Bench) -> tuple[str, ...]:
        """Return the one pulse shape."""
        return (bench.shape(self.shape),)

    def steps(self, bench: Bench) -> Steps:
        """Yield cycles, those that are read apart."""
        average, shape = bench.average(self.average), bench.shape(self.shape)
        read_in = {round(cycle) for cycle in log_spaced(1, self.cycles, self.points)}
        unread: list[Operation] = []
        for cycle in range(1, self.cycles + 1):
            if cycle not in read_in:
                unread += bench.pulse(self.pulses, shape) + bench.pulse(-self.pulses, shape)
                if cycle % CYCLES_PER_STEP:
                    continue
            if unread:
                yield Step(unread)
                unread = []
            if cycle in read_in:
                for direction in (1, -1):
                    pulses = bench.pulse(direction * self.pulses, shape)
                    marks = {"cycle": cycle, "direction": direction}
                    yield Step([*pulses, bench.read(average)], marks)
