"""Pictures of data, fit and residuals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hwloop.characterization.fits.cells import CellFits
from hwloop.characterization.fits.selection import predictions, standardised
from hwloop.characterization.fits.traces import Traces
from hwloop.characterization.fits.units import DeviceUnits
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import Estimate, StepModel
from hwloop.errors import ConfigurationError

if TYPE_CHECKING:
    from hwloop.characterization.fits.read_noise import CellNoise
    from hwloop.characterization.fits.retention import Changes, LogTime, PowerLaw

Floats = NDArray[np.float64]

UP, DOWN, FIT = "#D55E00", "#0072B2", "#000000"
"""Colours of Okabe and Ito."""

_SETTINGS: Any = {
    "figure.dpi": 120,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "hwloop",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the common look."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def write(figure: Figure, path: Path) -> None:
    """Write a picture.

    Raises:
        ConfigurationError: the file cannot be written, or its ending is no form of pictures.
    """
    try:
        with style():
            figure.savefig(path, metadata={} if path.suffix != ".svg" else {"Date": None})
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be written: {error}") from None


def pulse_response(traces: Traces, cells: CellFits, model: StepModel, units: DeviceUnits) -> Figure:
    """Draw traces of some cells with their one-step-ahead prediction, the curves, the residuals."""
    del units
    with style():
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        axes = figure.subplots(2, 3)
        predicted = np.full(traces.values.shape, np.nan)
        for row, _, _, mean, _ in predictions(traces, cells):
            predicted[row] = mean
        shown = np.unique(np.linspace(0, len(traces.cells) - 1, 3).astype(int))
        for axis, cell in zip(axes[0], shown, strict=False):
            _trains(axis, traces, predicted, int(cell))
        for axis in axes[0][len(shown) :]:
            axis.axis("off")
        if len(shown) < 3:
            _steps(axes[0][len(shown)], traces)
        _curves(axes[1][0], model, np.nanpercentile(traces.values, [0.5, 99.5]))
        z = standardised(traces, cells)
        _residuals(axes[1][1], z)
        _correlations(axes[1][2], z)
        return figure


def _trains(axis: Any, traces: Traces, predicted: Floats, cell: int) -> None:
    trains = np.flatnonzero(traces.cell == cell)
    for train in trains[:4]:
        pulses = np.cumsum(traces.pulses[:, train])
        there = np.isfinite(traces.values[:, train])
        colour = UP if traces.up[train] else DOWN
        size = 2 if there.sum() > 100 else 6
        axis.plot(pulses[there], traces.values[there, train], ".", ms=size, color=colour, alpha=0.5)
        axis.plot(pulses[there], predicted[there, train], color=FIT, lw=0.8)
    axis.set_title(f"cell {traces.cells[cell]}: reads and prediction")
    axis.set_xlabel("pulses of a train")
    axis.set_ylabel("state (device units)")


def _steps(axis: Any, traces: Traces) -> None:
    """Draw mean steps over the state, from the differences of reads, if there are enough."""
    if traces.reads < 200:
        return
    axis.axis("on")
    for up, colour, label in ((True, UP, "up"), (False, DOWN, "down")):
        values = traces.values[:, traces.up == up]
        pulses = traces.pulses[1:, traces.up == up]
        state, step = values[:-1], np.diff(values, axis=0)
        there = np.isfinite(step) & (pulses == 1)
        if there.sum() < 40:
            continue
        state, step = state[there], step[there]
        edges = np.quantile(state, np.linspace(0, 1, 13))
        number = np.clip(np.searchsorted(edges, state) - 1, 0, 11)
        middle = [state[number == k].mean() for k in range(12) if (number == k).any()]
        mean = [step[number == k].mean() for k in range(12) if (number == k).any()]
        axis.plot(middle, mean, "o", ms=3, color=colour, label=label)
    axis.set_title("mean differences of reads")
    axis.set_xlabel("state (device units)")
    axis.set_ylabel("step (device units)")
    if axis.get_legend_handles_labels()[0]:
        axis.legend()


def _curves(axis: Any, model: StepModel, seen: Floats) -> None:
    """Draw the curves over the states that were seen."""
    w = np.linspace(max(model.bound_min, seen[0]), min(model.bound_max, seen[1]), 300)
    up, down = model.curves(w)
    axis.plot(w, model.step * (1 + min(model.up_down, 0)) * up, color=UP, label="up")
    axis.plot(w, model.step * (1 - max(model.up_down, 0)) * down, color=DOWN, label="down")
    axis.set_ylim(bottom=0)
    axis.set_title(f"fitted steps: {model.kind}")  # type: ignore[attr-defined]
    axis.set_xlabel("state (device units)")
    axis.set_ylabel("|step| (device units)")
    axis.legend()


def _residuals(axis: Any, z: Floats) -> None:
    values = z[np.isfinite(z)]
    axis.hist(values, bins=np.linspace(-5, 5, 61), density=True, color="#bbbbbb")
    x = np.linspace(-5, 5, 200)
    axis.plot(x, np.exp(-x * x / 2) / np.sqrt(2 * np.pi), color=FIT, lw=1)
    axis.set_yscale("log")
    axis.set_ylim(1e-4, 1)
    axis.set_title("one-step-ahead errors")
    axis.set_xlabel("over their deviation; line: Gaussian")


def _correlations(axis: Any, z: Floats) -> None:
    lags = np.arange(1, min(21, len(z) // 2 + 1))
    found, limit = [], []
    variance = float(np.nanvar(z))
    for lag in lags:
        both = np.isfinite(z[lag:]) & np.isfinite(z[:-lag])
        found.append(float((z[lag:][both] * z[:-lag][both]).mean()) / variance if both.any() else 0)
        limit.append(2 / np.sqrt(max(both.sum(), 1)))
    axis.fill_between(lags, -np.array(limit), limit, color="#dddddd")
    axis.plot(lags, found, "o-", ms=3, color=FIT, lw=0.8)
    axis.set_ylim(-0.5, 0.5)
    axis.set_title("their correlation; grey: 2 sigma")
    axis.set_xlabel("lag (reads)")


def read_noise(measurement: Measurement, cells: Sequence[CellNoise]) -> Figure:
    """Draw traces, distributions and spectra of some cells."""
    from hwloop.characterization.fits.read_noise import BAND, spectrum

    with style():
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        axes = figure.subplots(3, 1) if not cells else figure.subplots(2, 3)
        shown = {c.cell: c for c in cells[:3]}
        top, bottom = axes[0], axes[1]
        column = 0
        for number, rows in measurement.by_cell():
            if number not in shown:
                continue
            cell = shown[number]
            state = rows.state[np.isfinite(rows.state)]
            thin = max(len(state) // 4000, 1)
            time = np.arange(len(state))[::thin] / cell.rate
            top[column].plot(time, state[::thin], ".", ms=1, color=DOWN)
            two = ", two levels" if cell.two_levels else ""
            top[column].set_title(f"cell {number}: sigma {cell.sigma:.3g}{two}")
            top[column].set_xlabel("time (s)")
            frequencies, density = spectrum(state, cell.rate)
            bottom[column].loglog(frequencies, density, color=DOWN, lw=0.8)
            band = np.array(BAND) * cell.rate
            if np.isfinite(cell.slope):
                inside = (frequencies >= band[0]) & (frequencies <= band[1])
                level = np.exp(
                    np.mean(np.log(density[inside]) - cell.slope * np.log(frequencies[inside]))
                )
                bottom[column].loglog(band, level * band**cell.slope, color=FIT)
                bottom[column].set_title(f"slope {cell.slope:.2f}")
            bottom[column].set_xlabel("frequency (Hz)")
            column += 1
        for unused in range(column, 3):
            top[unused].axis("off")
            bottom[unused].axis("off")
        top[0].set_ylabel("state")
        bottom[0].set_ylabel("power density")
        return figure


def retention(data: Changes, form: LogTime | None, law: PowerLaw | None, unit: str) -> Figure:
    """Draw mean and spread of the changes by time or temperature, with both forms."""
    with style():
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        if form is None:
            kelvin = np.unique(data.kelvin[np.isfinite(data.kelvin)])
            parts = [data.change[data.kelvin == k] for k in kelvin]
            left.errorbar(
                kelvin, [p.mean() for p in parts], [p.std() for p in parts], fmt="o", color=DOWN
            )
            left.set_xlabel("temperature (K)")
            left.set_ylabel(f"change ({unit}); bars: sigma")
            for k, part in zip(kelvin, parts, strict=True):
                right.hist(part, bins=80, histtype="step", density=True, label=f"{k:.0f} K")
            right.set_yscale("log")
            right.set_xlabel(f"change ({unit})")
            right.legend()
            return figure
        times = np.unique(data.nominal)
        parts = [data.at(data.nominal == t) for t in times]
        left.semilogx(times, [p.change.mean() for p in parts], "o", color=UP, label="mean")
        left.semilogx(times, [p.change.std() for p in parts], "o", color=DOWN, label="sigma")
        fine = np.geomspace(times.min(), times.max(), 100)
        octaves = np.log2(1 + fine / form.onset)
        node = np.abs(data.initial[:, None] - form.nodes[None]).argmin(1)
        mean, variance = form.mean[node].mean(), (form.std[node] ** 2).mean()
        left.semilogx(fine, mean * octaves, color=UP, lw=1)
        left.semilogx(
            fine, np.sqrt(variance * octaves), color=DOWN, lw=1, label="logarithm of time"
        )
        if law is not None and np.isfinite(law.onset):
            logs = np.log(1 + fine / law.onset)
            size = np.sqrt((data.initial**2).mean())
            left.semilogx(fine, law.spread * logs * size, "--", color="#888888", label="power law")
        left.set_xlabel("time (s)")
        left.set_ylabel(f"change ({unit})")
        left.legend()
        last = parts[-1]
        low, high = (float(v) for v in np.percentile(last.initial, [0.5, 99.5]))
        edges = np.linspace(low, high, 17)
        number = np.digitize(last.initial, edges)
        groups = [k for k in range(1, 17) if (number == k).sum() > 10]
        right.plot(
            [last.initial[number == k].mean() for k in groups],
            [last.change[number == k].std() for k in groups],
            "o",
            color=DOWN,
            label=f"after {times[-1]:g} s",
        )
        total = np.sqrt(np.log2(1 + times[-1] / form.onset))
        right.plot(form.nodes, form.std * total, color=DOWN, lw=1, label="fit")
        right.locator_params(axis="x", nbins=5)
        right.set_xlabel(f"first value ({unit})")
        right.set_ylabel(f"sigma of the change ({unit})")
        right.legend()
        return figure


def distribution(values: Floats, label: str, log_normal: bool, open_share: float | None) -> Figure:
    """Draw a histogram with the likelier of a normal and a log-normal density."""
    with style():
        figure = Figure(figsize=(5.5, 3.4), layout="constrained")
        axis = figure.subplots()
        if len(values) > 1:
            axis.hist(values, bins=40, density=True, color="#bbbbbb")
            x = np.linspace(values.min(), values.max(), 300)
            if log_normal:
                m, s = np.log(values).mean(), np.log(values).std()
                y = np.exp(-((np.log(x) - m) ** 2) / (2 * s * s)) / (x * s * np.sqrt(2 * np.pi))
            else:
                m, s = values.mean(), values.std()
                y = np.exp(-((x - m) ** 2) / (2 * s * s)) / (s * np.sqrt(2 * np.pi))
            axis.plot(x, y, color=FIT, label="log-normal" if log_normal else "normal")
            axis.legend()
        if open_share is not None:
            axis.set_title(f"{open_share:.1%} of the cells are open")
        axis.set_xlabel(label)
        axis.set_ylabel("density")
        return figure


def amplitude_response(table: Sequence[tuple[float, Floats]], name: str) -> Figure:
    """Draw mean and spread by voltage."""
    with style():
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        volts = [v for v, _ in table]
        mean = np.array([p.mean() for _, p in table])
        sigma = np.array([p.std(ddof=1) if len(p) > 1 else 0 for _, p in table])
        left.fill_between(volts, mean - sigma, mean + sigma, color="#bbd7ea")
        left.plot(volts, mean, "o-", ms=3, color=DOWN)
        left.set_xlabel("amplitude (V)")
        left.set_ylabel(f"{name}: mean and sigma")
        right.plot(volts, sigma, "o-", ms=3, color=DOWN)
        right.set_xlabel("amplitude (V)")
        right.set_ylabel(f"sigma of {name}")
        return figure


def summary(measurement: Measurement, figures: Mapping[str, Estimate]) -> Figure:
    """Draw resistances by area, or the figures."""
    columns = measurement.columns
    if "resistance_ohms" not in columns or "area_square_metres" not in columns:
        return estimates(figures, "summary")
    with style():
        figure = Figure(figsize=(5.5, 3.6), layout="constrained")
        axis = figure.subplots()
        width = np.sqrt(columns["area_square_metres"]) * 1e6
        axis.loglog(width, columns["resistance_ohms"], "o", ms=3, color=DOWN, alpha=0.6)
        for value in np.unique(width[np.isfinite(width)]):
            name = f"resistance_ohms.at_{round(value**2, 6):g}_square_micrometres.median"
            estimate = figures.get(name)
            if estimate is not None and estimate.value is not None:
                axis.plot([value], [estimate.value], "_", ms=22, color=UP, mew=2)
        axis.set_xlabel("electrode width (µm); bars: medians")
        axis.set_ylabel("resistance (ohm)")
        return figure


def estimates(figures: Mapping[str, Estimate], title: str) -> Figure:
    """Draw values with their intervals, each relative to its value."""
    shown = {n: e for n, e in figures.items() if e.value}
    with style():
        figure = Figure(figsize=(7, 0.5 + 0.3 * max(len(shown), 1)), layout="constrained")
        axis = figure.subplots()
        for place, (_, estimate) in enumerate(shown.items()):
            value = estimate.value or 1.0
            axis.plot([1.0], [place], "o", ms=4, color=DOWN)
            if estimate.low is not None and estimate.high is not None:
                axis.plot([estimate.low / value, estimate.high / value], [place] * 2, color=DOWN)
        labels = [f"{name} = {e.value:.4g}" for name, e in shown.items()]
        axis.set_yticks(range(len(shown)), labels)
        axis.invert_yaxis()
        axis.set_xlabel("interval relative to the value")
        axis.set_title(title)
        return figure
