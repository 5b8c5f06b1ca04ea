"""Marks: single cells that are pulsed, and what every kind of read sees of them.

A mark is one-hot: a cell at a corner of the region goes up by pulses and down again, and each kind
of read is made before, between and behind. What is compared are differences of reads, so that what
the cells were before does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hwloop.conformance.region import Cell
from hwloop.conformance.rig import READS, Rig, Values, mean_and_error
from hwloop.errors import CrossbarError
from hwloop.operations import Direction, Plane

SIGMAS = 6.0
"""A change is one where it is larger than so many standard errors; of Gaussian noise one in half a
billion is."""

STILL_LOOKS = 6
"""Looks at cells that nobody moves, before the first mark: what they differ by is slow noise."""

LARGER_THAN_SEEN = 1.5
"""Changes up to so many times the largest one that was seen in still cells are slow noise too."""

WRITE_SIGMAS = 1.5
"""A change of a cell that was pulsed is one where the write noise that the device file gives does
not explain it; what is not seen is tried again, so that it takes fewer."""

STRONG, VERY_STRONG = 2.0, 5.0
"""A mark is used where some read sees it by so many thresholds; up to the second number the next
cells are tried as well, and the strongest is used."""

SHARE_OF_OTHERS = 1 / 3
"""Largest change of another cell, relative to the marked one, that disturbances may explain."""

VECTOR_REPEATS = 32


@dataclass(slots=True)
class Look:
    """What one kind of read sees, in device units, shape (rows, cols) of what is looked at.

    Attributes:
        values: the cells.
        error: standard error of each.
        failure: why there are none.
    """

    values: Values | None = None
    error: float = 0.0
    failure: str = ""


@dataclass(slots=True)
class Mark:
    """A cell that was pulsed up and down again.

    Attributes:
        cell: the cell.
        before, up, down: looks by kind of read, at the three moments.
        floors: smallest change, by kind of read, that slow noise does not explain.
        fired_up, fired_down: pulses as the array reported them.
        failure: why the cell was not pulsed.
    """

    cell: Cell
    before: dict[str, Look] = field(default_factory=dict)
    up: dict[str, Look] = field(default_factory=dict)
    down: dict[str, Look] = field(default_factory=dict)
    floors: dict[str, float] = field(default_factory=dict)
    fired_up: int = 0
    fired_down: int = 0
    failure: str = ""

    def swing(self, kind: str) -> Values | None:
        """Return the change from below to above that a kind of read sees, device units."""
        up, down = self.up.get(kind), self.down.get(kind)
        if up is None or down is None or up.values is None or down.values is None:
            return None
        return up.values - down.values

    def threshold(self, kind: str) -> float:
        """Return the smallest change that noise does not explain, device units."""
        quick = SIGMAS * float(np.hypot(self.up[kind].error, self.down[kind].error))
        return max(quick, self.floors.get(kind, 0.0))

    def trouble(self, kind: str) -> str:
        """Return why a kind of read saw nothing."""
        looks = (self.before, self.up, self.down)
        return next((look[kind].failure for look in looks if kind in look), "") or self.failure


@dataclass(frozen=True, slots=True)
class Peak:
    """Where a kind of read sees a mark.

    Attributes:
        cell: the cell of the largest change.
        change: its change, device units.
        others: largest magnitude of change of any other cell.
        threshold: smallest change that noise does not explain.
    """

    cell: Cell
    change: float
    others: float
    threshold: float

    @property
    def visible(self) -> bool:
        """Whether anything has changed."""
        return abs(self.change) > self.threshold

    @property
    def strong(self) -> bool:
        """Whether a read that is a little less lucky would see it as well."""
        return abs(self.change) > STRONG * self.threshold

    @property
    def alone(self) -> bool:
        """Whether all other cells have stayed as they were."""
        return self.others <= max(self.threshold, SHARE_OF_OTHERS * abs(self.change))

    def __str__(self) -> str:
        """Return it for people."""
        if not self.visible:
            return f"no change above {self.threshold:.3g}"
        others = "" if self.alone else f", another cell by {self.others:.3g} as well"
        return f"row {self.cell[0]}, col {self.cell[1]} by {self.change:+.3g}{others}"


def peak(rig: Rig, mark: Mark, kind: str) -> Peak | None:
    """Return where a kind of read sees a mark, or None where it was not made."""
    swing = mark.swing(kind)
    if swing is None:
        return None
    i, j = np.unravel_index(int(np.abs(swing).argmax()), swing.shape)
    rest = np.abs(swing)
    change = float(swing[i, j])
    rest[i, j] = 0.0
    cell = (rig.rows[int(i)], rig.cols[int(j)])
    return Peak(cell, change, float(rest.max(initial=0.0)), mark.threshold(kind))


def truth(rig: Rig, mark: Mark) -> tuple[Cell, int]:
    """Return where a mark is and its sign, as the reads that agree with the pulses have it.

    Where none agrees with the pulses, the pulses went elsewhere, and the first kind of read that
    sees something is believed.
    """
    peaks = [p for kind in kinds(rig) if (p := peak(rig, mark, kind)) is not None and p.visible]
    cells = [p.cell for p in peaks]
    cell = mark.cell if mark.cell in cells or not cells else max(cells, key=cells.count)
    signs = [np.sign(p.change) for p in peaks if p.cell == cell]
    negative = bool(signs) and sum(signs) < 0
    return cell, -1 if negative else 1


def kinds(rig: Rig) -> list[str]:
    """Return the kinds of read that the array offers."""
    operations, names = rig.capabilities.operations, []
    if "read_cells" in operations:
        names += ["cells", "reversed"]
    if "vmm" in operations:
        names += ["forward", "backward"]
    if "read_cells" in operations and rig.tile.reference in ("cell", "column"):
        names += ["main", "reference"]
    return names


def floors(rig: Rig) -> dict[str, float]:
    """Return the smallest change, by kind of read, that noise between reads does not explain.

    Reads that follow each other at once share the slow noise of the cells: flicker, telegraph,
    drift. So still cells are looked at several times, and what these looks differ by counts.
    """
    found: dict[str, float] = rig.kept("floors", lambda: _still(rig))
    return found


def _still(rig: Rig) -> dict[str, float]:
    looks: dict[str, list[Values]] = {kind: [] for kind in kinds(rig)}
    for _ in range(STILL_LOOKS):
        for kind, values in looks.items():
            seen = look(rig, kind).values
            if seen is not None:
                values.append(seen)
    found = {}
    for kind, values in looks.items():
        if len(values) == STILL_LOOKS:
            stack = np.asarray(values)
            spread = float(np.sqrt(stack.var(axis=0, ddof=1).mean()))
            largest = float(np.ptp(stack, axis=0).max())
            slow = max(SIGMAS * np.sqrt(2) * spread, LARGER_THAN_SEEN * largest)
            found[kind] = max(slow, WRITE_SIGMAS * np.sqrt(2) * write_noise(rig))
    return found


def write_noise(rig: Rig) -> float:
    """Return the noise of a state after a pulse, device units, as the device file gives it."""
    device = rig.chip.device
    return 0.0 if device is None else device.model.write_noise * device.model.step


def marks(rig: Rig) -> list[Mark]:
    """Return the marks at the corners of the region, made when first asked for."""
    made: list[Mark] = rig.kept("marks", lambda: _make(rig))
    return made


def trusted(rig: Rig) -> str:
    """Return the kind of read that sees the most marks where they were made."""
    every = kinds(rig)[:4]

    def agreeing(kind: str) -> int:
        peaks = ((mark, peak(rig, mark, kind)) for mark in marks(rig))
        return sum(
            p is not None and p.visible and p.cell == mark.cell and p.change > 0
            for mark, p in peaks
        )

    return max(every, key=agreeing)


def look(rig: Rig, kind: str) -> Look:
    """Look at all cells by one kind of read."""
    try:
        values, error = READERS[kind](rig)
    except CrossbarError as failure:
        return Look(failure=failure.message)
    return Look(values, error)


def _make(rig: Rig) -> list[Mark]:
    """Mark each corner; a cell that is stuck is left out, one that is seen elsewhere a finding."""
    made: list[Mark] = []
    for corner in rig.scope.region.corners:
        tried = []
        for cell in rig.scope.region.near(corner):
            mark = _mark(rig, cell)
            tried.append((_strength(rig, mark), mark))
            if mark.failure or tried[-1][0] > VERY_STRONG:
                break
        made.append(max(tried, key=lambda one: one[0])[1])
    strong = [mark for mark in made if _strength(rig, mark) > STRONG or mark.failure]
    return strong or made


def _strength(rig: Rig, mark: Mark) -> float:
    """Return the largest change that any kind of read sees, in thresholds."""
    seen = [p for kind in kinds(rig) if (p := peak(rig, mark, kind)) is not None]
    return max((abs(p.change) / p.threshold for p in seen if p.threshold), default=0.0)


def _mark(rig: Rig, cell: Cell) -> Mark:
    mark = Mark(cell, floors=floors(rig))

    def everything() -> dict[str, Look]:
        return {kind: look(rig, kind) for kind in kinds(rig)}

    mark.before = everything()
    try:
        mark.fired_up = rig.move(cell, rig.scope.mark)
        mark.up = everything()
        mark.fired_down = rig.move(cell, -rig.scope.mark)
        mark.down = everything()
    except CrossbarError as failure:
        mark.failure = failure.message
    return mark


def _reversed(rig: Rig) -> tuple[Values, float]:
    rows, cols = rig.rows[::-1], [*rig.cols[1:], rig.cols[0]]
    values, error = rig.cells(rows, cols)
    return np.roll(values[::-1], 1, axis=1), error


def vectors(rig: Rig, direction: Direction) -> tuple[Values, float]:
    """Return what one-hot vectors give, cell by cell: device units, shape (rows, cols)."""
    forward = direction is Direction.FORWARD
    driven, seen = (rig.cols, rig.rows) if forward else (rig.rows, rig.cols)
    codes = rig.vectors(direction, len(driven))
    codes[np.arange(len(driven)), driven] = rig.tile.dac.code_max
    values = rig.one(rig.vmm(direction, np.tile(codes, (VECTOR_REPEATS, 1)))).values
    assert values is not None
    repeats = np.asarray(values, np.float64).reshape(VECTOR_REPEATS, len(driven), -1)[:, :, seen]
    unit = rig.output_unit(direction)
    mean, error = mean_and_error(repeats * unit, unit)
    return (mean.T if forward else mean), error


READERS: dict[str, Callable[[Rig], tuple[Values, float]]] = {
    "cells": lambda rig: rig.cells(reads=READS),
    "reversed": _reversed,
    "forward": lambda rig: vectors(rig, Direction.FORWARD),
    "backward": lambda rig: vectors(rig, Direction.BACKWARD),
    "main": lambda rig: rig.cells(plane=Plane.MAIN),
    "reference": lambda rig: rig.cells(plane=Plane.REFERENCE),
}
"""Reads of all that is looked at, by kind."""
