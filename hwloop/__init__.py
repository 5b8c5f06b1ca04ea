"""hwloop: one training controller for simulated, emulated and physical crossbar arrays."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hwloop import nn as nn
    from hwloop.backend import BlockingBackend as BlockingBackend
    from hwloop.capabilities import Capabilities as Capabilities
    from hwloop.capabilities import Configuration as Configuration
    from hwloop.capabilities import Converter as Converter
    from hwloop.capabilities import Limits as Limits
    from hwloop.capabilities import PolarityShape as PolarityShape
    from hwloop.capabilities import PulseShape as PulseShape
    from hwloop.capabilities import TileCapabilities as TileCapabilities
    from hwloop.crossbar import Chip as Chip
    from hwloop.crossbar import connect as connect
    from hwloop.errors import CrossbarError as CrossbarError
    from hwloop.operations import Plane as Plane
    from hwloop.run import load_run as load_run
    from hwloop.weights import WeightMap as WeightMap

_HOMES = {
    "BlockingBackend": "hwloop.backend",
    "Capabilities": "hwloop.capabilities",
    "Chip": "hwloop.crossbar",
    "Configuration": "hwloop.capabilities",
    "Converter": "hwloop.capabilities",
    "CrossbarError": "hwloop.errors",
    "Limits": "hwloop.capabilities",
    "Plane": "hwloop.operations",
    "PolarityShape": "hwloop.capabilities",
    "PulseShape": "hwloop.capabilities",
    "TileCapabilities": "hwloop.capabilities",
    "WeightMap": "hwloop.weights",
    "connect": "hwloop.crossbar",
    "load_run": "hwloop.run",
}
_SUBPACKAGES = {
    "characterization",
    "conformance",
    "controllers",
    "device_file",
    "errors",
    "nn",
    "operations",
    "procedures",
}

__all__ = ["__version__", "nn", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that driving a chip loads no torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"hwloop.{name}")
    raise AttributeError(f"module 'hwloop' has no attribute {name!r}")
