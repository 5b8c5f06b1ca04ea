"""What a conformance run may do to an array: where, how much, and how much that comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwloop import device_file
from hwloop.capabilities import Capabilities, Limits
from hwloop.conformance.region import Region, check_region, whole
from hwloop.device_file import DeviceFile
from hwloop.errors import ConfigurationError

MARKS_PER_RUN = 40
"""Marks that one cell may get in a run, up or down, all checks together. Some twenty are the rule;
what noise has hidden is tried again."""

SINGLE_PULSES = 40
"""Pulses beside marks that one cell may get: by refusals that did not happen, and for times."""

ABORTED_PULSES = {"virtual": 200, "physical": 8}
"""Pulses that an abort meets, by kind of array."""

MOST_PULSES_OF_A_MARK = 30_000

MARKED_CELLS_PER_LINE = 4
"""Cells of a line whose doses add up to no less than that of the line: two corners, and others."""

_FULL_SWING = 2.5
_WITHOUT_GRANULARITY = 200
_MOST_ON_A_CHIP = 500


@dataclass(frozen=True, slots=True)
class Scope:
    """Bounds of a run.

    Attributes:
        region: where it pulses and what it reads.
        mark: pulses that move a cell visibly, or are meant to.
        aborted: pulses, one operation each, that an abort meets.
        dose: most pulses that any one cell may get, None on a virtual array without a bound.
        form: recipe of forming that may be tried, or None.
    """

    region: Region
    mark: int
    aborted: int
    dose: int | None = None
    form: str | None = None

    @property
    def most_pulses_per_cell(self) -> int:
        """Bound of what any one cell gets, if the array does as it should and if it does not."""
        return MARKS_PER_RUN * self.mark + SINGLE_PULSES + self.aborted


def plan_scope(
    capabilities: Capabilities,
    *,
    region: Region | None = None,
    dose: int | None = None,
    arm: str | None = None,
    form: str | None = None,
    exempt: bool = True,
) -> Scope:
    """Return what a run may do to an array.

    Args:
        capabilities: what the array says of itself.
        region: where; by default all of tile 0, on virtual arrays alone.
        dose: most pulses on any one cell; compulsory on physical arrays.
        arm: id of the physical array that may be moved.
        form: recipe of forming that may be tried.
        exempt: whether this process starts the array, so that a virtual one need not be armed.

    Raises:
        ConfigurationError: something is missing, or does not fit the array.
    """
    if not capabilities.tiles:
        raise ConfigurationError(f"{capabilities.name} says that it has no tile")
    _check_consent(capabilities, region, dose, arm, exempt)
    region = region or whole(capabilities.tiles[0])
    check_region(region, capabilities)
    device = None
    if capabilities.device is not None:
        file = device_file.load(capabilities.device)
        device = device_file.override(file, capabilities.device_overrides)
    wanted = _wanted(capabilities, device)
    dose = _least(dose, capabilities.configuration.limits, device)
    # A bounded dose is for marks first.
    aborted = ABORTED_PULSES[capabilities.kind if dose is None else "physical"]
    if dose is None:
        return Scope(region, wanted, aborted, None, form)
    single = SINGLE_PULSES + aborted
    mark = min((dose - single) // MARKS_PER_RUN, wanted)
    if mark < 1:
        raise ConfigurationError(
            f"a dose of {dose} pulses per cell is too small for the checks; nothing was sent",
            remedy=f"allow at least {MARKS_PER_RUN + single} pulses per cell: --dose",
        )
    return Scope(region, mark, aborted, dose, form)


def _check_consent(
    capabilities: Capabilities,
    region: Region | None,
    dose: int | None,
    arm: str | None,
    exempt: bool,
) -> None:
    needed: list[tuple[str, object]] = []
    if capabilities.kind == "physical" or not exempt:
        needed.append((f"--arm {capabilities.chip_id}", arm))
    if capabilities.kind == "physical":
        needed += [("--region TILE:R0-R1,C0-C1", region), ("--dose N", dose)]
    missing = [flag for flag, value in needed if value is None]
    if missing:
        what = "a physical array" if capabilities.kind == "physical" else "not started here"
        raise ConfigurationError(
            f"{capabilities.name} is {what}: the checks give pulses to its cells; nothing was sent",
            remedy=f"say which cells, how many pulses and whom you mean: {', '.join(missing)}",
        )
    if arm is not None and arm != capabilities.chip_id:
        raise ConfigurationError(
            f"armed chip {arm!r}, but {capabilities.chip_id!r} is connected; nothing was sent",
            remedy=f"look which chip is connected; it is armed by --arm {capabilities.chip_id}",
        )


def _least(dose: int | None, own: Limits, device: DeviceFile | None) -> int | None:
    """Return the dose per cell that all limits of a run leave."""
    limits = own if device is None else own.tightened(device.limits)
    of_lines = limits.dose_per_line
    doses = [
        dose,
        limits.dose_per_cell,
        None if of_lines is None else of_lines // MARKED_CELLS_PER_LINE,
    ]
    return min((most for most in doses if most is not None), default=None)


def _wanted(capabilities: Capabilities, device: DeviceFile | None) -> int:
    """Return pulses from one end of a cell's range to the other, or a guess where unknown."""
    granularity = capabilities.granularity
    if granularity is None and device is not None:
        granularity = device.granularity
    wanted = _WITHOUT_GRANULARITY
    if granularity:
        wanted = max(2, math.ceil(_FULL_SWING / granularity))
    most = MOST_PULSES_OF_A_MARK if capabilities.kind == "virtual" else _MOST_ON_A_CHIP
    return min(wanted, most)
