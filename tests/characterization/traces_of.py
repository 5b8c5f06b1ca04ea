"""Pulse responses of cells with known parameters, made without anything of the fits."""

import numpy as np

from hwloop.characterization.fits.traces import Traces


def soft_bounds(
    rng,
    up,
    down,
    high,
    low,
    *,
    cycle,
    read,
    pulses=120,
    repeats=2,
    additive=True,
    memory=0.0,
    remembered=0.0,
):
    """Return trains up and down of soft-bounds cells; arrays of shape (cells,)."""
    cells = len(up)
    state = np.zeros(cells)
    noise = remembered * rng.standard_normal(cells)
    trains, ups, repeat_of = [], [], []
    for repeat in range(repeats):
        for sign in (1, -1):
            values = np.empty((pulses, cells))
            for k in range(pulses):
                scale = up if sign > 0 else down
                step = scale * (1 - state / (high if sign > 0 else low))
                fresh = cycle * rng.standard_normal(cells)
                move = step + fresh * scale if additive else step * (1 + fresh)
                state = np.clip(state + sign * move, low, high)
                renewed = np.sqrt(1 - memory**2) * remembered * rng.standard_normal(cells)
                noise = memory * noise + renewed
                values[k] = state + noise + read * rng.standard_normal(cells)
            trains.append(values)
            ups.append(np.full(cells, sign > 0))
            repeat_of.append(np.full(cells, repeat))
    count = len(trains)
    steps = np.ones((pulses, count * cells), np.int64)
    steps[0] = 0
    return Traces(
        np.concatenate(trains, 1),
        steps,
        np.concatenate(ups),
        np.tile(np.arange(cells), count),
        np.concatenate(repeat_of),
        np.arange(cells),
    )


def population(rng, cells, *, step=0.05, spread=0.3, log_normal=True, up_down=0.1, skew=0.1):
    """Return step scales and bounds of cells: up, down, high, low."""
    xi = rng.standard_normal(cells)
    gain = np.exp(spread * xi) if log_normal else 1 + spread * xi
    rho = skew * rng.standard_normal(cells)
    up = np.abs(step * (gain + min(up_down, 0) + rho))
    down = np.abs(step * (gain - max(up_down, 0) - rho))
    high = np.abs(1.0 * (1 + 0.2 * rng.standard_normal(cells)))
    low = -np.abs(1.1 * (1 + 0.2 * rng.standard_normal(cells)))
    return up, down, high, low
