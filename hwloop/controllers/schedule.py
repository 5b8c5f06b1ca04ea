"""Cyclic schedule of line reads: which lines are read after which vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """Lines that are read together.

    Attributes:
        after: vectors of the batch that come before the read.
        lines: lines that are read, int32, shape (lines,).
        sweep: number of the pass over all lines that each read belongs to, shape (lines,).
    """

    after: int
    lines: NDArray[np.int32]
    sweep: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LineSchedule:
    """Every `n_s` vectors the next `together` lines are read, in cyclic order.

    The schedule has no state but the number of vectors so far, so that batches of any size, and
    interruptions, do not change it.

    Attributes:
        lines: lines that take turns.
        n_s: vectors between two reads (Rasch et al. 2024: n_s; aihwkit: `transfer_every`).
        together: lines of one read.
    """

    lines: int
    n_s: int = 1
    together: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot take turns."""
        if self.n_s < 1:
            raise ConfigurationError(f"n_s is {self.n_s}, expected 1 or more vectors")
        if not 1 <= self.together <= self.lines:
            raise ConfigurationError(
                f"lines_per_transfer is {self.together}, expected 1 to the {self.lines} lines"
            )

    @property
    def period(self) -> float:
        """Vectors between two reads of the same line."""
        return self.lines * self.n_s / self.together

    def transfers(self, before: int, samples: int) -> list[Transfer]:
        """Return the reads that fall into a batch, in time order.

        Args:
            before: vectors that came before the batch.
            samples: vectors of the batch.
        """
        first, last = before // self.n_s, (before + samples) // self.n_s
        reads = []
        for number in range(first, last):
            turns = np.arange(number * self.together, (number + 1) * self.together)
            sweep, line = np.divmod(turns, self.lines)
            after = (number + 1) * self.n_s - before
            reads.append(Transfer(after, line.astype(np.int32), sweep))
        return reads
