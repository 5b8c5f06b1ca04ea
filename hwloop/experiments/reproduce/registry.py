"""The reproductions by name; each is one module with a `REPRODUCTION`."""

from __future__ import annotations

import importlib

from hwloop.device_file.explain import nearest
from hwloop.errors import ConfigurationError
from hwloop.experiments.reproduce.base import Reproduction

MODULES: dict[str, str] = {
    "round-trip": "round_trip",
    "measured-data": "measured_data",
    "toy": "toy",
    "rasch-table1": "rasch_table1",
    "rasch-fig3": "rasch_fig3",
    "rasch-fig4": "rasch_fig4",
    "wu-exact": "wu_exact",
    "kim-zero-shift": "kim_zero_shift",
    "gdp": "gdp",
    "xiao-tracking": "xiao_tracking",
    "lammie-ranges": "lammie_ranges",
}
"""Modules of this package by the names of what they show."""


def load(name: str) -> Reproduction:
    """Return a reproduction by its name.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name not in MODULES:
        near = nearest(name, MODULES)
        raise ConfigurationError(
            f"{name}: no reproduction has this name",
            remedy=(f"did you mean {near}? " if near else "") + f"names: {', '.join(MODULES)}",
        )
    module = importlib.import_module(f"hwloop.experiments.reproduce.{MODULES[name]}")
    reproduction: Reproduction = module.REPRODUCTION
    return reproduction
