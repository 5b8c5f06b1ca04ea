"""Pulse responses as traces: trains of pulses in one direction with a read after each.

A train begins with an unknown state, so that pauses, resets and repeats between trains need no
model. Trains of all cells lie side by side, so that a filter steps through all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.measurement import Measurement
from hwloop.errors import ConfigurationError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHORTEST_TRAIN = 4
"""Reads of the shortest train that says anything about a step."""


@dataclass(frozen=True)
class Traces:
    """Trains of pulses, side by side.

    Attributes:
        values: state seen after each pulse, NaN where there is no read, shape (time, trains).
        pulses: pulses since the read before, shape (time, trains); the first row is the start.
        up: whether a train goes up, shape (trains,).
        cell: index into `cells`, shape (trains,).
        repeat: number of the repetition that a train belongs to, shape (trains,).
        cells: numbers of the cells, ascending.
    """

    values: Floats
    pulses: Ints
    up: NDArray[np.bool_]
    cell: Ints
    repeat: Ints
    cells: Ints

    @property
    def reads(self) -> int:
        """Number of reads after the first of each train: those that a model predicts."""
        return int(np.isfinite(self.values[1:]).sum())

    def select(self, trains: NDArray[Any]) -> Traces:
        """Return some trains, by a mask or by their numbers; cells keep their indices."""
        return Traces(
            self.values[:, trains],
            self.pulses[:, trains],
            self.up[trains],
            self.cell[trains],
            self.repeat[trains],
            self.cells,
        )

    def of_cells(self, indices: Sequence[int] | Ints) -> Traces:
        """Return the trains of some cells, which get new indices in the order given."""
        new = np.full(len(self.cells), -1)
        new[np.asarray(indices)] = np.arange(len(indices))
        mask = new[self.cell] >= 0
        part = self.select(mask)
        return Traces(
            part.values,
            part.pulses,
            part.up,
            new[part.cell],
            part.repeat,
            self.cells[np.asarray(indices)],
        )

    def mapped(self, offset: float, scale: float) -> Traces:
        """Return the traces in the units `(value - offset) / scale`."""
        values = (self.values - offset) / scale
        return Traces(values, self.pulses, self.up, self.cell, self.repeat, self.cells)


def traces(measurement: Measurement) -> Traces:
    """Return the trains of measured pulse responses, in the units of `measurement.state`.

    Rows of direction 0 belong to no train. A new train begins where the cell, the repetition or
    the direction changes, and where the number of pulses does not grow.

    Raises:
        ConfigurationError: there is no train of at least `SHORTEST_TRAIN` reads.
    """
    columns = measurement.columns
    order = np.lexsort((columns["sequence"], columns["repeat"], columns["cell"]))
    moved = order[columns["direction"][order] != 0]
    cell, repeat, direction, pulse = (
        columns[name][moved] for name in ("cell", "repeat", "direction", "pulse")
    )
    state = measurement.state[moved]
    step = np.diff(pulse)
    same = (np.diff(cell) == 0) & (np.diff(repeat) == 0) & (np.diff(direction) == 0) & (step > 0)
    starts = np.concatenate([[0], np.flatnonzero(~same) + 1])
    lengths = np.diff(np.concatenate([starts, [len(cell)]]))
    keep = lengths >= SHORTEST_TRAIN
    if len(cell) == 0 or not keep.any():
        raise ConfigurationError(
            f"{measurement.header.name}: no train of {SHORTEST_TRAIN} pulses in one direction",
            remedy="measure trains of many equal pulses, with a read after each",
        )
    starts, lengths = starts[keep], lengths[keep]
    time = np.arange(lengths.max())[:, None]
    inside = time < lengths
    rows = np.where(inside, starts + time, 0)
    pulses = np.zeros(rows.shape, np.int64)
    pulses[1:] = np.where(inside[1:], pulse[rows[1:]] - pulse[np.maximum(rows[1:] - 1, 0)], 0)
    cells, index = np.unique(cell[starts], return_inverse=True)
    return Traces(
        np.where(inside, state[rows], np.nan),
        pulses,
        direction[starts] > 0,
        index.astype(np.int64),
        repeat[starts].astype(np.int64),
        cells.astype(np.int64),
    )
