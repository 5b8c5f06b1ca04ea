"""Tables of measured data on disk, as CSV or HDF5: written plainly, read with suspicion."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.columns import as_column
from hwloop.device_file import MeasurementHeader
from hwloop.device_file.explain import short
from hwloop.device_file.problems import FileError, Problem

MOST_CSV_ROWS = 200_000
"""Rows of the largest table that is written as CSV; larger ones become HDF5."""

LARGEST_TABLE = 1 << 30
"""Bytes of the largest table that is read."""

MOST_VALUES = 1 << 27
"""Values, rows times columns, of the largest table that is read."""

LARGEST_CHUNK = 64 << 20
"""Bytes that a chunk of an HDF5 dataset may unpack to."""

MOST_PROBLEMS = 20
"""Problems after which no further ones are looked for in a table of text."""

_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}
_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_csv(file: IO[bytes], columns: Mapping[str, NDArray[Any]]) -> None:
    """Write a line of names, then one line per row; numbers read back to the same bits."""
    file.write((",".join(columns) + "\n").encode())
    rows = len(next(iter(columns.values())))
    for start in range(0, rows, 10_000):
        block = [column[start : start + 10_000].tolist() for column in columns.values()]
        text = "".join(",".join(map(repr, row)) + "\n" for row in zip(*block, strict=True))
        file.write(text.encode())


def write_hdf5(file: IO[bytes], columns: Mapping[str, NDArray[Any]]) -> None:
    """Write one compressed dataset per column."""
    import h5py

    with h5py.File(file, "w") as store:
        for name, values in columns.items():
            store.create_dataset(name, data=values, compression="gzip", shuffle=True)


def read_table(folder: Path, header: MeasurementHeader, where: str) -> dict[str, NDArray[Any]]:
    """Return the columns of the table of a header: int64 and float64 arrays, in its order.

    Args:
        folder: folder of the header.
        header: what the table should hold.
        where: what messages call the header.

    Raises:
        FileError: the table is missing or another one, or values that its columns cannot have;
            every problem is named.
    """
    table = header.table
    if table is None:
        raise FileError(where, [Problem("table", "", "is missing: a file names its table")])
    path = folder / table.file
    problems = _file_problems(path, header, where)
    try:
        columns = (_read_csv if table.format == "csv" else _read_hdf5)(path, header)
    except FileError as error:
        raise FileError(path.name, [*problems, *error.problems]) from None
    for name in header.column_names:
        columns[name] = as_column(name, columns[name], problems)
    if problems:
        raise FileError(path.name, problems)
    return {name: columns[name] for name in header.column_names}


def _file_problems(path: Path, header: MeasurementHeader, where: str) -> list[Problem]:
    """Refuse a table that cannot be read; return what is wrong with one that can."""
    table = header.table
    assert table is not None  # as read_table has seen
    try:
        if path.is_symlink() or not path.is_file():
            problem = Problem("table.file", short(table.file), "there is no such file beside it")
            raise FileError(where, [problem], remedy="keep a header and its table together")
        size, values = path.stat().st_size, table.rows * len(header.columns)
        if size > LARGEST_TABLE or values > MOST_VALUES:
            expected = f"a table has at most {LARGEST_TABLE} bytes and {MOST_VALUES} values"
            raise FileError(where, [Problem("table", f"{size} bytes, {values} values", expected)])
        found = sha256_of(path)
    except OSError as error:
        problem = Problem("table.file", short(table.file), f"cannot be read: {error.strerror}")
        raise FileError(where, [problem]) from None
    if found == table.sha256:
        return []
    expected = f"should be {table.sha256}, as table.sha256 in {where} says"
    remedy = "the table was changed: restore it, import the source again, or state its SHA-256"
    return [Problem("SHA-256", found, expected, remedy)]


def _read_csv(path: Path, header: MeasurementHeader) -> dict[str, NDArray[Any]]:
    assert header.table is not None  # as read_table has seen
    names = header.column_names
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        first = file.readline(10_000).rstrip("\r\n")
        if first != ",".join(names):
            expected = f"should be the names of the header's columns: {','.join(names)}"
            raise FileError(path.name, [Problem("line 1", short(first), expected)])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of a table without rows, see below
                values = np.loadtxt(file, delimiter=",", comments=None, ndmin=2)
        except ValueError:
            values = None
    if values is None:
        raise FileError(path.name, _bad_fields(path, names))
    rows = values.shape[0] if values.size else 0
    if rows != header.table.rows:
        raise _wrong_rows(path, str(rows), header.table.rows)
    return {name: values[:, i] for i, name in enumerate(names)}


def _bad_fields(path: Path, names: tuple[str, ...]) -> list[Problem]:
    """Return what is no number, as far as `MOST_PROBLEMS`."""
    problems: list[Problem] = []
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        file.readline()
        for number, line in enumerate(file, start=2):
            fields = line.rstrip("\r\n").split(",")
            if len(fields) != len(names):
                expected = f"should be {len(names)} fields"
                problems.append(Problem(f"line {number}", f"{len(fields)} fields", expected))
                continue
            for name, field in zip(names, fields, strict=True):
                try:
                    float(field)
                except ValueError:
                    expected = "should be a number; nan stands for a value that was not measured"
                    problems.append(
                        Problem(f"line {number}, column {name}", short(field), expected)
                    )
            if len(problems) >= MOST_PROBLEMS:
                break
    return problems or [Problem("", "", "is no table of numbers")]


def _read_hdf5(path: Path, header: MeasurementHeader) -> dict[str, NDArray[Any]]:
    import h5py

    assert header.table is not None  # as read_table has seen
    columns: dict[str, NDArray[Any]] = {}
    problems: list[Problem] = []
    try:
        with h5py.File(path, "r") as store:
            names = set(store)
            for name in sorted(names ^ set(header.column_names)):
                expected = "is no column of the header" if name in names else "is missing"
                problems.append(Problem(short(name), "", expected))
            for name in header.column_names:
                if name not in names:
                    continue
                wrong = dataset_fault(store, name, (header.table.rows,))
                if wrong:
                    problems.append(Problem(name, *wrong))
                else:
                    columns[name] = store[name][:]
    except (OSError, RuntimeError, ValueError) as error:
        raise FileError(path.name, [Problem("", short(str(error)), "cannot be read")]) from None
    if problems:
        raise FileError(path.name, problems)
    return columns


def dataset_fault(
    group: Any, name: str, shape: tuple[int, ...] | None, fields: tuple[str, ...] = ()
) -> tuple[str, str] | None:
    """Return what speaks against reading an HDF5 dataset of numbers: value and expectation.

    Links to other files, external storage, pickles, filters that are programs, and chunks that
    unpack to more than they should are refused before anything of them is read.

    Args:
        group: open group of h5py.
        name: name of the dataset.
        shape: the shape that it should have, or None for any.
        fields: fields of its rows, where they are more than a number.
    """
    import h5py

    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        return type(link).__name__, "links are not followed; should be a dataset"
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset):
        return type(dataset).__name__, "should be a dataset"
    if dataset.is_virtual or dataset.external:
        return "data in another file", "should be in this file"
    if (dataset.dtype.names or ()) != fields:
        return (
            f"type {dataset.dtype}",
            f"should have the fields {', '.join(fields) or 'of numbers'}",
        )
    for kind in [dataset.dtype[field] for field in fields] or [dataset.dtype]:
        if kind.kind not in "iuf" or kind.itemsize > 8:
            return f"type {kind}", "should be integers or floats of up to 8 bytes"
    if shape is not None and dataset.shape != shape:
        return f"shape {dataset.shape}", f"should be {shape}"
    created = dataset.id.get_create_plist()
    for i in range(created.get_nfilters()):
        code, _, _, name_of_filter = created.get_filter(i)
        if code not in _FILTERS:
            return f"filter {name_of_filter!r}", f"should be of {', '.join(_FILTERS.values())}"
    if dataset.chunks and np.prod(dataset.chunks) * dataset.dtype.itemsize > LARGEST_CHUNK:
        return f"chunk {dataset.chunks}", f"should unpack to at most {LARGEST_CHUNK} bytes"
    return None


def _wrong_rows(path: Path, found: str, expected: int) -> FileError:
    return FileError(
        path.name, [Problem("rows", found, f"should be {expected}, as table.rows says")]
    )
