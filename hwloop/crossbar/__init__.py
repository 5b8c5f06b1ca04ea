"""The friendly face of an array: `connect`, chips, tiles and batches, in SI units.

Data flows one way: the verbs here make operations, a lowering may rewrite them, the guard admits
them, the tape records them, the backend executes them; results come back the same way.
"""

from hwloop.crossbar.batch import Batch, BatchTile, Pending
from hwloop.crossbar.chip import Chip, Submission, Totals, connect
from hwloop.crossbar.requests import Axis, FloatArray, LineSelection
from hwloop.crossbar.tile import Tile

__all__ = [
    "Axis",
    "Batch",
    "BatchTile",
    "Chip",
    "FloatArray",
    "LineSelection",
    "Pending",
    "Submission",
    "Tile",
    "Totals",
    "connect",
]
