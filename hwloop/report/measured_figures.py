"""Pictures of measured data, kind by kind: the raw values, and what the eye needs beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from hwloop.characterization import Measurement
from hwloop.report.style import ANALOG, FLOAT, PULSES, SEQUENTIAL, style

MOST_TRACES = 40
"""Cells that are drawn one by one."""

UP, DOWN, EACH = FLOAT, ANALOG, "#999999"
"""Colours of what pulses up and down leave, and of single cells."""

Values = NDArray[np.float64]
Draw = Callable[[Measurement, list[Axes]], None]


def figure_of(data: Measurement) -> Figure:
    """Draw measured data: one row of pictures, as suits their kind."""
    draw, columns = _DRAWN[data.kind]
    with style():
        figure = Figure(figsize=(12, 3.4))
        margins = {"left": 0.06, "right": 0.98, "bottom": 0.15, "top": 0.91, "wspace": 0.26}
        axes = list(figure.subplots(1, columns, squeeze=False, gridspec_kw=margins)[0])
        draw(data, axes)
        return figure


def _scale(data: Measurement) -> tuple[float, str]:
    """Return what states are multiplied by, and the label of their axis."""
    normalised = data.header.quantity == "state_units"
    return (1.0, "state, device units") if normalised else (1e6, "conductance, µS")


def _states(data: Measurement) -> tuple[Values, str]:
    factor, label = _scale(data)
    return data.state * factor, label


def _micro(data: Measurement, name: str) -> Values:
    """Return a column of siemens in microsiemens."""
    return np.asarray(data.columns[name], np.float64) * 1e6


def _matrix(data: Measurement, values: Values) -> Values:
    """Return values as a row per cell; cells that have fewer end in NaN."""
    cell = data.columns["cell"]
    _, counts = np.unique(cell, return_counts=True)
    order = np.argsort(cell, kind="stable")
    matrix = np.full((len(counts), counts.max()), np.nan)
    matrix[np.arange(counts.max()) < counts[:, None]] = values[order]
    return matrix


def _traces(axes: Axes, x: Values, y: Values, **options: Any) -> None:
    """Draw some cells faintly, and the mean of all."""
    for i in np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST_TRACES)).astype(int)):
        axes.plot(x[i], y[i], color=EACH, linewidth=0.6, alpha=0.6, **options)
    with np.errstate(invalid="ignore"):
        axes.plot(np.nanmean(x, axis=0), np.nanmean(y, axis=0), color=ANALOG, linewidth=2)


def _spread(axes: Axes, values: Values, label: str, title: str, colour: str = ANALOG) -> None:
    known = values[np.isfinite(values)]
    axes.hist(known, bins=min(60, max(10, len(known) // 20)), color=colour)
    axes.set(title=title, xlabel=label, ylabel="cells")


def _place(data: Measurement, values: Values) -> Values:
    """Return values of cells, one each, as a map; NaN where none was measured."""
    row, col = data.columns["row"], data.columns["col"]
    grid = np.full((row.max() - row.min() + 1, col.max() - col.min() + 1), np.nan)
    grid[row - row.min(), col - col.min()] = values
    return grid


def _map(axes: Axes, data: Measurement, values: Values, title: str, cmap: str = SEQUENTIAL) -> None:
    row, col = data.columns["row"], data.columns["col"]
    extent = (col.min() - 0.5, col.max() + 0.5, row.max() + 0.5, row.min() - 0.5)
    axes.grid(False)
    image = axes.imshow(_place(data, values), extent=extent, aspect="auto", cmap=cmap)
    axes.set(title=title, xlabel="column", ylabel="row")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02, fraction=0.06)
    bar.outline.set_visible(False)


def _pulse_response(data: Measurement, axes: list[Axes]) -> None:
    states, label = _states(data)
    matrix = _matrix(data, states)
    direction = _matrix(data, data.columns["direction"].astype(float))
    pulse = _matrix(data, data.columns["pulse"].astype(float))
    # Counts start anew with each train; the first read of a repeat comes before any.
    given = np.where(
        np.diff(pulse, axis=1, prepend=0) > 0, np.diff(pulse, axis=1, prepend=0), pulse
    )
    _traces(axes[0], np.cumsum(given, axis=1), matrix)
    axes[0].set(title="State after pulses", xlabel="pulses given", ylabel=label)
    steps = np.diff(matrix, axis=1) / np.maximum(given[:, 1:], 1)
    start = matrix[:, :-1]
    for sign, colour, name in ((1, UP, "up"), (-1, DOWN, "down")):
        chosen = (direction[:, 1:] == sign) & np.isfinite(steps)
        x, mean, std = _binned(start[chosen], steps[chosen])
        axes[1].fill_between(x, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        axes[1].plot(x, mean, color=colour, label=name)
    axes[1].axhline(0, color="#666666", linewidth=0.8)
    axes[1].set(title="Step of a pulse against the state before it", xlabel=label)
    axes[1].set_ylabel("mean step ± standard deviation")
    axes[1].legend(loc="best")


def _binned(x: Values, y: Values, bins: int = 25) -> tuple[Values, Values, Values]:
    """Return centres, means and standard deviations of bins with equal widths."""
    if not len(x):
        return np.zeros((3, 0))[0], np.zeros(0), np.zeros(0)
    low, high = (float(value) for value in np.percentile(x, [1, 99]))
    edges = np.linspace(low, high, bins + 1)
    number = np.clip(np.digitize(x, edges) - 1, 0, bins - 1)
    filled = [b for b in range(bins) if np.count_nonzero(number == b) >= 3]
    centres = (edges[:-1] + edges[1:]) / 2
    mean = np.array([y[number == b].mean() for b in filled])
    std = np.array([y[number == b].std() for b in filled])
    return centres[filled], mean, std


def _amplitude_response(data: Measurement, axes: list[Axes]) -> None:
    states, label = _states(data)
    repeats = data.columns["repeat"]
    chosen = data.select((repeats == repeats.max()) & (data.columns["direction"] != 0))
    states = chosen.state * _scale(data)[0]
    volts = np.asarray(chosen.columns["amplitude_volts"], np.float64)
    _traces(axes[0], _matrix(chosen, volts), _matrix(chosen, states), marker=".")
    axes[0].set(title="State after pulses of each shape", xlabel="amplitude, V", ylabel=label)


def _symmetry_point(data: Measurement, axes: list[Axes]) -> None:
    states, label = _states(data)
    _spread(axes[0], states, label, "Symmetry points")
    error = _micro(data, "standard_error_siemens")
    _spread(axes[1], error, "standard error, µS", "Their standard errors", FLOAT)
    _spread(axes[2], data.columns["pulses_spent"].astype(float), "pulses", "Pulses spent", PULSES)


def _read_noise(data: Measurement, axes: list[Axes]) -> None:
    states, label = _states(data)
    values = _matrix(data, states)
    time = _matrix(data, np.asarray(data.columns["time_seconds"], np.float64))
    for i in range(min(len(values), 4)):
        axes[0].plot(time[i], values[i], linewidth=0.7)
    axes[0].set(title="Reads of some cells", xlabel="time", ylabel=label)
    axes[0].xaxis.set_major_formatter(EngFormatter("s"))
    rest = (values - np.nanmean(values, axis=1, keepdims=True)).ravel()
    sigma = float(np.nanstd(rest))
    _, bins, _ = axes[1].hist(rest[np.isfinite(rest)], bins=80, density=True, color=ANALOG)
    if sigma > 0:
        gauss = np.exp(-((bins / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
        axes[1].plot(bins, gauss, color=FLOAT, label=f"Gaussian, σ = {sigma:.3g}")
        axes[1].legend(loc="upper right")
    axes[1].set(title="All reads less their cell's mean", xlabel=label, ylabel="density")
    frequency, power = _spectrum(time, values)
    if len(frequency):
        axes[2].loglog(frequency, power, color=ANALOG)
        axes[2].set_ylim(power.min() / 5, power.max() * 5)
    axes[2].set(title="Spectrum, mean of the cells", xlabel="frequency", ylabel="power per hertz")
    axes[2].xaxis.set_major_formatter(EngFormatter("Hz"))


def _spectrum(time: Values, values: Values) -> tuple[Values, Values]:
    """Return the mean one-sided periodogram of the cells, with a Hann window."""
    n = values.shape[1]
    step = float(np.median(np.diff(time, axis=1))) if n > 8 else 0.0
    if step <= 0 or not np.isfinite(values).all():
        return np.zeros(0), np.zeros(0)
    window = np.hanning(n)
    parts = np.fft.rfft((values - values.mean(axis=1, keepdims=True)) * window, axis=1)
    power = 2 * step / (window**2).sum() * (np.abs(parts) ** 2).mean(axis=0)
    frequency = np.asarray(np.fft.rfftfreq(n, step), np.float64)
    return frequency[1:-1], power[1:-1]


def _retention(data: Measurement, axes: list[Axes]) -> None:
    states, label = _states(data)
    values = _matrix(data, states)
    time = _matrix(data, np.asarray(data.columns["time_seconds"], np.float64))
    levels = _matrix(data, np.asarray(data.columns.get("level", np.zeros(data.rows)), float))[:, 0]
    for level in np.unique(levels):
        chosen = levels == level
        t, mean = time[chosen].mean(axis=0), values[chosen].mean(axis=0)
        std = values[chosen].std(axis=0)
        (line,) = axes[0].semilogx(t, mean, marker=".", label=f"level {level:.0f}")
        colour = line.get_color()
        axes[0].fill_between(t, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        change = values[chosen] - values[chosen][:, :1]
        axes[1].semilogx(t, change.mean(axis=0), color=colour, marker=".")
        axes[1].semilogx(t, change.std(axis=0), color=colour, linestyle="--")
    axes[0].set(title="State after programming, mean ± standard deviation of cells", ylabel=label)
    axes[0].legend(loc="best")
    axes[1].set(title="Change since the first read: mean, dashed its deviation", ylabel=label)
    for one in axes:
        one.set_xlabel("time since programming")
        one.xaxis.set_major_formatter(EngFormatter("s"))


def _endurance(data: Measurement, axes: list[Axes]) -> None:
    _, label = _states(data)
    for sign, colour, name in ((1, UP, "after pulses up"), (-1, DOWN, "after pulses down")):
        chosen = data.select(data.columns["direction"] == sign)
        if not chosen.rows:
            continue
        values = _matrix(chosen, chosen.state * _scale(data)[0])
        cycle = _matrix(chosen, chosen.columns["cycle"].astype(float))[0]
        mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        axes[0].semilogx(cycle, mean, color=colour, marker=".", label=name)
        axes[0].fill_between(cycle, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
    axes[0].set(title="End states, mean ± standard deviation of the cells", xlabel="cycles")
    axes[0].set_ylabel(label)
    axes[0].legend(loc="best")


def _forming(data: Measurement, axes: list[Axes]) -> None:
    states, label = _states(data)
    _spread(axes[0], states, label, "After forming")
    attempts = data.columns["attempts"].astype(float)
    _spread(axes[1], attempts, "recipes", "Recipes that the cells had", PULSES)
    formed = data.columns["formed"].astype(float)
    _map(axes[2], data, formed, f"{int(formed.sum())} of {data.rows} cells formed")


def _array_map(data: Measurement, axes: list[Axes]) -> None:
    states, label = _states(data)
    swing = _micro(data, "high_siemens") - _micro(data, "low_siemens")
    _map(axes[0], data, states, f"{label}, as found")
    _map(axes[1], data, swing, "From pulses down to pulses up, µS")
    for name, mark, colour in (("stuck", "x", FLOAT), ("open", "o", "#ffffff")):
        chosen = data.columns[name] == 1
        if chosen.any():
            axes[1].scatter(
                data.columns["col"][chosen],
                data.columns["row"][chosen],
                marker=mark,
                s=14,
                color=colour,
                linewidths=0.9,
                label=f"{int(chosen.sum())} {name}",
            )
    _spread(axes[2], swing, "swing, µS", _stuck_title(data))
    threshold = float(_micro(data, "threshold_siemens")[0])
    for side in (-threshold, threshold):
        axes[2].axvline(side, color=FLOAT, linewidth=1)


def _stuck_title(data: Measurement) -> str:
    stuck, opened = (int(np.sum(data.columns[name])) for name in ("stuck", "open"))
    return f"{stuck} of {data.rows} cells stuck, {opened} of them open"


def _write_verify(data: Measurement, axes: list[Axes]) -> None:
    conductance = data.header.conductance
    reached = data.state
    if data.header.quantity == "state_units":
        assert conductance is not None  # as the plan writes it
        reached = conductance.middle_siemens + conductance.half_range_siemens * reached
    target = _micro(data, "target_siemens")
    within = data.columns["within"] == 1
    axes[0].plot(target[within], reached[within] * 1e6, ".", color=ANALOG, label="within")
    axes[0].plot(target[~within], reached[~within] * 1e6, "x", color=FLOAT, label="not within")
    axes[0].set(title="Reached against wanted", xlabel="target, µS", ylabel="reached, µS")
    axes[0].legend(loc="best")
    _spread(axes[1], reached * 1e6 - target, "error, µS", "Errors")
    _spread(axes[2], data.columns["pulses_spent"].astype(float), "pulses", "Pulses spent", PULSES)


def _converter_calibration(data: Measurement, axes: list[Axes]) -> None:
    columns = data.columns
    for axis, colour, name in ((0, ANALOG, "forward"), (1, FLOAT, "backward")):
        chosen = (columns["axis"] == axis) & (columns["saturated"] == 0)
        if not chosen.any():
            continue
        x, y = columns["expected_amperes"][chosen], columns["measured_amperes"][chosen]
        line = columns["line"][chosen]
        some = slice(None, None, max(len(x) // 4000, 1))
        axes[0].plot(x[some] * 1e6, y[some] * 1e6, ".", markersize=2, color=colour, label=name)
        lines = [n for n in np.unique(line) if np.ptp(x[line == n]) > 0]
        fits = np.array([np.polyfit(x[line == n], y[line == n], 1) for n in lines]).reshape(-1, 2)
        axes[1].plot(lines, 1 / fits[:, 0], ".-", color=colour, linewidth=0.7)
        axes[2].plot(lines, fits[:, 1] * 1e6, ".-", color=colour, linewidth=0.7)
    axes[0].set(title="Reads of known currents", xlabel="expected, µA", ylabel="measured, µA")
    axes[0].legend(loc="best")
    axes[1].set(title="Gain of each output line", xlabel="line", ylabel="gain")
    axes[2].set(title="Offset of each output line", xlabel="line", ylabel="offset, µA")


_DRAWN: dict[str, tuple[Draw, int]] = {
    "pulse_response": (_pulse_response, 2),
    "amplitude_response": (_amplitude_response, 1),
    "symmetry_point": (_symmetry_point, 3),
    "read_noise": (_read_noise, 3),
    "retention": (_retention, 2),
    "endurance": (_endurance, 1),
    "forming": (_forming, 3),
    "array_map": (_array_map, 3),
    "write_verify": (_write_verify, 3),
    "converter_calibration": (_converter_calibration, 3),
}

CAPTIONS: dict[str, str] = {
    "pulse_response": "Left: some cells in grey, the mean of all in blue. Right: change of the "
    "read state per pulse, noise of the reads included.",
    "amplitude_response": "Some cells in grey, the mean of all in blue; last repeat.",
    "symmetry_point": "Mean of what follows a pulse up and a pulse down, when the cell has "
    "settled.",
    "read_noise": "Reads of cells that get no pulse.",
    "retention": "Time on the chip's clock.",
    "endurance": "Both end states of the switching cycles.",
    "forming": "Cells by what the recipes left.",
    "array_map": "Crosses: cells that pulses do not move; orange lines: the threshold of the test.",
    "write_verify": "What the last read of each cell gave.",
    "converter_calibration": "Least squares per line; calibration.yaml holds gains and offsets.",
}
