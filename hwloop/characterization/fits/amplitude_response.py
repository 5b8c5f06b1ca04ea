"""Fits of amplitude responses: a table of mean and spread by voltage, with no form imposed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.result import Fit, block, plain
from hwloop.characterization.fits.statistics import (
    log_normal_gain,
    mean_estimate,
    sigma_estimate,
)
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import DeviceFile, Estimate

Floats = NDArray[np.float64]

DECIMALS = 4
"""Digits behind the point that voltages are told apart by: 1.35 is 1.35 however it was computed."""

WIDE = 5.0
"""Ratio of the means from which on the scale is logarithmic, whatever the distributions are."""

AGED = 50
"""Sweeps at both ends of the data that are compared, or half of them if there are fewer."""


def fit_amplitude_response(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Fit mean and spread of the state by amplitude, logarithmic where that is likelier."""
    del base  # pulses of other amplitudes are other shapes, of which a step model has one
    header = measurement.header
    assert header.quantity is not None  # the kind measures a state
    values = np.asarray(measurement.columns[header.quantity], dtype=np.float64)
    volts = np.round(measurement.columns["amplitude_volts"], DECIMALS)
    sweep = measurement.columns["repeat"]
    there = np.isfinite(values)
    values, volts, sweep = values[there], volts[there], sweep[there]
    gains = np.array([log_normal_gain(values[volts == v]) for v in np.unique(volts)])
    means = np.array([values[volts == v].mean() for v in np.unique(volts)])
    positive = bool((values > 0).all())
    logarithmic = positive and (gains.sum() > 0 or means.max() > WIDE * means.min())
    unit = header.quantity.rpartition("_")[2]
    scale = np.log10(values) if logarithmic else values
    name = f"log10_{unit}" if logarithmic else unit
    table = [(float(v), scale[volts == v]) for v in np.unique(volts)]
    figures: dict[str, Estimate] = {}
    for voltage, part in table:
        figures[f"at_{voltage:.2f}_volts.mean_{name}"] = mean_estimate(part)
        figures[f"at_{voltage:.2f}_volts.sigma_{name}"] = sigma_estimate(part)
    warnings = [
        *_form(gains, table),
        *_monotone(table),
        *_spread(table),
        *_age(scale, volts, sweep, figures, name),
    ]
    made = block(
        measurement,
        figures=figures,
        goodness={
            "log_normal_gain": float(gains.sum()),
            "log_normal_voltages": float((gains > 2).sum()),
            "normal_voltages": float((gains < -2).sum()),
        },
        warnings=tuple(warnings),
    )

    def draw() -> Any:
        from hwloop.characterization.fits.plots import amplitude_response

        return amplitude_response(table, name)

    return Fit("amplitude_response", made, None, draw, {"table": table})


def _form(gains: Floats, table: list[tuple[float, Floats]]) -> list[str]:
    """Return where a log-normal and where a normal distribution is clearly the likelier one."""
    log_normal = [table[k][0] for k in np.flatnonzero(gains > 2)]
    normal = [table[k][0] for k in np.flatnonzero(gains < -2)]
    if not log_normal or not normal:
        return []
    return [
        f"no one distribution fits all voltages: log-normal is likelier at {len(log_normal)} "
        f"({log_normal[0]:g} V to {log_normal[-1]:g} V), normal at {len(normal)} of {len(table)}"
    ]


def _monotone(table: list[tuple[float, Floats]]) -> list[str]:
    """Return a warning if the mean turns back by more than chance, over any stretch of voltages."""
    means = np.array([part.mean() for _, part in table])
    errors = np.array([_error(part) for _, part in table])
    rising = 1.0 if means[-1] >= means[0] else -1.0
    back = rising * (means[:, None] - means[None, :]) / np.hypot(errors[:, None], errors[None, :])
    back[np.tril_indices(len(means))] = 0.0  # from a voltage to a higher one
    start, stop = np.unravel_index(int(back.argmax()), back.shape)
    if back[start, stop] < 5:  # the largest of many pairs, by chance below 4
        return []
    return [
        f"not monotone: against the trend between {table[start][0]:g} V and {table[stop][0]:g} V; "
        "a monotone curve or one exponential is wrong, the table stands as it is"
    ]


def _error(values: Floats) -> float:
    """Return the standard error of the mean."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf


def _spread(table: list[tuple[float, Floats]]) -> list[str]:
    sigmas = [(float(part.std(ddof=1)), voltage) for voltage, part in table if len(part) > 2]
    if len(sigmas) < 2:
        return []
    (least, at_least), (most, at_most) = min(sigmas), max(sigmas)
    if most > 2 * least:
        return [
            f"the spread depends on the voltage: {least:.3g} at {at_least:g} V, {most:.3g} at "
            f"{at_most:g} V; one sigma for all is wrong"
        ]
    return []


def _age(
    scale: Floats, volts: Floats, sweep: NDArray[Any], figures: dict[str, Estimate], name: str
) -> list[str]:
    """Return a warning if sweeps depend on those before; add the figures."""
    number = np.unique(sweep)
    grid = np.unique(volts)
    if len(number) < 6 or len(scale) != len(number) * len(grid):
        return []
    by_sweep = scale[np.lexsort((volts, sweep))].reshape(len(number), len(grid))
    part = min(AGED, len(number) // 2)
    first, last = by_sweep[:part].mean(1), by_sweep[-part:].mean(1)
    error = math.sqrt(first.var(ddof=1) / part + last.var(ddof=1) / part)
    figures[f"first_sweeps.mean_{name}"] = mean_estimate(first)
    figures[f"last_sweeps.mean_{name}"] = mean_estimate(last)
    worst = int(by_sweep.std(0).argmax())
    column = by_sweep[:, worst] - by_sweep[:, worst].mean()
    correlation = float((column[1:] * column[:-1]).mean() / column.var()) if column.var() else 0.0
    figures[f"at_{grid[worst]:.2f}_volts.sweep_correlation"] = plain(
        correlation, 1 / math.sqrt(len(number))
    )
    shift = float(last.mean() - first.mean())
    found = []
    if abs(shift) > 3 * error:
        found.append(f"sweeps age: the mean moves by {shift:+.3f} from first to last")
    if abs(correlation) > 3.3 / math.sqrt(len(number)):
        found.append(
            f"sweeps are not independent: correlation {correlation:.2f} from one to the next at "
            f"{grid[worst]:g} V"
        )
    return found
