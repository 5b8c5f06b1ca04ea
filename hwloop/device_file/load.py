"""Device files by preset name or path, and back."""

from __future__ import annotations

import functools
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from hwloop.device_file import text
from hwloop.device_file.cells import read_cells
from hwloop.device_file.explain import explain, nearest, short
from hwloop.device_file.measured import MeasurementHeader
from hwloop.device_file.models import Frozen
from hwloop.device_file.overrides import override
from hwloop.device_file.quantities import KINDS as MEASURED_KINDS
from hwloop.device_file.schema import SCHEMA_VERSION, DeviceFile
from hwloop.device_file.station import Station
from hwloop.errors import ConfigurationError

_F = TypeVar("_F", bound=Frozen)

LARGEST_FILE = 1 << 20
"""Bytes of the largest device file that is read."""

KINDS: dict[str, type[DeviceFile]] = {"model": DeviceFile}
"""Kinds of device files, by the word in their field `kind`."""

SUFFIXES = (".yaml", ".yml", ".json")
"""What the names of device files end in."""


@functools.cache
def presets() -> tuple[str, ...]:
    """Return the names of the devices that come with the library."""
    folder = resources.files("hwloop.device_file") / "presets"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml")))


def load(name_or_path: str | os.PathLike[str]) -> DeviceFile:
    """Return a device by the name of a preset, or by the path of a YAML or JSON file.

    Options of `OVERRIDES` may follow after commas: `load("reram-om,reference_std=0.5")`.

    Raises:
        ConfigurationError: no such preset or file, or what is wrong with the file, one line per
        problem.
    """
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and name in presets():
        preset = resources.files("hwloop.device_file") / "presets" / f"{name}.yaml"
        return parse(preset.read_text(encoding="utf-8"), name)
    path = Path(name)
    if isinstance(name_or_path, str) and not _exists(path):
        if "," in name:
            base, *options = name.split(",")
            return override(load(base), dict(_option(option, name) for option in options))
        if path.suffix not in SUFFIXES:
            raise _unknown(name)
    device = parse(read_text(path), path.name)
    if device.cells is None:
        return device
    table = device.cells
    return device.with_cells(read_cells(table, path.parent, path.name), table.file)


def _unknown(name: str) -> ConfigurationError:
    near = nearest(name, presets())
    return ConfigurationError(
        f"device {short(name)}: no preset has this name, and no file this path",
        remedy=(f"did you mean {near}? " if near else "") + f"presets: {', '.join(presets())}",
    )


def parse(content: str, where: str) -> DeviceFile:
    """Return the device that a YAML or JSON text describes.

    Args:
        content: the text; JSON is YAML.
        where: what messages call the text, for example its file name.

    Raises:
        ConfigurationError: what is wrong with it, one line per problem.
    """
    data = plain(content, where)
    kind = data.get("kind", "model")
    if not isinstance(kind, str) or kind not in KINDS:
        if isinstance(kind, str) and kind in MEASURED_KINDS:
            remedy = f"this is measured data; `hwloop device fit {where}` makes a model of it"
        else:
            remedy = ""
        raise ConfigurationError(
            f"{where}: kind: {short(kind)}: should be one of {', '.join(sorted(KINDS))}",
            remedy=remedy,
        )
    return _validated(KINDS[kind], data, where)


def parse_measured(content: str, where: str) -> MeasurementHeader:
    """Return the header of measured data that a YAML or JSON text describes.

    Raises:
        ConfigurationError: what is wrong with it, one line per problem.
    """
    data = plain(content, where)
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in MEASURED_KINDS:
        raise ConfigurationError(
            f"{where}: kind: {short(kind)}: should be one of {', '.join(MEASURED_KINDS)}",
            remedy="hwloop.device_file.load reads models" if kind == "model" else "",
        )
    return _validated(MeasurementHeader, data, where)


def parse_station(content: str, where: str) -> Station:
    """Return the station that a YAML or JSON text describes.

    Raises:
        ConfigurationError: what is wrong with it, one line per problem.
    """
    data = plain(content, where)
    if data.get("kind") != "station":
        raise ConfigurationError(f"{where}: kind: {short(data.get('kind'))}: should be station")
    return _validated(Station, data, where)


def load_station(path: str | os.PathLike[str]) -> Station:
    """Return the station file at a path.

    Raises:
        ConfigurationError: no such file, or what is wrong with it, one line per problem.
    """
    return parse_station(read_text(Path(path)), Path(path).name)


def plain(content: str, where: str) -> dict[str, Any]:
    """Return the fields of a YAML or JSON text as plain values, its schema version checked.

    Raises:
        ConfigurationError: the text is no mapping of fields, or of a newer version.
    """
    try:
        data = text.parse(content)
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"{where}: {_position(error)}", remedy="write YAML or JSON; presets are examples"
        ) from None
    if not isinstance(data, dict):
        raise ConfigurationError(
            f"{where}: {short(data)}: a device file should be a mapping of fields",
            remedy="docs/devices.md has an example",
        )
    _check_version(data, where)
    return data


def _validated(schema: type[_F], data: dict[str, Any], where: str) -> _F:
    try:
        # JSON is the strict mode in which lists are tuples and whole numbers are floats, and text
        # is never a number.
        return schema.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise explain(error, where, _field_names(schema)) from None
    except TypeError as error:  # a value that YAML has and JSON does not
        raise ConfigurationError(f"{where}: {error}") from None


def save(device: DeviceFile, path: str | os.PathLike[str]) -> None:
    """Write a device as YAML, or as JSON if the path ends so; `load` returns an equal one.

    Its table of cells, if it has one, is written beside it.

    Raises:
        ConfigurationError: another suffix, or the file cannot be written.
    """
    target = Path(path)
    content = device.model_dump(mode="json", exclude_none=True)
    if target.suffix not in SUFFIXES:
        raise ConfigurationError(
            f"{target.name}: the name of a device file should end in {', '.join(SUFFIXES)}"
        )
    if target.suffix == ".json":
        written = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    else:
        written = text.dump(content)
    cells = device.measured_cells
    try:
        if cells is not None and device.cells is not None:
            (target.parent / device.cells.file).write_bytes(cells.content)
        target.write_text(written, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{target}: cannot be written: {error.strerror}") from None


def _exists(path: Path) -> bool:
    try:
        return path != Path() and path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _option(text: str, where: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(f"device {where}: option {text!r} is not key=value")
    return name, value


def read_text(path: Path) -> str:
    """Return the text of a device file of any kind.

    Raises:
        ConfigurationError: there is none, or none that is text of a sensible size.
    """
    try:
        if not _exists(path):
            raise ConfigurationError(
                f"{path}: there is no such file", remedy=f"presets: {', '.join(presets())}"
            )
        if not path.is_file():
            raise ConfigurationError(f"{path}: is not a file")
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise ConfigurationError(
                f"{path}: is larger than a device file can be, {LARGEST_FILE} bytes"
            )
        return raw.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text (byte {error.start})") from None


def _check_version(data: dict[Any, Any], where: str) -> None:
    version = data.get("schema_version")
    if version is None:
        raise ConfigurationError(
            f"{where}: schema_version: is missing",
            remedy=f"write schema_version: {SCHEMA_VERSION}",
        )
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"{where}: schema_version: {version}: this library reads up to {SCHEMA_VERSION}",
            remedy="install a newer hwloop",
        )


def _position(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)


@functools.cache
def _field_names(schema: type[Frozen]) -> frozenset[str]:
    """Return the names of all fields at any depth."""
    names = set(schema.model_fields)
    for definition in schema.model_json_schema().get("$defs", {}).values():
        names |= set(definition.get("properties", {}))
    return frozenset(names)
