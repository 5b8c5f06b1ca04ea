"""Fits of summaries: medians and yields, which dead devices and open circuits cannot spoil."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.result import Fit, block, plain
from hwloop.characterization.fits.shares import wilson
from hwloop.characterization.fits.statistics import finite, median_estimate
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import DeviceFile, Estimate

Floats = NDArray[np.float64]

GAP_DECADES = 2.0
"""Gap between sorted values beyond which those above are called open circuits."""

MOST_GROUPS = 8
"""Different values of a column up to which it makes groups."""

_PLACES = {"cell", "tile", "row", "col", "repeat", "sequence", "time_seconds"}


def upper_cut(values: Floats) -> float:
    """Return the value above which resistances are open circuits; infinity if there is no gap.

    It lies in the first gap of more than `GAP_DECADES` decades above the median.
    """
    logs = np.sort(np.log10(values[values > 0]))
    above = logs[logs >= np.median(logs)] if len(logs) else logs
    gaps = np.flatnonzero(np.diff(above) > GAP_DECADES)
    return float(10 ** ((above[gaps[0]] + above[gaps[0] + 1]) / 2)) if gaps.size else float("inf")


def fit_summary(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Fit medians and yields of every column, and by area where there is one."""
    del base
    header = measurement.header
    figures: dict[str, Estimate] = {}
    warnings: list[str] = []
    for column in header.columns:
        if column.name in _PLACES:
            continue
        values = np.asarray(measurement.columns[column.name], dtype=np.float64)
        labels = header.labels.get(column.name)
        if labels:
            _shares(column.name, values, labels, figures)
            continue
        missing = int((~np.isfinite(values)).sum())
        if missing:
            low, high = wilson(missing, len(values))
            figures[f"{column.name}.missing_share"] = Estimate(
                value=missing / len(values), low=low, high=high
            )
        figures[f"{column.name}.median"] = median_estimate(values)
    if "resistance_ohms" in measurement.columns:
        warnings += _resistances(measurement, figures)
    if "switching_state" in measurement.columns:
        warnings += _switching(figures)
    made = block(measurement, figures=figures, warnings=tuple(warnings))

    def draw() -> Any:
        from hwloop.characterization.fits.plots import summary

        return summary(measurement, figures)

    return Fit("summary", made, None, draw)


def _shares(
    name: str, values: Floats, labels: tuple[str, ...], figures: dict[str, Estimate]
) -> None:
    if len(labels) > MOST_GROUPS:
        return
    for index, label in enumerate(labels):
        found = int((values == index).sum())
        low, high = wilson(found, len(values))
        figures[f"{name}.{label}.share"] = Estimate(value=found / len(values), low=low, high=high)


def _resistances(measurement: Measurement, figures: dict[str, Estimate]) -> list[str]:
    values = np.asarray(measurement.columns["resistance_ohms"], dtype=np.float64)
    dead = ~np.isfinite(values)
    cut = upper_cut(finite(values))
    opened = ~dead & (values > cut)
    good = ~dead & ~opened
    warnings = []
    if dead.any():
        warnings.append(
            f"{dead.sum()} of {len(values)} devices are dead: no resistance could be had"
        )
    if opened.any():
        low, high = wilson(int(opened.sum()), len(values))
        figures["resistance_ohms.open_share"] = Estimate(
            value=float(opened.mean()), low=low, high=high
        )
        figures["resistance_ohms.median_of_working"] = median_estimate(values[good])
        warnings.append(
            f"{opened.sum()} values above {cut:.2g} ohm are open circuits that passed as fits: the "
            f"mean, {np.nanmean(values):.2g} ohm, means nothing; medians stand"
        )
    if "area_square_metres" in measurement.columns:
        area = np.asarray(measurement.columns["area_square_metres"], dtype=np.float64)
        widths, medians = [], []
        for size in np.unique(area[np.isfinite(area)]):
            part = values[(area == size) & ~dead]
            name = f"resistance_ohms.at_{size * 1e12:g}_square_micrometres.median"
            figures[name] = median_estimate(part)
            if len(part):
                widths.append(np.sqrt(size))
                medians.append(np.median(part))
        if len(widths) > 2:
            power = np.polyfit(np.log(widths), np.log(medians), 1)[0]
            figures["resistance_ohms.power_of_width"] = plain(float(power))
    return warnings


def _switching(figures: dict[str, Estimate]) -> list[str]:
    estimate = figures.get("switching_state.already_on.share")
    if estimate is None or estimate.value is None or estimate.value < 0.5:
        return []
    return [
        f"{estimate.value:.0%} of the sweeps found the device on already: on/off ratios of such "
        "sweeps are no switching"
    ]
