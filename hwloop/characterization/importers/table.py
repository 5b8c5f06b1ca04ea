"""Tables in a form of their own, as a mapping describes it: text or HDF5, plain or gzip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwloop.characterization.importers.facts import Facts
from hwloop.characterization.importers.fields import DELIMITERS, Layout, Reader, number
from hwloop.characterization.importers.mapping import ColumnMap, Mapping, Place, load_mapping
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.importers.units import Unit, unit
from hwloop.characterization.measurement import Measurement
from hwloop.characterization.tables import MOST_VALUES, dataset_fault
from hwloop.device_file import Column
from hwloop.device_file.explain import short
from hwloop.device_file.problems import FileError, Problem
from hwloop.device_file.quantities import COLUMNS
from hwloop.errors import ConfigurationError

Array = NDArray[Any]


def read(sources: Sequence[Source], facts: Facts) -> Measurement:
    """Return what a table holds, as `--mapping` says.

    Raises:
        ConfigurationError: no mapping is given, it is wrong, or it does not fit the file.
    """
    (source,) = sources
    name = facts.need("mapping", "what its columns hold", "my-table.yaml (docs/import.md)")
    mapping = load_mapping(name)
    table: _Table = (
        _Hdf5(source, mapping) if mapping.file.format == "hdf5" else _Text(source, mapping)
    )
    with table:
        table.account()
        columns = _numbers(table, mapping, facts)
        labels, own = _texts(table, mapping, columns)
        if mapping.series is not None:
            columns = _unrolled(table.series(), mapping, columns)
    for column, entry in mapping.columns.items():
        if entry.value is not None:
            columns[column] = np.full(_rows(columns), entry.value)
    _count(mapping, columns)
    if mapping.sort:
        order = np.lexsort([columns[key] for key in reversed(mapping.sort)])
        columns = {key: values[order] for key, values in columns.items()}
        _count(mapping, columns)  # numbers of rows follow the new order
    known = [*mapping.columns, *(key for key in columns if key not in mapping.columns)]
    header = {**mapping.header}
    header["labels"] = {**header.get("labels", {}), **labels}
    header["sources"] = {**header.get("sources", {}), "mapping": f"{name}: {mapping.description}"}
    header["provenance"] = {
        "columns": "mapping: columns and units",
        **header.get("provenance", {}),
    }
    facts.get("mapping")
    return facts.finish(mapping.measured, {key: columns[key] for key in known}, own=own, **header)


class _Table(Protocol):
    """A source whose columns can be asked for by name or number."""

    def __enter__(self) -> _Table: ...
    def __exit__(self, *error: object) -> None: ...
    def account(self) -> None: ...
    def numbers(self, places: list[tuple[Place, bool]]) -> list[Array]: ...
    def texts(self, places: list[Place]) -> list[list[str]]: ...
    def place(self, column: Place, row: int) -> str: ...
    def series(self) -> Array: ...


class _Text:
    def __init__(self, source: Source, mapping: Mapping) -> None:
        form = mapping.file
        layout = Layout(
            DELIMITERS.get(form.delimiter, form.delimiter),
            form.skip_lines,
            form.names,
            form.comment,
            "," if form.decimal == "comma" else ".",
        )
        self._reader, self._mapping, self._source = Reader(source, layout), mapping, source

    def __enter__(self) -> _Text:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def account(self) -> None:
        """Refuse columns of the source that the mapping neither takes nor ignores."""
        reader, mapping = self._reader, self._mapping
        taken = {reader.index(c.source) for c in mapping.columns.values() if c.source is not None}
        taken |= {reader.index(place) for place in mapping.ignore}
        if mapping.series is not None:
            taken |= set(range(mapping.series.values_from - 1, len(reader.names)))
        left = [name for i, name in enumerate(reader.names) if i not in taken]
        if left:
            raise FileError(
                self._source.name,
                [
                    Problem(f"column {short(name)}", "", "the mapping does not mention")
                    for name in left
                ],
                remedy="map the columns, or list them under ignore",
            )

    def numbers(self, places: list[tuple[Place, bool]]) -> list[Array]:
        if not places:
            return []
        indices = [self._reader.index(place) for place, _ in places]
        gaps = frozenset(i for i, (_, gap) in zip(indices, places, strict=True) if gap)
        return list(self._reader.numbers(indices, gaps).T)

    def texts(self, places: list[Place]) -> list[list[str]]:
        rows = self._reader.texts([self._reader.index(place) for place in places])
        return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in places]

    def place(self, column: Place, row: int) -> str:
        return self._reader.place(row, self._reader.index(column))

    def series(self) -> Array:
        assert self._mapping.series is not None  # as the caller has seen
        first = self._mapping.series.values_from - 1
        return self._reader.numbers(range(first, len(self._reader.names)))


class _Hdf5:
    def __init__(self, source: Source, mapping: Mapping) -> None:
        import h5py

        self._source, self._mapping = source, mapping
        try:
            self._store = h5py.File(source.path, "r")
        except OSError as error:
            problem = Problem("", short(str(error)), "is no HDF5 file")
            raise FileError(source.name, [problem]) from None

    def __enter__(self) -> _Hdf5:
        return self

    def __exit__(self, *error: object) -> None:
        self._store.close()

    def account(self) -> None:
        """Datasets are named one by one, so that there may be others."""
        if self._mapping.series is not None:
            raise ConfigurationError("series: is for text files, not for HDF5")

    def numbers(self, places: list[tuple[Place, bool]]) -> list[Array]:
        found = []
        for place, gap in places:
            path = str(place)
            group: Any = self._store
            *parents, name = path.strip("/").split("/")
            fault = None
            for parent in parents:
                fault = fault or _group_fault(group, parent)
                group = group[parent] if fault is None else group
            fault = fault or (
                dataset_fault(group, name, None) if name in group else ("", "is missing")
            )
            if fault is None and (group[name].ndim != 1 or group[name].size > MOST_VALUES):
                fault = f"shape {group[name].shape}", "should be one column"
            if fault is not None:
                raise FileError(self._source.name, [Problem(path, *fault)])
            values = np.asarray(group[name][:], dtype=np.float64)
            if not gap and np.isnan(values).any():
                row = int(np.flatnonzero(np.isnan(values))[0])
                raise FileError(
                    self._source.name,
                    [Problem(f"{path}, row {row + 1}", "nan", "should be a number")],
                    remedy="gaps: true in the mapping, if values may be missing",
                )
            found.append(values)
        lengths = {len(values) for values in found}
        if len(lengths) > 1:
            raise ConfigurationError(
                f"{self._source.name}: datasets have different lengths: {sorted(lengths)}"
            )
        return found

    def texts(self, places: list[Place]) -> list[list[str]]:
        raise ConfigurationError(f"{self._source.name}: texts of HDF5 files are not read")

    def place(self, column: Place, row: int) -> str:
        return f"{column}, row {row + 1}"

    def series(self) -> Array:
        raise ConfigurationError("series: is for text files, not for HDF5")


def _group_fault(group: Any, name: str) -> tuple[str, str] | None:
    import h5py

    link = group.get(name, getlink=True) if name in group else None
    if not isinstance(link, h5py.HardLink) or not isinstance(group[name], h5py.Group):
        return short(name), "is no group of this file; links are not followed"
    return None


def _is_text(entry: ColumnMap) -> bool:
    return entry.labels or entry.pattern is not None or entry.time_format is not None


def _rows(columns: dict[str, Array]) -> int:
    return len(next(iter(columns.values())))


def _numbers(table: _Table, mapping: Mapping, facts: Facts) -> dict[str, Array]:
    wanted = [
        (name, entry, entry.source)
        for name, entry in mapping.columns.items()
        if entry.source is not None and not _is_text(entry)
    ]
    found = table.numbers([(source, entry.gaps) for _, entry, source in wanted])
    columns = {}
    for (name, entry, source), values in zip(wanted, found, strict=True):
        columns[name] = _scaled(name, values, entry)
        if name in ("conductance_siemens", "resistance_ohms"):
            facts.refuse_impossible(name, columns[name], partial(table.place, source))
    return columns


def _scaled(name: str, values: Array, entry: ColumnMap) -> Array:
    if entry.unit is not None:
        found = unit(entry.unit)
        _same_base(name, entry, found)
        values = (values + found.offset) * found.factor if found.offset else values * found.factor
    if entry.scale != 1.0:
        values = values * entry.scale
    return values if entry.decimals is None else np.round(values, entry.decimals)


def _same_base(name: str, entry: ColumnMap, found: Unit) -> None:
    base = COLUMNS[name].unit if name in COLUMNS else entry.as_unit
    if found.base != base:
        raise ConfigurationError(
            f"columns.{name}.unit: {entry.unit!r} is a unit of {found.base}, not of {base}"
        )


def _texts(
    table: _Table, mapping: Mapping, columns: dict[str, Array]
) -> tuple[dict[str, tuple[str, ...]], dict[str, Column]]:
    """Add the columns that come out of texts; return labels, and columns with own names."""
    labels: dict[str, tuple[str, ...]] = {}
    wanted = [
        (name, entry, entry.source)
        for name, entry in mapping.columns.items()
        if entry.source is not None and _is_text(entry)
    ]
    texts = table.texts([source for _, _, source in wanted]) if wanted else []
    for (name, entry, _), found in zip(wanted, texts, strict=True):
        words = _matches(name, entry, found)
        if entry.time_format is not None:
            columns[name] = _seconds(name, entry.time_format, words)
        elif entry.labels:
            names = tuple(dict.fromkeys(words))
            numbers = {word: i for i, word in enumerate(names)}
            columns[name] = np.array([numbers[word] for word in words])
            labels[name] = names
        else:
            columns[name] = _scaled(name, _plain(name, entry, words), entry)
    own = {
        name: Column(name=name, unit=entry.as_unit, meaning=entry.meaning)
        for name, entry in mapping.columns.items()
        if name not in COLUMNS
    }
    return labels, own


def _matches(name: str, entry: ColumnMap, texts: list[str]) -> list[str]:
    if entry.pattern is None:
        return texts
    try:
        pattern = re.compile(entry.pattern)
    except re.error as error:
        raise ConfigurationError(f"columns.{name}.pattern: {error}") from None
    if pattern.groups != 1:
        raise ConfigurationError(f"columns.{name}.pattern: should have one group in brackets")
    words = []
    for row, text in enumerate(texts, start=1):
        match = pattern.search(text)
        if match is None or match[1] is None:
            raise ConfigurationError(
                f"row {row}: {short(text)}: does not match the pattern of {name}"
            )
        words.append(match[1])
    return words


def _seconds(name: str, form: str, words: list[str]) -> Array:
    try:
        moments = [datetime.strptime(word, form) for word in words]
    except ValueError as error:
        raise ConfigurationError(f"columns.{name}.time_format: {error}") from None
    start = min(moments)
    return np.array([(moment - start).total_seconds() for moment in moments])


def _plain(name: str, entry: ColumnMap, words: list[str]) -> Array:
    values = []
    for row, word in enumerate(words, start=1):
        value, fault, remedy = number(word, gap=entry.gaps)
        if fault:
            raise FileError(name, [Problem(f"row {row}", short(word), fault, remedy)])
        values.append(value)
    return np.array(values)


def _unrolled(values: Array, mapping: Mapping, columns: dict[str, Array]) -> dict[str, Array]:
    """Return a row per value of lines with one cell each."""
    series = mapping.series
    assert series is not None  # as the caller has seen
    lines, length = values.shape
    times = np.arange(length) * series.interval_seconds
    entry = ColumnMap.model_validate({"from": 1, "unit": series.unit})
    result = {name: np.repeat(column, length) for name, column in columns.items()}
    result.setdefault("cell", np.repeat(np.arange(lines), length))
    result["time_seconds"] = np.tile(times, lines)
    result[series.column] = _scaled(series.column, values.ravel(), entry)
    return result


def _count(mapping: Mapping, columns: dict[str, Array]) -> None:
    """Add the columns that are counted, repeats before the rows within them."""
    counted = [(n, e) for n, e in mapping.columns.items() if e.count is not None]
    for name, entry in sorted(counted, key=lambda item: item[1].count == "rows"):
        if entry.count == "distinct":
            assert entry.of is not None  # as the mapping is checked for
            columns[name] = np.unique(columns[entry.of], return_inverse=True)[1].reshape(-1)
            continue
        keys = [columns[k] for k in ("cell", "repeat") if k in columns and k != name]
        rows, starts = _groups(keys, _rows(columns))
        if entry.count == "restarts":
            assert entry.of is not None  # as the mapping is checked for
            values = columns[entry.of][rows]
            steps = np.concatenate([[0], np.cumsum(np.diff(values) < 0)])
        else:
            steps = np.arange(len(rows))
        counts = np.empty(len(rows), dtype=np.int64)
        counts[rows] = steps - steps[starts]
        columns[name] = counts


def _groups(keys: list[Array], length: int) -> tuple[Array, Array]:
    """Return rows ordered by keys, and for each the place where its group begins."""
    if not keys:
        return np.arange(length), np.zeros(length, np.int64)
    rows = np.lexsort(keys[::-1])
    new = np.zeros(length, dtype=bool)
    for key in keys:
        new[1:] |= np.diff(key[rows]) != 0
    return rows, np.maximum.accumulate(np.where(new, np.arange(length), 0))
