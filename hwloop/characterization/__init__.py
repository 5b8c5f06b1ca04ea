"""Characterization: measuring devices, importing, checking and fitting what was measured.

data = characterization.measure(chip[0], "pulse_response", pulses=200)
characterization.fit(data).save("hfo2.yaml")
"""

from hwloop.characterization.checks import check, require
from hwloop.characterization.files import load, save
from hwloop.characterization.fits import Fit, fit
from hwloop.characterization.measurement import Measurement, measurement
from hwloop.characterization.plans import MeasurementInterrupted, measure

__all__ = [
    "Fit",
    "Measurement",
    "MeasurementInterrupted",
    "check",
    "fit",
    "load",
    "measure",
    "measurement",
    "require",
    "save",
]
