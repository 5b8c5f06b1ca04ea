"""CSV files of PyMeasure: commented procedure and parameters, columns with units in brackets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hwloop.characterization.importers.facts import Facts
from hwloop.characterization.importers.fields import Layout, Reader
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.importers.units import STATES, unit
from hwloop.characterization.measurement import Measurement
from hwloop.device_file.quantities import COLUMNS
from hwloop.errors import ConfigurationError

KINDS = ("iv", "read_noise", "retention")
"""Kinds that the columns of such a file can stand for without a mapping."""

_COLUMN = re.compile(r"(.+?)\s*\(([^()]+)\)\s*")
_ROLES = {"V": "read_volts", "s": "time_seconds", "K": "temperature_kelvin"}


def read(sources: Sequence[Source], facts: Facts) -> Measurement:
    """Return the sweeps or reads of one cell.

    Raises:
        ConfigurationError: columns without units or with units that leave their role open, or
            `--kind` is not given.
    """
    (source,) = sources
    kind = facts.need("kind", "what was measured", "iv (or read_noise, retention)")
    if kind not in KINDS:
        raise ConfigurationError(
            f"--kind {kind}: the format pymeasure gives {', '.join(KINDS)}",
            remedy="import other kinds with --format table and a mapping",
        )
    reader = Reader(source, Layout(named=True, comment="#"))
    for line in reader.comments():
        key, colon, value = line.strip().partition(":")
        if colon and value.strip():
            facts.notes[key.strip()] = value.strip()
    columns: dict[str, Any] = {"cell": 0}
    if kind == "iv":
        columns["repeat"] = 0
        columns["sequence"] = 0
    values = reader.numbers(range(len(reader.names)))
    for i, name in enumerate(reader.names):
        column, factor, offset = _column(name, source)
        if column in columns:
            raise ConfigurationError(
                f"{source.name}: column {name!r}: a second column of {COLUMNS[column].unit}",
                remedy="import it with --format table and a mapping",
            )
        columns[column] = (values[:, i] + offset) * factor
    if kind == "iv":
        columns["sequence"] = np.arange(len(values))
    states = [name for name in columns if name in STATES.values()]
    if len(states) > 1:
        raise ConfigurationError(
            f"{source.name}: has columns of {' and '.join(states)}; one is the measured one",
            remedy="import it with --format table and a mapping",
        )
    if states == ["current_amperes"] and "read_volts" not in columns:
        facts.read_volts()
    return facts.finish(kind, columns)


def _column(name: str, source: Source) -> tuple[str, float, float]:
    match = _COLUMN.fullmatch(name)
    if match is None:
        raise ConfigurationError(
            f"{source.name}: column {name!r}: has no unit in brackets",
            remedy="import it with --format table and a mapping that gives the unit",
        )
    found = unit(match[2])
    column = STATES.get(found.base) or _ROLES.get(found.base)
    if column is None:
        raise ConfigurationError(
            f"{source.name}: column {name!r}: its unit leaves open what it is",
            remedy="import it with --format table and a mapping",
        )
    return column, found.factor, found.offset
