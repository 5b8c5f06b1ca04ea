"""Ranges of converters and conductances from samples, after training.

Lammie et al. 2024 (arXiv 2401.09859): the input range of a tile is a percentile of its inputs, and
each output line's conductances are made as large as its output leaves room for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError

Floats = NDArray[np.floating[Any]]


def percentile_range(inputs: Floats, percentile: float) -> float:
    """Return the input range that holds a share of the inputs' magnitudes.

    Args:
        inputs: samples, any shape.
        percentile: share of the magnitudes other than 0 that is not cut, in percent.

    Returns:
        The range; 1 where all inputs are 0.

    Raises:
        ConfigurationError: no inputs, or a percentile outside 0 to 100.
    """
    if not 0 < percentile <= 100:
        raise ConfigurationError(f"percentile is {percentile}, expected more than 0, at most 100")
    if not inputs.size:
        raise ConfigurationError("there are no inputs to take a range from")
    magnitudes = np.abs(inputs[inputs != 0])
    return float(np.percentile(magnitudes, percentile)) if magnitudes.size else 1.0


def line_gains(
    outputs: Floats, units: Floats, *, full_output: float, reach: float, deviations: float
) -> NDArray[np.float32]:
    """Return the factors by which the conductances of each output line may grow or have to shrink.

    A line's output is expected within its mean plus or minus so many standard deviations; the
    factor brings the far end to the converter's full scale, but no cell beyond its reach.

    Args:
        outputs: samples of each line's output, shape (samples, lines), device units x full inputs.
        units: conductances, device units, shape (lines, inputs).
        full_output: output at the largest code, device units x full inputs.
        reach: largest conductance that cells are programmed to, device units.
        deviations: standard deviations that are left room for.

    Returns:
        Factors, shape (lines,); 1 for a line that does nothing.
    """
    largest = np.abs(outputs.mean(axis=0)) + deviations * outputs.std(axis=0)
    cells = np.abs(units).max(axis=1, initial=0)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        gains = np.minimum(full_output / largest, reach / cells)
    return np.where(cells > 0, gains, 1).astype(np.float32)
