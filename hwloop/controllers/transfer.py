"""Transfer through the hidden matrix: what was read of the fast array becomes pulses of weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers.fast import FastArray
from hwloop.controllers.hidden import HiddenMatrix
from hwloop.controllers.options import HiddenOptions
from hwloop.crossbar import Tile
from hwloop.operations import IntArray, Operation
from hwloop.weights import WeightMap

Piece = tuple[NDArray[np.int32], NDArray[np.floating[Any]]]
"""Distinct lines, and what each adds to its row of the hidden matrix, shape (lines, cells)."""


class HiddenTransfer:
    """The hidden matrix of a layer, between its fast array and its weights.

    Attributes:
        hidden: the hidden matrix, a row for each line that is read.
    """

    def __init__(
        self,
        options: HiddenOptions,
        fast: FastArray,
        slow: Tile,
        delta_slow: float,
        weights: WeightMap,
        leak: float = 0.0,
    ) -> None:
        cells = fast.tile.rows if fast.columns else fast.tile.cols
        self.hidden = HiddenMatrix(fast.schedule.lines, cells, options.reset_rule(), leak)
        self._slow = slow
        self._columns = fast.columns
        self._corrects = options.correct_magnitudes
        delta = delta_slow if options.normalisation == "paper" else fast.delta
        # The paper's n_s n / (gamma_0 delta), delta as a weight.
        self._gain = fast.schedule.period / (options.gamma0 * delta * weights.weight_per_unit)

    def rate(self, rate: float, share: float, fast_rate: float) -> float:
        """Return lambda_H: increment of the hidden matrix per device unit of the fast array.

        Args:
            rate, share: as in `Controller.plan`.
            fast_rate: lambda_A of the vectors before the read.
        """
        if self._corrects:
            rate = rate * share / fast_rate if fast_rate > 0 else 0.0
        return rate * self._gain

    def pulses(self, pieces: Iterable[Piece]) -> list[Operation]:
        """Add what was read, in time order; return the pulses that are due.

        Lines that are distinct share one operation.
        """
        lines: list[NDArray[np.int32]] = []
        increments: list[NDArray[np.float32]] = []
        operations: list[Operation] = []
        taken = 0
        for numbers, increment in pieces:
            # A line has its turn again only after all others, so that this many are distinct.
            if taken + len(numbers) > len(self.hidden.values):
                operations += self._add(lines, increments)
                lines, increments, taken = [], [], 0
            lines.append(numbers)
            increments.append(increment.astype(np.float32, copy=False))
            taken += len(numbers)
        return operations + self._add(lines, increments)

    def _add(
        self, lines: list[NDArray[np.int32]], increments: list[NDArray[np.float32]]
    ) -> list[Operation]:
        """Add distinct lines to the hidden matrix; return their pulses as one operation, if any."""
        if not lines:
            return []
        numbers = np.concatenate(lines)
        counts = self.hidden.add(numbers, np.concatenate(increments))
        pulsed = counts.any(axis=1)
        if not pulsed.any():
            return []
        counts, numbers = counts[pulsed], numbers[pulsed]
        block: IntArray = np.ascontiguousarray(counts.T) if self._columns else counts
        rows, cols = (None, numbers) if self._columns else (numbers, None)
        return [self._slow.new_pulse(rows, cols, block)]
