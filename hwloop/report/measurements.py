"""The report of a measuring run: what was measured, as it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwloop.characterization import Measurement, load
from hwloop.errors import ConfigurationError
from hwloop.report.measured_figures import CAPTIONS, figure_of
from hwloop.report.page import Table, fill, plain, quantity
from hwloop.report.style import png
from hwloop.run import Run


def render_measurements(run: Run) -> str:
    """Return the report of a measuring run as HTML, from its folder alone."""
    measured = [(path, load(path)) for path in _files(run)]
    summary = run.summary if run.complete else {}
    kinds = ", ".join(str(entry["plan"]).replace("_", " ") for entry in run.config["plans"])
    return fill(
        "measured.html.j2",
        title=f"{kinds} on {run.chip.name}",
        subtitle=f"Run {run.folder.name}" + ("" if run.complete else " — not complete"),
        facts=_facts(summary, measured),
        parts=[_part(path, data) for path, data in measured],
        tables=_tables(run, summary),
    )


def _files(run: Run) -> list[Path]:
    """Return the files of measured data in the order of the plans."""
    plans = run.config["plans"]
    names = [str(entry["plan"]) for entry in plans]
    if len(plans) > 1:
        names = [f"{number}-{name}" for number, name in enumerate(names, start=1)]
    paths = (run.folder / f"{name}.yaml" for name in names)
    return [path for path in paths if path.is_file()]


def _part(path: Path, data: Measurement) -> dict[str, str]:
    notes = data.header.notes
    partial = f" Not complete: {notes['partial']}." if "partial" in notes else ""
    return {
        "title": data.kind.replace("_", " ").capitalize(),
        "note": f"{path.name}: {data.header.description}, {data.rows} rows.{partial}",
        "picture": f'<img src="{png(figure_of(data))}" alt="{data.kind}">',
        "caption": CAPTIONS[data.kind],
    }


def _facts(summary: Mapping[str, Any], measured: list[tuple[Path, Measurement]]) -> Table:
    plans = summary.get("plans", [])
    most = sum(plan["most_pulses_per_cell"] for plan in plans)
    return [
        ("cells", str(max((plan["cells"] for plan in plans), default="–"))),
        ("rows", quantity(sum(data.rows for _, data in measured))),
        ("pulses", quantity(summary.get("pulses"))),
        ("most per cell", quantity(most if plans else None)),
        ("chip time", quantity(summary.get("chip_seconds"), "s")),
        ("wall time", quantity(summary.get("wall_seconds"), "s")),
    ]


def _tables(run: Run, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    config, tables = run.config, []
    if summary:
        rows = [
            ("operations", quantity(summary["operations"])),
            ("tape", quantity(summary["tape_bytes"], "B")),
            ("tape hash", plain(summary["tape_hash"])),
            ("bytes sent", quantity(summary["bytes_sent"] or None, "B")),
        ]
        tables.append({"title": "Totals", "rows": rows})
    rows = [(key, plain(value)) for key, value in config.items() if key != "plans"]
    tables.append({"title": "Settings", "rows": rows})
    for entry in config["plans"]:
        rows = [(key, plain(value)) for key, value in entry.items() if key != "plan"]
        if rows:
            tables.append({"title": f"Parameters: {entry['plan']}", "rows": rows})
    if summary.get("versions"):
        rows = [(name, plain(value)) for name, value in summary["versions"].items()]
        tables.append({"title": "Versions", "rows": rows})
    tables.append({"title": "Array", "rows": _array(run)})
    return tables


def _array(run: Run) -> Table:
    try:
        chip = run.chip
    except ConfigurationError:  # a run that was killed before it could say
        return []
    return [
        ("name", chip.name),
        ("kind", chip.kind),
        ("chip id", chip.chip_id),
        ("device", chip.device or "-"),
        ("tiles", ", ".join(f"{t.rows} × {t.cols}" for t in chip.tiles)),
        ("firmware", chip.firmware or "-"),
    ]
