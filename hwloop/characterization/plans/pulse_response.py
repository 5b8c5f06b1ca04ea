"""Pulse response: the state after every k-th pulse of trains up and down."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hwloop.characterization.plans.base import Count, Plan, Pulses, Step, Steps
from hwloop.device_file.quantities import MeasurementKind
from hwloop.procedures.bench import Bench

Train = Literal["up", "down", "alternating"]


class PulseResponse(Plan):
    """Trains of equal pulses on all cells at once, and reads between them."""

    kind: ClassVar[MeasurementKind] = "pulse_response"

    pulses: Count = 200
    """Pulses of a train."""

    every: Count = 1
    """Pulses between two reads; the last pulse of a train is followed by a read in any case. With
    an alternating train 1, since a row has one direction."""

    trains: tuple[Train, ...] = Field(default=("up", "down"), min_length=1, max_length=100)
    """Trains of a repeat, in order; an alternating one begins upwards."""

    repeats: Count = 2
    """How often the trains are given."""

    lead: Pulses = 0
    """Pulses down before the first train."""

    average: Count | None = None
    """Reads behind a value; 16, or as many as the tile sums, by default."""

    shape: str | None = None
    """Pulse shape; the first one by default."""

    @model_validator(mode="after")
    def _one_direction_per_row(self) -> Self:
        if "alternating" in self.trains and self.every > 1:
            raise ValueError(
                f"every is {self.every}, but an alternating train needs a read after each pulse: a "
                "row of the data has one direction"
            )
        return self

    def shapes(self, bench: Bench) -> tuple[str, ...]:
        """Return the one pulse shape."""
        return (bench.shape(self.shape),)

    def steps(self, bench: Bench) -> Steps:
        """Yield a read of each repeat's start, then pulses and a read again and again."""
        average, shape = bench.average(self.average), bench.shape(self.shape)
        lead = bench.pulse(-self.lead, shape)
        for repeat in range(self.repeats):
            start = [*lead, bench.read(average)]
            marks = {"repeat": repeat, "sequence": 0, "direction": 0, "pulse": 0}
            yield Step(start, marks)
            lead, sequence = [], 0
            for train in self.trains:
                for before, after in self._reads():
                    signs = _signs(train, before, after)
                    pulses = [p for count in signs for p in bench.pulse(count, shape)]
                    sequence += 1
                    direction = 1 if signs[-1] > 0 else -1
                    marks = {
                        "repeat": repeat,
                        "sequence": sequence,
                        "direction": direction,
                        "pulse": after,
                    }
                    yield Step([*pulses, bench.read(average)], marks)

    def _reads(self) -> list[tuple[int, int]]:
        """Return the pulses of a train before and after which it is read."""
        after = np.unique([*range(self.every, self.pulses, self.every), self.pulses]).tolist()
        return list(zip([0, *after[:-1]], after, strict=True))


def _signs(train: Train, before: int, after: int) -> list[int]:
    """Return the signed counts from one pulse of a train to another, in order."""
    if train == "alternating":
        return [1 if pulse % 2 == 0 else -1 for pulse in range(before, after)]
    return [after - before if train == "up" else before - after]
