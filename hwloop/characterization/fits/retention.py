"""Fits of retention: how far cells wander after programming, by time, level and temperature.

Two forms are compared by their Gaussian likelihood. In the one, the change grows with the logarithm
of time, `L = log2(1 + t / onset)`, with a mean of `mean * L` and a variance of `std^2 * L` that
depend on the level (`hwloop.device_file.Relaxation`). In the other, the conductance falls as a
power of time, `(1 + t / onset)^-nu` with `nu` differing from cell to cell (`Drift`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.fits.merging import merged
from hwloop.characterization.fits.result import Fit, block, plain
from hwloop.characterization.fits.statistics import mean_estimate, sigma_estimate
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import DeviceFile, Estimate
from hwloop.errors import ConfigurationError

Floats = NDArray[np.float64]

LEVELS = 9
"""Nodes of the curves over the level."""

FEWEST = 20
"""Reads below which a group has no figures."""


@dataclass(frozen=True)
class Changes:
    """Changes since the first read after programming, one per later read.

    Attributes:
        seconds: time since programming.
        nominal: time that the read was planned for.
        initial: first value.
        change: value less the first one.
        level: number of the nominal level, or -1.
        kelvin: temperature, or NaN.
    """

    seconds: Floats
    nominal: Floats
    initial: Floats
    change: Floats
    level: NDArray[np.int64]
    kelvin: Floats

    def at(self, rows: NDArray[Any]) -> Changes:
        """Return some rows."""
        return Changes(*(getattr(self, name)[rows] for name in Changes.__dataclass_fields__))


@dataclass(frozen=True)
class LogTime:
    """The form in the logarithm of time.

    Attributes:
        onset: seconds.
        nodes: values of the state at which the curves are given.
        mean, std: change and its spread per octave at the nodes.
        log_likelihood: Gaussian.
    """

    onset: float
    nodes: Floats
    mean: Floats
    std: Floats
    log_likelihood: float


@dataclass(frozen=True)
class PowerLaw:
    """The form as a power of time.

    Attributes:
        onset: seconds.
        exponent, spread: mean and standard deviation of the cells' exponents.
        log_likelihood: Gaussian.
    """

    onset: float
    exponent: float
    spread: float
    log_likelihood: float


def changes(measurement: Measurement) -> Changes:
    """Return the changes of all reads after the first of each programming.

    The first value is that of `initial_siemens` where the data has it, else the first read of each
    cell and repetition.

    Raises:
        ConfigurationError: no cell is read again after its first read.
    """
    columns, state = measurement.columns, measurement.state
    seconds = np.asarray(columns["time_seconds"], dtype=np.float64)
    repeat = columns.get("repeat", np.zeros(len(state), np.int64))
    order = np.lexsort((seconds, repeat, columns["cell"]))
    cell, repeat, seconds, state = (
        columns["cell"][order],
        repeat[order],
        seconds[order],
        state[order],
    )
    first = np.concatenate([[True], (np.diff(cell) != 0) | (np.diff(repeat) != 0)])
    if "initial_siemens" in columns:
        initial = np.asarray(columns["initial_siemens"], dtype=np.float64)[order]
        later = seconds > 0
    else:
        initial = state[first][np.cumsum(first) - 1]
        later = ~first
    later &= np.isfinite(state) & np.isfinite(initial)
    if not later.any():
        raise ConfigurationError(f"{measurement.header.name}: no cell is read a second time")
    nominal = columns.get("nominal_seconds")
    level = columns.get("level")
    kelvin = columns.get("temperature_kelvin")
    rows = order[later]
    return Changes(
        seconds[later],
        np.asarray(nominal[rows], float) if nominal is not None else _rounded(seconds[later]),
        initial[later],
        state[later] - initial[later],
        level[rows] if level is not None else np.full(later.sum(), -1),
        np.asarray(kelvin[rows], float) if kelvin is not None else np.full(later.sum(), np.nan),
    )


def _rounded(seconds: Floats) -> Floats:
    """Return times rounded to a half decade, the groups of reads without a nominal time."""
    with np.errstate(divide="ignore"):
        found: Floats = 10 ** (np.round(np.log10(np.maximum(seconds, 1e-9)) * 2) / 2)
    return found


def fit_log_time(data: Changes) -> LogTime:
    """Return the best onset with its curves over the level."""
    nodes = _nodes(data.initial)
    weights = _weights(data.initial, nodes)
    onsets = np.geomspace(
        max(float(data.seconds.min()) / 30, 1e-9), float(np.median(data.seconds)), 25
    )
    return max((_log_time(data, onset, nodes, weights) for onset in onsets), key=_likelihood)


def _likelihood(form: LogTime | PowerLaw) -> float:
    return form.log_likelihood


def _nodes(initial: Floats) -> Floats:
    low, high = np.percentile(initial, [0.5, 99.5])
    return np.linspace(low, high, LEVELS) if high > low else np.array([low])


def _weights(initial: Floats, nodes: Floats) -> NDArray[np.int64]:
    """Return the nearest node of each read."""
    nearest: NDArray[np.int64] = np.abs(initial[:, None] - nodes[None]).argmin(1)
    return nearest


def _log_time(data: Changes, onset: float, nodes: Floats, node: NDArray[np.int64]) -> LogTime:
    octaves = np.log2(1 + data.seconds / onset)
    count = np.bincount(node, minlength=len(nodes)).astype(float)
    # Weighted by 1 / L, the likeliest mean is sum(change) / sum(L).
    total = np.bincount(node, octaves, len(nodes))
    mean = np.bincount(node, data.change, len(nodes)) / np.maximum(total, 1e-12)
    rest = (data.change - mean[node] * octaves) ** 2 / octaves
    variance = np.bincount(node, rest, len(nodes)) / np.maximum(count, 1)
    variance = np.maximum(variance, 1e-6 * max(float(variance.max()), 1e-300))
    value = -0.5 * (np.log(2 * np.pi * variance[node] * octaves) + rest / variance[node])
    empty = count < FEWEST
    filled = ~empty if (~empty).any() else np.ones(len(nodes), bool)
    mean = np.interp(nodes, nodes[filled], mean[filled])
    deviation = np.interp(nodes, nodes[filled], np.sqrt(variance[filled]))
    return LogTime(float(onset), nodes, mean, deviation, float(value.sum()))


def fit_power_law(data: Changes) -> PowerLaw:
    """Return the best onset with mean and spread of the exponents; `log(G / G0) = -nu log(...)`."""
    ratio = 1 + data.change / np.where(data.initial > 0, data.initial, np.nan)
    use = np.isfinite(ratio) & (ratio > 0)
    logs = np.log(ratio[use])
    jacobian = -float(np.log(data.initial[use] + data.change[use]).sum())
    best = PowerLaw(math.nan, math.nan, math.nan, -math.inf)
    seconds = data.seconds[use]
    for onset in np.geomspace(max(float(seconds.min()) / 30, 1e-9), float(np.median(seconds)), 25):
        time = np.log(1 + seconds / onset)
        nu = -logs / time
        exponent, spread = float(nu.mean()), float(nu.std())
        value = -0.5 * (np.log(2 * np.pi * (spread * time) ** 2) + ((nu - exponent) / spread) ** 2)
        total = float(value.sum()) + jacobian
        if total > best.log_likelihood:
            best = PowerLaw(float(onset), exponent, spread, total)
    return best


def fit_retention(measurement: Measurement, base: DeviceFile | None = None) -> Fit:
    """Fit what happens to cells after programming; with a base, its model gets the relaxation."""
    data = changes(measurement)
    unit = "units" if measurement.header.normalised else "siemens"
    figures = _figures(data, unit)
    warnings = []
    goodness: dict[str, float] = {}
    parameters: dict[str, Estimate] = {}
    device = None
    form = law = None
    if np.isnan(data.kelvin).all():
        form, law = fit_log_time(data), fit_power_law(data)
        gain = form.log_likelihood - law.log_likelihood
        goodness = {
            "log_likelihood_log_time": form.log_likelihood,
            "log_likelihood_power_law": law.log_likelihood,
        }
        figures["relaxation.onset_seconds"] = plain(form.onset)
        if gain > 10:
            warnings.append(
                "a power law of time is rejected: the change grows with the logarithm of time and "
                f"depends on the level (log-likelihood higher by {gain:.0f})"
            )
        elif gain < -10:
            warnings.append(
                "the change follows a power of time, as in PCM: the drift form is likelier by "
                f"{-gain:.0f} in log-likelihood"
            )
            figures["drift.exponent"] = plain(
                law.exponent, law.spread / math.sqrt(len(data.change))
            )
        if base is not None:
            part = _relaxation(form, base, measurement.header.normalised)
            parameters = {"model.relaxation.onset_seconds": plain(form.onset)}
            device = merged(base, {"relaxation": part}, measurement, parameters, tuple(warnings))
    else:
        warnings += _temperature_warnings(data)
    made = block(
        measurement,
        parameters=parameters,
        figures=figures,
        goodness=goodness,
        warnings=tuple(warnings),
    )

    def draw() -> Any:
        from hwloop.characterization.fits.plots import retention

        return retention(data, form, law, unit)

    return Fit("retention", made, device, draw, {"changes": data, "log_time": form})


def _figures(data: Changes, unit: str) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    if not np.isnan(data.kelvin).all():
        for kelvin in np.unique(data.kelvin):
            part = data.change[data.kelvin == kelvin]
            if len(part) >= 2:
                found[f"at_{kelvin:.2f}_kelvin.mean_change_{unit}"] = mean_estimate(part)
                found[f"at_{kelvin:.2f}_kelvin.sigma_change_{unit}"] = sigma_estimate(part)
        return found
    for seconds in np.unique(data.nominal):
        part = data.change[data.nominal == seconds]
        if len(part) >= 2:
            found[f"after_{seconds:g}_seconds.mean_change_{unit}"] = mean_estimate(part)
            found[f"after_{seconds:g}_seconds.sigma_change_{unit}"] = sigma_estimate(part)
    last = data.at(data.nominal == data.nominal.max())
    for level in np.unique(last.level):
        part = last.change[last.level == level]
        if level >= 0 and len(part) >= FEWEST:
            name = f"after_{data.nominal.max():g}_seconds.level_{level}.sigma_change_{unit}"
            found[name] = sigma_estimate(part)
    return found


def _temperature_warnings(data: Changes) -> list[str]:
    kelvin = np.unique(data.kelvin[np.isfinite(data.kelvin)])
    means = np.array([data.change[data.kelvin == k].mean() for k in kelvin])
    turns = np.flatnonzero(np.sign(means[1:]) != np.sign(means[:-1]))
    return [
        f"the mean change turns its sign between {kelvin[k]:.0f} K and {kelvin[k + 1]:.0f} K: one "
        "activation energy does not describe it"
        for k in turns
    ]


def _relaxation(form: LogTime, base: DeviceFile, normalised: bool) -> dict[str, Any]:
    """Return the form as a part of the base's model."""
    scale = 1.0 if normalised else base.conductance.half_range_siemens
    middle = 0.0 if normalised else base.conductance.middle_siemens
    states = (form.nodes - middle) / scale
    nodes = np.linspace(base.model.bound_min, base.model.bound_max, LEVELS)
    return {
        "onset_seconds": form.onset,
        "mean": [float(v) for v in np.interp(nodes, states, form.mean / scale)],
        "std": [float(v) for v in np.interp(nodes, states, form.std / scale)],
    }
