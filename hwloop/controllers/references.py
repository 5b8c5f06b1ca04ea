"""Running references: what a line of the fast array reads when it holds no gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers.base import State

Lines = NDArray[np.integer[Any]]
Units = NDArray[np.float32]


class RunningReference:
    """The running mean of each line, and the reference that it becomes at a chopper flip.

    AGAD (Rasch et al. 2024): what was read of a line while its chopper had the other sign, in the
    mean, is what its next reads are compared with. Device units.

    Attributes:
        mean: running mean P, float32, shape (lines, cells of a line).
        reference: reference P_ref, float32, shape (lines, cells of a line).
    """

    def __init__(self, lines: int, cells: int, beta: float) -> None:
        self.mean = np.zeros((lines, cells), np.float32)
        self.reference = np.zeros((lines, cells), np.float32)
        self._beta = np.float32(beta)

    def difference(self, lines: Lines, units: Units, renewed: NDArray[np.bool_]) -> Units:
        """Return what lines read above their reference, and let both follow.

        Args:
            lines: distinct lines, shape (lines,).
            units: what was read, shape (lines, cells of a line).
            renewed: lines whose running mean becomes their reference, shape (lines,).
        """
        difference = units - self.reference[lines]
        self.mean[lines] += self._beta * (units - self.mean[lines])
        turned = lines[renewed]
        self.reference[turned] = self.mean[turned]
        return difference

    def state(self) -> State:
        """Return mean and reference."""
        return {"mean": self.mean.copy(), "reference": self.reference.copy()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `state` returned."""
        self.mean[...] = state["mean"]
        self.reference[...] = state["reference"]
