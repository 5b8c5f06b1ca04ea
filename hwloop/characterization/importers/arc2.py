"""HDF5 files of ArC TWO's control program, format 0.1 and 0.2: a time series per cross-point.

A group `/crosspoints/WxxByy` holds `timeseries`, a table of current, voltage, pulse width, read
voltage (amperes, volts, seconds) and kind of operation, of which the first `NROWS` rows count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.importers.facts import Facts
from hwloop.characterization.importers.history import finish_history
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.measurement import Measurement
from hwloop.characterization.tables import dataset_fault
from hwloop.device_file.explain import short
from hwloop.device_file.problems import FileError, Problem
from hwloop.errors import ConfigurationError

FIELDS = ("current", "voltage", "pulse_width", "read_voltage", "op_type")
"""Fields of a time series."""

NEWEST = (0, 2)
"""Newest version of the format that is read."""

MOST_ROWS = 1 << 26
"""Rows of all time series together that are read."""

_READ, _PULSE = 1, 2
_POINT = re.compile(r"W(\d+)B(\d+)")


def read(sources: Sequence[Source], facts: Facts) -> Measurement:
    """Return the histories of all cross-points of a file.

    A pulse without a read has no value.

    Raises:
        ConfigurationError: another form or a newer version, or `--kind` is not given.
    """
    import h5py

    (source,) = sources
    try:
        with h5py.File(source.path, "r") as store:
            _check_version(store, source)
            points = _group(store, "crosspoints", source)
            series = {name: _series(points, name, source) for name in sorted(points)}
    except OSError as error:
        raise ConfigurationError(f"{source.name}: is no HDF5 file: {short(str(error))}") from None
    series = {name: rows for name, rows in series.items() if len(rows)}
    if not series:
        raise ConfigurationError(f"{source.name}: holds no rows of any cross-point")
    lengths = [len(rows) for rows in series.values()]
    places = np.array([_place(name, source) for name in series], dtype=np.int64)
    table = np.concatenate(list(series.values()))
    operation = table["op_type"].astype(np.int64)
    current = np.where(operation & _READ, table["current"], np.nan)
    volts = table["read_voltage"].astype(np.float64)
    current[volts == 0] = np.nan  # nothing was read at 0 V
    amplitude = np.where(operation & _PULSE, table["voltage"], 0)
    return finish_history(
        facts,
        row=np.repeat(places[:, 0], lengths),
        col=np.repeat(places[:, 1], lengths),
        amplitude=amplitude.astype(np.float64),
        width=np.where(operation & _PULSE, table["pulse_width"], 0).astype(np.float64),
        state={"current_amperes": current.astype(np.float64)},
        read_volts=volts,
    )


def is_format(path: Path) -> bool:
    """Return whether an HDF5 file states a version of this format."""
    import h5py

    try:
        with h5py.File(path, "r") as store:
            return "H5DS_VERSION_MAJOR" in store.attrs
    except OSError:
        return False


def _check_version(store: Any, source: Source) -> None:
    try:
        version = tuple(int(store.attrs[f"H5DS_VERSION_{part}"]) for part in ("MAJOR", "MINOR"))
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError(
            f"{source.name}: states no version of ArC TWO's format",
            remedy="import other HDF5 files with --format table and a mapping",
        ) from None
    if version > NEWEST:
        raise ConfigurationError(
            f"{source.name}: is of version {version[0]}.{version[1]}; up to "
            f"{NEWEST[0]}.{NEWEST[1]} is read"
        )


def _group(store: Any, name: str, source: Source) -> Any:
    import h5py

    if not isinstance(store.get(name, getlink=True), h5py.HardLink):
        raise FileError(source.name, [Problem(name, "", "is missing, or a link to elsewhere")])
    group = store[name]
    if not isinstance(group, h5py.Group):
        raise FileError(source.name, [Problem(name, "", "should be a group")])
    return group


def _series(points: Any, name: str, source: Source) -> NDArray[Any]:
    point = _group(points, name, source)
    where = f"crosspoints/{short(name)}/timeseries"
    if "timeseries" not in point:
        raise FileError(source.name, [Problem(where, "", "is missing")])
    fault = dataset_fault(point, "timeseries", None, fields=FIELDS)
    if fault:
        raise FileError(source.name, [Problem(where, *fault)])
    dataset = point["timeseries"]
    try:
        rows = int(dataset.attrs["NROWS"])
    except (KeyError, TypeError, ValueError):
        raise FileError(
            source.name, [Problem(where, "", "states no number of rows, NROWS")]
        ) from None
    if not 0 <= rows <= min(dataset.shape[0], MOST_ROWS):
        expected = f"should be 0 to {min(dataset.shape[0], MOST_ROWS)}"
        raise FileError(source.name, [Problem(f"{where}.NROWS", str(rows), expected)])
    return np.asarray(dataset[:rows])


def _place(name: str, source: Source) -> tuple[int, int]:
    match = _POINT.fullmatch(name)
    if match is None:
        expected = "should be named as W03B05"
        raise FileError(source.name, [Problem("crosspoints", short(name), expected)])
    return int(match[1]), int(match[2])
