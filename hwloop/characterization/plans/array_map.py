"""Array map: what every cell reads, and which cells are stuck or open.

A cell is *stuck* if its mean reads after many pulses up and after many pulses down differ by no
more than noise. The threshold is `z * sigma * sqrt(2 / reads)`, at least one code: `sigma` is the
standard deviation of a read, pooled over the cells (median of their variances), and `z` the normal
quantile at which all stuck cells of the map together look as if they moved with a probability of
`false_share`. A healthy cell is called stuck only if its range is smaller than this threshold. A
stuck cell is *open* if its conductance is no larger than the threshold either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwloop.characterization.plans.base import Count, Marks, Plan, Step, Steps
from hwloop.device_file.quantities import MeasurementKind
from hwloop.operations import Operation
from hwloop.procedures.bench import Answer, Bench, Values


class ArrayMap(Plan):
    """Reads of all cells as they are, after pulses up, and after pulses down."""

    kind: ClassVar[MeasurementKind] = "array_map"
    own: ClassVar[Mapping[str, tuple[str, str]]] = {
        "high_siemens": ("S", "mean of the reads after the pulses up"),
        "low_siemens": ("S", "mean of the reads after the pulses down"),
        "threshold_siemens": ("S", "difference up to which a cell counts as stuck"),
        "stuck": ("1", "1 where pulses do not move the cell"),
        "open": ("1", "1 where the cell is stuck and does not conduct"),
    }

    pulses: Count = 200
    """Pulses in each direction."""

    reads: Annotated[int, Field(ge=3, le=1000)] = 8
    """Reads of each of the three states."""

    false_share: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Probability that any of the stuck cells is not found."""

    average: Count | None = None
    """Reads that the tile sums to one of these; 16, or as many as it can, by default."""

    shape: str | None = None
    """Pulse shape; the first one by default."""

    def shapes(self, bench: Bench) -> tuple[str, ...]:
        """Return the one pulse shape."""
        return (bench.shape(self.shape),)

    def steps(self, bench: Bench) -> Steps:
        """Yield the three states, then the map."""
        average, shape = bench.average(self.average), bench.shape(self.shape)
        nothing = np.full((self.reads, len(bench.cells)), np.nan)
        states = [nothing, nothing, nothing]

        def so_far() -> Marks:
            return self._map(bench, states, average)

        for number, pulses in enumerate((0, self.pulses, -self.pulses)):
            reads = [bench.read(average) for _ in range(self.reads)]
            operations: list[Operation] = [*bench.pulse(pulses, shape), *reads]
            answer = yield Step(operations, awaited=True, so_far=so_far)
            if answer is not None:
                states[number] = self._values(bench, operations, answer)
        yield Step(marks=so_far())

    def _values(
        self, bench: Bench, operations: list[Operation], answer: Answer
    ) -> NDArray[np.float64]:
        assert answer is not None
        pairs = list(zip(operations, answer, strict=True))[-self.reads :]
        return np.stack([bench.siemens(operation, result) for operation, result in pairs])

    def _map(self, bench: Bench, states: list[NDArray[np.float64]], average: int) -> Marks:
        known = [s for s in states if not np.isnan(s).all()]
        cells = len(bench.cells)
        sigma = 0.0
        if known:
            variances = np.stack([s.var(axis=0, ddof=1) for s in known])
            sigma = math.sqrt(float(np.median(variances)) / self._median_share())
        z = NormalDist().inv_cdf(1 - self.false_share / (2 * cells))
        threshold = max(z * sigma * math.sqrt(2 / self.reads), bench.code_siemens / average)
        first, high, low = (_mean(s) for s in states)
        stuck = np.abs(high - low) <= threshold
        level = np.where(np.isnan(low), first, (high + low) / 2)
        return {
            "siemens": first,
            "standard_error_siemens": sigma / math.sqrt(self.reads),
            "high_siemens": high,
            "low_siemens": low,
            "threshold_siemens": threshold,
            "stuck": stuck.astype(int),
            "open": (stuck & (np.abs(level) <= threshold)).astype(int),
        }

    def _median_share(self) -> float:
        """Return the median of a variance over its mean (Wilson and Hilferty 1931)."""
        return (1 - 2 / (9 * (self.reads - 1))) ** 3


def _mean(values: NDArray[np.float64]) -> Values:
    mean: Values = values.mean(axis=0)
    return mean
