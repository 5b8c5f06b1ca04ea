"""Fits of array maps: the share of open cells and the values of the others, kept apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwloop.characterization.fits.result import Fit, block
from hwloop.characterization.fits.shares import wilson
from hwloop.characterization.fits.statistics import (
    finite,
    log_normal_gain,
    mean_estimate,
    sigma_estimate,
)
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import DeviceFile, Estimate

FEWEST = 3
"""Open cells from which on the map is told to have a share of its own at zero."""


def fit_array_map(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Fit a share of cells at exactly 0, and the distribution of the others' values."""
    del base  # a map of conductances is no part of a step model
    unit = "units" if measurement.header.normalised else "siemens"
    values = finite(measurement.state)
    conducting = values[values != 0]
    opened = len(values) - len(conducting)
    low, high = wilson(opened, len(values))
    figures = {
        "open_share": Estimate(value=opened / max(len(values), 1), low=low, high=high),
        f"conducting.mean_{unit}": mean_estimate(conducting),
        f"conducting.sigma_{unit}": sigma_estimate(conducting),
    }
    gain = log_normal_gain(conducting)
    warnings = []
    if opened >= FEWEST:
        warnings.append(
            f"{opened} of {len(values)} cells are open (exactly 0): the distribution is "
            "zero-inflated; the mean over all cells means nothing"
        )
    missing = len(measurement.state) - len(values)
    if missing:
        warnings.append(f"{missing} cells were not measured; they count neither as open nor as not")
    goodness = {"log_normal_gain": gain, "zero_inflated": float(opened >= FEWEST)}
    made = block(measurement, figures=figures, goodness=goodness, warnings=tuple(warnings))

    def draw() -> Any:
        from hwloop.characterization.fits.plots import distribution

        return distribution(
            conducting, f"conducting cells ({unit})", gain > 0, opened / len(values)
        )

    return Fit("array_map", made, None, draw, {"conducting": conducting})


def fit_forming(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Fit the distribution of forming voltages; cells that never formed count apart."""
    del base
    all_volts = np.asarray(measurement.columns["breakdown_volts"], dtype=np.float64)
    volts = finite(all_volts)
    low, high = wilson(len(volts), len(all_volts))
    distinct = np.unique(volts)
    figures = {
        "formed_share": Estimate(value=len(volts) / len(all_volts), low=low, high=high),
        "breakdown.mean_volts": mean_estimate(volts),
        "breakdown.sigma_volts": sigma_estimate(volts),
        "breakdown.distinct": Estimate(value=float(len(distinct))),
    }
    warnings = []
    if len(distinct) > 1 and len(distinct) < len(volts) / 3:
        grid = float(np.median(np.diff(distinct)))
        figures["breakdown.grid_volts"] = Estimate(value=grid)
        warnings.append(f"the voltages lie on a grid of {grid:g} V: finer differences say nothing")
    gain = log_normal_gain(volts)
    made = block(
        measurement,
        figures=figures,
        goodness={"log_normal_gain": gain},
        warnings=tuple(warnings),
    )

    def draw() -> Any:
        from hwloop.characterization.fits.plots import distribution

        return distribution(volts, "breakdown voltage (V)", gain > 0, None)

    return Fit("forming", made, None, draw, {"volts": volts})
