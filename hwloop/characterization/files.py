"""Files of measured data: a YAML or JSON header with a table of numbers beside it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO

from hwloop.characterization.columns import as_column
from hwloop.characterization.measurement import Measurement
from hwloop.characterization.tables import (
    MOST_CSV_ROWS,
    read_table,
    sha256_of,
    write_csv,
    write_hdf5,
)
from hwloop.device_file import MeasurementHeader, Table
from hwloop.device_file import text as yaml_text
from hwloop.device_file.load import SUFFIXES, parse_measured, read_text
from hwloop.device_file.problems import FileError, Problem
from hwloop.errors import ConfigurationError


def load(path: str | os.PathLike[str]) -> Measurement:
    """Return the measured data that a header file and its table hold.

    The table is the one whose SHA-256 the header states; every value is finite or, where a column
    allows it, NaN, and within the bounds of its column. `check` says more.

    Raises:
        FileError: what is wrong with header or table, all problems of the first stage that fails.
    """
    source = Path(path)
    header = parse_measured(read_text(source), source.name)
    return Measurement(header, read_table(source.parent, header, source.name))


def save(measurement: Measurement, path: str | os.PathLike[str]) -> MeasurementHeader:
    """Write measured data as `NAME.yaml` or `.json` with `NAME.table.csv` or `.h5` beside it.

    Both are written under other names and renamed when complete; `load` returns equal data. The
    table is CSV up to `MOST_CSV_ROWS` rows, HDF5 above.

    Returns:
        The header as written, with its table.

    Raises:
        FileError: values that `load` would refuse.
        ConfigurationError: another suffix, or a file that cannot be written.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise ConfigurationError(
            f"{target.name}: the name of a device file should end in {', '.join(SUFFIXES)}"
        )
    _check(measurement, target.name)
    large = measurement.rows > MOST_CSV_ROWS
    name = f"{target.stem}.table.{'h5' if large else 'csv'}"
    columns = {column: measurement.columns[column] for column in measurement.header.column_names}
    try:
        with contextlib.ExitStack() as stack:
            write = write_hdf5 if large else write_csv
            table = _written(stack, target.parent / name, lambda file: write(file, columns))
            header = measurement.header.model_copy(
                update={
                    "table": Table(
                        file=name,
                        format="hdf5" if large else "csv",
                        rows=measurement.rows,
                        sha256=sha256_of(table),
                    )
                }
            )
            content = header.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
            content = {"schema_version": header.schema_version, "kind": header.kind, **content}
            if target.suffix == ".json":
                text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            else:
                text = yaml_text.dump(content)
            parse_measured(text, target.name)  # what is written can be read
            written = _written(stack, target, lambda file: file.write(text.encode()))
            # The table goes first: a header never names a table that is not there.
            table.replace(target.parent / name)
            written.replace(target)
    except OSError as error:
        raise ConfigurationError(f"{target}: cannot be written: {error.strerror}") from None
    return header


def _check(measurement: Measurement, where: str) -> None:
    problems: list[Problem] = []
    names = measurement.header.column_names
    for name in sorted(set(names) ^ set(measurement.columns)):
        expected = "is missing" if name in names else "is no column of the header"
        problems.append(Problem(name, "", expected))
    if not problems:
        for name in names:
            values = measurement.columns[name]
            if values.shape != (measurement.rows,):
                expected = f"should be ({measurement.rows},), as the first column"
                problems.append(Problem(name, f"shape {values.shape}", expected))
            as_column(name, values, problems)
    if not problems and measurement.rows == 0:
        problems.append(Problem("table", "no rows", "should hold at least one row"))
    if problems:
        raise FileError(where, problems)


def _written(
    stack: contextlib.ExitStack, target: Path, write: Callable[[IO[bytes]], object]
) -> Path:
    """Write a file under another name in the folder of its target; it goes with the stack."""
    written = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    stack.callback(written.unlink, missing_ok=True)
    with written.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    return written
