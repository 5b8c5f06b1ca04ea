"""Write-verify: cells are programmed to targets by pulses and reads in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from hwloop.characterization.plans.base import Count, Marks, Plan, Siemens, Step, Steps, awaited
from hwloop.device_file.quantities import MeasurementKind
from hwloop.procedures.bench import Bench
from hwloop.procedures.write_verify import Programmed, WriteVerify


class WriteVerifyPlan(Plan):
    """Programming of all cells at once; one that is within the tolerance rests."""

    kind: ClassVar[MeasurementKind] = "write_verify"
    own: ClassVar[Mapping[str, tuple[str, str]]] = {
        "within": ("1", "1 where the target was reached within the tolerance"),
        "rounds": ("1", "rounds in which the cell was pulsed"),
    }

    target_siemens: tuple[Siemens, ...] = Field(min_length=1, max_length=1024)
    """Wanted conductances; the cells take them in turn."""

    tolerance_siemens: Annotated[float, Field(gt=0, le=10)]
    """Distance from the target that will do."""

    rounds: Count = 30
    """Most rounds of pulses and a read."""

    round_pulses: Count = 20
    """Most pulses of a cell in a round."""

    average: Count | None = None
    """Reads behind a value; 16, or as many as the tile sums, by default."""

    shape: str | None = None
    """Pulse shape; the first one by default."""

    @property
    def adaptive(self) -> bool:
        """Whether the operations depend on what is read."""
        return True

    def shapes(self, bench: Bench) -> tuple[str, ...]:
        """Return the one pulse shape."""
        return (bench.shape(self.shape),)

    def steps(self, bench: Bench) -> Steps:
        """Yield the programming, then what it left."""
        level = np.arange(len(bench.cells)) % len(self.target_siemens)
        programming = WriteVerify(
            bench,
            np.array(self.target_siemens)[level],
            self.tolerance_siemens,
            rounds=self.rounds,
            round_pulses=self.round_pulses,
            average=self.average,
            shape=self.shape,
        )

        def marks(done: Programmed) -> Marks:
            return {
                "level": level,
                "target_siemens": done.target_siemens,
                "pulses_spent": done.pulses,
                "rounds": done.rounds,
                "within": done.within.astype(int),
                "siemens": done.siemens,
            }

        done = yield from awaited(programming.exchange(), lambda: marks(programming.result()))
        yield Step(marks=marks(done))
