"""Device files: what is known of a device, and the model that stands for it.

`load("reram-om")` returns a preset, `load("hfo2.yaml")` a file; docs/devices.md says how to write
one.
"""

from hwloop.device_file.aihwkit import from_aihwkit
from hwloop.device_file.load import load, parse, presets, save
from hwloop.device_file.measured import (
    Column,
    Conditions,
    Instrument,
    MeasuredDevice,
    MeasurementHeader,
    Table,
)
from hwloop.device_file.models import (
    ConstantStep,
    ExponentialStep,
    LinearStep,
    Model,
    PiecewiseStep,
    PowerStep,
    Reference,
    SoftBounds,
    StepModel,
    TabulatedModel,
)
from hwloop.device_file.overrides import OVERRIDES, override
from hwloop.device_file.schema import SCHEMA_VERSION, Conductance, DeviceFile

__all__ = [
    "OVERRIDES",
    "SCHEMA_VERSION",
    "Column",
    "Conditions",
    "Conductance",
    "ConstantStep",
    "DeviceFile",
    "ExponentialStep",
    "Instrument",
    "LinearStep",
    "MeasuredDevice",
    "MeasurementHeader",
    "Model",
    "PiecewiseStep",
    "PowerStep",
    "Reference",
    "SoftBounds",
    "StepModel",
    "Table",
    "TabulatedModel",
    "from_aihwkit",
    "load",
    "override",
    "parse",
    "presets",
    "save",
]
