"""`hwloop chip conform`: checks that an array does what every backend has to do."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwloop.cli.output import BackendOption, JsonFlag, print_error, print_json, print_table
from hwloop.errors import ConfigurationError

if TYPE_CHECKING:
    from hwloop.capabilities import Capabilities
    from hwloop.conformance import Outcome, Report, Scope

QUIET_SECONDS = 2.0
REPORT_JSON, REPORT_HTML = "conformance.json", "conformance.html"


def conform(
    backend: BackendOption = "sim:",
    region: Annotated[
        str | None,
        typer.Option(metavar="TILE:R0-R1,C0-C1", help="Cells that may be pulsed, ends included."),
    ] = None,
    dose: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Most pulses on any one cell.")
    ] = None,
    arm: Annotated[
        str | None, typer.Option(metavar="CHIP_ID", help="Array that may be moved.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(metavar="RECIPE", help="Recipe of forming that may be asked for."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the reports go, JSON and HTML.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show checks and dose; move nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check that an array does what every backend has to do; a chip gets the dose that it says."""
    from hwloop.conformance import conform as check_all
    from hwloop.conformance import parse_region
    from hwloop.conformance.runner import plan

    allowed: dict[str, Any] = {
        "region": None if region is None else parse_region(region),
        "dose": dose,
        "arm": arm,
        "form": form,
    }
    capabilities, scope = plan(backend, **allowed)
    if dry_run:
        _show_plan(backend, capabilities, scope, as_json)
        return
    if out is not None:
        _make_folder(out)
    if not as_json:
        print_error(_announcement(capabilities, scope))
    report = check_all(backend, **allowed, watch=_Display())
    written = [] if out is None else _write(report, out)
    if as_json:
        print_json({**report.content(), "files": [str(path) for path in written]})
    else:
        _show(report, written)
    if not report.passed:
        raise typer.Exit(1)


class _Display:
    """Says on standard error how far the checks are, once they take two seconds."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, outcome: Outcome, number: int, of: int) -> None:
        """Say what became of a check."""
        seconds = time.monotonic() - self._started
        if seconds >= QUIET_SECONDS:
            text = f"{number} of {of}: {outcome.name} {outcome.judgement.value}, {seconds:.0f} s"
            print(text, file=sys.stderr, flush=True)


def _announcement(capabilities: Capabilities, scope: Scope) -> str:
    return (
        f"{capabilities.chip_id} ({capabilities.name}, {capabilities.kind}): region "
        f"{scope.region}, at most {scope.most_pulses_per_cell} pulses on any one cell"
    )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"--out {out}: {error.strerror}", remedy="name a folder that can be written"
        ) from error


def _write(report: Report, out: Path) -> list[Path]:
    """Write the reports; return their paths."""
    content = out / REPORT_JSON
    content.write_text(json.dumps(report.content(), indent=2) + "\n", encoding="utf-8")
    written = [content]
    try:
        from hwloop.conformance.page import render
    except ImportError:
        print_error("no HTML report: it needs matplotlib and jinja2 (pip install 'hwloop[train]')")
        return written
    page = out / REPORT_HTML
    page.write_text(render(report), encoding="utf-8")
    return [*written, page]


def _show_plan(url: str, capabilities: Capabilities, scope: Scope, as_json: bool) -> None:
    from hwloop.conformance import CHECKS

    operations = capabilities.operations
    rows = [
        (check.name, "" if set(check.needs) <= operations else "skipped", check.what)
        for check in CHECKS
    ]
    if as_json:
        print_json(
            {
                "backend": url,
                "chip_id": capabilities.chip_id,
                "kind": capabilities.kind,
                "region": str(scope.region),
                "pulses_of_a_mark": scope.mark,
                "bound_per_cell": scope.most_pulses_per_cell,
                "allowed_per_cell": scope.dose,
                "checks": [{"name": n, "skipped": bool(s), "checks": w} for n, s, w in rows],
            }
        )
        return
    print_table("What would be checked", ("check", "", "what"), rows)
    print(_announcement(capabilities, scope))
    print("nothing was moved")


def _show(report: Report, written: list[Path]) -> None:
    rows = [
        (o.name, o.judgement.value, o.most_pulses_per_cell or "", o.reason) for o in report.outcomes
    ]
    head = ("check", "verdict", "pulses per cell", "why")
    print_table(f"{report.capabilities.chip_id}: {report.capabilities.name}", head, rows)
    counts = report.content()
    print(
        f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped; "
        f"most pulses on any one cell: {report.most_pulses_per_cell}"
    )
    for path in written:
        print(f"report: {path}")
