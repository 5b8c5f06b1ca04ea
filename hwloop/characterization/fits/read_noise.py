"""Fits of read noise: size, spectrum, and what is not white or not Gaussian about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.merging import merged
from hwloop.characterization.fits.result import Fit, block, plain, unknown
from hwloop.characterization.fits.shares import wilson
from hwloop.characterization.fits.statistics import bimodality, excess_kurtosis, lag_correlation
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import DeviceFile, Estimate

Floats = NDArray[np.float64]

MOST_LISTED = 16
"""Cells up to which each has its own figures."""

BAND = (1 / 200, 1 / 10)
"""Frequencies between which the slope of the spectrum is fitted, relative to the sampling rate."""

BLOCKS = 10
"""Parts of a trace whose spread gives the error of its figures."""

TWO_LEVELS = 5 / 9
"""Bimodality of a uniform distribution: above it, and with flat tails, there are two levels."""


@dataclass(frozen=True)
class CellNoise:
    """The noise of one cell, in the units of the state.

    Attributes:
        cell: its number.
        mean, sigma: of all reads.
        mean_error, sigma_error: by blocks.
        slope, slope_error: of the spectrum in the band; NaN for traces too short.
        lag: correlation from read to read.
        kurtosis: excess kurtosis.
        modes: bimodality.
        shift: difference between the last and the first tenth.
        rate: reads per second.
        count: reads.
        distinct: different values.
    """

    cell: int
    mean: float
    sigma: float
    mean_error: float
    sigma_error: float
    slope: float
    slope_error: float
    lag: float
    kurtosis: float
    modes: float
    shift: float
    rate: float
    count: int
    distinct: int

    @property
    def white(self) -> bool:
        """Whether reads do not correlate, by a test that errs once in 10,000 times."""
        return abs(self.lag) < 3.9 / math.sqrt(self.count)

    @property
    def two_levels(self) -> bool:
        """Whether the values gather at two levels, as those of a telegraph do."""
        return self.modes > TWO_LEVELS and self.kurtosis < -1.0 and self.distinct > 8


def spectrum(values: Floats, rate: float) -> tuple[Floats, Floats]:
    """Return frequencies and power density of a trace (Welch, 1967)."""
    from scipy.signal import welch

    length = min(len(values), max(256, len(values) // 24))
    frequencies, density = welch(values, rate, nperseg=length)
    return frequencies[1:], density[1:]


def slope(values: Floats, rate: float) -> float:
    """Return the slope of the spectrum in the band, on logarithmic axes; NaN for short traces."""
    frequencies, density = spectrum(values, rate)
    inside = (frequencies >= BAND[0] * rate) & (frequencies <= BAND[1] * rate) & (density > 0)
    if inside.sum() < 4:
        return math.nan
    return float(np.polyfit(np.log(frequencies[inside]), np.log(density[inside]), 1)[0])


def cell_noise(cell: int, values: Floats, seconds: Floats) -> CellNoise:
    """Return the noise of a cell's reads, in order of time."""
    step = float(np.median(np.diff(seconds)))
    rate = 1 / step if step > 0 else 1.0
    blocks = np.array_split(values, BLOCKS)
    slopes = [slope(part, rate) for part in blocks if len(part) >= 512]
    tenth = max(len(values) // 10, 1)
    sigma = float(values.std())
    constant = sigma == 0
    return CellNoise(
        cell,
        float(values.mean()),
        sigma,
        float(np.std([b.mean() for b in blocks], ddof=1) / math.sqrt(BLOCKS)),
        float(np.std([b.std() for b in blocks], ddof=1) / math.sqrt(BLOCKS)),
        math.nan if constant else slope(values, rate),
        float(np.std(slopes, ddof=1) / math.sqrt(len(slopes))) if len(slopes) > 2 else math.nan,
        0.0 if constant else lag_correlation(values),
        0.0 if constant else excess_kurtosis(values),
        0.0 if constant else bimodality(values),
        float(values[-tenth:].mean() - values[:tenth].mean()),
        rate,
        len(values),
        len(np.unique(values)),
    )


def fit_read_noise(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Fit the reads of untouched cells; with a base, its model gets the noise."""
    cells = []
    for number, rows in measurement.by_cell():
        state = rows.state
        order = np.argsort(rows.columns["time_seconds"], kind="stable")
        order = order[np.isfinite(state[order])]
        if len(order) >= 16:
            seconds = rows.columns["time_seconds"][order]
            cells.append(cell_noise(number, state[order], seconds))
    unit = "units" if measurement.header.normalised else "siemens"
    figures = _figures(cells, unit)
    warnings = _warnings(cells)
    parameters: dict[str, Estimate] = {}
    device = None
    if base is not None and cells:
        changes, parameters = _parts(cells, base, measurement.header.normalised)
        device = merged(base, changes, measurement, parameters, tuple(warnings))
    goodness = {
        "cells": float(len(cells)),
        "white_cells": float(sum(c.white for c in cells)),
        "two_level_cells": float(sum(c.two_levels for c in cells)),
    }
    made = block(
        measurement,
        parameters=parameters,
        figures=figures,
        goodness=goodness,
        warnings=tuple(warnings),
    )

    def draw() -> Any:
        from hwloop.characterization.fits.plots import read_noise

        return read_noise(measurement, cells)

    return Fit("read_noise", made, device, draw, {"cells": cells})


def _figures(cells: list[CellNoise], unit: str) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for c in cells[:MOST_LISTED]:
        at = f"cell_{c.cell}"
        found[f"{at}.mean_{unit}"] = plain(c.mean, c.mean_error)
        found[f"{at}.sigma_{unit}"] = plain(c.sigma, c.sigma_error)
        found[f"{at}.excess_kurtosis"] = plain(c.kurtosis)
        found[f"{at}.lag_1"] = plain(c.lag)
        if math.isnan(c.slope):
            found[f"{at}.spectrum_slope"] = unknown("too few reads for the band")
        else:
            error = None if math.isnan(c.slope_error) else c.slope_error
            found[f"{at}.spectrum_slope"] = plain(c.slope, error)
    if len(cells) > 1:
        sigma = np.array([c.sigma for c in cells])
        found[f"sigma_within_cells_{unit}"] = plain(
            float(np.sqrt((sigma**2).mean())), float(sigma.std(ddof=1) / math.sqrt(len(cells)))
        )
        share = sum(c.two_levels for c in cells) / len(cells)
        low, high = wilson(sum(c.two_levels for c in cells), len(cells))
        found["two_level_share"] = Estimate(value=share, low=low, high=high)
    return found


def _warnings(cells: list[CellNoise]) -> list[str]:
    found = []
    coloured = [c for c in cells if not c.white]
    # One cell of 10,000 is called coloured by chance.
    if coloured and len(coloured) > max(0.01 * len(cells), 0):
        found.append(
            f"white read noise is rejected in {len(coloured)} of {len(cells)} cells: reads "
            f"correlate from one to the next by up to {max(c.lag for c in coloured):.2f}"
        )
    for c in cells[:MOST_LISTED]:
        if c.two_levels:
            found.append(
                f"cell {c.cell}: two levels (excess kurtosis {c.kurtosis:.2f}): random telegraph "
                "noise, not Gaussian; sigma alone does not describe it"
            )
        if not c.white and abs(c.shift) > 1.0 * c.sigma:
            found.append(
                f"cell {c.cell}: not stationary: the last tenth is {c.shift:+.3g} from the first "
                f"({c.shift / c.sigma:+.1f} sigma): it settles, or jumps"
            )
    return found


def _parts(
    cells: list[CellNoise], base: DeviceFile, normalised: bool
) -> tuple[dict[str, Any], dict[str, Estimate]]:
    """Return the parts of the model: octaves of noise, a telegraph where there are two levels."""
    scale = 1.0 if normalised else base.conductance.half_range_siemens
    middle = 0.0 if normalised else base.conductance.middle_siemens
    plain_cells = [c for c in cells if not c.two_levels] or cells
    rate = float(np.median([c.rate for c in cells]))
    count = int(np.median([c.count for c in cells]))
    shortest, longest = 1 / rate, count / rate / 4
    octaves = max(round(math.log2(longest / shortest)), 0)
    slopes = [-c.slope for c in plain_cells if not math.isnan(c.slope)]
    steepness = float(np.clip(np.median(slopes), 0, 2)) if slopes else 1.0
    model = base.model
    nodes = np.linspace(model.bound_min, model.bound_max, 5)
    at = np.array([(c.mean - middle) / scale for c in plain_cells])
    size = np.array([c.sigma / scale for c in plain_cells])
    order = np.argsort(at)
    levels = np.interp(nodes, at[order], size[order])
    changes: dict[str, Any] = {
        "read_noise": {
            "shortest_seconds": shortest,
            "longest_seconds": shortest * 2.0**octaves,
            "std": [float(v) for v in levels],
            "slope": steepness,
        }
    }
    error = float(np.std(slopes, ddof=1) / math.sqrt(len(slopes))) if len(slopes) > 1 else None
    parameters = {"model.read_noise.slope": plain(steepness, error)}
    pairs = [c for c in cells if c.two_levels]
    if pairs:
        # Two equal levels a distance h apart have a standard deviation of h / 2.
        height = float(np.median([2 * c.sigma for c in pairs])) / scale
        low, high = wilson(len(pairs), len(cells))
        changes["telegraph"] = {
            "shortest_seconds": shortest,
            "longest_seconds": shortest * 2.0**octaves,
            "share": len(pairs) / len(cells),
            "height": [height],
        }
        share = Estimate(value=len(pairs) / len(cells), low=low, high=high)
        parameters["model.telegraph.share"] = share
    return changes, parameters
