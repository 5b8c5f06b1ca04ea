"""Points that differ in their seeds alone, taken together."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwloop.experiments.sweep.catalogue import Row
from hwloop.experiments.sweep.study import SEED
from hwloop.experiments.sweep.work import FINISHED


@dataclass(frozen=True, slots=True)
class Mean:
    """A metric over seeds.

    Attributes:
        value: the mean.
        error: its standard error; NaN for a single seed.
        seeds: number of seeds.
    """

    value: float
    error: float
    seeds: int


@dataclass(frozen=True, slots=True)
class Group:
    """Points that differ in their seeds alone.

    Attributes:
        settings: what they share and what tells them from others.
        rows: the points.
    """

    settings: Mapping[str, Any]
    rows: Sequence[Row]

    @property
    def finished(self) -> int:
        """Number of finished points."""
        return sum(row.state == FINISHED for row in self.rows)

    def mean(self, metric: str) -> Mean | None:
        """Return a metric of the finished points; None where none of them has a number for it."""
        found = [row.metric(metric) for row in self.rows if row.state == FINISHED]
        values = [float(v) for v in found if _is_number(v)]
        if not values:
            return None
        error = math.nan
        if len(values) > 1:
            error = statistics.stdev(values) / math.sqrt(len(values))
        return Mean(statistics.fmean(values), error, len(values))


def groups_of(rows: Sequence[Row]) -> list[Group]:
    """Return points by all of their settings but the seed, in the order of the first seed."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(json.dumps(_without_seed(row.settings)), []).append(row)
    return [Group(_without_seed(members[0].settings), members) for members in found.values()]


def _without_seed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != SEED}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
