"""Reads of cells: whole blocks, and rows and columns in the order in which they are named."""

from __future__ import annotations

from hwloop.conformance.check import Check
from hwloop.conformance.checks.seeing import expect_marks
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import Rig


def block(rig: Rig, evidence: Evidence) -> None:
    """See the marks in a block that is read in its natural order."""
    expect_marks(rig, evidence, "cells")


def subset(rig: Rig, evidence: Evidence) -> None:
    """See the marks in a block whose rows are named backwards and whose columns are turned."""
    expect_marks(rig, evidence, "reversed")


CHECKS = (
    Check(
        "cell_reads",
        "a read of cells has a row per row and shows a pulsed cell, and it alone, at its place",
        block,
        needs=("read_cells", "pulse"),
    ),
    Check(
        "cell_read_order",
        "a read of cells answers in the order in which rows and columns are named",
        subset,
        needs=("read_cells", "pulse"),
    ),
)
