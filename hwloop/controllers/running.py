"""Running maxima: the typical size of a signal, vector by vector."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class RunningMaximum:
    """Exponential average of the largest magnitudes of vectors, for `mu_x` and `mu_d`.

    The first vector that is not zero is taken as it is; zero vectors are skipped. Rasch et al. 2024
    (learning rate of the fast array); aihwkit: `auto_scale`, `auto_momentum`.

    Attributes:
        momentum: what a further vector keeps of the average.
        value: the average so far, 0 before the first vector.
    """

    def __init__(self, momentum: float = 0.99) -> None:
        self.momentum = momentum
        self.value = 0.0

    def follow(self, peaks: Floats) -> NDArray[np.float64]:
        """Take the peaks of vectors in order; return the average after each, shape (samples,)."""
        averages = np.empty(len(peaks))
        value, keep = self.value, self.momentum
        for i, peak in enumerate(peaks.tolist()):
            if peak > 0:
                value = keep * value + (1 - keep) * peak if value > 0 else peak
            averages[i] = value
        self.value = value
        return averages
