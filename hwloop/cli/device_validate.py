"""`hwloop device validate` and `hwloop device schema`: what a file holds, and what it may hold."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from hwloop import device_file
from hwloop.cli.output import JsonFlag, print_error, print_json
from hwloop.device_file import DeviceFile, FileError, MeasurementHeader, Problem, Station
from hwloop.device_file.load import parse_station, plain, read_text
from hwloop.device_file.quantities import KINDS
from hwloop.errors import ConfigurationError


class SchemaKind(StrEnum):
    """What a schema is of."""

    MODEL = "model"
    MEASUREMENT = "measurement"
    STATION = "station"
    MAPPING = "mapping"


def schema(
    kind: Annotated[SchemaKind, typer.Option(help="Kind of file.")] = SchemaKind.MODEL,
) -> None:
    """Print the JSON Schema of a kind of file, for editors."""
    print_json(json_schema(kind))


def json_schema(kind: SchemaKind) -> dict[str, Any]:
    """Return the JSON Schema of a kind of file."""
    from hwloop.characterization.importers import Mapping

    schemas: dict[SchemaKind, type[BaseModel]] = {
        SchemaKind.MODEL: DeviceFile,
        SchemaKind.MEASUREMENT: MeasurementHeader,
        SchemaKind.STATION: Station,
        SchemaKind.MAPPING: Mapping,
    }
    content = schemas[kind].model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}


def validate(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Device model (or preset), measured data, station or mapping: a header file.",
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Check a file: every problem with its path, its value, what was expected and a remedy."""
    if not Path(file).is_file():
        device_file.load(file)  # a preset, or no file at all
    problems: list[Problem] = []
    facts: dict[str, Any] = {}
    remedy = ""
    try:
        facts, problems = _looked_at(file)
    except FileError as error:
        problems, remedy = list(error.problems), error.remedy
    except ConfigurationError as error:
        problems = [
            Problem("", "", line, error.remedy) for line in error.message.splitlines() or [""]
        ]
    errors = [problem for problem in problems if problem.severity == "error"]
    if as_json:
        shown = [
            {
                "path": p.path,
                "value": p.value,
                "expected": p.expected,
                "remedy": p.remedy or (remedy if p in errors else ""),
                "severity": p.severity,
            }
            for p in problems
        ]
        print_json({"valid": not errors, "file": file, **facts, "problems": shown})
    else:
        for problem in problems:
            print_error(f"{problem.severity}: {_where(file, problem)}")
            if problem.remedy:
                print_error(f"  remedy: {problem.remedy}")
        if errors and remedy and not any(problem.remedy for problem in errors):
            print_error(f"remedy: {remedy}")
        if errors:
            print(f"{file}: not valid, {len(errors)} problem{'s' if len(errors) > 1 else ''}")
        else:
            print(f"{file}: valid, {facts['summary']}")
    if errors:
        raise typer.Exit(2)


def _where(file: str, problem: Problem) -> str:
    text = str(problem)
    return text if text.startswith(file) else f"{file}: {text}"


def _looked_at(file: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return what a file is, and its problems if it could be read at all."""
    path = Path(file)
    if file in device_file.presets() or not path.is_file():
        return _model(device_file.load(file)), []
    text = read_text(path)
    kind = plain(text, path.name).get("kind", "model")
    if kind == "station":
        station = parse_station(text, path.name)
        summary = f"station {station.name}, {len(station.links)} links"
        return {"kind": kind, "name": station.name, "summary": summary}, []
    if kind == "mapping":
        from hwloop.characterization.importers import load_mapping

        mapping = load_mapping(file)
        summary = f"mapping of {len(mapping.columns)} columns to {mapping.measured}"
        return {"kind": kind, "summary": summary}, []
    if not isinstance(kind, str) or kind not in KINDS:
        return _model(device_file.load(path)), []
    from hwloop import characterization

    data = characterization.load(path)
    count = len(data.cells) if "cell" in data.columns else 0
    cells = f" of {count} cell{'s' if count > 1 else ''}" if count else ""
    return {
        "kind": kind,
        "name": data.header.name,
        "rows": data.rows,
        "normalised": data.header.normalised,
        "hash": data.header.digest,
        "summary": f"{kind} of {data.header.name}, {data.rows} rows{cells}",
    }, characterization.check(data)


def _model(device: DeviceFile) -> dict[str, Any]:
    states = f"{device.states:.3g}" if device.states < 100 else f"{device.states:,.0f}"
    return {
        "kind": "model",
        "name": device.name,
        "states": device.states,
        "granularity": device.granularity,
        "hash": device.digest,
        "summary": f"{device.name}, {states} states",
    }
