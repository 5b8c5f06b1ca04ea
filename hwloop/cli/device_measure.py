"""`hwloop device measure`: carries out measurement plans and leaves a run folder."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwloop.cli.moves import Moves
from hwloop.cli.output import JsonFlag, print_error, print_json, print_table, si
from hwloop.errors import INTERRUPTED, ConfigurationError
from hwloop.testing import FaultSpec

if TYPE_CHECKING:
    from hwloop.characterization.plans import Progress
    from hwloop.experiments.measure_config import MeasureConfig
    from hwloop.run import Run

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_UPDATES = 0.2

Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A parameter of the plan, e.g. pulses=200; of a file's plan, plan.key=value; repeats.",
    ),
]


def measure(
    plan: Annotated[
        str | None,
        typer.Argument(metavar="PLAN|PLANS.yaml", help="Name of a plan, or a file of plans."),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="URL", help="The array. (default: sim:reram-om)")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Device preset or file, in place of the URL's."),
    ] = None,
    station: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Station file of the bench, with its limits."),
    ] = None,
    tile: Annotated[int | None, typer.Option(help="Tile of the chip. (default: 0)")] = None,
    rows: Annotated[
        str | None, typer.Option(metavar="LINES", help="0:4, 7 or 0,3,5. (default: all)")
    ] = None,
    cols: Annotated[
        str | None, typer.Option(metavar="LINES", help="0:4, 7 or 0,3,5. (default: all)")
    ] = None,
    cells: Annotated[
        str | None, typer.Option(metavar="ROW,COL;...", help="Single cells, in place of a block.")
    ] = None,
    assignments: Assignments = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run folder. (default: next below runs/)")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Continue an interrupted run.")
    ] = None,
    arm: Annotated[
        str | None, typer.Option(metavar="CHIP_ID", help="Chip that may be moved, by its id.")
    ] = None,
    faults: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Faults on the link, to try it: drop=0.01,flip=1e-4,reboot=after-intent@40.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the dose and what it costs; move nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure cells of an array by a plan; leaves data, tape and report in a run folder."""
    flags: dict[str, Any] = {
        "backend": backend,
        "device": device,
        "station": station,
        "tile": tile,
        "rows": rows,
        "cols": cols,
    }
    if cells is not None:
        from hwloop.experiments.measure_config import parse_cells

        flags["cells"] = parse_cells(cells)
    given = {key: value for key, value in flags.items() if value is not None}
    moves = Moves(arm, None if faults is None else FaultSpec.parse(faults), backend)
    if resume is not None:
        if given.keys() - {"backend"} or assignments or plan or out or dry_run:
            raise ConfigurationError(
                "--resume takes all settings from the interrupted run, but where its array is now",
                remedy=f"hwloop device measure --resume {resume}",
            )
        _run(None, resume, moves, as_json)
        return
    if plan is None:
        from hwloop.characterization.plans import PLANS

        raise ConfigurationError(
            "no plan is given", remedy=f"name a YAML file of plans, or one of {', '.join(PLANS)}"
        )
    from hwloop.experiments.measure_config import load_measure_config

    config = load_measure_config(plan, assignments or (), given)
    if dry_run:
        _dry_run(config, as_json)
    else:
        _run(config, out, moves, as_json)


def _run(config: MeasureConfig | None, folder: Path | None, moves: Moves, as_json: bool) -> None:
    """Measure into a new folder, or, without a configuration, resume the run in the folder."""
    from hwloop.experiments.measure import measure_run, resume_run

    shown = Display()
    try:
        if config is not None:
            run = measure_run(
                config,
                out=folder,
                arm=moves.arm,
                faults=moves.faults,
                watch=shown,
                began=shown.began,
            )
        else:
            assert folder is not None
            shown.folder = folder
            run = resume_run(
                folder,
                arm=moves.arm,
                url=moves.url,
                faults=moves.faults,
                watch=shown,
                tell=print_error,
            )
    except KeyboardInterrupt:
        shown.close()
        path = shown.folder
        remedy = "" if path is None else f"; continue with: hwloop device measure --resume {path}"
        print_error(f"interrupted, what was measured is kept{remedy}")
        if as_json:
            print_json({"interrupted": True, "run": None if path is None else str(path)})
        raise typer.Exit(INTERRUPTED) from None
    finally:
        shown.close()
    if as_json:
        print_json({"run": str(run.folder), **run.summary})
    else:
        _show(run)


class Display:
    """Shows on standard error how far a plan is: in place in a terminal, as lines elsewhere.

    Attributes:
        folder: the run's folder, once it has one.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        pause = SECONDS_BETWEEN_UPDATES if self._terminal else SECONDS_BETWEEN_LINES
        self._pause, self._next = pause, self._started + pause
        self._width = 0

    def began(self, folder: Path) -> None:
        """Take note of the folder."""
        self.folder = folder

    def __call__(self, progress: Progress) -> None:
        """Say now and then how far the plan is."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._pause
        pulses, chip = si(progress.pulses, "").strip(), si(progress.chip_seconds, "s")
        text = (
            f"{progress.kind}: step {progress.steps} of {progress.of}, {pulses} pulses, "
            f"{chip} chip time, {now - self._started:.0f} s"
        )
        if self._terminal:
            print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
            self._width = len(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the line."""
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
            self._width = 0


def _show(run: Run) -> None:
    summary = run.summary
    rows = [
        (
            plan["plan"],
            plan["cells"],
            plan["rows"],
            si(plan["pulses"], "").strip(),
            plan["most_pulses_per_cell"],
            si(plan["chip_seconds"], "s"),
            plan["file"],
        )
        for plan in summary["plans"]
    ]
    head = ("plan", "cells", "rows", "pulses", "most per cell", "chip time", "data")
    print_table("", head, rows)
    facts = [
        ("wall time", f"{summary['wall_seconds']:.1f} s"),
        ("tape", f"{summary['tape_bytes'] / 1e6:.1f} MB, hash {summary['tape_hash'][:16]}"),
        ("run", str(run.folder)),
    ]
    if run.report is not None:
        facts.append(("report", str(run.report)))
    print_table("", ("", ""), facts)


def _dry_run(config: MeasureConfig, as_json: bool) -> None:
    from hwloop.experiments.measure_cost import measure_cost

    shown = Display()
    try:
        costs = measure_cost(config, watch=shown)
    finally:
        shown.close()
    if as_json:
        print_json(costs)
        return
    facts = {key: value for key, value in costs.items() if key != "plans"}
    print_table("What the run would do", ("", ""), [(_words(k), v) for k, v in facts.items()])
    for plan in costs["plans"]:
        title = plan.pop("plan")
        print_table(title, ("", ""), [(_words(k), v) for k, v in plan.items()])


def _words(key: str) -> str:
    return key.replace("_", " ")
