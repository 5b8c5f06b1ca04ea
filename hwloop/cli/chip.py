"""`hwloop chip`: the array behind a URL."""

from __future__ import annotations

import copy
import dataclasses
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer

from hwloop.backend import ChipCounters, LinkCounters, Linked, open_backend
from hwloop.capabilities import Capabilities, PolarityShape, TileCapabilities
from hwloop.cli import chip_conform, chip_dose
from hwloop.cli.output import BackendOption, JsonFlag, print_json, print_table, si

COMMANDS = "hwloop.chip_commands"
"""Group of the entry points by which backends add commands of their own."""

app = typer.Typer(help="The array behind a URL.", no_args_is_help=True)
for point in entry_points(group=COMMANDS):
    app.command(point.name)(point.load())


app.command("dose")(chip_dose.dose)
app.command("conform")(chip_conform.conform)


@app.callback()
def _group() -> None:
    pass


@app.command()
def describe(
    backend: BackendOption = "sim:",
    as_json: JsonFlag = False,
    tiles: Annotated[
        int, typer.Option("--tiles", help="Show at most this many different tiles.")
    ] = 8,
) -> None:
    """Show what an array can do, and how its link fares; moves nothing."""
    opened = open_backend(backend)
    host: LinkCounters | None = None
    chip: ChipCounters | None = None
    try:
        capabilities = opened.describe()
        if isinstance(opened, Linked):
            chip = opened.chip_counters()
            host = copy.deepcopy(opened.counters)  # closing goes over the link as well
    finally:
        opened.close()
    if as_json:
        content = {"backend": backend, **capabilities.model_dump(mode="json")}
        if host is not None and chip is not None:
            content["link"] = {"host": dataclasses.asdict(host), "chip": dataclasses.asdict(chip)}
        print_json(content)
        return
    _show(backend, capabilities, tiles)
    if host is not None and chip is not None:
        print_table("link", ("", "counted by the host", "by the chip"), _link_rows(host, chip))


def _show(url: str, chip: Capabilities, most: int) -> None:
    limits = [
        f"{name} {value:g}" if not isinstance(value, bool) else name
        for name, value in chip.configuration.limits.model_dump().items()
        if value not in (None, True)
    ]
    print_table(
        chip.name,
        ("", ""),
        (
            ("backend", url),
            ("chip id", chip.chip_id),
            ("kind", chip.kind),
            ("device", chip.device or "-"),
            ("tiles", len(chip.tiles)),
            ("operations", ", ".join(sorted(chip.operations))),
            ("bias scheme", chip.bias_scheme),
            ("limits", ", ".join(limits) or "none"),
            ("clock tick", si(chip.tick_seconds, "s")),
            ("firmware", chip.firmware or "-"),
            ("protocol version", chip.protocol_version),
        ),
    )
    groups: dict[str, list[int]] = {}
    for i, tile in enumerate(chip.tiles):
        groups.setdefault(tile.model_dump_json(), []).append(i)
    for indices in list(groups.values())[:most]:
        numbers = ", ".join(map(str, indices[:8])) + (", ..." if len(indices) > 8 else "")
        tile = chip.tiles[indices[0]]
        print_table(f"tile {numbers}: {tile.rows} x {tile.cols}", ("", ""), _tile_rows(tile))
    print_table(
        "pulse shapes",
        ("name", "up", "down"),
        [(name, _pulse(s.up), _pulse(s.down)) for name, s in chip.configuration.shapes.items()],
    )


def _tile_rows(tile: TileCapabilities) -> list[tuple[str, Any]]:
    def converter(which: str, unit: str) -> str:
        c = getattr(tile, which)
        return f"±{c.code_max} codes, ±{si(c.full_scale, unit)}, {si(c.lsb, unit)} per code"

    return [
        ("rows x columns", f"{tile.rows} x {tile.cols}"),
        ("reference plane", tile.reference),
        ("DAC", converter("dac", "V")),
        ("ADC, forward read", converter("adc_forward", "A")),
        ("ADC, backward read", converter("adc_backward", "A")),
        ("ADC, cell read", converter("adc_cells", "A")),
        ("noise of a conversion", si(tile.output_noise, "A")),
        ("device unit", si(tile.cell_siemens, "S")),
        ("update codes", f"±{tile.update_code_max}, {', '.join(tile.update_encodings) or 'none'}"),
        ("longest train", f"{tile.longest_train} slots"),
        ("generator", tile.generator or "-"),
        ("averaging", f"up to {tile.average_max} reads"),
    ]


def _link_rows(host: LinkCounters, chip: ChipCounters) -> list[tuple[str, Any, Any]]:
    return [
        ("frames sent", host.frames_sent, ""),
        ("of them sent again", host.frames_resent, ""),
        ("frames received", host.frames_received, chip.frames_good),
        ("dropped: wrong check", host.frames_bad, chip.frames_bad),
        ("received twice", host.frames_duplicate, chip.frames_duplicate),
        ("of another session, or out of order", "", chip.frames_stale),
        ("bytes sent", si(host.bytes_sent, "B"), ""),
        ("bytes received", si(host.bytes_received, "B"), ""),
        ("round trip", si(host.round_trip, "s"), ""),
        ("in flight", f"{host.in_flight}, at most {host.most_in_flight}", ""),
    ]


def _pulse(shape: PolarityShape) -> str:
    text = f"{si(shape.amplitude_volts, 'V')}, {si(shape.width_seconds, 's')}"
    if shape.compliance_amperes is not None:
        text += f", up to {si(shape.compliance_amperes, 'A')}"
    return text
