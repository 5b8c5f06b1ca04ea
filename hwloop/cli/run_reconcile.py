"""`hwloop run reconcile`: what became of the operations that an interrupted run left open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwloop.cli.output import JsonFlag, print_json, print_table
from hwloop.errors import ConfigurationError, OutcomeUnknownError
from hwloop.run import load_run


def reconcile(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of an interrupted run, e.g. runs/7.")
    ],
    policy: Annotated[
        str,
        typer.Option(
            metavar="stop|accept|verify",
            help="stop: decide nothing; verify: read the cells; accept: go on as they are.",
        ),
    ] = "stop",
    backend: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where the array is now. (default: where it was)"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask the array what became of a run's open operations, and decide; moves nothing."""
    from hwloop.experiments.going_on import reconcile_run
    from hwloop.experiments.reconcile import POLICIES

    chosen = next((p for p in POLICIES if p == policy), None)
    if chosen is None:
        raise ConfigurationError(
            f"--policy {policy}: unknown", remedy=f"use one of {', '.join(POLICIES)}"
        )
    loaded = load_run(run)
    resume = f"{loaded.command} --resume {run}"
    if loaded.complete:
        raise ConfigurationError(f"{run} is complete: nothing is open")
    found = reconcile_run(run, chosen, url=backend)
    if found is None:
        if as_json:
            print_json({"run": str(run), "virtual": True, "clear": True, "resume": resume})
        else:
            print(f"the array is set back to a checkpoint, nothing is to be decided: {resume}")
        return
    if as_json:
        print_json(
            {
                "run": str(run),
                "virtual": False,
                "policy": chosen,
                "operations": [entry.content() for entry in found.open],
                "reads": found.reads,
                "unrecorded": found.unrecorded,
                "clear": found.clear,
                "resume": resume,
            }
        )
    else:
        rows = [entry.content() for entry in found.open]
        print_table(
            f"{len(rows)} operations without a result, and {found.reads} reads",
            ("id", "operation", "tile", "verdict", "pulses", "decided", "evidence"),
            [
                (
                    row["id"],
                    row["kind"],
                    row["tile"],
                    row["verdict"].replace("_", " "),
                    "-" if row["fired"] is None else row["fired"],
                    (row["decided"] or "-").replace("_", " "),
                    row["evidence"],
                )
                for row in rows
            ],
        )
    if found.clear:
        if not as_json:
            print(f"nothing is left to decide: {resume}")
        return
    if as_json:
        raise typer.Exit(OutcomeUnknownError.exit_code)
    first = next((entry for entry in found.open if not entry.clear), None)
    raise OutcomeUnknownError(
        found.trouble(),
        operation_id=0 if first is None else first.operation.id,
        remedy=f"hwloop run reconcile {run} --policy "
        + ("verify, or --policy accept" if chosen == "stop" else "accept"),
    )
