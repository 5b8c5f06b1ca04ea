"""The likelihood of traces: a Kalman filter whose state is cut to the bounds of the cell.

The state moves with each pulse and keeps what cycle-to-cycle noise did to it; write noise and read
noise are seen once and forgotten. With straight step curves and additive noise and away from the
bounds the filter is exact. Cutting at a bound and steps that bend are taken by their first two
moments: the density of the state stays a Gaussian with the mean and variance that it should have
(Minka 2001, assumed-density filtering).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from hwloop.characterization.fits.curves import Family
from hwloop.characterization.fits.traces import Traces

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Which noise the traces are taken to have.

    Attributes:
        additive: whether cycle-to-cycle noise is added to a step or multiplied with it.
        memory: whether write noise is remembered from pulse to pulse (`write_noise_memory`), so
            that it is told apart from what each read adds afresh.
    """

    additive: bool = True
    memory: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its parameters.

        Cycle-to-cycle noise is relative to the step; the read variance is that of what is seen once
        and forgotten: reads, and write noise without memory. Remembered noise has a variance and
        the memory `rho`, as `log(-log rho)`.
        """
        names = ("log cycle_noise", "log read_variance")
        return (*names, "log memory_variance", "log(-log memory)") if self.memory else names

    @property
    def count(self) -> int:
        """Number of its parameters."""
        return 4 if self.memory else 2

    def __str__(self) -> str:
        """Return it in words."""
        return ("additive" if self.additive else "multiplicative") + (
            "_memory" if self.memory else ""
        )


BACKWARDS = 0.25
"""Cycle-to-cycle noise from which on a pulse may reach the bound that it moves away from."""

IMPOSSIBLE = -1e12
"""Log-likelihood of parameters at which the filter has no numbers."""

_TINY = 1e-30  # a variance that rounding has not made negative
_FAR = -5.5  # standard deviations below a bound at which cutting changes nothing
_DIFFERENCE = 1e-5  # a forward difference moves the mode by half of it, far below its error


@dataclass(frozen=True)
class Scores:
    """Log-likelihood with its derivatives, per cell.

    Attributes:
        value: log-likelihood, shape (cells,).
        gradient: by the parameters, own ones first, then shared ones, shape (cells, parameters).
        information: Fisher information, shape (cells, parameters, parameters).
    """

    value: Floats
    gradient: Floats
    information: Floats


def innovations(
    traces: Traces, family: Family, own: Floats, shared: Floats, noise: Noise
) -> Iterator[tuple[int, Floats, Floats, Floats, Floats]]:
    """Yield, per row of the traces, the one-step-ahead errors and their variances.

    Args:
        traces: what was measured.
        family: the step curves.
        own: parameters of the trains, shape (points, trains, parameters).
        shared: shared parameters, noise first, shape (points, trains, parameters).
        noise: which noise the shared parameters begin with.

    Yields:
        Row, errors and variances of shape (points, trains), the predicted mean of the state and its
        variance. The error is NaN where nothing was read.
    """
    moves = family.moves(own, shared[..., noise.count :], traces.up)
    cycle, read = np.exp(shared[..., 0]), np.exp(shared[..., 1])
    added = (cycle * moves.amplitude) ** 2 if noise.additive else None
    low, high = moves.low, np.maximum(moves.high, moves.low + 1e-9)
    sign = np.where(traces.up, 1.0, -1.0)
    ahead = np.where(traces.up, high, -low)
    behind = np.where(traces.up, -low, high)
    both_bounds = bool(cycle.max() > BACKWARDS)
    slack = 0.1 * (high - low)  # a read may put the mean a little, not far, beyond a bound
    lowest, highest = low - slack, high + slack
    shape = np.broadcast_shapes(cycle.shape, moves.amplitude.shape)
    first = np.clip(np.nan_to_num(traces.values[0]), lowest, highest)
    mean = np.broadcast_to(first, shape).copy()
    variance = np.broadcast_to(read, shape).copy()
    if noise.memory:
        remembered = _Remembered(np.exp(shared[..., 2]), np.exp(-np.exp(shared[..., 3])), shape)
        variance = variance + remembered.variance
    for row in range(1, len(traces.values)):
        pulses = traces.pulses[row]
        for k in range(int(pulses.max(initial=0))):
            step, slope = moves.step(mean)
            fresh = cycle**2 * (step**2 + slope**2 * variance) if added is None else added
            moved, spread = mean + step, (1 + slope) ** 2 * variance + fresh
            moved, spread = _cut(sign * moved, spread, ahead)
            moved = sign * moved
            if both_bounds:
                moved, spread = _cut(-sign * moved, spread, behind)
                moved = -sign * moved
            active = pulses > k
            if not active.all():
                moved = np.where(active, moved, mean)
                spread = np.where(active, spread, variance)
            if noise.memory:
                remembered.pulse(1 + slope, active, spread)
            mean, variance = moved, spread
        value = traces.values[row]
        seen = np.isfinite(value)
        if not noise.memory:
            error, total = value - mean, variance + read
            yield row, error, total, mean, variance
            gain = np.where(seen, variance / total, 0.0)
            mean = np.clip(mean + gain * np.where(seen, error, 0.0), lowest, highest)
            variance = variance * (1 - gain)
        else:
            error = value - mean - remembered.mean
            total = np.maximum(variance + 2 * remembered.mixed + remembered.variance, 0) + read
            yield row, error, total, mean, variance
            gain = np.where(seen, (variance + remembered.mixed) / total, 0.0)
            mean = np.clip(mean + gain * np.where(seen, error, 0.0), lowest, highest)
            own_gain = np.where(seen, (remembered.mixed + remembered.variance) / total, 0.0)
            variance = np.maximum(variance - gain * (variance + remembered.mixed), _TINY)
            remembered.read(np.where(seen, error, 0.0), gain, own_gain)


class _Remembered:
    """The part of what is seen that is write noise with a memory; a second state of the filter.

    Attributes:
        mean, variance: of the noise.
        mixed: covariance with the state of the cell.
    """

    def __init__(self, variance: Floats, memory: Floats, shape: tuple[int, ...]) -> None:
        self._stationary = np.broadcast_to(variance, shape)
        self._memory = np.broadcast_to(memory, shape)
        self.mean = np.zeros(shape)
        self.variance = self._stationary.copy()
        self.mixed = -self._stationary  # the first value is the sum of both

    def pulse(self, slope: Floats, active: NDArray[np.bool_], state_variance: Floats) -> None:
        memory = np.where(active, self._memory, 1.0)
        self.mean = memory * self.mean
        self.variance = memory**2 * self.variance + (1 - memory**2) * self._stationary
        # A cut at a bound takes from the variance of the state, so the covariance shrinks too.
        most = 0.999 * np.sqrt(state_variance * self.variance)
        self.mixed = np.clip(memory * np.where(active, slope, 1.0) * self.mixed, -most, most)

    def read(self, error: Floats, state_gain: Floats, gain: Floats) -> None:
        self.mean = self.mean + gain * error
        both = self.mixed + self.variance
        self.mixed = self.mixed - state_gain * both
        self.variance = np.maximum(self.variance - gain * both, _TINY)


def _cut(mean: Floats, variance: Floats, bound: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of `min(w, bound)` for a Gaussian `w`."""
    deviation = np.sqrt(variance)
    above = (mean - bound) / deviation
    near = above > _FAR
    if not near.any():
        return mean, variance
    mean, variance = mean.copy(), variance.copy()
    z = above[near]
    density, below = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi), ndtr(-z)
    first = z * below - density
    second = (1 + z * z) * below - z * density
    mean[near] = np.broadcast_to(bound, mean.shape)[near] + deviation[near] * first
    variance[near] *= np.maximum(second - first * first, 1e-9)
    return mean, variance


def log_likelihoods(
    traces: Traces, family: Family, own: Floats, shared: Floats, noise: Noise
) -> Floats:
    """Return the log-likelihood of every cell at several points, shape (points, cells).

    Args:
        traces: what was measured.
        family: the step curves.
        own: parameters of the cells, shape (points, cells, parameters).
        shared: shared parameters, noise first, shape (points, parameters).
        noise: which noise the shared parameters begin with.
    """
    cells, trains = own.shape[1], len(traces.cell)
    everywhere = np.broadcast_to(shared[:, None], (len(shared), trains, shared.shape[1]))
    value = np.zeros((len(own), trains))
    for _, error, total, _, _ in innovations(
        traces, family, own[:, traces.cell], everywhere, noise
    ):
        seen = np.isfinite(error[0])
        if seen.any():
            error = np.where(seen, error, 0.0)
            value -= np.where(seen, 0.5 * (np.log(2 * np.pi * total) + error**2 / total), 0.0)
    summed = np.array([np.bincount(traces.cell, one, minlength=cells) for one in value])
    filled: Floats = np.nan_to_num(summed, nan=IMPOSSIBLE, posinf=IMPOSSIBLE, neginf=IMPOSSIBLE)
    return filled


def scores(
    traces: Traces,
    family: Family,
    own: Floats,
    shared: Floats,
    scale: Floats,
    *,
    noise: Noise,
    free: NDArray[np.bool_] | None = None,
) -> Scores:
    """Return the log-likelihood of every cell with its gradient and Fisher information.

    Args:
        traces: what was measured.
        family: the step curves.
        own: parameters of the cells, shape (cells, parameters).
        shared: shared parameters, noise first, shape (parameters,).
        scale: size of a change of each parameter, own ones first, then shared ones.
        noise: which noise the shared parameters begin with.
        free: which parameters may move; the others have no derivative.
    """
    count, cells = own.shape[1] + len(shared), len(own)
    moving = np.arange(count) if free is None else np.flatnonzero(free)
    steps = _DIFFERENCE * scale[moving]
    points = np.concatenate([own, np.broadcast_to(shared, (cells, len(shared)))], 1)
    points = np.repeat(points[None], 1 + len(moving), 0)
    for j, (parameter, step) in enumerate(zip(moving, steps, strict=True)):
        points[1 + j, :, parameter] += step
    points = points[:, traces.cell]
    trains = len(traces.cell)
    value = np.zeros((len(points), trains))
    information = np.zeros((trains, len(moving), len(moving)))
    inverse = 1 / steps[:, None]
    for _, error, total, _, _ in innovations(
        traces, family, points[..., : own.shape[1]], points[..., own.shape[1] :], noise
    ):
        seen = np.isfinite(error[0])
        if not seen.any():
            continue
        error = np.where(seen, error, 0.0)
        value -= np.where(seen, 0.5 * (np.log(2 * np.pi * total) + error * error / total), 0.0)
        d_mean = (error[1:] - error[0]) * inverse * (seen / np.sqrt(total[0]))
        d_variance = (total[1:] - total[0]) * inverse * (seen / (np.sqrt(2) * total[0]))
        both = np.stack([d_mean, d_variance], -1).transpose(1, 0, 2)
        information += both @ both.transpose(0, 2, 1)
    gradient = ((value[1:] - value[0]) * inverse).T
    full_gradient = np.zeros((cells, count))
    full_information = np.zeros((cells, count, count))
    sums = np.zeros((cells, len(moving)))
    np.add.at(sums, traces.cell, gradient)
    full_gradient[:, moving] = sums
    blocks = np.zeros((cells, len(moving), len(moving)))
    np.add.at(blocks, traces.cell, information)
    full_information[np.ix_(np.arange(cells), moving, moving)] = blocks
    total_value = np.bincount(traces.cell, value[0], minlength=cells)
    return Scores(
        np.nan_to_num(total_value, nan=IMPOSSIBLE, posinf=IMPOSSIBLE, neginf=IMPOSSIBLE),
        np.nan_to_num(full_gradient, posinf=0.0, neginf=0.0),
        np.nan_to_num(full_information, posinf=0.0, neginf=0.0),
    )
