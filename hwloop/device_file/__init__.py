"""Device files: what is known of a device, and the model that stands for it.

`load("reram-om")` returns a preset, `load("hfo2.yaml")` a file; docs/devices.md says how to write
one.
"""

from hwloop.device_file.aihwkit import from_aihwkit
from hwloop.device_file.cells import Cells, CellTable, write_cells
from hwloop.device_file.dynamics import Drift, ReadNoise, Relaxation, Telegraph
from hwloop.device_file.fitted import Estimate, FitBlock
from hwloop.device_file.load import load, load_station, parse, presets, save
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
from hwloop.device_file.problems import FileError, Problem
from hwloop.device_file.schema import SCHEMA_VERSION, Conductance, DeviceFile
from hwloop.device_file.station import ConverterCalibration, LineMap, Link, Station

__all__ = [
    "OVERRIDES",
    "SCHEMA_VERSION",
    "CellTable",
    "Cells",
    "Column",
    "Conditions",
    "Conductance",
    "ConstantStep",
    "ConverterCalibration",
    "DeviceFile",
    "Drift",
    "Estimate",
    "ExponentialStep",
    "FileError",
    "FitBlock",
    "Instrument",
    "LineMap",
    "LinearStep",
    "Link",
    "MeasuredDevice",
    "MeasurementHeader",
    "Model",
    "PiecewiseStep",
    "PowerStep",
    "Problem",
    "ReadNoise",
    "Reference",
    "Relaxation",
    "SoftBounds",
    "Station",
    "StepModel",
    "Table",
    "TabulatedModel",
    "Telegraph",
    "from_aihwkit",
    "load",
    "load_station",
    "override",
    "parse",
    "presets",
    "save",
    "write_cells",
]
