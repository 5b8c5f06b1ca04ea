"""Measurement plans: what is done to cells, and the data that it gives.

A plan is a frozen set of parameters that makes operations and looks at nothing but their results,
so that it runs on any array.
"""

from hwloop.characterization.plans.base import Plan, Step
from hwloop.characterization.plans.converter_calibration import Calibrated, calibrate
from hwloop.characterization.plans.measure import MeasurementInterrupted, measure
from hwloop.characterization.plans.parameters import PLANS, make_plan
from hwloop.characterization.plans.rehearsal import Rehearsal, rehearse
from hwloop.characterization.plans.run import Measuring, Progress

__all__ = [
    "PLANS",
    "Calibrated",
    "MeasurementInterrupted",
    "Measuring",
    "Plan",
    "Progress",
    "Rehearsal",
    "Step",
    "calibrate",
    "make_plan",
    "measure",
    "rehearse",
]
