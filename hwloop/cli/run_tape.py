"""`hwloop run tape`: shows, filters and exports the tape of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from hwloop.cli.output import JsonFlag, print_json, print_table
from hwloop.cli.share import share
from hwloop.errors import ConfigurationError, ReplayError
from hwloop.operations import KINDS
from hwloop.run import load_run
from hwloop.tape import Entry, entries, records
from hwloop.tape.format import RecordType
from hwloop.tape.selecting import Selection
from hwloop.tape.stream import summarise
from hwloop.tape.text import got, plain, what
from hwloop.untrusted import parse_json

FORMATS = (".csv", ".h5", ".hdf5")

TapeArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Folder of a run, for example runs/7, or a tape by file."),
]


def tape(
    run: TapeArgument,
    only_hash: Annotated[
        bool, typer.Option("--hash", help="Print the SHA-256 over operations and results alone.")
    ] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only operations of this kind; repeats."),
    ] = None,
    tile: Annotated[int | None, typer.Option("--tile", help="Only operations on a tile.")] = None,
    cell: Annotated[
        str | None,
        typer.Option(
            "--cell", metavar="ROW,COL", help="Only what reads or may move this cell by itself."
        ),
    ] = None,
    first: Annotated[
        int | None, typer.Option("--from", metavar="ID", help="Only from this id on.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", metavar="ID", help="Only up to this id.")
    ] = None,
    start: Annotated[
        int, typer.Option("--start", help="First operation to show, of those chosen.")
    ] = 0,
    limit: Annotated[int, typer.Option("--limit", help="Most operations to show.")] = 20,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what is chosen to a .csv, .h5 or .hdf5 file."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show or export the operations of a run with their results, or the hash of its tape."""
    path = tape_of(run)
    selection = _selection(kind, tile, cell, first, last)
    if only_hash:
        with share("reading", path.stat().st_size) as tell:
            found = summarise(path, tell)
        if as_json:
            print_json({"run": str(run), "hash": found.hash})
        else:
            print(found.hash)
    elif export is not None:
        _export(run, path, selection, export, as_json)
    else:
        _show(run, path, selection, start, limit, as_json)


def tape_of(run: Path) -> Path:
    """Return the tape of a run folder, or the file itself."""
    return run if run.is_file() else load_run(run).tape_path


def _selection(
    kind: list[str] | None,
    tile: int | None,
    cell: str | None,
    first: int | None,
    last: int | None,
) -> Selection:
    for name in kind or ():
        if name not in KINDS:
            raise ConfigurationError(
                f"--kind {name}: no such operation", remedy=f"kinds: {', '.join(KINDS)}"
            )
    place = None
    if cell is not None:
        numbers = cell.split(",")
        if len(numbers) != 2 or not all(n.strip().isdecimal() for n in numbers):
            raise ConfigurationError(
                f"--cell {cell}: should be a row and a column",
                remedy="write for example --cell 3,5",
            )
        place = int(numbers[0]), int(numbers[1])
    return Selection(frozenset(kind) if kind else None, tile, place, first, last)


def _show(
    run: Path, path: Path, selection: Selection, start: int, limit: int, as_json: bool
) -> None:
    with share("reading", path.stat().st_size) as tell:
        found = summarise(path, tell)
        chosen = (entry for entry in entries(path, tell) if entry.operation in selection)
        shown = list(islice(chosen, max(start, 0), max(start, 0) + max(limit, 0)))
    known = verdicts_on(path)
    if as_json:
        events = [
            parse_json(raw, f"{path}: event", ReplayError)
            for kind, raw in records(path)
            if kind is RecordType.EVENT
        ]
        print_json(
            {
                "run": str(run),
                "operations": found.operations,
                "torn": found.torn,
                "events": events,
                "entries": [_content(entry, known) for entry in shown],
            }
        )
        return
    title = f"{found.operations} operations" + (", torn at its end" if found.torn else "")
    print_table(
        title,
        ("id", "operation", "tile", "what", "result"),
        [
            (op.id, op.kind, op.tile, what(op), _got(entry, known))
            for entry in shown
            for op in (entry.operation,)
        ],
    )


def _export(run: Path, path: Path, selection: Selection, out: Path, as_json: bool) -> None:
    from hwloop.experiments.run_folder import replace_atomically

    if out.suffix not in FORMATS:
        raise ConfigurationError(
            f"--export {out}: the format is told by the name, which ends in {out.suffix!r}",
            remedy=f"end it in {', '.join(FORMATS)}",
        )
    written = 0
    with share("exporting", path.stat().st_size) as tell:

        def chosen() -> Iterator[tuple[int, Entry]]:
            for position, entry in enumerate(entries(path, tell)):
                if entry.operation in selection:
                    yield position, entry

        def write(partial: Path) -> None:
            nonlocal written
            if out.suffix == ".csv":
                from hwloop.tape.export_csv import write_csv

                written = write_csv(partial, (entry for _, entry in chosen()), selection.cell)
            else:
                from hwloop.tape.export_hdf5 import write_hdf5

                written = write_hdf5(partial, chosen(), _texts(path))

        try:
            replace_atomically(out, write)
        except OSError as error:
            raise ConfigurationError(
                f"{out} cannot be written: {error.strerror or error}",
                remedy="name another file, or make room",
            ) from error
    size = out.stat().st_size
    if as_json:
        print_json({"run": str(run), "file": str(out), "operations": written, "bytes": size})
    else:
        print(f"{out}: {written} operations, {size / 1e6:.1f} MB")


def _texts(path: Path) -> dict[str, str]:
    """Return header and chip, as the tape's beginning has them."""
    texts = {}
    for kind, payload in records(path):
        if kind is RecordType.HEADER:
            texts["header"] = json.dumps(parse_json(payload, f"{path}: header", ReplayError))
        elif kind is RecordType.EVENT:
            event = parse_json(payload, f"{path}: event", ReplayError)
            if "chip" in event:
                texts["chip"] = json.dumps(event["chip"])
        else:
            break
    return texts


def verdicts_on(path: Path) -> dict[int, str]:
    """Return what hosts and users have said on a tape of operations without a result, by id."""
    known: dict[int, str] = {}
    for kind, payload in records(path):
        if kind is not RecordType.EVENT:
            continue
        event = parse_json(payload, f"{path}: event", ReplayError)
        known |= {int(n): verdict for n, verdict in event.get("verdicts", {}).items()}
        for n in event.get("resumed", {}).get("sent", ()):
            known.pop(n, None)
        for n, verdict in event.get("reconciled", {}).get("decided", {}).items():
            known[int(n)] = f"{verdict}, as decided"
    return known


def _got(entry: Entry, known: dict[int, str]) -> str:
    """Return what an operation gave, or what is known of it where it gave nothing."""
    if entry.result is not None:
        return got(entry.result)
    return known.get(entry.operation.id, "none").replace("_", " ")


def _content(entry: Entry, known: dict[int, str]) -> dict[str, Any]:
    operation, result = entry.operation, entry.result
    answer = None
    if result is not None:
        names = ("verdict", "values", "saturated", "fired", "ticks")
        answer = {name: plain(getattr(result, name)) for name in names}
    return {
        "id": operation.id,
        "ordinal": operation.ordinal,
        "kind": operation.kind,
        **{name: plain(value) for name, value in operation.content().items()},
        "result": answer,
        "verdict": plain(result.verdict) if result is not None else known.get(operation.id),
    }
