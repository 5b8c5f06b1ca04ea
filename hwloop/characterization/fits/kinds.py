"""The fits of all kinds but pulse responses."""

from __future__ import annotations

from collections.abc import Callable

from hwloop.characterization.fits.amplitude_response import fit_amplitude_response
from hwloop.characterization.fits.array_map import fit_array_map, fit_forming
from hwloop.characterization.fits.read_noise import fit_read_noise
from hwloop.characterization.fits.result import Fit
from hwloop.characterization.fits.retention import fit_retention
from hwloop.characterization.fits.simple import (
    fit_converter_calibration,
    fit_endurance,
    fit_iv,
    fit_symmetry_point,
    fit_write_verify,
)
from hwloop.characterization.fits.summary import fit_summary
from hwloop.characterization.measurement import Measurement
from hwloop.device_file import DeviceFile

KINDS: dict[str, Callable[[Measurement, DeviceFile | None], Fit]] = {
    "amplitude_response": fit_amplitude_response,
    "array_map": fit_array_map,
    "converter_calibration": fit_converter_calibration,
    "endurance": fit_endurance,
    "forming": fit_forming,
    "iv": fit_iv,
    "read_noise": fit_read_noise,
    "retention": fit_retention,
    "summary": fit_summary,
    "symmetry_point": fit_symmetry_point,
    "write_verify": fit_write_verify,
}
"""Fits by kind of data."""
