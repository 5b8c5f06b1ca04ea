"""Moves a cell up and down by some operation, and finds which cell has moved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwloop.conformance.evidence import Evidence
from hwloop.conformance.marks import SIGMAS, Mark, Peak, floors, look, marks, peak, trusted
from hwloop.conformance.region import Cell
from hwloop.conformance.rig import Rig
from hwloop.errors import CrossbarError

TRIES = 3
"""Times that a cell is moved until noise does not hide it."""


def swing(
    rig: Rig, cell: Cell, up: Callable[[], object], down: Callable[[], object]
) -> tuple[Peak | None, str]:
    """Return where a cell is seen that goes up and down again, or why it is not seen."""
    kind = trusted(rig)
    mark = Mark(cell, floors=floors(rig))
    seen: Peak | None = None
    for _ in range(TRIES):  # a cell that moves little at one time may move more at another
        try:
            up()
            mark.up = {kind: look(rig, kind)}
            down()
            mark.down = {kind: look(rig, kind)}
        except CrossbarError as error:
            return None, error.message
        seen = peak(rig, mark, kind)
        if seen is None or seen.visible:
            break
    return seen, mark.trouble(kind)


def swing_at(
    rig: Rig,
    evidence: Evidence,
    cell: Cell,
    up: Callable[[], int],
    down: Callable[[], int],
    what: str,
) -> None:
    """Expect that exactly one cell goes up and down."""
    name = f"{what}: row {cell[0]}, col {cell[1]}"
    fired: list[int] = []
    seen, trouble = swing(rig, cell, lambda: fired.append(up()), lambda: fired.append(down()))
    if seen is None:
        evidence.expect(False, name, trouble, "executed")
        return
    if not seen.visible and stuck(rig, cell):
        evidence.note(name, "the cell does not move: stuck")
    else:
        fine = seen.visible and seen.alone and seen.cell == cell and seen.change > 0
        evidence.expect(fine, name, seen, f"this cell alone, by more than {seen.threshold:+.2g}")
    expected = rig.scope.mark
    if any(count < expected for count in fired):
        evidence.expect(False, f"{name}: fired", fired, f"at least {expected} each")


def working(rig: Rig) -> Cell:
    """Return the marked cell that moves most; any one if none does."""
    kind = trusted(rig)

    def swing_of(mark: Mark) -> float:
        seen = peak(rig, mark, kind)
        return abs(seen.change) if seen is not None and seen.cell == mark.cell else 0.0

    return max(marks(rig), key=swing_of).cell


def stuck(rig: Rig, cell: Cell) -> bool:
    """Return whether plain pulses do not move a cell either."""
    kind = trusted(rig)
    for mark in marks(rig):
        if mark.cell == cell:
            seen = peak(rig, mark, kind)
            return seen is None or not seen.visible
    seen, _ = swing(
        rig,
        cell,
        lambda: rig.move(cell, rig.scope.mark),
        lambda: rig.move(cell, -rig.scope.mark),
    )
    return seen is None or not seen.visible


def height(rig: Rig, cell: Cell) -> tuple[float, float]:
    """Return the state of a cell by the kind of read that is trusted, and what noise explains."""
    kind = trusted(rig)
    seen = look(rig, kind)
    if seen.values is None:
        return float("nan"), 0.0
    i, j = rig.rows.index(cell[0]), rig.cols.index(cell[1])
    noise = max(SIGMAS * 1.5 * seen.error, floors(rig).get(kind, 0.0))
    return float(np.asarray(seen.values)[i, j]), noise
