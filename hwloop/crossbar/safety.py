"""What guards a chip: the limits in force, arming, lease and doses, and their read-back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwloop import device_file
from hwloop.backend import (
    CrossbarBackend,
    TellsConfiguration,
    keeps_doses,
    moves_nothing,
    started_here,
)
from hwloop.capabilities import Capabilities, Configuration, Limits
from hwloop.device_file import DeviceFile
from hwloop.device_file.station import Station
from hwloop.errors import CapabilityError, ConfigurationError, SafetyError
from hwloop.guard import CHIP, Guard, InForce, LifeLedger, keeps_life, life_of

CALLER = "the limits given to connect()"
"""Origin of limits that a program gives."""

Sourced = tuple[str, Limits]
"""An origin with its limits."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A station file in use.

    Attributes:
        origin: what messages call it.
        station: what it says.
    """

    origin: str
    station: Station


def load_bench(path: str | os.PathLike[str]) -> Bench:
    """Return the station file at a path.

    Raises:
        ConfigurationError: there is none, or it is wrong.
        CapabilityError: it wires lines otherwise than straight.
    """
    station = device_file.load_station(path)
    origin = f"station file {Path(path).name}"
    for line_map in station.line_maps:
        for lines in (line_map.rows, line_map.cols):
            if lines != tuple(range(len(lines))):
                raise CapabilityError(
                    f"{origin}: line_maps: tile {line_map.tile} is not wired straight, and no "
                    "lines are exchanged by this version",
                    remedy="exchange the lines in the backend, and leave line_maps out",
                )
    return Bench(origin, station)


def sources(
    own: Capabilities,
    device: DeviceFile | None,
    device_name: str,
    bench: Bench | None,
    more: Sequence[Sourced],
) -> list[Sourced]:
    """Return all limits that hold, by their origins: chip, station file, device file, others."""
    found = [(CHIP, own.configuration.limits)]
    if bench is not None:
        found.append((bench.origin, bench.station.limits))
    if device is not None:
        found.append((f"device file {device_name}", device.limits))
    return [*found, *more]


def is_armed(
    backend: CrossbarBackend, chip: Capabilities, arm: str | None, device: DeviceFile | None
) -> bool:
    """Return whether an array may be moved: if this process started it, or it is armed by its id.

    Raises:
        ConfigurationError: another chip is named, or its device file is in normalised units.
    """
    exempt = chip.kind == "virtual" and started_here(backend)
    if arm is None or moves_nothing(backend):
        return exempt or moves_nothing(backend)
    if arm != chip.chip_id:
        raise ConfigurationError(
            f"armed chip {arm!r}, but {chip.chip_id!r} is connected; nothing was sent",
            remedy="look at the bench; the chip that is connected is armed by "
            f"--arm {chip.chip_id}",
        )
    if chip.kind == "physical" and device is not None and device.conductance.normalised:
        raise ConfigurationError(
            f"device file {device.name!r} is in normalised units, it cannot arm a physical chip",
            remedy="name a device file with measured conductances",
        )
    return True


def make_guard(
    backend: CrossbarBackend,
    chip: Capabilities,
    configuration: Configuration,
    in_force: InForce,
    bench: Bench | None,
    *,
    armed: bool,
    rehearsal: bool,
) -> Guard:
    """Return the guard of a chip; one that may be moved has its lease and its doses for life.

    A rehearsal reads the doses, and writes none.

    Raises:
        SafetyError: another process holds the chip.
        ConfigurationError: the doses of the chip cannot be read or written.
    """
    limits = configuration.limits
    kept = armed and keeps_life(chip, limits) and not keeps_doses(backend)
    life = None
    if kept:
        life = life_of(chip, limits) if rehearsal else LifeLedger(chip, limits)
    bias_scheme = None if bench is None else bench.station.bias_scheme
    return Guard(
        chip, configuration, armed=armed, in_force=in_force, bias_scheme=bias_scheme, life=life
    )


def check_installed(backend: CrossbarBackend, asked: Configuration) -> None:
    """Compare what an array holds with what it was asked to hold, where it can say so.

    Raises:
        SafetyError: it holds something else.
    """
    if not isinstance(backend, TellsConfiguration):
        return
    held = backend.installed()
    if held.canonical() == asked.canonical():
        return
    faults = [
        f"{name} is {getattr(held.limits, name)}, asked for was {getattr(asked.limits, name)}"
        for name in Limits.model_fields
        if getattr(held.limits.installed(), name) != getattr(asked.limits.installed(), name)
    ]
    faults += [
        f"pulse shape {name!r} is {held.shapes.get(name)}, asked for was {asked.shapes.get(name)}"
        for name in sorted({*held.shapes, *asked.shapes})
        if held.shapes.get(name) != asked.shapes.get(name)
    ]
    raise SafetyError(
        "the array holds another configuration than the one that was installed: "
        + "; ".join(faults),
        remedy="do not use this array: its limits are not what was asked for",
    )
