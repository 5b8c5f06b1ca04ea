"""`hwloop run compare`: a live array against the tape of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwloop.backend import open_backend
from hwloop.cli.output import JsonFlag, print_error, print_json, print_table, si
from hwloop.cli.run_tape import TapeArgument, tape_of
from hwloop.cli.share import share
from hwloop.errors import ConfigurationError, ReplayError

if TYPE_CHECKING:
    from hwloop.experiments.compare import Comparison, Rehearsed, Tolerance
    from hwloop.tape.recording import Recording

DEFAULT_NOISE = 6.0


def compare(
    run: TapeArgument,
    backend: Annotated[
        str, typer.Option("--backend", metavar="URL", help="The live array.", show_default=False)
    ],
    codes: Annotated[
        float | None,
        typer.Option(metavar="N", help="Codes by which a read may differ from the taped one."),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            metavar="K",
            help="The same, as multiples of the stated noise of two reads. (default: "
            f"{DEFAULT_NOISE:g})",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="FILE", help="Device preset or file with its limits.")
    ] = None,
    station: Annotated[
        str | None, typer.Option(metavar="FILE", help="Station file of the bench, with its limits.")
    ] = None,
    arm: Annotated[
        str | None, typer.Option(metavar="CHIP_ID", help="Chip that may be moved, by its id.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Pass the guard and show the dose; move nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Give an array the operations of a run again, and compare the results with the taped ones.

    Exit code 8 says that some lie outside the tolerance.
    """
    from hwloop.experiments.compare import Tolerance
    from hwloop.tape.recording import open_recording

    if codes is not None and noise is not None:
        raise ConfigurationError("--codes and --noise are two ways to say the same: give one")
    if (codes is not None and codes < 0) or (noise is not None and noise <= 0):
        raise ConfigurationError("a tolerance is a positive number, in codes also 0")
    limit = DEFAULT_NOISE if codes is None and noise is None else noise
    recording = open_recording(tape_of(run))
    rehearsed = _rehearse(recording, backend, device, station)
    if dry_run:
        _show_dry(run, backend, rehearsed, as_json)
        return
    _compare(run, recording, backend, device, station, arm, Tolerance(codes, limit), as_json)


def _rehearse(recording: Recording, url: str, device: str | None, station: str | None) -> Rehearsed:
    """Let the guard see all operations before the first one moves anything."""
    from hwloop.crossbar import Chip
    from hwloop.experiments.compare import Rehearsal, rehearse

    opened = open_backend(url)
    try:
        array = opened.describe()
    finally:
        opened.close()
    size = recording.path.stat().st_size
    with (
        Chip(Rehearsal(array), device=device, station=station, arm=array.chip_id) as chip,
        share("checking", size) as tell,
    ):
        return rehearse(recording, chip, tell)


def _compare(
    run: Path,
    recording: Recording,
    url: str,
    device: str | None,
    station: str | None,
    arm: str | None,
    tolerance: Tolerance,
    as_json: bool,
) -> None:
    from hwloop.crossbar import connect
    from hwloop.experiments.compare import compare as compare_with

    size = recording.path.stat().st_size
    with (
        connect(url, device=device, station=station, arm=arm) as chip,
        share("comparing", size) as tell,
    ):
        found = compare_with(recording, chip, tolerance, tell)
    if as_json:
        kinds = {kind: dataclasses.asdict(row) for kind, row in found.kinds.items()}
        print_json(
            {
                "run": str(run),
                "backend": url,
                "tolerance": dataclasses.asdict(tolerance),
                "outside": found.outside,
                "pulses": found.pulses,
                "without_result": found.without_result,
                "kinds": kinds,
            }
        )
    else:
        print_comparison(f"{chip.capabilities.name} against {recording.path}", found)
    if found.outside:
        print_error(f"hwloop: {found.outside} values lie outside the tolerance")
        raise typer.Exit(ReplayError.exit_code)


def print_comparison(title: str, found: Comparison) -> None:
    """Print a table with a row per kind of operation."""
    print_table(
        title,
        ("operation", "compared", "values", "within", "worst", "first outside"),
        [
            (
                kind,
                row.operations,
                row.values,
                row.values - row.outside if row.values else "-",
                f"{row.worst:g}" if row.values else "-",
                row.first or "-",
            )
            for kind, row in found.kinds.items()
        ],
    )
    if found.without_result is not None:
        print(f"the tape holds no result of operation {found.without_result}: compared up to there")


def _show_dry(run: Path, url: str, rehearsed: Rehearsed, as_json: bool) -> None:
    if as_json:
        print_json({"run": str(run), "backend": url, **dataclasses.asdict(rehearsed)})
        return
    rows: list[tuple[str, Any]] = list(rehearsed.operations.items())
    rows += [
        ("pulses", si(rehearsed.pulses, "").strip()),
        ("chip time", si(rehearsed.chip_seconds, "s")),
    ]
    print(f"{url} would be given these; the guard admits all of them:")
    print_table("", ("", ""), rows)
