"""The report: one HTML page without anything outside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.ticker import EngFormatter

from hwloop.report.arrays import last_layers
from hwloop.report.curves import learning_curves
from hwloop.report.link import link_figure, link_rows
from hwloop.report.maps import layer_figure
from hwloop.report.style import png, svg
from hwloop.run import REPORT, Run

Table = list[tuple[str, str]]


def write_report(run: Run) -> Path:
    """Make the report of a run, complete or not, from its folder; return its path."""
    path = run.folder / REPORT
    partial = path.with_name(f".partial-{REPORT}")
    partial.write_text(render(run), encoding="utf-8")
    os.replace(partial, path)
    return path


def render(run: Run) -> str:
    """Return the report of a run as HTML."""
    if "plans" in run.config:
        from hwloop.report.measurements import render_measurements

        return render_measurements(run)
    config, metrics = run.config, run.metrics
    summary = run.summary if run.complete else {}
    last = metrics[-1] if metrics else {}
    link = summary.get("link", last.get("link"))
    array = run.chip.name
    layers = [
        {"title": layer.title, "image": png(layer_figure(layer))} for layer in last_layers(run)
    ]
    return fill(
        "page.html.j2",
        title=f"{config['algorithm']['name']} on {array}",
        subtitle=_subtitle(run, config, last),
        notes=summary.get("notes", []),
        facts=_facts(summary, last),
        curves=svg(learning_curves(metrics)),
        every=config["report"]["every"],
        moment="the end of the run" if run.complete else "the last checkpoint",
        layers=layers,
        no_layers=_why_no_layers(run),
        link=svg(link_figure(link, metrics)) if link else "",
        tables=_tables(run, config, summary, last),
    )


def fill(template: str, **values: Any) -> str:
    """Return a template of this package, filled in."""
    folder = resources.files("hwloop.report")
    text = folder.joinpath(template).read_text(encoding="utf-8")
    css = folder.joinpath("page.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(text).render(css=css, **values)


def _subtitle(run: Run, config: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    text = (
        f"Run {run.folder.name}: {config['data']['source']}, {_network(config['network'])}, "
        f"seed {config['seed']}"
    )
    if config.get("experiment", "training") != "training":
        text += f", {config['experiment']}"
    if not run.complete:
        text += f" — not complete: {last.get('batch', 0)} batches so far"
    return text


def _network(network: Mapping[str, Any]) -> str:
    if network.get("kind", "mlp") == "mlp":
        hidden = "-".join(str(width) for width in network["hidden"])
        return f"hidden layers {hidden}, {network['activation']}"
    return str(network["kind"])


def _facts(summary: Mapping[str, Any], last: Mapping[str, Any]) -> Table:
    facts = [("test accuracy", _percent(summary.get("test_accuracy", last.get("test_accuracy"))))]
    floats = summary.get("float_test_accuracy", last.get("float_test_accuracy"))
    facts.append(("float network", _percent(floats)))
    if "pretrained_accuracy" in summary:
        old = [_percent(summary[f"{key}_accuracy"]) for key in ("pretrained", "programmed")]
        facts.append(("classes before, float and programmed", " and ".join(old)))
    facts.append(("pulses", quantity(summary.get("pulses", last.get("pulses")))))
    facts.append(
        ("chip time", quantity(summary.get("chip_seconds", last.get("chip_seconds")), "s"))
    )
    facts.append(("wall time", quantity(summary.get("wall_seconds", last.get("seconds")), "s")))
    return facts


def _why_no_layers(run: Run) -> str:
    if not run.checkpoints:
        return "The run has no checkpoint yet."
    return "The array does not show its whole state: only virtual arrays do."


def _tables(
    run: Run, config: Mapping[str, Any], summary: Mapping[str, Any], last: Mapping[str, Any]
) -> list[dict[str, Any]]:
    totals = {**last, **summary}
    rows = [
        ("batches", plain(totals.get("batches", totals.get("batch")))),
        ("operations", quantity(totals.get("operations"))),
        ("pulses", quantity(totals.get("pulses"))),
        ("chip time", quantity(totals.get("chip_seconds"), "s")),
        ("wall time", quantity(totals.get("wall_seconds", totals.get("seconds")), "s")),
        ("tape", quantity(totals.get("tape_bytes"), "B")),
        ("tape hash", plain(totals.get("tape_hash"))),
        ("bytes sent", quantity(totals.get("bytes_sent") or None, "B")),
    ]
    tables: list[dict[str, Any]] = [{"title": "Totals", "rows": rows}]
    single = [(key, plain(value)) for key, value in config.items() if not _is_section(value)]
    tables.append({"title": "Settings", "rows": single})
    for name, section in config.items():
        if _is_section(section):
            rows = [(key, plain(value)) for key, value in section.items()]
            tables.append({"title": f"Settings: {name}", "rows": rows})
    if totals.get("link"):
        tables.append({"title": "Link", "rows": link_rows(totals["link"])})
    if totals.get("versions"):
        rows = [(name, plain(value)) for name, value in totals["versions"].items()]
        tables.append({"title": "Versions", "rows": rows})
    chip = run.chip
    rows = [
        ("name", chip.name),
        ("kind", chip.kind),
        ("chip id", chip.chip_id),
        ("device", chip.device or "-"),
        ("tiles", ", ".join(f"{t.rows} × {t.cols}" for t in chip.tiles)),
        ("firmware", chip.firmware or "-"),
    ]
    tables.append({"title": "Array", "rows": rows})
    return tables


def quantity(value: float | None, unit: str = "") -> str:
    """Return a value with three digits and an SI prefix; a dash for None."""
    if value is None:
        return "–"
    if not unit and abs(value) < 1000:
        return f"{value:g}"
    text: str = EngFormatter(unit=unit, places=2)(value)
    return text


def _is_section(value: object) -> bool:
    return isinstance(value, Mapping)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def plain(value: Any) -> str:
    """Return a setting as text; a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        nested = any(isinstance(v, list | tuple) for v in value)
        return ("; " if nested else ", ").join(plain(v) for v in value) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
