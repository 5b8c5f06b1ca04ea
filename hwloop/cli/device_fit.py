"""`hwloop device fit`: measured data becomes a device file, or a part of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwloop.cli.output import JsonFlag, print_error, print_json, print_table
from hwloop.errors import ConfigurationError

if TYPE_CHECKING:
    from hwloop.characterization import Fit
    from hwloop.device_file import Estimate

MOST_ROWS = 60


def fit(
    measurement: Annotated[
        Path, typer.Argument(metavar="MEASUREMENT.yaml", help="Header of the measured data.")
    ],
    model: Annotated[
        str,
        typer.Option(metavar="NAME", help="Step curves: auto, soft_bounds, linear_step, ..."),
    ] = "auto",
    cells: Annotated[
        str | None, typer.Option(metavar="RANGE", help="Cells, as 0:64 or 0,3,5. (default: all)")
    ] = None,
    read_noise: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read noise of the same array: tells write noise apart."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Device whose units, shapes and other parts are kept."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DEVICE.yaml", help="Device file to write.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for fit.json and fit.png.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fit measured data; write a device file that can be emulated."""
    from hwloop import characterization, device_file

    data = characterization.load(measurement)
    base_device = device_file.load(base) if base is not None else None
    noise = characterization.load(read_noise) if read_noise is not None else None
    fitted = characterization.fit(
        data,
        model=model,
        base=base_device,
        read_noise=noise,
        cells=None if cells is None else _cells(cells),
        progress=lambda text: print_error(f"fitting {text}"),
    )
    if out is not None:
        fitted.save(out)
    if report is not None:
        _write_report(fitted, report)
    if as_json:
        print_json(_content(fitted, out, report))
        return
    _show("parameters", fitted.parameters)
    _show("figures", fitted.figures)
    for warning in fitted.warnings:
        print(f"warning: {warning}")
    if out is not None:
        print(f"{out}: written; emulate it with --backend sim:{out}")
    elif fitted.model_device is not None:
        print("no file written: name one with --out DEVICE.yaml")


def _cells(text: str) -> list[int]:
    try:
        if ":" in text:
            start, _, stop = text.partition(":")
            return list(range(int(start or 0), int(stop)))
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigurationError(
            f"--cells {text}: should be a range such as 0:64, or numbers such as 0,3,5"
        ) from None


def _show(title: str, estimates: Any) -> None:
    if not estimates:
        return
    rows = [(name, *_row(estimate)) for name, estimate in estimates.items()]
    print_table(title, ("", "value", "95 % interval", ""), rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        print(f"and {len(rows) - MOST_ROWS} more: see --json or --report")


def _row(estimate: Estimate) -> tuple[str, str, str]:
    value = "-" if estimate.value is None else f"{estimate.value:.4g}"
    low, high = estimate.low, estimate.high
    if low is None and high is None:
        interval = "-"
    else:
        interval = (
            f"{'' if low is None else f'{low:.4g}'} to {'' if high is None else f'{high:.4g}'}"
        )
    note = estimate.why if estimate.identified else f"not identified: {estimate.why}"
    return value, interval, note


def _content(fitted: Fit, out: Path | None, report: Path | None) -> dict[str, Any]:
    return {
        "kind": fitted.kind,
        "fit": fitted.block.model_dump(mode="json"),
        "device": None if fitted.model_device is None else fitted.model_device.content(),
        "out": None if out is None else str(out),
        "report": None if report is None else str(report),
    }


def _write_report(fitted: Fit, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_content(fitted, None, folder), indent=2)
        (folder / "fit.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be written: {error.strerror}") from None
    if fitted.draw is not None:
        fitted.plot(folder / "fit.png")
