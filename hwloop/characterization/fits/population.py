"""How cells differ: a random-effects fit of the cell-to-cell distributions of a device file.

What is known of each cell is a Gaussian likelihood around its mode; the distributions are those
that a simulated array draws from (`hwloop.device_file.models.StepModel`). The marginal likelihood
of a cell is an average over a fixed set of points drawn near its mode, weighted by what the
likelihood and the distribution say of them, so the errors of single cells do not widen the spread,
and any distribution will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.cells import CellFits, Prior, inverse_information
from hwloop.characterization.fits.curves import BOUND_MAX, BOUND_MIN, SIZE, SKEW, SLOPE_UP

Floats = NDArray[np.float64]

FEWEST_CELLS = 8
"""Cells below which a spread says nothing."""

_POINTS = 32  # and their mirror images
LEAST_SPREAD = 0.02
"""Relative spread that distributions have at least; what is below is not told apart from none."""

WIDEST_NORMAL = 0.5
"""Relative spread from which on normal gains are made unlikely: much of what is wider is on the
other side of 0, where folded gains say the same with any step."""


@dataclass(frozen=True)
class Population:
    """Distributions of the cells.

    Attributes:
        names: parameters: `log step`, `log step_spread`, `up_down`, `log up_down_spread`,
            `log bound_max`, `log bound_max_spread`, ..., of the file's fields.
        values: their maximum-likelihood values.
        covariance: of the values.
        log_normal: whether gains are log-normal.
        log_likelihood: marginal, of all cells.
    """

    names: tuple[str, ...]
    values: Floats
    covariance: Floats
    log_normal: bool
    log_likelihood: float

    def __getitem__(self, name: str) -> float:
        """Return a value, in the units of the device file."""
        log = f"log {name}"
        if log in self.names:
            return float(np.exp(self.values[self.names.index(log)]))
        return float(self.values[self.names.index(name)])

    def prior(self, own: int) -> Prior:
        """Return the distributions of the cells' parameters as Gaussians."""
        step, up_down = self["step"], self["up_down"]
        mean, spread = np.zeros(own), np.zeros(own)
        mean[SIZE] = math.log(step * max(1 - abs(up_down) / 2, 0.1))
        spread[SIZE] = self["step_spread"]
        mean[SKEW], spread[SKEW] = step * up_down / 2, step * self["up_down_spread"]
        mean[BOUND_MAX], mean[BOUND_MIN] = self["bound_max"], -self["bound_min"]
        spread[BOUND_MAX] = self["bound_max"] * self["bound_max_spread"]
        spread[BOUND_MIN] = self["bound_min"] * self["bound_min_spread"]
        for k in range(SLOPE_UP, own):
            side = "up" if k == SLOPE_UP else "down"
            mean[k], spread[k] = self[f"slope_{side}"], self[f"slope_{side}_spread"]
        floor = np.full(own, LEAST_SPREAD)
        floor[SKEW] *= step
        floor[BOUND_MAX] *= self["bound_max"]
        floor[BOUND_MIN] *= self["bound_min"]
        return Prior(mean, np.maximum(spread, floor) ** -2.0)


def names(own: int) -> tuple[str, ...]:
    """Return the names of the parameters of a population of cells with `own` parameters each."""
    found: tuple[str, ...] = (
        *("log step", "log step_spread", "up_down", "log up_down_spread"),
        *("log bound_max", "log bound_max_spread", "log bound_min", "log bound_min_spread"),
    )
    if own > SLOPE_UP:
        found += ("slope_up", "log slope_up_spread", "slope_down", "log slope_down_spread")
    return found


def fit_population(
    cells: CellFits, *, log_normal: bool, errors: bool = True, seed: int = 1
) -> Population:
    """Return the distributions that the cells come from.

    Args:
        cells: what is known of each cell.
        log_normal: whether gains are log-normal or normal.
        errors: whether the covariance is wanted; it is NaN otherwise.
        seed: of the points that the marginal likelihood averages over.
    """
    own = cells.own.shape[1]
    points, weights = _near_modes(cells, seed)
    values = _moments(cells)

    def per_cell(values: Floats) -> Floats:
        density = weights + _density(points, values, log_normal)
        top = density.max(1, keepdims=True)
        # A wide prior of the spreads' logarithms, so that one that is 0 ends somewhere.
        prior = -0.5 * float((((values[1::2] - math.log(0.1)) / 3) ** 2).sum())
        if not log_normal:
            prior -= 0.5 * (max(values[1] - math.log(WIDEST_NORMAL), 0.0) / 0.1) ** 2
        found = np.log(np.exp(density - top).mean(1)) + top[:, 0] + prior / len(points)
        return np.asarray(found)

    values = _maximise(per_cell, values)
    if errors:
        covariance = inverse_information(_information(per_cell, values))
    else:
        covariance = np.full((len(values), len(values)), np.nan)
    return Population(
        names(own),
        values,
        covariance,
        log_normal,
        float(per_cell(values).sum()),
    )


def _near_modes(cells: CellFits, seed: int) -> tuple[Floats, Floats]:
    """Return points around each mode, and the logarithm of likelihood over their density.

    The points follow a Gaussian with the information of likelihood and prior, a little widened.
    """
    from scipy.stats import qmc

    own = cells.own.shape[1]
    precision = np.broadcast_to(cells.prior.precision, cells.own.shape)
    posterior = cells.own_information + precision[:, :, None] * np.eye(own)
    covariance = 1.3 * np.linalg.inv(posterior)
    root = np.linalg.cholesky((covariance + covariance.transpose(0, 2, 1)) / 2)
    normal = qmc.MultivariateNormalQMC(np.zeros(own), rng=np.random.default_rng(seed))
    z = normal.random(_POINTS)
    z = np.concatenate([z, -z])
    away = z[None] @ root.transpose(0, 2, 1)
    log_q = -0.5 * (z**2).sum(1)[None] - np.log(np.diagonal(root, axis1=1, axis2=2)).sum(1)[:, None]
    log_q = log_q - own / 2 * math.log(2 * math.pi)
    likelihood = np.einsum("cpk,ck->cp", away, cells.own_gradient) - 0.5 * np.einsum(
        "cpk,ckl,cpl->cp", away, cells.own_information, away
    )
    return cells.own[:, None, :] + away, likelihood - log_q


def _moments(cells: CellFits) -> Floats:
    """Return a start from the modes' means and spreads."""
    own = cells.own

    def robust(x: Floats) -> tuple[float, float]:
        low, middle, high = np.percentile(x, [16, 50, 84])
        return float(middle), max(float(high - low) / 2, 0.01)

    size, spread = robust(own[:, SIZE])
    step = math.exp(size)
    skew, skew_spread = robust(own[:, SKEW] / step)
    high, high_spread = robust(own[:, BOUND_MAX])
    low, low_spread = robust(-own[:, BOUND_MIN])
    up_down = 2 * skew / (1 + abs(skew))
    found = [
        *(math.log(step / (1 - abs(up_down) / 2)), math.log(spread)),
        *(up_down, math.log(skew_spread)),
        *(math.log(high), math.log(high_spread / high)),
        *(math.log(low), math.log(low_spread / low)),
    ]
    for k in range(SLOPE_UP, own.shape[1]):
        slope, slope_spread = robust(own[:, k])
        found += [slope, math.log(slope_spread)]
    return np.array(found)


def _density(points: Floats, values: Floats, log_normal: bool) -> Floats:
    """Return the logarithm of the distribution's density at the points, shape (cells, points)."""
    step, spread = np.exp(values[0]), max(np.exp(values[1]), LEAST_SPREAD)
    up_down, skew_spread = values[2], max(np.exp(values[3]), LEAST_SPREAD)
    size = np.exp(points[..., SIZE])
    gain = size / step + abs(up_down) / 2
    # The density is one of log size: the Jacobian is size / step, over the gain if log-normal.
    if log_normal:
        total = _normal(np.log(gain), 0.0, spread) + np.log(size / step / gain)
    else:
        other = -size / step + abs(up_down) / 2  # a gain on the other side of 0 is folded
        total = np.logaddexp(_normal(gain, 1.0, spread), _normal(other, 1.0, spread))
        total = total + np.log(size / step)
    total = total + _normal(points[..., SKEW] / step, up_down / 2, skew_spread) - np.log(step)
    for k, sign in ((BOUND_MAX, 1), (BOUND_MIN, -1)):
        mean = np.exp(values[2 * k])
        deviation = max(np.exp(values[2 * k + 1]), LEAST_SPREAD) * mean
        bound = sign * points[..., k]
        folded = np.logaddexp(_normal(bound, mean, deviation), _normal(-bound, mean, deviation))
        total = total + folded
    for k in range(SLOPE_UP, points.shape[-1]):
        deviation = max(np.exp(values[2 * k + 1]), LEAST_SPREAD)
        total = total + _normal(points[..., k], values[2 * k], deviation)
    return np.asarray(total)


def _normal(x: Floats, mean: float | Floats, deviation: float | Floats) -> Floats:
    z = (x - mean) / deviation
    found: Floats = -0.5 * z * z - np.log(deviation) - 0.5 * math.log(2 * math.pi)
    return found


def _maximise(per_cell: Callable[[Floats], Floats], values: Floats, rounds: int = 60) -> Floats:
    """Return the maximum of a sum over cells, by scoring with the outer product of gradients."""
    current, damping = per_cell(values).sum(), 0.0
    for _ in range(rounds):
        gradient = _gradients(per_cell, values)
        total = gradient.sum(1)
        outer = gradient @ gradient.T
        outer += (damping * np.diag(np.diag(outer))) + 1e-6 * np.eye(len(values))
        step = np.clip(np.linalg.solve(outer, total), -0.5, 0.5)
        trial = per_cell(values + step).sum()
        if trial > current:
            gained, current, values = trial - current, trial, values + step
            damping = damping / 4
            if gained < 1e-4:
                break
        else:
            damping = 4 * damping + 0.2
            if damping > 1e4:
                break
    return values


def _gradients(per_cell: Callable[[Floats], Floats], values: Floats) -> Floats:
    """Return each cell's gradient, shape (parameters, cells)."""
    found = []
    for k in range(len(values)):
        h = np.zeros(len(values))
        h[k] = 1e-4
        found.append((per_cell(values + h) - per_cell(values - h)) / 2e-4)
    return np.array(found)


def _information(per_cell: Callable[[Floats], Floats], values: Floats) -> Floats:
    """Return the observed information of the whole."""
    count = len(values)
    found = np.zeros((count, count))
    for k in range(count):
        h = np.zeros(count)
        h[k] = 1e-3
        up, down = _gradients(per_cell, values + h), _gradients(per_cell, values - h)
        found[k] = -(up.sum(1) - down.sum(1)) / 2e-3
    return (found + found.T) / 2
