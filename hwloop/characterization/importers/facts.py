"""What a source does not say: asked for by name, and written into the file as assumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from hwloop.characterization.checks import IMPOSSIBLE, REMEDY, impossible
from hwloop.characterization.importers.fields import DELIMITERS
from hwloop.characterization.importers.sources import Source
from hwloop.characterization.importers.units import state_column
from hwloop.characterization.measurement import Measurement, measurement
from hwloop.device_file import Column, MeasurementHeader
from hwloop.device_file import text as yaml_text
from hwloop.device_file.problems import FileError, Problem
from hwloop.errors import ConfigurationError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Options:
    """What may be said at an import, each None where it is not.

    Attributes:
        name: name of the device.
        kind: kind of measurement.
        unit: unit of the state.
        read_volts: voltage of the reads.
        up_volts, down_volts, width_seconds: the pulses.
        polarity: `swapped` where the source counts as up what lowers the conductance.
        mapping: path or name of a mapping.
        sheet: sheet of a workbook.
        each: what each of several sources is: another `cell`, or a `repeat` on the same.
        first: direction of the first ramp.
        pulses: pulses on the full scale of a digitised axis.
        delimiter, decimal: of a text file.
        assume: values of header fields by their path.
    """

    name: str | None = None
    kind: str | None = None
    unit: str | None = None
    read_volts: float | None = None
    up_volts: float | None = None
    down_volts: float | None = None
    width_seconds: float | None = None
    polarity: Literal["normal", "swapped"] | None = None
    mapping: str | None = None
    sheet: str | None = None
    each: Literal["cell", "repeat"] | None = None
    first: Literal["up", "down"] | None = None
    pulses: int | None = None
    delimiter: str | None = None
    decimal: Literal["point", "comma"] | None = None
    assume: Mapping[str, str] = field(default_factory=dict)


_FIXED = {"schema_version", "kind", "name", "columns", "quantity", "table", "sources", "provenance"}

FLAGS = {
    "width_seconds": "--width",
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (f.name for f in fields(Options))
        if name not in ("width_seconds", "assume")
    },
}
"""Flags of the command line by the names of the options."""


class Facts:
    """What is said at an import: each option is asked for, noted, and at the end accounted for.

    Attributes:
        notes: what the source says of itself, for the header.
        warnings: what whoever imports should know.
    """

    def __init__(self, options: Options, importer: str, sources: Sequence[Source]) -> None:
        self._options = options
        self._importer = importer
        self._sources = sources
        self._used: set[str] = set()
        self._header: dict[str, Any] = {}
        self._provenance: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.warnings: list[str] = []

    def get(self, option: str) -> Any:
        """Return an option, or None."""
        self._used.add(option)
        return getattr(self._options, option)

    def need(self, option: str, what: str, example: str) -> Any:
        """Return an option that the source cannot do without.

        Args:
            option: its name.
            what: what the source does not say.
            example: a value for the remedy.

        Raises:
            ConfigurationError: it is not given.
        """
        value = self.get(option)
        if value is None:
            raise ConfigurationError(
                f"{self._sources[0].name}: does not say {what}",
                remedy=f"say it, for example {FLAGS[option]} {example}",
            )
        return value

    def assumed(self, path: str, option: str) -> None:
        """Note that a header field or column comes from an option."""
        value = getattr(self._options, option)
        self._provenance[path] = f"assumed: {FLAGS[option]} {value} at import"

    def found(self, path: str, how: str) -> None:
        """Note how a header field or column was found."""
        self._provenance[path] = how

    def put(self, path: str, value: Any) -> None:
        """Set a header field by its path."""
        here = self._header
        *groups, last = path.split(".")
        for group in groups:
            here = here.setdefault(group, {})
            if not isinstance(here, dict):
                raise ConfigurationError(f"{path}: {group} is no group of fields")
        here[last] = value

    def state(self, values: ArrayLike, place: Callable[[int], str]) -> dict[str, Floats]:
        """Return the column of the state, in the unit that `--unit` gives.

        Args:
            values: as the source has them.
            place: where in the source a value is.
        """
        unit = self.need("unit", "the unit of its values", "siemens (or ampere, ohm, normalised)")
        column, factor = state_column(unit)
        self.assumed(f"columns.{column}", "unit")
        scaled = np.asarray(values, dtype=np.float64) * factor
        if column == "current_amperes":
            self.refuse_impossible(column, scaled / self.read_volts(), place)
        else:
            self.refuse_impossible(column, scaled, place)
        return {column: scaled}

    def refuse_impossible(self, column: str, values: Floats, place: Callable[[int], str]) -> None:
        """Refuse values that no cell has, by their place in the source.

        Raises:
            FileError: there are some.
        """
        rows = np.flatnonzero(impossible(column, values))
        if rows.size:
            problem = Problem(
                place(int(rows[0])),
                f"{values[rows[0]]:.6g}",
                f"{IMPOSSIBLE} ({rows.size} rows)",
                REMEDY,
            )
            raise FileError(self._sources[0].name, [problem])

    def read_volts(self) -> float:
        """Note and return the read voltage, which currents need."""
        volts = self.need("read_volts", "the read voltage of its currents", "0.1")
        self.put("conditions.read_volts", volts)
        self.assumed("conditions.read_volts", "read_volts")
        return float(volts)

    def sign(self) -> int:
        """Return 1, or -1 where the source counts the polarities the other way."""
        swapped = self.get("polarity") == "swapped"
        if "polarity" in self._given():
            self.assumed("columns.direction", "polarity")
        return -1 if swapped else 1

    def layout_delimiter(self, usual: str) -> str:
        """Return the delimiter of a text file."""
        given = self.get("delimiter")
        return usual if given is None else DELIMITERS.get(given, given)

    def layout_decimal(self) -> str:
        """Return the decimal sign of a text file."""
        return "," if self.get("decimal") == "comma" else "."

    def finish(
        self,
        kind: str,
        columns: Mapping[str, ArrayLike],
        *,
        own: Mapping[str, Column] | None = None,
        **header: Any,
    ) -> Measurement:
        """Return the measured data with everything that was said about it.

        Raises:
            ConfigurationError: options that this source has no use for, and what is wrong with
                the data.
        """
        if self._options.read_volts is not None and "read_volts" not in columns:
            self.read_volts()  # worth knowing of conductances too
        self._pulses()
        unused = self._given() - self._used - {"name", "each"}
        if unused:
            flags = ", ".join(sorted(FLAGS[name] for name in unused))
            raise ConfigurationError(
                f"{flags}: {self._importer} files have no use for it, or state it themselves",
                remedy=f"leave {flags} out",
            )
        name = self._options.name or header.pop("name", None) or _stem(self._sources[0])
        for path, value in self._options.assume.items():
            if path.partition(".")[0] not in MeasurementHeader.model_fields.keys() - _FIXED:
                raise ConfigurationError(
                    f"--assume {path}: is no header field that can be assumed",
                    remedy="fields are those of docs/schema/measurement.json, for example "
                    "conditions.temperature_kelvin, device.stack, technology",
                )
            self.put(path, _value(value))
            self._provenance[path] = f"assumed: --assume {path}={value} at import"
        known = {f"file{i}": _citation(s, self._importer) for i, s in enumerate(self._sources, 1)}
        if len(known) == 1:
            known = {"file": known["file1"]}
        everything = {**header, "notes": self.notes, **self._header}
        for group, found in header.items():
            if isinstance(found, dict) and isinstance(self._header.get(group), dict):
                everything[group] = {**found, **self._header[group]}
        everything["sources"] = {**header.get("sources", {}), **known}
        everything["provenance"] = {
            "columns": f"{next(iter(known))}: as in the file",
            **header.get("provenance", {}),
            **self._provenance,
        }
        return measurement(kind, columns, name=name, own=own, **everything)

    def _given(self) -> set[str]:
        return {name for name in FLAGS if getattr(self._options, name) is not None}

    def _pulses(self) -> None:
        """Note the pulse shape, if it is said; a shape is whole or not known."""
        names = ("up_volts", "down_volts", "width_seconds")
        self._used |= set(names)
        missing = [FLAGS[name] for name in names if getattr(self._options, name) is None]
        if len(missing) == len(names):
            return
        if missing:
            raise ConfigurationError(
                f"a pulse shape needs {', '.join(missing)} too",
                remedy="give --up-volts, --down-volts and --width, or none of them",
            )
        options = self._options
        self.put(
            "shapes.set",
            {
                "up": {"amplitude_volts": options.up_volts, "width_seconds": options.width_seconds},
                "down": {
                    "amplitude_volts": options.down_volts,
                    "width_seconds": options.width_seconds,
                },
            },
        )
        said = " ".join(f"{FLAGS[name]} {getattr(options, name):g}" for name in names)
        self.found("shapes.set", f"assumed: {said} at import")


def _citation(source: Source, importer: str) -> str:
    return (
        f"{source.name}, {source.size} bytes, SHA-256 {source.sha256()}, read by the importer "
        f"{importer} of hwloop {version('hwloop')}"
    )


def _stem(source: Source) -> str:
    return source.name.partition(".")[0] or source.name


def _value(text: str) -> Any:
    try:
        return yaml_text.parse(text)
    except yaml.YAMLError:
        return text
