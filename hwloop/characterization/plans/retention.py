"""Retention: cells are programmed, then read at ever longer intervals."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from hwloop.characterization.plans.base import (
    Count,
    Plan,
    Pulses,
    Seconds,
    Siemens,
    Step,
    Steps,
    awaited,
    log_spaced,
)
from hwloop.device_file.quantities import MeasurementKind
from hwloop.procedures.bench import Bench
from hwloop.procedures.write_verify import WriteVerify

SignedPulses = Annotated[int, Field(ge=-10_000_000, le=10_000_000)]


class Retention(Plan):
    """Programming of all cells at once to one or more levels, then reads with waits between."""

    kind: ClassVar[MeasurementKind] = "retention"

    level_pulses: tuple[SignedPulses, ...] = Field(default=(100,), min_length=1, max_length=64)
    """Pulses of each level, behind the lead; the cells take the levels in turn."""

    level_siemens: tuple[Siemens, ...] = Field(default=(), max_length=64)
    """Conductance of each level, in place of `level_pulses`: programmed by write-verify."""

    tolerance_siemens: Siemens | None = None
    """Distance from `level_siemens` that will do."""

    rounds: Count = 30
    """Most rounds of write-verify."""

    round_pulses: Count = 20
    """Most pulses of a cell in a round of write-verify."""

    lead: Pulses = 100
    """Pulses down before the programming."""

    first_seconds: Seconds = 1e-6
    """Time of the first wait."""

    last_seconds: Seconds = 1.0
    """Time from programming to the last read."""

    points: Annotated[int, Field(ge=2, le=10_000)] = 25
    """Reads at equal ratios of time, besides the one right after programming."""

    average: Count | None = None
    """Reads behind a value; 16, or as many as the tile sums, by default."""

    shape: str | None = None
    """Pulse shape; the first one by default."""

    @model_validator(mode="after")
    def _consistent(self) -> Retention:
        if bool(self.level_siemens) != (self.tolerance_siemens is not None):
            raise ValueError("level_siemens and tolerance_siemens belong together")
        if not 0 < self.first_seconds < self.last_seconds:
            raise ValueError("first_seconds should be above 0 and below last_seconds")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """Operations that the array has to understand."""
        return ("read_cells", "pulse", "wait")

    @property
    def adaptive(self) -> bool:
        """Whether the operations depend on what is read: by write-verify they do."""
        return bool(self.level_siemens)

    def shapes(self, bench: Bench) -> tuple[str, ...]:
        """Return the one pulse shape."""
        return (bench.shape(self.shape),)

    def steps(self, bench: Bench) -> Steps:
        """Yield the programming, then reads and waits."""
        average, shape = bench.average(self.average), bench.shape(self.shape)
        levels = len(self.level_siemens or self.level_pulses)
        level = np.arange(len(bench.cells)) % levels
        marks: dict[str, Any] = {"level": level}
        yield Step(bench.pulse(-self.lead, shape), starts_clock=True)
        if self.tolerance_siemens is not None:
            target = np.array(self.level_siemens)[level]
            marks["target_siemens"] = target
            programming = WriteVerify(
                bench,
                target,
                self.tolerance_siemens,
                rounds=self.rounds,
                round_pulses=self.round_pulses,
                average=average,
                shape=shape,
            )
            yield from awaited(programming.exchange())
            yield Step(starts_clock=True)
        else:
            pulses = bench.pulse(np.array(self.level_pulses)[level], shape)
            yield Step(pulses, starts_clock=True)
        times = [0.0, *log_spaced(self.first_seconds, self.last_seconds, self.points)]
        for before, time in zip([0.0, *times], times, strict=False):
            wait = bench.wait(time - before)
            yield Step([*wait, bench.read(average)], {**marks, "nominal_seconds": time})
