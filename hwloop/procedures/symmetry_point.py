"""Symmetry points: where pulses up and down cancel, found by giving both in turn.

Alternating pulses bring a cell to its symmetry point and keep it around there (Gokmen and Haensch
2020; zero-shifting of Kim et al. 2019). The mean of what follows each up and each down pulse
estimates it. For steps `a - s w` up and `a' + s' w` down this mean settles at the point of equal
steps plus `(after_up - after_down) / 2 * (s - s') / (s + s')`: a share of half a step, where the
slopes differ.

How long a cell takes to settle is not known before, so that it is sent to its symmetry point from
both sides: a lead of pulses up, then pairs; a lead of pulses down, then as many pairs. What both
legs leave differs by noise alone once the cell has settled, and their mean is little affected as
long as it has not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.crossbar import Chip, Tile
from hwloop.errors import ConfigurationError
from hwloop.operations import Operation
from hwloop.procedures.bench import Answer, Bench, Exchange, Values, carry_out
from hwloop.procedures.cells import Cells, choose_cells

FIRST_PAIRS = 128
"""Pairs of each leg of the first round; the number doubles from round to round."""

LEAST_BLOCKS = 8
"""Blocks of a leg that say something of its noise."""

SETTLED_ERRORS = 2.0
"""Standard errors by which the legs of a settled cell may differ."""

MOST_CORRELATION = 0.9

MEDIAN_SQUARE = 0.4549
"""Median of the square of a standard normal number."""


@dataclass(frozen=True, slots=True)
class SymmetryPoints:
    """Symmetry points of cells; arrays of shape (cells,).

    Attributes:
        siemens: symmetry point, the mean of both phases.
        standard_error: of it.
        after_up, after_down: mean after an up and after a down pulse.
        pulses: pulses that the cell got.
        settled: whether the cell had settled.
    """

    siemens: Values
    standard_error: Values
    after_up: Values
    after_down: Values
    pulses: NDArray[np.int64]
    settled: NDArray[np.bool_]


class SymmetrySearch:
    """The search for the symmetry points of the cells of a bench, all at once.

    Args:
        bench: the cells.
        pairs: pairs of an up and a down pulse in a block, whose mean is one value.
        lead: pulses before each leg.
        pulses_max: most pulses per cell.
        error_siemens: standard error below which a settled cell gets no more pulses; any by
            default.
        average: reads behind a value.
        shape: pulse shape.

    Raises:
        ConfigurationError: `pulses_max` is not enough for one round, or there is no such shape.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        pairs: int = 8,
        lead: int = 32,
        pulses_max: int = 4096,
        error_siemens: float | None = None,
        average: int | None = None,
        shape: str | None = None,
    ) -> None:
        self._bench = bench
        self._pairs = pairs
        self._lead = lead
        self._blocks = _blocks_of_rounds(pairs, lead, pulses_max)
        self._error = np.inf if error_siemens is None else error_siemens
        self._average = bench.average(average)
        self._shape = bench.shape(shape)
        cells = len(bench.cells)
        self._active = np.ones(cells, np.bool_)
        self._settled = np.zeros(cells, np.bool_)
        self._pulses = np.zeros(cells, np.int64)
        self._phases, self._standard_error = np.full((2, cells), np.nan), np.full(cells, np.nan)

    def exchange(self) -> Exchange[SymmetryPoints]:
        """Search: rounds of two legs, each a block of pulses and reads at a time."""
        for blocks in self._blocks:
            legs = []
            for direction in (1, -1):
                means = []
                for block in range(blocks):
                    lead = 0 if block else direction * self._lead
                    operations, reads = self._block(lead)
                    answer = yield operations
                    if answer is not None:
                        means.append(self._means(operations, reads, answer))
                        self._pulses = self._pulses + (abs(lead) + 2 * self._pairs) * self._active
                legs.append(means)
            if legs[0]:
                self._look(np.stack([np.stack(means[blocks // 2 :]) for means in legs]))
            if not self._active.any():
                break
        return self.result()

    def result(self) -> SymmetryPoints:
        """Return what the last full round gave; NaN before."""
        after_up, after_down = self._phases.copy()
        return SymmetryPoints(
            siemens=self._phases.mean(axis=0),
            standard_error=self._standard_error.copy(),
            after_up=after_up,
            after_down=after_down,
            pulses=self._pulses,
            settled=self._settled.copy(),
        )

    def _block(self, lead: int) -> tuple[list[Operation], list[int]]:
        """Return pulses and reads of a block, and which operations are the reads."""
        active = self._active.astype(np.int64)
        operations = self._bench.pulse(lead * active, self._shape)
        reads = []
        for _ in range(self._pairs):
            for count in (1, -1):
                operations += self._bench.pulse(count * active, self._shape)
                reads.append(len(operations))
                operations.append(self._bench.read(self._average))
        return operations, reads

    def _means(self, operations: list[Operation], reads: list[int], answer: Answer) -> Values:
        """Return the means of a block after up and after down pulses, shape (2, cells)."""
        assert answer is not None
        values = np.stack([self._bench.siemens(operations[i], answer[i]) for i in reads])
        means: Values = values.reshape(self._pairs, 2, -1).mean(axis=0)
        return means

    def _look(self, legs: Values) -> None:
        """Estimate active cells from the later halves of both legs, and let settled ones rest.

        Args:
            legs: means of blocks, shape (2 legs, blocks, 2 phases, cells).
        """
        active = self._active
        up, down = legs.mean(axis=2)
        squares = _squared_error(up, active) + _squared_error(down, active)
        apart = up.mean(axis=0) - down.mean(axis=0)
        settled = apart**2 <= SETTLED_ERRORS**2 * squares
        # Slow noise makes the legs of all cells differ more than their blocks let expect.
        ratio = np.divide(apart**2, squares, out=np.ones_like(squares), where=squares > 0)
        excess = max(1.0, float(np.median(ratio[active])) / MEDIAN_SQUARE)
        error = np.sqrt(squares * excess) / 2
        self._phases = np.where(active, legs.mean(axis=(0, 1)), self._phases)
        self._standard_error = np.where(active, error, self._standard_error)
        self._settled = np.where(active, settled, self._settled)
        self._active = active & ~(settled & (error <= self._error))


def _blocks_of_rounds(pairs: int, lead: int, pulses_max: int) -> list[int]:
    """Return the blocks of a leg for each round that the pulses allow."""
    least = 2 * (lead + 2 * pairs * LEAST_BLOCKS)
    if pulses_max < least:
        raise ConfigurationError(
            f"pulses_max is {pulses_max}; two legs of {lead} + {2 * pairs * LEAST_BLOCKS} pulses "
            f"need {least}",
            remedy="raise pulses_max, or lower lead or pairs",
        )
    rounds: list[int] = []
    left = pulses_max
    blocks = max(FIRST_PAIRS // pairs, LEAST_BLOCKS)
    while left >= least:
        blocks = min(blocks, (left // 2 - lead) // (2 * pairs))
        if rounds and blocks <= rounds[-1]:
            break
        rounds.append(blocks)
        left -= 2 * (lead + 2 * pairs * blocks)
        blocks *= 2
    return rounds


def _squared_error(blocks: Values, active: NDArray[np.bool_]) -> Values:
    """Return the squared standard error of the mean of successive blocks, shape (cells,).

    Blocks are taken for a first-order autoregressive series. A cell's own correlation is scattered,
    and too small by about `1 / n`; that of all cells together bounds it from below.
    """
    n = len(blocks)
    rest = blocks - blocks.mean(axis=0)
    power = (rest**2).sum(axis=0)
    product = (rest[1:] * rest[:-1]).sum(axis=0)
    own = np.divide(product, power, out=np.zeros_like(power), where=power > 0) + 1 / n
    pooled = product[active].sum() / max(power[active].sum(), 1e-300) + 1 / n
    correlation = np.clip(np.maximum(own, pooled), 0, MOST_CORRELATION)
    squares: Values = power / (n - 1) / n * (1 + correlation) / (1 - correlation)
    return squares


def symmetry_point(
    chip: Chip,
    tile: Tile,
    cells: Cells | None = None,
    *,
    pairs: int = 8,
    lead: int = 32,
    pulses_max: int = 4096,
    error_siemens: float | None = None,
    average: int | None = None,
    shape: str | None = None,
) -> SymmetryPoints:
    """Bring cells to their symmetry points and return these.

    All cells are pulsed and read together; one that has settled gets no more pulses.

    Args:
        chip: the array.
        tile: the tile.
        cells: cells of the tile; all by default.
        pairs: pairs of an up and a down pulse in a block, whose mean is one value.
        lead: pulses up, and later down, from which the cells go to their symmetry points.
        pulses_max: most pulses per cell.
        error_siemens: standard error that is wanted; any by default.
        average: reads behind a value; 16, or as many as the tile sums, by default.
        shape: pulse shape; the first one by default.

    Raises:
        ConfigurationError: `pulses_max` is too small.
        CrossbarError: the array refuses or fails.
    """
    chosen = choose_cells(tile.capabilities, tile.index) if cells is None else cells
    bench = Bench(chip, chip.configuration, chosen)
    search = SymmetrySearch(
        bench,
        pairs=pairs,
        lead=lead,
        pulses_max=pulses_max,
        error_siemens=error_siemens,
        average=average,
        shape=shape,
    )
    return carry_out(chip, search.exchange())
