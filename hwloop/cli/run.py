"""`hwloop run`: the folders of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwloop.cli.output import JsonFlag, print_json
from hwloop.cli.run_compare import compare
from hwloop.cli.run_reconcile import reconcile
from hwloop.cli.run_replay import replay
from hwloop.cli.run_tape import tape
from hwloop.run import load_run

app = typer.Typer(help="The folders of runs.", no_args_is_help=True)
app.command()(tape)
app.command()(replay)
app.command()(compare)
app.command()(reconcile)

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, for example runs/7.")
]


@app.command()
def report(run: RunArgument, as_json: JsonFlag = False) -> None:
    """Make the report of a run anew, from its folder alone."""
    from hwloop.report import write_report

    loaded = load_run(run)
    if not loaded.complete and "plans" in loaded.config:
        from hwloop.experiments.measure import salvage

        salvage(loaded)  # a killed run has its data on its tape alone
    path = write_report(loaded)
    if as_json:
        print_json({"run": str(run), "report": str(path)})
    else:
        print(path)
