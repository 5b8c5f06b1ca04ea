"""Figures of kinds that make no model: symmetry points, endurance, programming, IV, converters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.result import Fit, block, plain, unknown
from hwloop.characterization.fits.shares import wilson
from hwloop.characterization.fits.statistics import (
    finite,
    mean_estimate,
    median_estimate,
    sigma_estimate,
)
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import DeviceFile, Estimate

Floats = NDArray[np.float64]


def _unit(measurement: Measurement) -> str:
    return "units" if measurement.header.normalised else "siemens"


def fit_symmetry_point(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Return mean and spread of the cells' symmetry points, of cells that settled."""
    del base
    unit, state = _unit(measurement), measurement.state
    settled = measurement.columns.get("settled")
    good = np.isfinite(state) & (np.asarray(settled) > 0 if settled is not None else True)
    cell = measurement.columns["cell"]
    means = np.array([state[good & (cell == c)].mean() for c in np.unique(cell[good])])
    figures = {}
    warnings = []
    if len(means):
        figures[f"symmetry_point.mean_{unit}"] = mean_estimate(means)
        figures[f"symmetry_point.sigma_{unit}"] = sigma_estimate(means)
    else:
        why = "no cell settled"
        figures[f"symmetry_point.mean_{unit}"] = unknown(why)
    low, high = wilson(int(good.sum()), len(good))
    figures["settled_share"] = Estimate(value=float(good.mean()), low=low, high=high)
    figures["pulses_spent.median"] = median_estimate(measurement.columns["pulses_spent"])
    if not good.all():
        warnings.append(
            f"{int((~good).sum())} of {len(good)} searches did not settle: the symmetry point of "
            "these cells is unstable, or they need more pulses; they are left out"
        )
    return _fit(measurement, figures, warnings)


def fit_endurance(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Return the window of the first and last cycles, and its change per decade of cycles."""
    del base
    unit, state = _unit(measurement), measurement.state
    cycle, direction = measurement.columns["cycle"], measurement.columns["direction"]
    cycles = np.unique(cycle)
    windows = []
    for c in cycles:
        up, down = state[(cycle == c) & (direction > 0)], state[(cycle == c) & (direction < 0)]
        windows.append(np.nanmean(up) - np.nanmean(down) if len(up) and len(down) else math.nan)
    window = np.array(windows)
    there = np.isfinite(window) & (cycles > 0)
    figures = {}
    warnings = []
    if there.sum() >= 2:
        first, last = window[there][0], window[there][-1]
        figures[f"first_window_{unit}"] = plain(float(first))
        figures[f"last_window_{unit}"] = plain(float(last))
    if there.sum() >= 3:
        logs = np.log10(cycles[there])
        coefficients, covariance = np.polyfit(logs, window[there], 1, cov="unscaled")
        rest = window[there] - np.polyval(coefficients, logs)
        error = math.sqrt(covariance[0, 0] * (rest**2).sum() / (there.sum() - 2))
        figures[f"window_per_decade_{unit}"] = plain(float(coefficients[0]), error)
        if last < 0.5 * first:
            warnings.append(f"the window has shrunk to {last / first:.0%} of its first size")
    return _fit(measurement, figures, warnings)


def fit_write_verify(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Return mean and spread of what programming leaves against its target, and its pulses."""
    del base
    error = measurement.state - np.asarray(measurement.columns["target_siemens"], dtype=np.float64)
    figures = {
        "error.mean_siemens": mean_estimate(error),
        "error.sigma_siemens": sigma_estimate(error),
        "pulses_spent.median": median_estimate(measurement.columns["pulses_spent"]),
    }
    if "within" in measurement.columns:
        within = np.asarray(measurement.columns["within"]) > 0
        low, high = wilson(int(within.sum()), len(within))
        figures["within_share"] = Estimate(value=float(within.mean()), low=low, high=high)
    return _fit(measurement, figures, [])


def fit_iv(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Return the conductance at low voltage and how far the curve is from a straight line."""
    del base
    conductances, bends = [], []
    for _, cell in measurement.by_cell():
        volts = np.asarray(cell.columns["read_volts"], dtype=np.float64)
        with np.errstate(invalid="ignore"):
            current = cell.state * volts
        there = np.isfinite(current) & np.isfinite(volts)
        if there.sum() < 3 or np.ptp(volts[there]) == 0:
            continue
        low = there & (np.abs(volts) <= 0.3 * np.abs(volts[there]).max())
        use = low if low.sum() >= 2 and np.ptp(volts[low]) > 0 else there
        slope = float(np.polyfit(volts[use], current[use], 1)[0])
        top = there & (np.abs(volts) >= 0.9 * np.abs(volts[there]).max())
        whole = float((current[top] / volts[top]).mean())
        conductances.append(slope)
        bends.append(whole / slope if slope else math.nan)
    figures = {
        "low_voltage.median_siemens": median_estimate(np.array(conductances)),
        "high_over_low_voltage.median": median_estimate(np.array(bends)),
    }
    warnings = []
    if len(finite(np.array(bends))) and abs(np.nanmedian(bends) - 1) > 0.1:
        warnings.append("not ohmic: reads at another voltage see another conductance")
    return _fit(measurement, figures, warnings)


def fit_converter_calibration(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Return gain and offset of the converters' lines: mean and spread over lines, per axis."""
    del base
    columns = measurement.columns
    figures: dict[str, Estimate] = {}
    for axis in np.unique(columns["axis"]):
        gains, offsets = [], []
        mine = columns["axis"] == axis
        for tile in np.unique(columns["tile"][mine]):
            for line in np.unique(columns["line"][mine & (columns["tile"] == tile)]):
                rows = mine & (columns["tile"] == tile) & (columns["line"] == line)
                expected, measured = (
                    columns["expected_amperes"][rows],
                    columns["measured_amperes"][rows],
                )
                if rows.sum() >= 2 and np.ptp(expected) > 0:
                    gain, offset = np.polyfit(expected, measured, 1)
                    gains.append(gain)
                    offsets.append(offset)
        if gains:
            name = ("forward", "backward", "cells")[int(axis)]
            figures[f"{name}.gain_mean"] = mean_estimate(np.array(gains))
            figures[f"{name}.gain_sigma"] = sigma_estimate(np.array(gains))
            figures[f"{name}.offset_mean_amperes"] = mean_estimate(np.array(offsets))
            figures[f"{name}.offset_sigma_amperes"] = sigma_estimate(np.array(offsets))
    return _fit(measurement, figures, [])


def _fit(measurement: Measurement, figures: dict[str, Estimate], warnings: list[str]) -> Fit:
    made = block(measurement, figures=figures, warnings=tuple(warnings))

    def draw() -> Any:
        from hwloop.characterization.fits.plots import estimates

        return estimates(figures, measurement.kind)

    return Fit(measurement.kind, made, None, draw)
