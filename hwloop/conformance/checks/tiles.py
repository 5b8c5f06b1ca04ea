"""Tiles: pulses on one move nothing on another."""

from __future__ import annotations

import numpy as np

from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import swing, working
from hwloop.conformance.evidence import Evidence, SkippedError
from hwloop.conformance.marks import SIGMAS, floors
from hwloop.conformance.region import whole
from hwloop.conformance.rig import Rig, Values


def run(rig: Rig, evidence: Evidence) -> None:
    """Pulse a cell and look at the neighbouring tile."""
    count = len(rig.capabilities.tiles)
    if count == 1:
        raise SkippedError("tiles: the array has one")
    if rig.capabilities.kind == "physical":
        raise SkippedError("the region lies on one tile")
    mine = rig.scope.region.tile
    other = (mine + 1) % count
    region = whole(rig.capabilities.tiles[other], other)
    cell = working(rig)

    def neighbour() -> tuple[Values, float]:
        return rig.cells(region.rows, region.cols, tile=other)

    def up() -> None:
        rig.move(cell, rig.scope.mark)
        looks.append(neighbour())

    looks = [neighbour()]
    seen, trouble = swing(rig, cell, up, lambda: rig.move(cell, -rig.scope.mark))
    if seen is None:
        evidence.expect(False, f"mark on tile {mine}", trouble, "executed")
        return
    if len(looks) < 2:
        return
    (before, error), (after, _) = looks
    worst, bound = (
        float(np.abs(after - before).max()),
        max(SIGMAS * 1.5 * error, floors(rig).get("cells", 0.0)),
    )
    evidence.expect(
        worst <= max(bound, abs(seen.change) / 3),
        f"tile {other} while a cell of tile {mine} was pulsed, largest change",
        f"{worst:.2g}",
        f"at most {bound:.2g} device units",
    )


CHECKS = (
    Check(
        "tiles",
        "pulses on one tile move nothing on another",
        run,
        needs=("pulse", "read_cells"),
    ),
)
