"""State: a virtual array that was restored is the one that was saved, to the last bit."""

from __future__ import annotations

import numpy as np

from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import working
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import Rig
from hwloop.operations import Restore

CELL_WORDS = 4
"""Words that do not follow the chip's clock: persistent, visible, reference, pulses counted."""


def run(rig: Rig, evidence: Evidence) -> None:
    """Save, move a cell, restore, and compare."""
    saved = rig.snapshot()
    tile = rig.tile
    assert saved is not None
    expected = (tile.state_words, tile.rows, tile.cols)
    if not evidence.expect(saved.shape == expected, "shape of the state", saved.shape, expected):
        return
    again = rig.snapshot()
    assert again is not None
    same = bool(np.array_equal(saved[:CELL_WORDS], again[:CELL_WORDS]))
    evidence.expect(same, "a second snapshot", "equal" if same else "other", "equal")
    operations = rig.capabilities.operations
    read = rig.read() if "read_cells" in operations else None
    before = rig.one(read).values if read is not None else None
    if "pulse" in operations:
        rig.move(working(rig), rig.scope.mark)
    rig.run(Restore(tile=rig.scope.region.tile, state=saved))
    restored = rig.snapshot()
    assert restored is not None
    differ = int(np.count_nonzero((restored[:CELL_WORDS] != saved[:CELL_WORDS]).any(axis=0)))
    evidence.expect(differ == 0, "cells that differ after a restore", differ, 0)
    if read is not None and tile.state_words == CELL_WORDS:
        after = rig.one(read).values
        fine = bool(np.array_equal(before, after))  # type: ignore[arg-type]
        evidence.expect(fine, "a read before and after", "equal" if fine else "other", "same bits")


CHECKS = (
    Check(
        "snapshot",
        "a tile that was restored is the one that was saved, to the last bit",
        run,
        needs=("snapshot", "restore"),
    ),
)
