"""`fit`: the fit that suits a kind of data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from hwloop.characterization.fits.result import Fit
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import Conductance, DeviceFile
from hwloop.errors import ConfigurationError


def fit(
    measurement: Measurement,
    *,
    model: str = "auto",
    base: DeviceFile | None = None,
    conductance: Conductance | None = None,
    read_noise: Measurement | float | None = None,
    cells: Sequence[int] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Fit:
    """Fit measured data of any kind.

    Pulse responses make a whole device model; read noise, retention and array maps make a part of
    one, which is put into `base` where that is given; other kinds make figures.

    Args:
        measurement: the data.
        model: family of step curves for pulse responses; `auto` takes what predicts held-out reads
            best.
        base: device file whose units, pulse shapes, limits and other parts are kept.
        conductance: device units of the result; those of the base, else the range of the data.
        read_noise: noise of one value by reads alone, measured on untouched cells with the same
            averaging, or its standard deviation in the units of `measurement.state`; with it, the
            write noise of pulse responses is told apart.
        cells: numbers of the cells to fit; all by default.
        progress: is told what goes on.

    Raises:
        ConfigurationError: the data cannot be fitted, or an option does not fit its kind.
    """
    if measurement.kind == "pulse_response":
        from hwloop.characterization.fits.pulse_response import fit_pulse_response

        noise, error = _read_noise(read_noise)
        return fit_pulse_response(
            measurement,
            model=model,
            base=base,
            conductance=conductance,
            read_noise=noise,
            read_noise_error=error,
            cells=cells,
            progress=progress,
        )
    from hwloop.characterization.fits.kinds import KINDS

    if measurement.kind not in KINDS:
        raise ConfigurationError(
            f"{measurement.header.name}: {measurement.kind} data has no fit",
            remedy=f"kinds with one: pulse_response, {', '.join(KINDS)}",
        )
    if model != "auto":
        raise ConfigurationError(f"model {model}: {measurement.kind} data has no step curves")
    if cells is not None:
        measurement = measurement.select(np.isin(measurement.columns["cell"], list(cells)))
    return KINDS[measurement.kind](measurement, base)


def _read_noise(given: Measurement | float | None) -> tuple[float | None, float]:
    """Return the standard deviation of a value within cells, and its standard error."""
    if given is None or isinstance(given, int | float):
        return given, 0.0
    if given.kind != "read_noise":
        raise ConfigurationError(
            f"read_noise: {given.header.name} is {given.kind} data",
            remedy="measure it: hwloop device measure read_noise",
        )
    squares, freedom = 0.0, 0
    for _, cell in given.by_cell():
        values = cell.state[np.isfinite(cell.state)]
        squares += float(((values - values.mean()) ** 2).sum())
        freedom += len(values) - 1
    deviation = math.sqrt(squares / max(freedom, 1))
    return deviation, deviation / math.sqrt(2 * max(freedom, 1))
