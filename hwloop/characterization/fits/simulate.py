"""Traces as the fitted model would give them, and what the approximations of the fit do to them."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.cells import CellFits, fit_cells
from hwloop.characterization.fits.selection import predictions
from hwloop.characterization.fits.traces import Traces

Floats = NDArray[np.float64]


def simulate(traces: Traces, cells: CellFits, generator: np.random.Generator) -> Traces:
    """Return traces of the fitted cells under the same pulses, with reads at the same places.

    Each train starts where the one before left the cell, if the measured one does, else at the
    state that it was first seen in.
    """
    own = cells.own[traces.cell]
    shared = np.broadcast_to(cells.shared, (len(own), len(cells.shared)))
    moves = cells.family.moves(own, shared[:, cells.noise.count :], traces.up)
    cycle, read = np.exp(cells.shared[0]), np.exp(cells.shared[1] / 2)
    high = np.maximum(moves.high, moves.low + 1e-9)
    state = np.clip(_starts(traces, cells), moves.low, high)
    remembered = _Remembered(cells, len(state), generator)
    values = np.empty_like(traces.values)
    for row in range(len(values)):
        for k in range(int(traces.pulses[row].max(initial=0))):
            step, _ = moves.step(state)
            fresh = cycle * generator.standard_normal(len(state))
            move = step + fresh * moves.amplitude if cells.noise.additive else step * (1 + fresh)
            moved = np.clip(state + move, moves.low, high)
            state = np.where(traces.pulses[row] > k, moved, state)
            remembered.pulse(traces.pulses[row] > k)
        values[row] = state + remembered.noise + read * generator.standard_normal(len(state))
    values[~np.isfinite(traces.values)] = np.nan
    return Traces(values, traces.pulses, traces.up, traces.cell, traces.repeat, traces.cells)


def _starts(traces: Traces, cells: CellFits) -> Floats:
    """Return the state that each train begins with.

    A read alone scatters around it; what the train before of the cell led to does not.
    """
    seen = np.nan_to_num(traces.values[0])
    left = np.full(len(seen), np.nan)
    for row, error, _, mean, variance in predictions(traces, cells):
        del row, variance
        left = np.where(np.isfinite(error), mean, left)
    deviation = float(np.exp(cells.shared[1] / 2))
    if cells.noise.memory:
        deviation += float(np.exp(cells.shared[2] / 2))
    found: Floats = seen.copy()
    follows = np.concatenate([[False], traces.cell[1:] == traces.cell[:-1]])
    before = np.concatenate([[np.nan], left[:-1]])
    with np.errstate(invalid="ignore"):
        goes_on = follows & (np.abs(before - seen) < 5 * deviation)
    found[goes_on] = before[goes_on]
    return found


class _Remembered:
    """Write noise with a memory, 0 where the model has none."""

    def __init__(self, cells: CellFits, trains: int, generator: np.random.Generator) -> None:
        self._generator = generator
        self._deviation = self._memory = 0.0
        if cells.noise.memory:
            self._deviation = float(np.exp(cells.shared[2] / 2))
            self._memory = float(np.exp(-np.exp(cells.shared[3])))
        self.noise = self._deviation * generator.standard_normal(trains)

    def pulse(self, active: NDArray[np.bool_]) -> None:
        if self._deviation:
            fresh = self._deviation * self._generator.standard_normal(len(self.noise))
            after = self._memory * self.noise + np.sqrt(1 - self._memory**2) * fresh
            self.noise = np.where(active, after, self.noise)


def corrected(
    traces: Traces, cells: CellFits, *, copies: int = 4, rounds: int = 2, seed: int = 1
) -> CellFits:
    """Return the fit without the bias that it has on simulated copies of the data.

    The filter takes states near a bound by their first two moments, and noise is fitted beside the
    parameters of every single cell. What that costs is measured where the parameters would be
    without it (indirect inference; Gourieroux, Monfort and Renault 1993).

    Args:
        traces: what was measured.
        cells: the fit.
        copies: simulated data sets per round.
        rounds: how often the bias is measured, each time at the corrected parameters.
        seed: of the copies.
    """
    found = cells
    for _ in range(rounds):
        own, shared = [], []
        for copy in range(copies):
            generator = np.random.default_rng((seed, copy))
            again = fit_cells(
                simulate(traces, found, generator),
                cells.family,
                noise=cells.noise,
                start=found,
                prior=cells.prior,
                rounds=3,
            )
            own.append(np.median(again.own - found.own, 0))
            shared.append(again.shared - found.shared)
        found = dataclasses.replace(
            cells,
            own=cells.own - np.mean(own, 0),
            shared=cells.shared - np.mean(shared, 0),
        )
    return found
