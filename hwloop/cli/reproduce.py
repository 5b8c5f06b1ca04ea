"""`hwloop reproduce`: something known is shown again, with a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwloop.cli.output import JsonFlag, print_error, print_json, print_table
from hwloop.errors import ConfigurationError
from hwloop.experiments.reproduce.base import Outcome, Reproduction, Request
from hwloop.experiments.reproduce.registry import MODULES, load

RESULT, REPORT = "result.json", "report.html"
RUNS = Path("runs")


def reproduce(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="What to show; all names by default.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Run the full form; without it, the quick one.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Where it is left. (default: runs/reproduce-NAME)"
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="Data that some of them need.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show a known result again: its target, the measured figure, and a verdict.

    Without NAME, all are listed with the time that they take on one core. Most full forms go on
    where they were interrupted if they are given the same folder. Exit code 1 says that a target
    was missed.
    """
    if name is None:
        _list(as_json)
        return
    reproduction = load(name)
    if data is not None and not data.is_dir():
        raise ConfigurationError(f"--data {data}: is no folder")
    folder = out or RUNS / f"reproduce-{name}{'-full' if full else ''}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--out {folder}: {error.strerror}") from error
    print_error(f"{name}: {reproduction.what}; {reproduction.full if full else reproduction.quick}")
    outcome = reproduction.run(Request(full=full, folder=folder, data=data, tell=print_error))
    content = _content(reproduction, outcome, folder, full=full)
    _leave(content, outcome, folder)
    if as_json:
        print_json(content)
    else:
        _show(content, outcome)
    if not outcome.reached:
        raise typer.Exit(1)


def _list(as_json: bool) -> None:
    known = [load(name) for name in MODULES]
    if as_json:
        rows = [{"name": r.name, "what": r.what, "quick": r.quick, "full": r.full} for r in known]
        print_json({"reproductions": rows})
        return
    columns = ("name", "what it shows", "quick form", "--full")
    print_table("", columns, [(r.name, r.what, r.quick, r.full) for r in known])


def _content(
    reproduction: Reproduction, outcome: Outcome, folder: Path, *, full: bool
) -> dict[str, Any]:
    """Return everything about an outcome as plain values."""
    return {
        "name": reproduction.name,
        "what": reproduction.what,
        "form": "full" if full else "quick",
        "folder": str(folder),
        "reached": outcome.reached,
        "checks": [
            {
                "name": check.name,
                "target": check.target,
                "measured": check.measured,
                "verdict": check.verdict,
                "note": check.note,
            }
            for check in outcome.checks
        ],
        "notes": list(outcome.notes),
        "pictures": [f"{title}.png" for title in outcome.pictures],
        "content": dict(outcome.content),
    }


def _leave(content: dict[str, Any], outcome: Outcome, folder: Path) -> None:
    """Write the result, the pictures, and a page with both."""
    import json

    from hwloop.report.reproduced import render_reproduced
    from hwloop.report.style import style

    text = json.dumps(content, indent=1)
    (folder / RESULT).write_text(text + "\n", encoding="utf-8")
    with style():
        for title, figure in outcome.pictures.items():
            figure.savefig(folder / f"{title}.png")
    page = render_reproduced(content, outcome.pictures)
    (folder / REPORT).write_text(page, encoding="utf-8")


def _show(content: dict[str, Any], outcome: Outcome) -> None:
    columns = ("", "target", "measured", "verdict", "")
    rows = [(c.name, c.target, c.measured, c.verdict, c.note) for c in outcome.checks]
    print_table(f"{content['name']}, {content['form']} form", columns, rows)
    for note in outcome.notes:
        typer.echo(note)
    typer.echo(f"{RESULT}, {REPORT} and pictures: {content['folder']}")
