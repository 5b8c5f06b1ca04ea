"""Options of a backend URL that change a device, for sweeps: `sim:reram-om,reference_std=0.5`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hwloop.device_file.explain import explain, nearest, short
from hwloop.device_file.schema import ASSUMED, DeviceFile
from hwloop.errors import ConfigurationError

_FIELDS: dict[str, tuple[str, ...]] = {
    "reference_mean": ("reference.mean",),
    "reference_std": ("reference.std",),
    "subtract_symmetry_point": ("reference.subtract_symmetry_point",),
    "corrupt": ("corrupt_probability",),
    "states": ("step",),
    "step_spread": ("step_spread",),
    "up_down": ("up_down",),
    "up_down_spread": ("up_down_spread",),
    "bound_spread": ("bound_max_spread", "bound_min_spread"),
    "cycle_noise": ("cycle_noise",),
    "write_noise": ("write_noise",),
    "write_noise_memory": ("write_noise_memory",),
    "telegraph_share": ("telegraph.share",),
    "static": ("relaxation", "drift", "read_noise", "telegraph"),
}

OVERRIDES: tuple[str, ...] = (*_FIELDS, "population")
"""Names of the options, in the units of their fields.

`reference_mean` is the skew and `reference_std` the variability of the symmetry point after
zero-shifting; both, and `subtract_symmetry_point`, give a reference plane to a device that has
none. `corrupt` is the share of stuck cells, or `measured` for the share that the file states as
measured. `states` sets the step so that the mean bounds are that many granularities apart; noise
that is given relative to the step follows it. `static=true` leaves out all that changes with time.
`population` is `measured` for the cells of the file's table, which is the default where it has
one, or `drawn` for cells drawn from the spreads.
"""


def override(device: DeviceFile, options: Mapping[str, str]) -> DeviceFile:
    """Return a device with some values replaced; provenance says which.

    Args:
        device: the device.
        options: values as text, by names of `OVERRIDES`.

    Raises:
        ConfigurationError: an unknown option or a value that does not fit.
    """
    fields = {name: text for name, text in options.items() if name != "population"}
    changed = _changed(device, fields) if fields else device
    return _with_cells(changed, options["population"]) if "population" in options else changed


def _changed(device: DeviceFile, options: Mapping[str, str]) -> DeviceFile:
    content = device.content()
    for name, text in options.items():
        where = f"device {device.name}: option {name}={text}"
        if name not in _FIELDS:
            near = nearest(name, OVERRIDES)
            raise ConfigurationError(
                f"device {device.name}: option {short(name)} is unknown",
                remedy=(f"did you mean {near}? " if near else "")
                + f"options: {', '.join(OVERRIDES)}",
            )
        value = _value(device, name, text, where)
        if name == "static":
            if value:
                _remove_terms(content, f"{ASSUMED}: option {name}={text}")
            continue
        for path in _FIELDS[name]:
            _put(content["model"], path, value)
            content["provenance"][f"model.{path}"] = f"{ASSUMED}: option {name}={text}"
        try:
            DeviceFile.model_validate(content)
        except ValidationError as error:
            raise explain(error, where) from None
    changed = DeviceFile.model_validate(content)
    if device.cells is None:
        return changed
    return changed.with_cells(device.measured_cells, device.cells.file)


def _remove_terms(content: dict[str, Any], source: str) -> None:
    """Leave out what changes with time, and what is said of its fields."""
    for term in _FIELDS["static"]:
        content["model"][term] = None
        for said in (content["provenance"], content["measured"]):
            for path in [p for p in said if p.startswith(f"model.{term}.")]:
                del said[path]
        content["provenance"][f"model.{term}"] = source


def _with_cells(device: DeviceFile, text: str) -> DeviceFile:
    where = f"device {device.name}: option population={text}"
    if text not in ("measured", "drawn"):
        raise ConfigurationError(f"{where}: should be measured or drawn")
    if text == "drawn":
        return device if device.cells is None else device.with_cells(None)
    if device.cells is None:
        raise ConfigurationError(
            f"{where}: the device file has no table of cells", remedy="use population=drawn"
        )
    return device


def _value(device: DeviceFile, name: str, text: str, where: str) -> float | bool:
    if name in ("subtract_symmetry_point", "static"):
        if text not in ("true", "false"):
            raise ConfigurationError(f"{where}: should be true or false")
        return text == "true"
    if name == "corrupt" and text == "measured":
        measured = device.measured.get("model.corrupt_probability")
        if measured is None:
            raise ConfigurationError(
                f"{where}: the file states no measured share", remedy="give a number from 0 to 1"
            )
        return measured
    try:
        value = float(text)
    except ValueError:
        raise ConfigurationError(f"{where}: should be a number") from None
    if name == "states":
        if not 0 < value < float("inf"):
            raise ConfigurationError(f"{where}: should be greater than 0")
        return device.model.step * device.states / value
    return value


def _put(model: dict[str, Any], path: str, value: float | bool) -> None:
    *above, last = path.split(".")
    for part in above:
        model[part] = model[part] or {}
        model = model[part]
    model[last] = value
