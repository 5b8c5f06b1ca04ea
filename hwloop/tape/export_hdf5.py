"""Tapes as HDF5: a group per kind of operation, its fields as columns.

Numbers and texts are datasets with a row per operation. An array field is a group: `values` holds
the elements of all of them one behind the other, `start` where each begins and `shape` its sizes,
-1 for a field that is None (every line, or no result). `position` is the index on the tape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hwloop.operations import CONTENT, Operation
from hwloop.tape.entry import Entry
from hwloop.tape.format import TAPE_VERSION

HELD_BYTES = 8 << 20
"""Bytes of elements that are held before they are written."""

ROWS = 4096
"""Rows of a chunk, and most that are held before they are written."""

DIMENSIONS = {
    "rows": 1,
    "cols": 1,
    "codes": 2,
    "counts": 2,
    "x_codes": 2,
    "d_codes": 2,
    "train_lengths": 1,
    "x_gains": 1,
    "d_gains": 1,
    "x_trains": 3,
    "d_trains": 3,
    "state": 3,
}
"""Dimensions of the array fields of operations."""

TEXTS = ("shape", "recipe", "content_json")


def write_hdf5(
    path: Path, tape: Iterable[tuple[int, Entry]], texts: Mapping[str, str] | None = None
) -> int:
    """Write operations with their results, in memory that does not grow; return how many.

    Args:
        path: the file.
        tape: what is written, each with its position.
        texts: further texts that are stored at the root by their names.
    """
    import h5py

    written = 0
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "hwloop tape"
        file.attrs["version"] = TAPE_VERSION
        for name, text in (texts or {}).items():
            file[name] = text
        kinds: dict[type[Operation], _Kind] = {}
        for position, entry in tape:
            cls = type(entry.operation)
            if cls not in kinds:
                kinds[cls] = _Kind(file.create_group(cls.kind), cls)
            kinds[cls].add(position, entry)
            written += 1
        for kind in kinds.values():
            kind.flush()
    return written


class _Kind:
    """The columns of one kind of operation."""

    def __init__(self, group: Any, cls: type[Operation]) -> None:
        values = 3 if cls.kind == "snapshot" else 2
        self._columns: dict[str, Any] = {}
        for name in ("position", "id", "ordinal"):
            self._columns[name] = _Column(group, name, np.uint64)
        for name in CONTENT[cls]:
            if name in DIMENSIONS:
                self._columns[name] = _Ragged(group, name, DIMENSIONS[name])
            else:
                self._columns[name] = _Column(group, name, None if name in TEXTS else np.int64)
        for name, dtype in (("verdict", np.int8), ("fired", np.int64), ("ticks", np.int64)):
            self._columns[f"result_{name}"] = _Column(group, f"result_{name}", dtype)
        for name in ("values", "saturated"):
            self._columns[f"result_{name}"] = _Ragged(group, f"result_{name}", values)
        self._rows = 0

    def add(self, position: int, entry: Entry) -> None:
        """Add an operation; now and then what was added is written."""
        operation, result = entry.operation, entry.result
        row: dict[str, Any] = {
            "position": position,
            "id": operation.id,
            "ordinal": operation.ordinal,
        }
        row |= operation.content()
        row |= {
            f"result_{name}": none if result is None else getattr(result, name)
            for name, none in (
                ("verdict", -1),
                ("fired", 0),
                ("ticks", 0),
                ("values", None),
                ("saturated", None),
            )
        }
        for name, column in self._columns.items():
            column.add(row[name])
        self._rows += 1
        if self._rows >= ROWS or sum(c.held for c in self._columns.values()) >= HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was added."""
        for column in self._columns.values():
            column.flush()
        self._rows = 0


class _Column:
    """Numbers or texts, one per row."""

    held = 0

    def __init__(self, group: Any, name: str, dtype: Any) -> None:
        import h5py

        dtype = h5py.string_dtype() if dtype is None else np.dtype(dtype)
        self._data = _dataset(group, name, (), dtype)
        self._rows: list[Any] = []

    def add(self, value: Any) -> None:
        """Add a row."""
        self._rows.append(value)

    def flush(self) -> None:
        """Write the rows."""
        _append(self._data, self._rows)
        self._rows = []


class _Ragged:
    """Arrays, one per row."""

    def __init__(self, group: Any, name: str, dimensions: int) -> None:
        self._group = group.create_group(name)
        self._shape = _dataset(self._group, "shape", (dimensions,), np.dtype(np.int64))
        self._start = _dataset(self._group, "start", (), np.dtype(np.int64))
        self._values: Any = None
        self._none = (-1,) * dimensions
        self._shapes: list[tuple[int, ...]] = []
        self._starts: list[int] = []
        self._flat: list[np.ndarray[Any, Any]] = []
        self._end = 0
        self.held = 0

    def add(self, array: np.ndarray[Any, Any] | None) -> None:
        """Add a row."""
        self._shapes.append(self._none if array is None else array.shape)
        self._starts.append(self._end)
        if array is not None:
            self._flat.append(array.ravel())
            self._end += array.size
            self.held += array.nbytes

    def flush(self) -> None:
        """Write the rows."""
        _append(self._shape, self._shapes)
        _append(self._start, self._starts)
        if self._flat:
            if self._values is None:
                self._values = _dataset(self._group, "values", (), self._flat[0].dtype)
            _append(self._values, np.concatenate(self._flat))
        self._shapes, self._starts, self._flat, self.held = [], [], [], 0


def _dataset(group: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    return group.create_dataset(
        name,
        (0, *shape),
        maxshape=(None, *shape),
        chunks=(ROWS, *shape),
        dtype=dtype,
        compression="gzip",
        compression_opts=1,
    )


def _append(data: Any, rows: Any) -> None:
    if len(rows):
        end = data.shape[0]
        data.resize(end + len(rows), axis=0)
        data[end:] = rows
