"""Trains of pulses: which repeat and which pulse of its train every row belongs to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def trains(pulses: Ints) -> tuple[Ints, Ints, Ints]:
    """Return direction, repeat and pulse number of the rows of one cell, in order of time.

    A read without a pulse belongs to the train before it. A train ends where the polarity turns;
    a repeat is a train of the polarity that came first, with the train of the other one after it.

    Args:
        pulses: per row 1 for a pulse up, -1 for a pulse down, 0 for a read alone.
    """
    rows = np.arange(len(pulses))
    last = np.maximum.accumulate(np.where(pulses != 0, rows, -1))
    direction = np.where(last >= 0, pulses[np.maximum(last, 0)], 0)
    turns = np.concatenate([[False], direction[1:] != direction[:-1]])
    train = np.cumsum(turns)
    if len(direction) and direction[0] == 0:
        train = np.maximum(train - 1, 0)  # reads before any pulse go with the first train
    given = np.cumsum(pulses != 0)
    before = np.concatenate([[0], given[:-1]])
    start = np.maximum.accumulate(np.where(turns, before, 0))
    return direction.astype(np.int64), (train // 2).astype(np.int64), given - start


def cell_numbers(rows: Ints, cols: Ints) -> Ints:
    """Return a number per cell, in the order of rows and columns."""
    _, numbers = np.unique(np.stack([rows, cols]), axis=1, return_inverse=True)
    return np.asarray(numbers, np.int64).reshape(-1)
