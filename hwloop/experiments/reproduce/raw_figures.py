"""Figures of the measured data sets, straight from their rows.

Nothing here knows the importers or the fits: text and numpy only, so that a figure of a fit that is
wrong can be seen to be wrong. Keys are those that `measured_data` compares.
"""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Figures = dict[str, float]


def reram_pulse_response(folder: Path) -> Figures:
    """Data 01: noise around smooth curves, and that of differences."""
    both = np.loadtxt(folder / "gong_et_al.csv", delimiter=",")
    pulse = np.arange(len(both))
    squares, differences = [], []
    for column, degree in ((0, 4), (1, 5)):
        smooth = np.polyval(
            np.polyfit(pulse / len(pulse), both[:, column], degree), pulse / len(pulse)
        )
        squares.append(np.mean((both[:, column] - smooth) ** 2))
        differences.append(np.var(np.diff(both[:, column])) / 2)
    # Down pulses follow an exponential; the best time constant of a fine grid, by least squares.
    down, best = both[:, 1], (np.inf, 0.0, 0.0)
    for constant in np.arange(100.0, 1000.0, 2.0):
        basis = np.stack([np.ones(len(down)), np.exp(-pulse / constant)], 1)
        (asymptote, _), (rest, *_), *_ = np.linalg.lstsq(basis, down, rcond=None)
        best = min(best, (float(rest), float(asymptote), float(constant)))
    rate_up = np.polyfit(pulse[:800], both[:800, 0], 1)[0]  # straight up to there
    state = best[1] + rate_up * best[2]  # where the down step, (w - asymptote) / tau, is as large
    return {
        "noise around the curve": float(np.sqrt(np.mean(squares))),
        "noise of differences": float(np.sqrt(np.mean(differences))),
        "asymptote of the down steps": best[1],
        "time constant of the down steps": best[2],
        "symmetry point": float(state),
        "step at the symmetry point": float(rate_up),
    }


def ramps(path: Path) -> list[Floats]:
    """Data 02: the ramps of a file, amperes."""
    with path.open() as file:
        rows = list(csv.reader(file))
    columns = []
    for k in range(len(rows[0])):
        values = [row[k] for row in rows[1:] if k < len(row) and row[k].strip()]
        if values:
            columns.append(np.array(values, dtype=float))
    return columns


STATES = (1.75e-3, 1.88e-3, 2.08e-3, 2.28e-3, 2.40e-3)
"""Conductances at which the steps of data 02 are compared. Siemens."""


def crosssim_steps(folder: Path, window: float = 40e-6) -> Figures:
    """Data 02: mean steps at some states, and where those up and down are equal."""
    found: Figures = {}
    lines = {}
    for name, file in (("up", "set.csv"), ("down", "reset.csv")):
        states, steps = [], []
        for ramp in ramps(folder / file):
            conductance = ramp / 0.1
            states.append((conductance[1:] + conductance[:-1]) / 2)
            steps.append(np.abs(np.diff(conductance)) * np.sign(np.diff(conductance)))
        state, step = np.concatenate(states), np.concatenate(steps)
        sign = 1 if name == "up" else -1
        for at in STATES:
            near = np.abs(state - at) < window
            found[f"{name} step at {at * 1e3:.2f} mS"] = float(sign * step[near].mean())
        middle = np.abs(state - 2.15e-3) < 0.25e-3
        lines[name] = np.polyfit(state[middle], sign * step[middle], 3)
    grid = np.linspace(1.95e-3, 2.4e-3, 2000)
    net = np.polyval(lines["up"], grid) - np.polyval(lines["down"], grid)
    found["crossing"] = float(grid[np.abs(net).argmin()])
    return found


def read_noise(folder: Path) -> Figures:
    """Data 03: mean, spread, slope of the spectrum between 2 and 40 Hz, kurtosis."""
    found: Figures = {}
    with gzip.open(folder / "tsdata_ranges_0_16_24.tsv.gz", "rt") as file:
        for cell, line in enumerate(file):
            x = np.array(line.split("\t")[2:], dtype=float)
            found[f"cell {cell} mean"] = float(x.mean())
            found[f"cell {cell} sigma"] = float(x.std())
            found[f"cell {cell} slope"] = _slope(x, 400.0, 2.0, 40.0)
            z = (x - x.mean()) / x.std()
            found[f"cell {cell} kurtosis"] = float((z**4).mean() - 3)
    return found


def _slope(x: Floats, rate: float, low: float, high: float, length: int = 4096) -> float:
    """Return the slope of Welch's spectrum: half-overlapping parts under a Hann window."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    power = np.zeros(length // 2 + 1)
    for start in range(0, len(x) - length + 1, length // 2):
        part = x[start : start + length]
        power += np.abs(np.fft.rfft((part - part.mean()) * window)) ** 2
    frequency = np.fft.rfftfreq(length, 1 / rate)
    inside = (frequency >= low) & (frequency <= high)
    return float(np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0])


def bake(folder: Path) -> Figures:
    """Data 03: change of the conductance by a bake, by temperature."""
    rows = np.loadtxt(folder / "bake.tsv.gz", delimiter="\t")
    found: Figures = {}
    for celsius in np.unique(rows[:, 4]):
        part = rows[rows[:, 4] == celsius]
        before = {int(r[0]): r[3] for r in part if r[1] == 0}
        change = np.array([r[3] - before[int(r[0])] for r in part if r[1] > 0])
        found[f"{celsius:g} C mean"] = float(change.mean())
        found[f"{celsius:g} C sigma"] = float(change.std(ddof=1))
    return found


def relaxation(folder: Path) -> Figures:
    """Data 04: change since programming by nominal time, and its spread by level."""
    rows = np.loadtxt(folder / "relaxdata_10k.min.tsv.gz", delimiter="\t")
    change, nominal, level = rows[:, 3] - rows[:, 4], rows[:, 6], rows[:, 5]
    found: Figures = {}
    for seconds in np.unique(nominal[rows[:, 1] > 0]):
        part = change[(nominal == seconds) & (rows[:, 1] > 0)]
        found[f"{seconds:g} s mean"] = float(part.mean())
        found[f"{seconds:g} s sigma"] = float(part.std(ddof=1))
    for number in (0, 4, 8, 12, 16, 20, 24):
        part = change[(nominal == 10000) & (level == number)]
        found[f"level {number} sigma"] = float(part.std(ddof=1))
    return found


def partial_reset(folder: Path) -> Figures:
    """Data 06: mean and spread of log10 R by voltage."""
    rows = np.loadtxt(folder / "partial_reset_pcm.csv", delimiter=",", skiprows=1)
    volts = np.rint(rows[:, 1] * 100).astype(int)
    found: Figures = {}
    for hundredths in (100, 130, 145, 160, 220, 235, 250, 265, 280, 295):
        logs = np.log10(rows[volts == hundredths, 0])
        found[f"{hundredths / 100:.2f} V mean"] = float(logs.mean())
        found[f"{hundredths / 100:.2f} V sigma"] = float(logs.std(ddof=1))
    return found


def sheet(path: Path, number: int) -> Floats:
    """Return the numbers of a sheet of a workbook, less its first row and column."""
    with zipfile.ZipFile(path) as book:
        text = book.read(f"xl/worksheets/sheet{number}.xml").decode()
    cells = re.findall(r'<c r="([A-Z]+)(\d+)"([^>]*)>(?:<f>[^<]*</f>)?<v>([^<]*)</v>', text)
    numbers = [
        float(value)
        for column, row, kind, value in cells
        if column != "A" and row != "1" and 't="s"' not in kind
    ]
    return np.array(numbers)


def array_map(folder: Path) -> Figures:
    """Data 07: open cells, and the others' mean and spread; breakdown voltages."""
    found: Figures = {}
    for number, name in ((1, "input"), (2, "hidden")):
        values = sheet(folder / "Figure_1.xlsx", number)
        conducting = values[values != 0] * 1e-6
        found[f"{name} open share"] = float((values == 0).mean())
        found[f"{name} mean"] = float(conducting.mean())
        found[f"{name} sigma"] = float(conducting.std(ddof=1))
    volts = sheet(folder / "Extended_Data_Figure_1.xlsx", 1)
    found["breakdown mean"] = float(volts.mean())
    found["breakdown sigma"] = float(volts.std(ddof=1))
    found["breakdown distinct"] = float(len(np.unique(volts)))
    return found


def printed_memristors(folder: Path) -> Figures:
    """Data 08: dead devices, medians by area, and sweeps of devices that were on already."""
    with (folder / "processedTable.csv").open() as file:
        devices = list(csv.DictReader(file))
    alive = [row for row in devices if row["R5"].strip().lower() not in ("", "nan")]
    found: Figures = {"dead share": 1 - len(alive) / len(devices)}
    for area in (4, 36, 144, 324):
        values = [float(row["R5"]) for row in alive if round(float(row["area"])) == area]
        found[f"{area} um2 median"] = float(np.median(values))
    with (folder / "memeffect_sweep_aug30.csv").open() as file:
        sweeps = list(csv.DictReader(file))
    on = sum(row["switching_state"] == "already_on" for row in sweeps)
    found["already on share"] = on / len(sweeps)
    found["set volts"] = float(
        np.median(
            [float(row["v_set_V"]) for row in sweeps if row["v_set_V"].strip() not in ("", "nan")]
        )
    )
    return found


def triangle(path: Path) -> Floats:
    """Data 11: position and value of the digitised points, shape (points, 2)."""
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("#")][1:]
    return np.array([[float(v) for v in line.split(",")[:2]] for line in lines])


def triangles(folder: Path) -> Figures:
    """Data 11: slopes of straight lines through both branches, and the highest value."""
    found: Figures = {}
    for name in ("Saturation", "NonSaturation"):
        points = triangle(folder / f"{name}Current.csv")
        top = int(points[:, 1].argmax())
        found[f"{name} top"] = float(points[top, 1])
        for branch, part in (("up", points[: top + 1]), ("down", points[top:])):
            middle = (part[:, 1] > 1) & (part[:, 1] < 4.5)
            slope = np.polyfit(part[middle, 0], part[middle, 1], 1)[0]
            found[f"{name} {branch} slope"] = float(abs(slope))
    return found
