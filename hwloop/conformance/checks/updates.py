"""Outer-product updates: which cells they reach, signs, and counts, seeded and by trains."""

from __future__ import annotations

from collections.abc import Callable

from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import swing_at
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.marks import marks
from hwloop.conformance.region import Cell
from hwloop.conformance.rig import Rig
from hwloop.operations import Operation

Make = Callable[[Cell, int, int, int], Operation]
"""Makes an update of one cell from the signs of column and row and the number of slots."""


def seeded(rig: Rig, evidence: Evidence) -> None:
    """Move each corner by codes that always fire."""
    most = rig.tile.update_code_max

    def make(cell: Cell, x: int, d: int, slots: int) -> Operation:
        return rig.update({cell[1]: x * most}, {cell[0]: d * most}, slots)

    _corners(rig, evidence, "seeded update", make)


def trains(rig: Rig, evidence: Evidence) -> None:
    """Move each corner by trains that fire in every slot."""

    def make(cell: Cell, x: int, d: int, slots: int) -> Operation:
        return rig.trains({cell[1]: x}, {cell[0]: d}, slots)

    _corners(rig, evidence, "update by trains", make)


def _corners(rig: Rig, evidence: Evidence, what: str, make: Make) -> None:
    for number, mark in enumerate(marks(rig)):
        _corner(rig, evidence, what, make, mark.cell, 1 if number % 2 == 0 else -1)


def _corner(rig: Rig, evidence: Evidence, what: str, make: Make, cell: Cell, sign: int) -> None:
    """Raise a cell by codes of equal signs, and lower it by codes of different signs."""

    def give(x: int, d: int) -> int:
        return sum(rig.one(make(cell, x, d, slots)).fired for slots in _lengths(rig))

    signs = f"signs {sign:+d}, {sign:+d} and {-sign:+d}, {sign:+d}"
    swing_at(
        rig,
        evidence,
        cell,
        lambda: give(sign, sign),
        lambda: give(-sign, sign),
        f"{what}, {signs}",
    )


def _lengths(rig: Rig) -> list[int]:
    """Return train lengths that add up to a mark."""
    limit = rig.chip.configuration.limits.pulses_per_operation or rig.tile.longest_train
    longest = min(rig.tile.longest_train, limit)
    whole, rest = divmod(rig.scope.mark, longest)
    return [longest] * whole + ([rest] if rest else [])


CHECKS = (
    Check(
        "seeded_updates",
        "codes that always fire move the cell where row and column cross, by the sign of their "
        "product, once per slot",
        seeded,
        needs=("outer_update", "pulse"),
    ),
    Check(
        "train_updates",
        "trains move the cell where row and column cross, by the sign of their product, once per "
        "slot",
        trains,
        needs=("outer_trains", "pulse"),
    ),
)
