"""`hwloop device import`: measured data from the forms that others keep it in."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hwloop.cli.output import JsonFlag, print_error, print_json
from hwloop.errors import ConfigurationError

_FORMATS = "aihwkit, arc1, arc2, crosssim, digitised, pymeasure, table, xlsx"


def import_measured(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files to import.")],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Header to write, .yaml or .json; its table beside."),
    ],
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help=f"Form of the files: {_FORMATS}. Needed unless their content can be no other.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the device.")] = None,
    kind: Annotated[str | None, typer.Option(help="What was measured.")] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            help="Unit of the values: siemens, uS, ampere, nA, ohm, kohm, normalised, ..."
        ),
    ] = None,
    read_volts: Annotated[float | None, typer.Option(help="Voltage of the reads.")] = None,
    up_volts: Annotated[float | None, typer.Option(help="Amplitude of pulses up.")] = None,
    down_volts: Annotated[
        float | None, typer.Option(help="Amplitude of pulses down, with its sign.")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Width of the pulses. Seconds.")] = None,
    polarity: Annotated[
        Literal["normal", "swapped"] | None,
        typer.Option(
            help="swapped: what the source calls up, or gives as positive pulses, lowers."
        ),
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="What the columns of a table hold (docs/import.md)."
        ),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook.")] = None,
    each: Annotated[
        Literal["cell", "repeat"] | None, typer.Option(help="What each of several files is.")
    ] = None,
    first: Annotated[
        Literal["up", "down"] | None, typer.Option(help="Direction of the first ramp.")
    ] = None,
    pulses: Annotated[
        int | None, typer.Option(min=1, help="Pulses that a digitised axis stands for.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="comma, tab, semicolon, space, or a character.")
    ] = None,
    decimal: Annotated[
        Literal["point", "comma"] | None, typer.Option(help="Decimal sign of the source.")
    ] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A fact of the header, e.g. conditions.temperature_kelvin=300; may be repeated.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace FILE if there is one.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Read and check, but write nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import measured data. What the files do not say is asked for, and noted as assumed."""
    from hwloop.characterization import save
    from hwloop.characterization.importers import Options, import_files

    if out.exists() and not force and not dry_run:
        raise ConfigurationError(f"{out}: there is such a file", remedy="--force replaces it")
    started = time.monotonic()
    _say_large(sources)
    imported = import_files(
        sources,
        format_name,
        Options(
            name=name,
            kind=kind,
            unit=unit,
            read_volts=read_volts,
            up_volts=up_volts,
            down_volts=down_volts,
            width_seconds=width,
            polarity=polarity,
            mapping=mapping,
            sheet=sheet,
            each=each,
            first=first,
            pulses=pulses,
            delimiter=delimiter,
            decimal=decimal,
            assume=dict(_pair(text) for text in assume or []),
        ),
    )
    header = imported.measurement.header
    if not dry_run:
        header = save(imported.measurement, out)
    assumed = {k: v for k, v in header.provenance.items() if v.startswith("assumed")}
    if as_json:
        facts: dict[str, Any] = {
            "file": None if dry_run else str(out),
            "table": header.table.file if header.table else None,
            "format": imported.format,
            "kind": header.kind,
            "rows": imported.measurement.rows,
            "cells": _cells(imported.measurement.columns),
            "quantity": header.quantity,
            "assumed": assumed,
            "warnings": list(imported.warnings),
            "seconds": time.monotonic() - started,
        }
        print_json(facts)
        return
    for warning in imported.warnings:
        print_error(f"warning: {warning}")
    cells = _cells(imported.measurement.columns)
    print(
        f"{'would be written: ' if dry_run else ''}{out}: {header.kind}, "
        f"{imported.measurement.rows} rows"
        + (f" of {cells} cell{'s' if cells != 1 else ''}" if cells else "")
        + f", format {imported.format}"
    )
    for path, how in assumed.items():
        print(f"  {path}: {how}")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigurationError(f"--assume {text}: should be KEY=VALUE")
    return key, value


def _cells(columns: Any) -> int | None:
    import numpy as np

    return int(np.unique(columns["cell"]).size) if "cell" in columns else None


def _say_large(sources: list[Path]) -> None:
    """Say what takes more than a moment."""
    size = sum(source.stat().st_size for source in sources if source.is_file())
    if size > 2 << 20:
        print(f"reading {size / 1e6:.1f} MB", file=sys.stderr, flush=True)
