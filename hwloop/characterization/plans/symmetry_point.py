"""Symmetry point: the state at which pulses up and down cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hwloop.characterization.plans.base import (
    Count,
    Marks,
    Plan,
    Pulses,
    Siemens,
    Step,
    Steps,
    awaited,
)
from hwloop.device_file.quantities import MeasurementKind
from hwloop.procedures.bench import Bench
from hwloop.procedures.symmetry_point import SymmetryPoints, SymmetrySearch


class SymmetryPoint(Plan):
    """Pulses up and down in turn on all cells, each until it has settled."""

    kind: ClassVar[MeasurementKind] = "symmetry_point"
    own: ClassVar[Mapping[str, tuple[str, str]]] = {
        "after_up_siemens": ("S", "mean of the reads after an up pulse"),
        "after_down_siemens": ("S", "mean of the reads after a down pulse"),
        "settled": ("1", "1 where the cell had settled"),
    }

    pairs: Count = 8
    """Pairs of an up and a down pulse in a block, whose mean is one value."""

    lead: Pulses = 32
    """Pulses up, and later down, from which the cells go to their symmetry points."""

    pulses_max: Count = 4096
    """Most pulses of a cell for one value."""

    error_siemens: Siemens | None = None
    """Standard error below which a settled cell gets no more pulses; any by default."""

    repeats: Count = 1
    """How often the symmetry point is looked for."""

    average: Count | None = None
    """Reads behind a value; 16, or as many as the tile sums, by default."""

    shape: str | None = None
    """Pulse shape; the first one by default."""

    @property
    def adaptive(self) -> bool:
        """Whether the operations depend on what is read: cells stop when they have settled."""
        return True

    def shapes(self, bench: Bench) -> tuple[str, ...]:
        """Return the one pulse shape."""
        return (bench.shape(self.shape),)

    def steps(self, bench: Bench) -> Steps:
        """Yield the search of each repeat, then its result."""
        for repeat in range(self.repeats):
            search = SymmetrySearch(
                bench,
                pairs=self.pairs,
                lead=self.lead,
                pulses_max=self.pulses_max,
                error_siemens=self.error_siemens,
                average=self.average,
                shape=self.shape,
            )

            def so_far(search: SymmetrySearch = search, repeat: int = repeat) -> Marks:
                return _marks(search.result(), repeat)

            found = yield from awaited(search.exchange(), so_far)
            yield Step(marks=_marks(found, repeat))


def _marks(found: SymmetryPoints, repeat: int) -> Marks:
    return {
        "repeat": repeat,
        "pulses_spent": found.pulses,
        "siemens": found.siemens,
        "standard_error_siemens": found.standard_error,
        "after_up_siemens": found.after_up,
        "after_down_siemens": found.after_down,
        "settled": found.settled.astype(int),
    }
