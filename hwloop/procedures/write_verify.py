"""Programming by pulses: read, pulse towards the target, read again, for some rounds at most.

The number of pulses follows from the distance and the step that the cell has shown in this
direction, as in incremental write-verify schemes (Alibart et al. 2012); cells are programmed all at
once and rest when they are within the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwloop.crossbar import Chip, Tile
from hwloop.errors import ConfigurationError
from hwloop.procedures.bench import Bench, Exchange, Values, carry_out
from hwloop.procedures.cells import Cells, choose_cells

CAUTION = 0.7
"""Share of the distance that a round is meant to go, so that it rarely goes too far."""

MEMORY = 0.5
"""Weight of the last round in what is known of a cell's step."""


@dataclass(frozen=True, slots=True)
class Programmed:
    """What write-verify left; arrays of shape (cells,).

    Attributes:
        siemens: conductance of the last read of each cell.
        target_siemens: what was wanted.
        within: whether it is within the tolerance.
        pulses: pulses that the cell got.
        rounds: rounds in which it was pulsed.
    """

    siemens: Values
    target_siemens: Values
    within: NDArray[np.bool_]
    pulses: NDArray[np.int64]
    rounds: NDArray[np.int64]


class WriteVerify:
    """The programming of the cells of a bench.

    Args:
        bench: the cells.
        target_siemens: a conductance for all, or one per cell.
        tolerance_siemens: distance from the target that will do.
        rounds: most rounds.
        round_pulses: most pulses of a cell in a round.
        average: reads behind a value.
        shape: pulse shape.

    Raises:
        ConfigurationError: targets of another shape, not finite, or below 0.
    """

    def __init__(
        self,
        bench: Bench,
        target_siemens: ArrayLike,
        tolerance_siemens: float,
        *,
        rounds: int = 30,
        round_pulses: int = 20,
        average: int | None = None,
        shape: str | None = None,
    ) -> None:
        cells = len(bench.cells)
        target = np.asarray(target_siemens, np.float64)
        if target.shape not in ((), (cells,)):
            raise ConfigurationError(
                f"target_siemens has shape {target.shape}, expected one value or ({cells},)"
            )
        if not (np.isfinite(target).all() and (target >= 0).all()):
            raise ConfigurationError("target_siemens should hold conductances of 0 or more")
        self._bench = bench
        self._target = np.broadcast_to(target, (cells,)).copy()
        self._tolerance = tolerance_siemens
        self._rounds = rounds
        self._most = round_pulses
        self._average = bench.average(average)
        self._shape = bench.shape(shape)
        self._siemens = np.full(cells, np.nan)
        self._pulses = np.zeros(cells, np.int64)
        self._pulsed_rounds = np.zeros(cells, np.int64)
        # Siemens per pulse down and up, as far as the cell has shown it.
        self._steps = np.full((2, cells), np.nan)

    def exchange(self) -> Exchange[Programmed]:
        """Program: a first read, then rounds of pulses and a read."""
        read = self._bench.read(self._average)
        answer = yield [read]
        if answer is not None:
            self._siemens = self._bench.siemens(read, answer[-1])
        for _ in range(self._rounds):
            counts = (
                self._counts() if answer is not None else np.full(len(self._target), self._most)
            )
            if not counts.any():
                break
            read = self._bench.read(self._average)
            answer = yield [*self._bench.pulse(counts, self._shape), read]
            if answer is not None:
                self._learn(counts, self._bench.siemens(read, answer[-1]))
        return self.result()

    def result(self) -> Programmed:
        """Return what was reached so far; NaN where nothing was read."""
        within = np.abs(self._siemens - self._target) <= self._tolerance
        return Programmed(
            self._siemens.copy(), self._target, within, self._pulses, self._pulsed_rounds
        )

    def _counts(self) -> NDArray[np.int64]:
        """Return the signed pulses of the next round: 1 where no step is known, 0 at the target."""
        distance = self._target - self._siemens
        step = self._steps[(distance > 0).astype(np.int64), np.arange(len(distance))]
        wanted = CAUTION * np.abs(distance)
        ratio = np.divide(wanted, step, out=np.ones_like(wanted), where=step > 0)
        counts = np.clip(np.floor(ratio), 1, self._most).astype(np.int64)
        counts[np.abs(distance) <= self._tolerance] = 0
        signed: NDArray[np.int64] = np.where(distance > 0, counts, -counts)
        return signed

    def _learn(self, counts: NDArray[np.int64], siemens: Values) -> None:
        moved = np.divide(
            siemens - self._siemens, counts, out=np.zeros(len(counts)), where=counts != 0
        )
        side = (counts > 0).astype(np.int64)
        known = self._steps[side, np.arange(len(counts))]
        # A round that noise turned backwards says that the step is small, not negative.
        seen = np.maximum(moved, self._tolerance / self._most)
        mixed = np.where(np.isnan(known), seen, (1 - MEMORY) * known + MEMORY * seen)
        self._steps[side, np.arange(len(counts))] = np.where(counts != 0, mixed, known)
        # A cell at rest keeps the value by which it was found at its target.
        self._siemens = np.where(counts != 0, siemens, self._siemens)
        self._pulses = self._pulses + np.abs(counts)
        self._pulsed_rounds = self._pulsed_rounds + (counts != 0)


def write_verify(
    chip: Chip,
    tile: Tile,
    target_siemens: ArrayLike,
    *,
    tolerance_siemens: float,
    cells: Cells | None = None,
    rounds: int = 30,
    round_pulses: int = 20,
    average: int | None = None,
    shape: str | None = None,
) -> Programmed:
    """Program cells to conductances by pulses, as any chip can; return what was reached.

    Args:
        chip: the array.
        tile: the tile.
        target_siemens: a conductance for all, or one per cell, shape (cells,); those of a block row
            by row.
        tolerance_siemens: distance from the target that will do.
        cells: cells of the tile; all by default.
        rounds: most rounds of pulses.
        round_pulses: most pulses of a cell in a round.
        average: reads behind a value; 16, or as many as the tile sums, by default.
        shape: pulse shape; the first one by default.

    Raises:
        ConfigurationError: targets that do not fit.
        CrossbarError: the array refuses or fails.
    """
    chosen = choose_cells(tile.capabilities, tile.index) if cells is None else cells
    programming = WriteVerify(
        Bench(chip, chip.configuration, chosen),
        target_siemens,
        tolerance_siemens,
        rounds=rounds,
        round_pulses=round_pulses,
        average=average,
        shape=shape,
    )
    return carry_out(chip, programming.exchange())
