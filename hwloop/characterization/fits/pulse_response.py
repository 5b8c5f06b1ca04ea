"""Fits of pulse responses: step curves of every cell, noise, and how the cells differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hwloop.capabilities import PolarityShape, PulseShape
from hwloop.characterization.fits.cell_table import cell_table
from hwloop.characterization.fits.cells import CellFits, fit_cells
from hwloop.characterization.fits.curves import FAMILIES, SIZE
from hwloop.characterization.fits.filter import Noise
from hwloop.characterization.fits.model import (
    SymmetryPoint,
    few_cells,
    fitted_model,
    symmetry_interval,
    symmetry_point,
)
from hwloop.characterization.fits.population import FEWEST_CELLS, Population, fit_population
from hwloop.characterization.fits.result import Fit, block, unknown
from hwloop.characterization.fits.selection import (
    AUTOMATIC,
    MOST_CELLS,
    Candidate,
    choose,
    held,
    lag_1,
    standardised,
    with_noise,
)
from hwloop.characterization.fits.simulate import corrected
from hwloop.characterization.fits.traces import Traces, traces
from hwloop.characterization.fits.units import DeviceUnits, device_units
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import Conductance, DeviceFile, Estimate, Model, StepModel
from hwloop.errors import ConfigurationError

Floats = NDArray[np.float64]
Tell = Callable[[str], None]

MODELS = ("auto", "constant_step", *AUTOMATIC)
"""Values of `model`."""

COPIES = 4
"""Simulated data sets behind the correction of the shared parameters."""

_CORRELATED = 0.1


def fit_pulse_response(
    measurement: Measurement,
    *,
    model: str = "auto",
    base: DeviceFile | None = None,
    conductance: Conductance | None = None,
    read_noise: float | None = None,
    read_noise_error: float = 0.0,
    cells: Sequence[int] | None = None,
    progress: Tell | None = None,
) -> Fit:
    """Fit step curves, noise and distributions of the cells to pulse responses.

    Args:
        measurement: the data.
        model: a family of `MODELS`; `auto` takes what predicts held-out reads best.
        base: device file whose units, shapes, limits and other fields are kept.
        conductance: units of the device file; those of the base, else the range of the data.
        read_noise: standard deviation of one value by reads alone, in the units of
            `measurement.state`; without it, write noise is not told apart from read noise.
        read_noise_error: its standard error.
        cells: numbers of the cells to fit; all by default.
        progress: is told what goes on.

    Raises:
        ConfigurationError: no trains, an unknown model, or cells that are not there.
    """
    if model not in MODELS:
        raise ConfigurationError(
            f"model {model!r}: is not known", remedy=f"use one of {', '.join(MODELS)}"
        )
    tell = progress or (lambda text: None)
    raw = _chosen(traces(measurement), cells)
    units = device_units(measurement, raw, base=base, conductance=conductance)
    data = raw.mapped(units.offset, units.scale)
    noisy = measurement.header.conditions.noise_in_values
    stuck = _stuck(data)
    moving = data.of_cells(np.flatnonzero(~stuck)) if stuck.any() else data
    if not len(moving.cells):
        raise ConfigurationError(f"{measurement.header.name}: no cell follows its pulses")
    fits, tried = _cells(moving, model, noisy, tell)
    fits, population, inflation = _distributions(moving, fits, tell)
    corrupt = float(stuck.mean()) if len(data.cells) >= FEWEST_CELLS else 0.0
    variance = None if read_noise is None else (read_noise / units.scale) ** 2
    variance_error = 2 * (read_noise or 0.0) * read_noise_error / units.scale**2
    fitted, estimates = fitted_model(
        fits,
        population,
        read_variance=variance if noisy else None,
        read_variance_error=variance_error,
        corrupt=corrupt,
        shared_inflation=inflation,
    )
    if not noisy:
        fitted, estimates = _without_noise(fitted, estimates)
    if len(data.cells) >= FEWEST_CELLS:
        estimates["corrupt_probability"] = _share(int(stuck.sum()), len(stuck))
    point = symmetry_point(fitted)
    residuals = _residuals(moving, fits)
    warnings = _warnings(estimates, point, fits, residuals, noisy, tried)
    figures = {**_figures(point, fitted, estimates), **_noise_figures(fits)}
    goodness = {
        "log_likelihood": fits.log_likelihood,
        "reads": float(moving.reads),
        "residual_variance": residuals["variance"],
        "residual_lag_1": residuals["lag_1"],
        **{f"held_out.{c.kind}.{c.noise}": c.held_out for c in tried},
    }
    made = block(
        measurement,
        parameters={f"model.{name}": estimate for name, estimate in estimates.items()},
        figures=figures,
        goodness=goodness,
        warnings=tuple(warnings),
    )
    device = _device(measurement, fitted, units, base, made)
    table = cell_table(measurement, data, stuck, fits, fitted)
    if table is not None:
        device = device.with_cells(table)
    details: dict[str, Any] = {
        "traces": moving,
        "cells": fits,
        "population": population,
        "units": units,
        "candidates": tried,
        "symmetry_point": point,
    }

    def draw() -> Any:
        from hwloop.characterization.fits.plots import pulse_response

        return pulse_response(moving, fits, fitted, units)

    return Fit("pulse_response", made, device, draw, details)


def _chosen(data: Traces, cells: Sequence[int] | None) -> Traces:
    if cells is None:
        return data
    index = {int(number): i for i, number in enumerate(data.cells)}
    missing = [number for number in cells if number not in index]
    if missing:
        raise ConfigurationError(
            f"cells: {missing[0]}: the data has no trains of this cell",
            remedy=f"it has {len(index)} cells, {data.cells[0]} to {data.cells[-1]}",
        )
    return data.of_cells([index[number] for number in cells])


def _stuck(data: Traces) -> NDArray[np.bool_]:
    """Return which cells do not follow their pulses, beside cells that do.

    A cell is stuck if the ends of its trains up and down differ by less than a twentieth of what
    is usual and by less than four standard errors.
    """
    reach = np.full(len(data.cells), np.nan)
    error = np.full(len(data.cells), np.nan)
    for cell in range(len(data.cells)):
        ends: dict[bool, list[Floats]] = {True: [], False: []}
        for train in np.flatnonzero(data.cell == cell):
            values = data.values[:, train]
            values = values[np.isfinite(values)]
            ends[bool(data.up[train])].append(values[-max(len(values) // 5, 1) :])
        if ends[True] and ends[False]:
            up, down = np.concatenate(ends[True]), np.concatenate(ends[False])
            reach[cell] = abs(up.mean() - down.mean())
            error[cell] = math.sqrt(up.var() / len(up) + down.var() / len(down))
    usual = np.nanmedian(reach) if np.isfinite(reach).any() else np.nan
    with np.errstate(invalid="ignore"):
        return (reach < 0.05 * usual) & (reach < 4 * error)


def _cells(data: Traces, model: str, noisy: bool, tell: Tell) -> tuple[CellFits, list[Candidate]]:
    """Return the fit of all cells with the best family and noise, and the families tried."""
    kinds = AUTOMATIC if model == "auto" else (model,)
    if len(kinds) == 1 and len(data.cells) > MOST_CELLS:
        tell(f"{model}, additive noise: {len(data.cells)} cells")
        frozen = held(model, len(data.cells), noisy)
        fits = fit_cells(data, FAMILIES[model], noise=Noise(), frozen=frozen)
        tried: list[Candidate] = []
    else:
        chosen, tried = choose(data, kinds, tell, noisy=noisy)
        tell(f"{chosen.kind}, {chosen.noise} noise: {len(data.cells)} cells")
        start = chosen.fit if len(chosen.fit.own) == len(data.cells) else None
        family = FAMILIES[chosen.kind]
        frozen = held(chosen.kind, len(data.cells), noisy)
        fits = fit_cells(data, family, noise=chosen.noise, start=start, frozen=frozen)
    return (with_noise(data, fits, tell) if noisy else fits), tried


def _distributions(data: Traces, fits: CellFits, tell: Tell) -> tuple[CellFits, Population, float]:
    """Return cells, distributions, and the factor on the variance of the shared parameters."""
    if len(data.cells) < FEWEST_CELLS:
        return fits, few_cells(fits), 1.0
    log_normal = None
    for number in range(2):
        tell(f"{fits.family.kind}: distributions of the cells")
        population = _population(fits, log_normal, errors=False)
        log_normal = population.log_normal
        fits = fit_cells(
            data,
            fits.family,
            noise=fits.noise,
            start=fits,
            prior=population.prior(fits.own.shape[1]),
            rounds=6 - 2 * number,
        )
    tell(f"{fits.family.kind}: what the approximations cost")
    fits = corrected(data, fits, copies=COPIES)
    return fits, _population(fits, log_normal, errors=True), 1 + 1 / COPIES


def _population(fits: CellFits, log_normal: bool | None, *, errors: bool) -> Population:
    """Return the distributions, of the likelier kind unless it is given."""
    kinds = (True, False) if log_normal is None else (log_normal,)
    both = [fit_population(fits, log_normal=kind, errors=errors) for kind in kinds]
    return max(both, key=lambda population: population.log_likelihood)


def _without_noise(
    model: StepModel, estimates: dict[str, Estimate]
) -> tuple[StepModel, dict[str, Estimate]]:
    why = "the values carry no noise of the device: points read off a plot, or smoothed"
    changed = dict(estimates)
    for name in ("cycle_noise", "write_noise"):
        changed[name] = unknown(why)
    return model.model_copy(update={"cycle_noise": 0.0, "write_noise": 0.0}), changed


def _share(found: int, count: int) -> Estimate:
    """Return a share with the interval of Wilson (1927)."""
    from hwloop.characterization.fits.shares import wilson

    low, high = wilson(found, count)
    return Estimate(value=found / count, low=low, high=high)


def _residuals(data: Traces, fits: CellFits) -> dict[str, float]:
    """Return variance and lag-1 correlation of the standardised one-step-ahead errors."""
    z = standardised(data, fits)
    pairs = float((np.isfinite(z[1:]) & np.isfinite(z[:-1])).sum())
    return {"variance": float(np.nanvar(z)), "lag_1": lag_1(data, fits), "pairs": pairs}


def _warnings(
    estimates: dict[str, Estimate],
    point: SymmetryPoint,
    fits: CellFits,
    residuals: dict[str, float],
    noisy: bool,
    tried: list[Candidate],
) -> list[str]:
    found = [
        f"model.{name}: not identified: {estimate.why}"
        for name, estimate in estimates.items()
        if not estimate.identified
    ]
    if point.state is None:
        found.append("up and down steps are equal in no state: there is no symmetry point")
    elif not point.stable:
        found.append(
            "the symmetry point is unstable: steps grow away from it, so alternating pulses lead "
            "to a bound and not to it; zero-shifting does not apply"
        )
    if len(fits.own) < FEWEST_CELLS:
        found.append(
            f"{len(fits.own)} {'cell' if len(fits.own) == 1 else 'cells'}: how cells differ is "
            f"not known, all spreads are 0 (from {FEWEST_CELLS} cells on they are fitted)"
        )
    if not fits.converged:
        found.append("the fit has not settled: some figures may still move")
    if noisy and abs(residuals["lag_1"]) > max(
        _CORRELATED, 4 / math.sqrt(max(residuals["pairs"], 1))
    ):
        found.append(
            f"one-step-ahead errors correlate by {residuals['lag_1']:.2f} from read to read: the "
            "noise has a memory that the model lacks"
        )
    return found


def _figures(
    point: SymmetryPoint, model: StepModel, estimates: dict[str, Estimate]
) -> dict[str, Estimate]:
    if point.state is None:
        return {"symmetry_point_units": unknown("the curves do not meet")}
    intervals = symmetry_interval(model, estimates)
    (low, high), (least, most) = intervals or ((None, None), (None, None))
    if not point.stable:
        why = "unstable: the steps grow away from it"
        return {
            "symmetry_point_units": unknown(why),
            "crossing_units": Estimate(value=point.state, low=low, high=high, why=why),
            "crossing_step_units": Estimate(value=point.step, low=least, high=most, why=why),
        }
    return {
        "symmetry_point_units": Estimate(value=point.state, low=low, high=high),
        "symmetry_point_step_units": Estimate(value=point.step, low=least, high=most),
    }


def _noise_figures(fits: CellFits) -> dict[str, Estimate]:
    """Return the noise of the reads that the fitted model gives, in device units."""
    read = math.exp(fits.shared[1])
    size = float(np.median(np.exp(fits.own[:, SIZE])))
    accumulated = (math.exp(fits.shared[0]) * size) ** 2
    remembered = memory = 0.0
    if fits.noise.memory:
        remembered, memory = math.exp(fits.shared[2]), math.exp(-math.exp(fits.shared[3]))
    difference = read + remembered * (1 - memory) + accumulated / 2
    return {
        "forgotten_noise_units": Estimate(value=math.sqrt(read)),
        "remembered_noise_units": Estimate(value=math.sqrt(remembered)),
        "noise_of_differences_units": Estimate(
            value=math.sqrt(difference),
            why="standard deviation of the difference of two reads a pulse apart, over root 2",
        ),
        "noise_around_the_curve_units": Estimate(
            value=math.sqrt(read + remembered),
            why="standard deviation of a read around the state, without what accumulates",
        ),
    }


def _device(
    measurement: Measurement,
    model: StepModel,
    units: DeviceUnits,
    base: DeviceFile | None,
    made: Any,
) -> DeviceFile:
    header = measurement.header
    sources = {"fit": f"fit of {made.data}"}
    provenance = {"model": "fit: hwloop device fit", "conductance": units.provenance}
    if base is not None:
        base = base.with_cells(None)  # its cells were others
        keep = {
            name: getattr(base.model, name)
            for name in ("reference", "relaxation", "drift", "read_noise", "telegraph")
            if getattr(base.model, name, None) is not None
        }
        model = type(model).model_validate({**model.model_dump(), **keep})
        return DeviceFile.model_validate(
            {
                **base.content(),
                "model": model.model_dump(mode="json"),
                "sources": {**base.sources, **sources},
                "provenance": {
                    **{k: v for k, v in base.provenance.items() if not k.startswith("model")},
                    **provenance,
                },
                "measured": {},
                "conductance": units.conductance,
                "fit": made,
            }
        )
    shapes = dict(header.shapes)
    if not shapes:
        pulse = {"width_seconds": 1e-6}
        shapes = {
            "set": PulseShape(
                up=PolarityShape(amplitude_volts=1.0, **pulse),
                down=PolarityShape(amplitude_volts=-1.0, **pulse),
            )
        }
        provenance["shapes"] = "assumed: the data states no pulse"
        conductance = units.conductance.model_copy(update={"normalised": True})
    else:
        provenance["shapes"] = "fit: as measured"
        conductance = units.conductance
    return DeviceFile(
        name=f"{header.name} (fit)"[:200],
        description=f"Fitted to {made.data}.",
        technology=header.technology,
        sources={**header.sources, **sources},
        provenance=provenance,
        conductance=conductance,
        shapes=shapes,
        limits=header.limits,
        model=cast(Model, model),
        fit=made,
    )
