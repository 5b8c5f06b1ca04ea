"""Mappings: what the columns of a table in a form of its own hold."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from hwloop.device_file.explain import explain, nearest, short
from hwloop.device_file.load import SUFFIXES, plain, read_text
from hwloop.device_file.models import Frozen
from hwloop.device_file.quantities import COLUMNS, MeasurementKind
from hwloop.device_file.schema import SCHEMA_VERSION
from hwloop.errors import ConfigurationError

Text = Annotated[str, Field(max_length=1000)]
Place = Annotated[int, Field(ge=1, le=1 << 20)] | Annotated[str, Field(min_length=1)]


class FileForm(Frozen):
    """How the file is laid out."""

    format: Literal["text", "hdf5"] = "text"
    """`text`: a row per line, or `hdf5`: a dataset per column."""

    delimiter: str = Field(default="comma", min_length=1)
    """`comma`, `tab`, `semicolon`, `space` (any white space), or a character."""

    skip_lines: int = Field(default=0, ge=0)
    """Lines before the names, or before the numbers where there are no names."""

    names: bool = True
    """Whether a line of names comes before the numbers."""

    comment: str = ""
    """What lines that are no rows begin with."""

    decimal: Literal["point", "comma"] = "point"
    """Decimal sign."""


class ColumnMap(Frozen):
    """Where a column comes from: `from`, `value` or `count`, exactly one of them."""

    source: Place | None = Field(default=None, alias="from")
    """Column of the source, by its name or by its number from 1; for HDF5 the dataset's path."""

    value: float | None = None
    """The same number in every row."""

    count: Literal["rows", "restarts", "distinct"] | None = None
    """`rows`: number of the row within its cell and repeat; `restarts`: how often the column `of`
    has fallen back within the cell; `distinct`: number of the value of `of` among its values."""

    of: str | None = None
    """Column of the result that is counted."""

    unit: str | None = None
    """Unit in the source, for example `us`, `uS`, `kohm`, `degC`."""

    scale: float = 1.0
    """Factor that values take besides."""

    decimals: int | None = Field(default=None, ge=0, le=12)
    """Digits after the point to round to, in the column's own unit."""

    gaps: bool = False
    """Whether values may be missing."""

    pattern: str | None = Field(default=None, max_length=300)
    """Regular expression with one group that finds the value within a text."""

    time_format: str | None = None
    """Form of a date with time, as of Python's strptime; becomes seconds from the earliest one."""

    labels: bool = False
    """Whether the column holds texts: they are numbered, and their names kept as labels."""

    meaning: Text = ""
    """What a column with a name of its own says."""

    as_unit: str = ""
    """Unit of a column with a name of its own."""

    @model_validator(mode="after")
    def _one_origin(self) -> ColumnMap:
        given = [n for n in ("source", "value", "count") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("should have exactly one of from, value and count")
        if (self.count in ("restarts", "distinct")) != (self.of is not None):
            raise ValueError("of: goes with count: restarts and count: distinct")
        return self


class Series(Frozen):
    """A file with one cell per line: some fields of its own, then its values one after another."""

    column: str
    """Column of the values."""

    values_from: int = Field(ge=1)
    """Number of the first value's field, from 1."""

    unit: str
    """Unit of the values."""

    interval_seconds: float = Field(gt=0)
    """Time between two values. Seconds."""


class Mapping(Frozen):
    """What a table holds."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    """Version of the schema."""

    kind: Literal["mapping"] = "mapping"
    """What the file is."""

    description: Text = ""
    """Which tables it is for."""

    measured: MeasurementKind
    """Kind of the measurement."""

    file: FileForm = FileForm()
    """How the file is laid out."""

    columns: dict[str, ColumnMap] = Field(default_factory=dict)
    """Columns of the result."""

    series: Series | None = None
    """Values in lines, one line per cell; `columns` then holds the fields before them."""

    ignore: tuple[Place, ...] = ()
    """Columns of the source that are left out on purpose."""

    sort: tuple[str, ...] = ()
    """Columns that the rows are sorted by."""

    header: dict[str, Any] = Field(default_factory=dict)
    """Header fields of the result, such as name, technology, conditions, sources, provenance."""

    @model_validator(mode="after")
    def _columns_exist(self) -> Mapping:
        faults = []
        names = {*self.columns, *([self.series.column, "time_seconds"] if self.series else [])}
        for name, column in self.columns.items():
            if column.of is not None and column.of not in names:
                faults.append(f"columns.{name}.of: {column.of!r} is no column of this mapping")
            known = COLUMNS.get(name)
            if known is None and not (column.meaning and column.as_unit):
                near = nearest(name, COLUMNS)
                hint = f"; did you mean {near}?" if near else ""
                faults.append(f"columns.{name}: is no known column; give meaning and as_unit{hint}")
            needs_unit = known is not None and known.unit != "1" and column.source is not None
            if needs_unit and column.unit is None and column.time_format is None:
                faults.append(f"columns.{name}.unit: is missing; the unit in the source")
        faults += [f"sort: {name!r} is no column" for name in self.sort if name not in names]
        if not self.series and all(column.source is None for column in self.columns.values()):
            faults.append("columns: should take at least one column from the source")
        if faults:
            raise ValueError("\n".join(faults))
        return self


def mappings() -> tuple[str, ...]:
    """Return the names of the mappings that come with the library."""
    folder = resources.files("hwloop.characterization") / "mappings"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_mapping(name_or_path: str) -> Mapping:
    """Return a mapping by its name, or by the path of a YAML or JSON file.

    Raises:
        ConfigurationError: there is none, or what is wrong with it, one line per problem.
    """
    if name_or_path in mappings():
        shipped = resources.files("hwloop.characterization") / "mappings" / f"{name_or_path}.yaml"
        content, where = shipped.read_text(encoding="utf-8"), name_or_path
    elif name_or_path.endswith(SUFFIXES):
        content, where = read_text(Path(name_or_path)), Path(name_or_path).name
    else:
        raise ConfigurationError(
            f"mapping {short(name_or_path)}: no mapping has this name",
            remedy=f"mappings: {', '.join(mappings())}; or the path of a YAML file",
        )
    data = plain(content, where)
    try:
        return Mapping.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        fields = {*Mapping.model_fields, *ColumnMap.model_fields, *FileForm.model_fields}
        raise explain(error, where, fields) from None
    except TypeError as error:  # a value that YAML has and JSON does not
        raise ConfigurationError(f"{where}: {error}") from None
