"""Means, spreads and shapes of distributions, with intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.result import Z, plain
from hwloop.device_file import Estimate

Floats = NDArray[np.float64]


def finite(values: NDArray[Any]) -> Floats:
    """Return the values that are there."""
    numbers = np.asarray(values, dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def mean_estimate(values: NDArray[Any]) -> Estimate:
    """Return the mean of independent values."""
    x = finite(values)
    error = x.std(ddof=1) / math.sqrt(len(x)) if len(x) > 1 else None
    return plain(float(x.mean()), error)


def sigma_estimate(values: NDArray[Any]) -> Estimate:
    """Return the standard deviation of independent values; the interval allows for heavy tails."""
    x = finite(values)
    if len(x) < 2:
        return plain(0.0, why="one value")
    deviation = float(x.std(ddof=1))
    if deviation == 0:
        return plain(0.0)
    z = (x - x.mean()) / deviation
    relative = math.sqrt(max(float((z**4).mean()) - 1, 0.5) / (4 * len(x)))
    low, high = (deviation * math.exp(sign * Z * relative) for sign in (-1, 1))
    return Estimate(value=deviation, low=low, high=high)


def median_estimate(values: NDArray[Any]) -> Estimate:
    """Return the median, with the interval of its order statistics."""
    x = np.sort(finite(values))
    n = len(x)
    if n == 0:
        return Estimate(identified=False, why="no values")
    half = Z * math.sqrt(n) / 2
    low, high = max(math.floor(n / 2 - half) - 1, 0), min(math.ceil(n / 2 + half), n - 1)
    return Estimate(value=float(np.median(x)), low=float(x[low]), high=float(x[high]))


def log_normal_gain(values: NDArray[Any]) -> float:
    """Return the gain in log-likelihood of a log-normal distribution over a normal one.

    Both have their maximum-likelihood parameters; values have to be positive.
    """
    x = finite(values)
    if len(x) < 3 or (x <= 0).any() or x.std() == 0:
        return 0.0
    logs = np.log(x)
    return float(len(x) * (math.log(x.std()) - math.log(logs.std()) - logs.mean()))


def lag_correlation(values: Floats, lag: int = 1) -> float:
    """Return the correlation of values with those `lag` later."""
    x = values - values.mean()
    return float((x[:-lag] * x[lag:]).mean() / x.var()) if x.var() > 0 else 0.0


def excess_kurtosis(values: Floats) -> float:
    """Return the excess kurtosis; 0 for a Gaussian."""
    z = (values - values.mean()) / values.std()
    return float((z**4).mean() - 3)


def bimodality(values: Floats) -> float:
    """Return Sarle's coefficient `(skewness^2 + 1) / kurtosis`; two modes if above 5/9."""
    z = (values - values.mean()) / values.std()
    return float(((z**3).mean() ** 2 + 1) / (z**4).mean())
