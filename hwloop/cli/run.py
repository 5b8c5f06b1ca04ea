"""`hwloop run`: the folders of runs."""

from __future__ import annotations

from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from hwloop.cli.output import JsonFlag, print_json, print_table
from hwloop.operations import Operation, Result
from hwloop.run import load_run
from hwloop.tape import Entry

app = typer.Typer(help="The folders of runs.", no_args_is_help=True)

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, for example runs/7.")
]


@app.command()
def report(run: RunArgument, as_json: JsonFlag = False) -> None:
    """Make the report of a run anew, from its folder alone."""
    from hwloop.report import write_report

    path = write_report(load_run(run))
    if as_json:
        print_json({"run": str(run), "report": str(path)})
    else:
        print(path)


@app.command()
def tape(
    run: RunArgument,
    only_hash: Annotated[
        bool, typer.Option("--hash", help="Print the SHA-256 over operations and results alone.")
    ] = False,
    start: Annotated[int, typer.Option("--start", help="First operation to show.")] = 0,
    limit: Annotated[int, typer.Option("--limit", help="Most operations to show.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """Show the operations of a run with their results, or the hash of its tape."""
    taped = load_run(run).tape
    if only_hash:
        if as_json:
            print_json({"run": str(run), "hash": taped.hash()})
        else:
            print(taped.hash())
        return
    entries = list(islice(taped[max(start, 0) :], max(limit, 0)))
    if as_json:
        print_json(
            {
                "run": str(run),
                "operations": len(taped),
                "torn": taped.torn,
                "events": taped.events,
                "entries": [_content(entry) for entry in entries],
            }
        )
        return
    title = f"{len(taped)} operations" + (", torn at its end" if taped.torn else "")
    print_table(
        title,
        ("id", "operation", "tile", "what", "result"),
        [
            (e.operation.id, e.operation.kind, e.operation.tile, _what(e.operation), _got(e.result))
            for e in entries
        ],
    )


def _content(entry: Entry) -> dict[str, Any]:
    operation, result = entry.operation, entry.result
    answer = None
    if result is not None:
        names = ("verdict", "values", "saturated", "fired", "ticks")
        answer = {name: _plain(getattr(result, name)) for name in names}
    return {
        "id": operation.id,
        "ordinal": operation.ordinal,
        "kind": operation.kind,
        **{name: _plain(value) for name, value in operation.content().items()},
        "result": answer,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.name.lower() if isinstance(value, IntEnum) else value


def _what(operation: Operation) -> str:
    return ", ".join(
        f"{name} {_short(value)}"
        for name, value in operation.content().items()
        if name not in ("tile", "configuration") and value is not None
    )


def _got(result: Result | None) -> str:
    if result is None:
        return "none"
    parts = [] if result.verdict.name == "APPLIED" else [result.verdict.name.lower()]
    if result.values is not None:
        parts.append(f"values {_short(result.values)}")
    if result.saturated is not None and result.saturated.any():
        parts.append(f"{int(result.saturated.sum())} saturated")
    if result.fired:
        parts.append(f"{result.fired} pulses")
    return ", ".join(parts) or "done"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        if value.size <= 4:
            return str(value.tolist())
        size = "x".join(map(str, value.shape))
        return f"{size} from {value.min()} to {value.max()}"
    text = str(_plain(value))
    return text if len(text) <= 40 else text[:37] + "..."
