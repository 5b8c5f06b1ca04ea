"""Fits of measured data of other laboratories, beside figures straight from the rows.

The folder of data holds one folder per data set, as `FOLDERS` names them; each has a README that
says where it comes from. Data sets that are not there are left out and said so.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwloop.characterization import Measurement
from hwloop.characterization.fits import Fit, fit
from hwloop.characterization.importers import Options, import_files
from hwloop.errors import ConfigurationError
from hwloop.experiments.reproduce import raw_figures
from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR = 0.05
"""Largest difference from the figure of the rows, relative to it."""

SECONDS, MEGABYTES = 60.0, 1000.0
"""What import and fit of the 16,000 cells of data 04 may take."""

RAMPS = 13
"""Ramps of data 02 that are fitted; the later ones are predicted."""


@dataclass(frozen=True)
class Pairing:
    """A figure of the rows with that of a fit.

    Attributes:
        name: key in the figures of the rows.
        raw: from the rows.
        fitted: of the fit.
        low, high: interval of the fit, where it has one; it is shown, and decides nothing.
    """

    name: str
    raw: float
    fitted: float
    low: float | None = None
    high: float | None = None

    @property
    def apart(self) -> float:
        """Difference relative to the rows' figure."""
        return abs(self.fitted - self.raw) / abs(self.raw) if self.raw else abs(self.fitted)

    @property
    def agrees(self) -> bool:
        """Whether the figures agree."""
        return self.apart <= NEAR


@dataclass
class DataSet:
    """What a data set gave.

    Attributes:
        number: of the data set.
        pairings: figures.
        statements: where the model does not apply, and other warnings of the fits.
        pictures: of the fits.
    """

    number: str
    pairings: list[Pairing] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    pictures: dict[str, Figure] = field(default_factory=dict)

    def add(self, name: str, fitted: Fit) -> None:
        """Add picture and warnings of a fit."""
        if fitted.draw is not None:
            self.pictures[f"{self.number} {name}"] = fitted.draw()
        self.statements += [f"{self.number} {name}: {warning}" for warning in fitted.warnings]

    def pair(self, raw: Mapping[str, float], names: Mapping[str, str], fitted: Fit) -> None:
        """Add figures of a fit: keys of the rows' figures with names of the fit's."""
        for key, name in names.items():
            estimate = fitted.figures[name]
            assert estimate.value is not None  # only figures that the fit stands by are paired
            self.pairings.append(
                Pairing(key, raw[key], estimate.value, estimate.low, estimate.high)
            )


def data_01(folder: Path) -> DataSet:
    """Fit a ReRAM cell of 1000 pulses up and down."""
    raw = raw_figures.reram_pulse_response(folder)
    fitted = fit(_import([folder / "gong_et_al.csv"], "aihwkit", Options(unit="normalised")))
    found = DataSet("01")
    found.add("pulse response", fitted)
    found.pair(
        raw,
        {
            "noise around the curve": "noise_around_the_curve_units",
            "noise of differences": "noise_of_differences_units",
        },
        fitted,
    )
    model = fitted.device.model
    low = fitted.parameters["model.bound_min"]
    scale = model.step * (1 - max(model.up_down, 0.0))
    if low.value is not None:
        found.pairings.append(
            Pairing(
                "asymptote of the down steps",
                raw["asymptote of the down steps"],
                low.value,
                low.low,
                low.high,
            )
        )
        constant = -low.value / scale
        found.pairings.append(
            Pairing(
                "time constant of the down steps", raw["time constant of the down steps"], constant
            )
        )
    for key, name in (
        ("symmetry point", "symmetry_point_units"),
        ("step at the symmetry point", "symmetry_point_step_units"),
    ):
        estimate = fitted.figures[name]
        if estimate.value is not None:
            found.pairings.append(
                Pairing(key, raw[key], estimate.value, estimate.low, estimate.high)
            )
    return found


def data_02(folder: Path) -> DataSet:
    """Fit alternating ramps of one device."""
    raw = raw_figures.crosssim_steps(folder)
    fitted = fit(crosssim(folder))
    found = DataSet("02")
    found.add("ramps", fitted)
    model, units = fitted.device.model, fitted.details["units"]
    for at in raw_figures.STATES:
        w = np.array([(at - units.offset) / units.scale])
        up, down = model.curves(w)
        for name, curve, share in (
            ("up", up, 1 + min(model.up_down, 0)),
            ("down", down, 1 - max(model.up_down, 0)),
        ):
            key = f"{name} step at {at * 1e3:.2f} mS"
            step = float(curve[0]) * share * model.step * units.scale
            found.pairings.append(Pairing(key, raw[key], step))
    crossing = fitted.figures.get("crossing_units") or fitted.figures["symmetry_point_units"]
    if crossing.value is not None:
        at = units.offset + units.scale * crossing.value
        found.pairings.append(Pairing("crossing", raw["crossing"], at))
    return found


def crosssim(folder: Path) -> Measurement:
    """Return data 02 as measured data."""
    options = Options(unit="ampere", read_volts=0.1)
    return _import([folder / "set.csv", folder / "reset.csv"], "crosssim", options)


def data_03(folder: Path) -> DataSet:
    """Fit read noise of three cells, and bakes of 16,384 cells."""
    raw = raw_figures.read_noise(folder)
    path = folder / "tsdata_ranges_0_16_24.tsv.gz"
    noise = fit(_import([path], "table", Options(mapping="rram-noise")))
    found = DataSet("03")
    found.add("read noise", noise)
    names: dict[str, str] = {}
    for cell in range(3):
        names |= {
            f"cell {cell} mean": f"cell_{cell}.mean_siemens",
            f"cell {cell} sigma": f"cell_{cell}.sigma_siemens",
            f"cell {cell} slope": f"cell_{cell}.spectrum_slope",
        }
    names["cell 2 kurtosis"] = "cell_2.excess_kurtosis"
    found.pair(raw, names, noise)
    raw = raw_figures.bake(folder)
    baked = fit(_import([folder / "bake.tsv.gz"], "table", Options(mapping="rram-bake")))
    found.add("bake", baked)
    names = {}
    for celsius in (100, 140, 180, 220, 260):
        at = f"at_{celsius + 273.15:.2f}_kelvin"
        names |= {
            f"{celsius} C mean": f"{at}.mean_change_siemens",
            f"{celsius} C sigma": f"{at}.sigma_change_siemens",
        }
    found.pair(raw, names, baked)
    return found


def data_04(folder: Path) -> DataSet:
    """Fit the relaxation of 16,000 cells over six decades of time."""
    raw = raw_figures.relaxation(folder)
    fitted = fit(_relaxation(folder))
    found = DataSet("04")
    found.add("relaxation", fitted)
    names: dict[str, str] = {}
    for seconds in ("0.01", "0.1", "1", "100", "1000", "10000"):
        names |= {
            f"{seconds} s mean": f"after_{seconds}_seconds.mean_change_siemens",
            f"{seconds} s sigma": f"after_{seconds}_seconds.sigma_change_siemens",
        }
    for level in (0, 4, 8, 12, 16, 20, 24):
        names[f"level {level} sigma"] = f"after_10000_seconds.level_{level}.sigma_change_siemens"
    found.pair(raw, names, fitted)
    return found


def _relaxation(folder: Path) -> Measurement:
    path = folder / "relaxdata_10k.min.tsv.gz"
    return _import([path], "table", Options(mapping="rram-relaxation"))


def data_06(folder: Path) -> DataSet:
    """Fit the resistance of a PCM cell against the voltage of a partial RESET."""
    raw = raw_figures.partial_reset(folder)
    path = folder / "partial_reset_pcm.csv"
    fitted = fit(_import([path], "table", Options(mapping="pcm-partial-reset")))
    found = DataSet("06")
    found.add("partial reset", fitted)
    names: dict[str, str] = {}
    for key in raw:
        volts, _, what = key.split(" ")
        names[key] = f"at_{volts}_volts.{what}_log10_ohms"
    found.pair(raw, names, fitted)
    return found


def data_07(folder: Path) -> DataSet:
    """Fit maps of a random resistor array, and its breakdown voltages."""
    raw = raw_figures.array_map(folder)
    found = DataSet("07")
    for name in ("input", "hidden"):
        options = Options(sheet=f"{name} weight", unit="microsiemens", kind="array_map")
        fitted = fit(_import([folder / "Figure_1.xlsx"], "xlsx", options))
        found.add(f"{name} map", fitted)
        names = {
            f"{name} open share": "open_share",
            f"{name} mean": "conducting.mean_siemens",
            f"{name} sigma": "conducting.sigma_siemens",
        }
        found.pair(raw, names, fitted)
    options = Options(kind="forming", unit="volt")
    fitted = fit(_import([folder / "Extended_Data_Figure_1.xlsx"], "xlsx", options))
    found.add("breakdown", fitted)
    names = {
        "breakdown mean": "breakdown.mean_volts",
        "breakdown sigma": "breakdown.sigma_volts",
        "breakdown distinct": "breakdown.distinct",
    }
    found.pair(raw, names, fitted)
    return found


def data_08(folder: Path) -> DataSet:
    """Fit yields and medians of printed memristors."""
    raw = raw_figures.printed_memristors(folder)
    found = DataSet("08")
    devices = fit(
        _import([folder / "processedTable.csv"], "table", Options(mapping="mos2-devices"))
    )
    found.add("devices", devices)
    names = {"dead share": "resistance_ohms.missing_share"}
    for area in (4, 36, 144, 324):
        names[f"{area} um2 median"] = f"resistance_ohms.at_{area}_square_micrometres.median"
    found.pair(raw, names, devices)
    sweeps = fit(
        _import([folder / "memeffect_sweep_aug30.csv"], "table", Options(mapping="mos2-sweeps"))
    )
    found.add("sweeps", sweeps)
    names = {
        "already on share": "switching_state.already_on.share",
        "set volts": "set_volts.median",
    }
    found.pair(raw, names, sweeps)
    return found


def data_11(folder: Path) -> DataSet:
    """Fit digitised triangles of a molecular memristor, which carry no noise."""
    raw = raw_figures.triangles(folder)
    found = DataSet("11")
    for name in ("Saturation", "NonSaturation"):
        options = Options(unit="normalised", pulses=100)
        fitted = fit(_import([folder / f"{name}Current.csv"], "digitised", options))
        found.add(name, fitted)
        model = fitted.device.model
        w = np.linspace(1.0, 4.5, 50)
        up, down = model.curves(w)
        up = model.step * (1 + min(model.up_down, 0)) * up
        down = model.step * (1 - max(model.up_down, 0)) * down
        # The slope of a line through the branch is the mean step over the time spent at each state.
        for branch, curve in (("up", up), ("down", down)):
            key = f"{name} {branch} slope"
            found.pairings.append(Pairing(key, raw[key], float(1 / np.mean(1 / curve))))
    return found


DATA: dict[str, tuple[str, Callable[[Path], DataSet]]] = {
    "01": ("01-reram-pulse-response-aihwkit", data_01),
    "02": ("02-set-reset-ramps-crosssim", data_02),
    "03": ("03-rram-techA-noise-and-bake", data_03),
    "04": ("04-rram-techB-relaxation", data_04),
    "06": ("06-pcm-partial-reset", data_06),
    "07": ("07-random-resistor-array-map", data_07),
    "08": ("08-mos2-printed-memristor-yield", data_08),
    "11": ("11-molecular-memristor-digitised", data_11),
}
"""Folder and fit of each data set."""


def _import(paths: list[Path], form: str, options: Options) -> Measurement:
    return import_files(paths, form, options).measurement


@dataclass(frozen=True)
class Ahead:
    """Errors of one-step-ahead predictions of the later ramps, root mean square, siemens.

    Attributes:
        model: of the fit to the first ramps.
        last: of looking up the step of the last ramp of that direction at the same state.
        steps: how many steps are predicted.
    """

    model: float
    last: float
    steps: int


def one_step_ahead(data: Measurement, ramps: int = RAMPS) -> dict[str, Ahead]:
    """Return how well later ramps are predicted, for set (up) and reset (down).

    The model is fitted to the first ramps of each direction and sees, in each later ramp, the reads
    so far. The look-up takes the step of the ramp of the same direction right before, which the
    model never sees, at the state just read, linear between its reads.
    """
    early = fit(data.select(data.columns["repeat"] < ramps), model="piecewise_step")
    from hwloop.characterization.fits.selection import predictions
    from hwloop.characterization.fits.traces import traces

    units = early.details["units"]
    all_traces = traces(data).mapped(units.offset, units.scale)
    errors = np.full(all_traces.values.shape, np.nan)
    for row, error, *_ in predictions(all_traces, early.details["cells"]):
        errors[row] = error
    found = {}
    for name, up in (("set", True), ("reset", False)):
        trains = np.flatnonzero(all_traces.up == up)
        trains = trains[np.argsort(all_traces.repeat[trains], kind="stable")]
        model, last = [], []
        for before, train in itertools.pairwise(trains):
            if all_traces.repeat[train] < ramps:
                continue
            values, known = all_traces.values[:, train], all_traces.values[:, before]
            values, known = values[np.isfinite(values)], known[np.isfinite(known)]
            order = np.argsort(known[:-1])
            step = np.interp(values[:-1], known[:-1][order], np.diff(known)[order])
            last.append(values[1:] - values[:-1] - step)
            model.append(errors[1 : len(values), train])
        size = [
            float(np.sqrt(np.mean(np.concatenate(part) ** 2))) * units.scale
            for part in (model, last)
        ]
        found[name] = Ahead(size[0], size[1], sum(len(part) for part in last))
    return found


def large_job(folder: Path) -> tuple[float, float, int]:
    """Import and fit data 04 in a process of its own; return seconds, megabytes and cells."""
    code = (
        "import json, resource, sys, time\n"
        "start = time.perf_counter()\n"
        "from pathlib import Path\n"
        "from hwloop.experiments.reproduce.measured_data import _relaxation\n"
        "from hwloop.characterization.fits import fit\n"
        "data = _relaxation(Path(sys.argv[1]))\n"
        "fit(data)\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000\n"
        "print(json.dumps([time.perf_counter() - start, peak, len(data.cells)]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    seconds, megabytes, cells = json.loads(ran.stdout)
    return seconds, megabytes, cells


def run(request: Request) -> Outcome:
    """Fit all data sets that are there."""
    if request.data is None:
        raise ConfigurationError(
            "measured-data needs the folder of the data sets",
            remedy="--data FOLDER, with one folder per data set: "
            + ", ".join(name for name, _ in DATA.values()),
        )
    there = {number: request.data / name for number, (name, _) in DATA.items()}
    there = {number: folder for number, folder in there.items() if folder.is_dir()}
    if not there:
        raise ConfigurationError(f"--data {request.data}: holds none of the data sets")
    checks: list[Check] = []
    notes: list[str] = [f"{n}: not there, left out" for n in DATA if n not in there]
    content: dict[str, Any] = {}
    pictures: dict[str, Figure] = {}
    for number, folder in there.items():
        request.tell(f"data {number}: {DATA[number][0]}")
        found = DATA[number][1](folder)
        checks.append(_check(found))
        notes += found.statements
        pictures |= found.pictures
        content[number] = [
            {"name": p.name, "rows": p.raw, "fit": p.fitted, "low": p.low, "high": p.high}
            for p in found.pairings
        ]
    if "02" in there:
        request.tell("data 02: one step ahead")
        ahead = one_step_ahead(crosssim(there["02"]))
        for name, one in ahead.items():
            checks.append(
                Check(
                    f"02 {name}: one-step-ahead error on ramps after the {RAMPS}th",
                    f"below that of the last ramp, {one.last * 1e6:.3f} uS",
                    f"{one.model * 1e6:.3f} uS over {one.steps} steps",
                    one.model < one.last,
                )
            )
        content["one step ahead"] = {
            name: {"model": a.model, "last": a.last, "steps": a.steps} for name, a in ahead.items()
        }
    if "04" in there:
        request.tell("data 04: time and memory")
        seconds, megabytes, cells = large_job(there["04"])
        checks.append(
            Check(
                f"04: import and fit of {cells} cells",
                f"less than {SECONDS:.0f} s and {MEGABYTES:.0f} MB",
                f"{seconds:.1f} s, {megabytes:.0f} MB",
                seconds < SECONDS and megabytes < MEGABYTES,
            )
        )
    return Outcome(tuple(checks), content, pictures, tuple(notes))


def _check(found: DataSet) -> Check:
    wrong = [p for p in found.pairings if not p.agrees]
    worst = max(found.pairings, key=lambda p: p.apart, default=None)
    note = "; ".join(
        f"{p.name}: fit {p.fitted:.4g}, rows {p.raw:.4g}"
        + (f", interval {p.low:.4g} to {p.high:.4g}" if None not in (p.low, p.high) else "")
        for p in wrong
    )
    if worst is not None and not wrong:
        note = f"worst: {worst.name}, fit {worst.fitted:.4g}, rows {worst.raw:.4g}"
    return Check(
        f"{found.number}: {len(found.pairings)} figures of the fit against the rows",
        f"within {NEAR:.0%}",
        f"{len(found.pairings) - len(wrong)} agree, largest difference "
        f"{0.0 if worst is None else worst.apart:.1%}",
        not wrong and not any(math.isnan(p.fitted) for p in found.pairings),
        note,
    )


REPRODUCTION = Reproduction(
    name="measured-data",
    what="fits of measured data of other laboratories, beside figures from their rows",
    quick="about 3 minutes",
    full="about 3 minutes",
    run=run,
    needs_data="the published data sets, one folder each",
)
