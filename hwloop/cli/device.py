"""`hwloop device`: device files."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hwloop import device_file
from hwloop.cli.device_fit import fit
from hwloop.cli.device_import import import_measured
from hwloop.cli.device_measure import measure
from hwloop.cli.device_validate import schema, validate
from hwloop.cli.output import JsonFlag, print_json, print_table, si
from hwloop.device_file import DeviceFile

app = typer.Typer(help="Device files: models and measured data.", no_args_is_help=True)
app.command("measure")(measure)
app.command("fit")(fit)
app.command("import")(import_measured)
app.command("validate")(validate)
app.command("schema")(schema)

DeviceArgument = Annotated[
    str, typer.Argument(metavar="DEVICE", help="Name of a preset, or path of a device file.")
]


@app.command("list")
def list_devices(as_json: JsonFlag = False) -> None:
    """List the devices that come with the library."""
    devices = {name: device_file.load(name) for name in device_file.presets()}
    if as_json:
        print_json({"devices": [_facts(name, device) for name, device in devices.items()]})
        return
    print_table(
        "",
        ("name", "states", "conductance", "technology"),
        [
            (name, _states(device), _range(device), device.technology or "-")
            for name, device in devices.items()
        ],
    )


@app.command()
def show(device: DeviceArgument, as_json: JsonFlag = False) -> None:
    """Show a device file with its sources."""
    loaded = device_file.load(device)
    if as_json:
        print_json(loaded.content())
        return
    print_table(
        loaded.name,
        ("", ""),
        [
            ("description", loaded.description or "-"),
            ("technology", loaded.technology or "-"),
            ("states", _states(loaded)),
            ("conductance", _range(loaded)),
            ("read at", si(loaded.conductance.read_volts, "V")),
            ("normalised units", "yes" if loaded.conductance.normalised else "no"),
            ("hash", loaded.digest),
        ],
    )
    print_table(
        "model",
        ("field", "value", "source"),
        [(path, value, _source(loaded, path)) for path, value in _leaves("model", loaded)],
    )
    for key, citation in loaded.sources.items():
        print(f"{key}: {citation}")


def _facts(name: str, device: DeviceFile) -> dict[str, Any]:
    return {
        "name": name,
        "description": device.description,
        "technology": device.technology,
        "states": device.states,
        "granularity": device.granularity,
        "conductance": device.conductance.model_dump(),
    }


def _states(device: DeviceFile) -> str:
    return f"{device.states:.3g}" if device.states < 100 else f"{device.states:,.0f}"


def _range(device: DeviceFile) -> str:
    c, model = device.conductance, device.model
    low = c.middle_siemens + c.half_range_siemens * model.bound_min
    high = c.middle_siemens + c.half_range_siemens * model.bound_max
    return f"{si(low, 'S')} to {si(high, 'S')}"


def _leaves(prefix: str, device: DeviceFile) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []

    def walk(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, below in value.items():
                walk(f"{path}.{key}", below)
        else:
            leaves.append((path, value))

    walk(prefix, device.content()[prefix])
    return leaves


def _source(device: DeviceFile, path: str) -> str:
    while path:
        if path in device.provenance:
            return device.provenance[path]
        path = path.rpartition(".")[0]
    return "-"
