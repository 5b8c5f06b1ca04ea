"""Limits: the array itself refuses, under limits that are lowered first.

So even a pulse that is not refused is one that the real limits allow.
"""

from __future__ import annotations

import dataclasses

from hwloop.backend import TellsConfiguration
from hwloop.capabilities import Configuration, Limits, PulseShape
from hwloop.conformance.check import Check
from hwloop.conformance.checks.configuration import consuming
from hwloop.conformance.checks.moving import working
from hwloop.conformance.checks.refusing import expect_refusal
from hwloop.conformance.evidence import Evidence, SkippedError
from hwloop.conformance.rig import Rig
from hwloop.errors import CrossbarError
from hwloop.guard import HALF_SELECT_SHARE
from hwloop.operations import Configure, Form

COUNTING = ("pulses_per_operation", "dose_per_cell", "dose_per_line")


def pulse_counts(rig: Rig, evidence: Evidence) -> None:
    """Lower each limit on pulses to less than one operation, and send that operation."""
    cell = working(rig)
    for name in COUNTING:
        for most in (1, 0) if name == "pulses_per_operation" else (0,):
            with rig.configured(_lowered(rig, **{name: most})) as configuration:
                for operation in consuming(rig, cell, most + 1):
                    rig.charge([operation])
                    asked = dataclasses.replace(operation, configuration=configuration)
                    what = f"{operation.kind} of {most + 1} pulses under {name} = {most}"
                    expect_refusal(rig, evidence, what, asked)
    with rig.configured(_lowered(rig, pulses_per_operation=1)) as configuration:
        for count in (1, -1):
            operation = rig.pulse(cell, count)
            rig.charge([operation])
            asked = dataclasses.replace(operation, configuration=configuration)
            try:
                fired = str(rig.straight(asked)[0].fired)
            except CrossbarError as error:
                fired = error.message
            what = f"pulse of {count:+d} under pulses_per_operation = 1"
            evidence.expect(fired == "1", f"{what}: fired", fired, "1")


def pulse_shapes(rig: Rig, evidence: Evidence) -> None:
    """Lower each limit on pulse shapes below a shape, and install both together."""
    shapes = rig.chip.configuration.shapes
    share = HALF_SELECT_SHARE[rig.capabilities.bias_scheme]
    sides = [side for shape in shapes.values() for side in (shape.up, shape.down)]
    if not sides:
        raise SkippedError("configuration.shapes: the array has no pulse shape")
    volts = max(abs(side.amplitude_volts) for side in sides)
    amperes = max((side.compliance_amperes or 0.0) for side in sides)
    lowered = {
        "voltage_max": volts / 2,
        "half_select_max": volts * share / 2,
        "width_max_seconds": max(side.width_seconds for side in sides) / 2,
        "compliance_max_amperes": amperes / 2,
    }
    for name, value in lowered.items():
        if not value:
            why = "no compliance" if amperes == 0 and name.startswith("c") else "no half-selection"
            evidence.note(name, f"cannot be exceeded: the pulse shapes have {why}")
            continue
        asked = _lowered(rig, **{name: value})
        _refuses(rig, evidence, f"configuration with {name} = {value:g} below its shapes", asked)
    _still_in_force(rig, evidence)


def looser(rig: Rig, evidence: Evidence) -> None:
    """Ask for looser limits than the array's own, and for shapes beyond them."""
    own = rig.backend.describe().configuration.limits
    known = {
        name: value
        for name in (*COUNTING, "voltage_max", "half_select_max", "width_max_seconds",
                     "compliance_max_amperes")
        if (value := getattr(own, name)) is not None
    }  # fmt: skip
    if not known and own.forming:
        raise SkippedError("configuration.limits: the array has no limits of its own")
    configuration = rig.chip.configuration
    for name, value in known.items():
        limits = configuration.limits.model_copy(update={name: 2 * value + 1})
        asked = configuration.model_copy(update={"limits": limits})
        _refuses(
            rig, evidence, f"configuration with {name} = {2 * value + 1:g}, own {value:g}", asked
        )
    if not own.forming:
        limits = configuration.limits.model_copy(update={"forming": True})
        asked = configuration.model_copy(update={"limits": limits})
        _refuses(rig, evidence, "configuration that allows forming", asked)
    if own.voltage_max is not None:
        name, shape = next(iter(configuration.shapes.items()))
        asked = configuration.model_copy(
            update={"shapes": {**configuration.shapes, name: _stronger(shape, own.voltage_max)}}
        )
        _refuses(rig, evidence, f"pulse shape {name!r} of 1.5 times voltage_max", asked)
    _still_in_force(rig, evidence)


def read_back(rig: Rig, evidence: Evidence) -> None:
    """Install each lowered limit, and ask the array for what it holds."""
    if not isinstance(rig.backend, TellsConfiguration):
        raise SkippedError("installed(): the array does not show the configuration that it holds")
    for name in COUNTING:
        asked = _lowered(rig, **{name: 3})
        with rig.configured(asked):
            held = rig.backend.installed()
            seen = held.limits.model_dump(exclude_none=True)
            fine = held.canonical() == asked.canonical()
            expected = asked.limits.model_dump(exclude_none=True)
            evidence.expect(fine, f"limits held with {name} = 3", seen, expected)
    held = rig.backend.installed()
    fine = held.canonical() == rig.chip.configuration.canonical()
    evidence.expect(fine, "limits held in the end", "the first" if fine else "others", "the first")


def forming(rig: Rig, evidence: Evidence) -> None:
    """Ask for forming where the limits forbid it."""
    if rig.scope.form is None:
        raise SkippedError("form: not allowed by you; allow it by --form RECIPE")
    row, col = rig.scope.region.corners[0]
    with rig.configured(_lowered(rig, forming=False)) as configuration:
        operation = Form(
            tile=rig.scope.region.tile,
            rows=rig.pulse((row, col), 0).rows,
            cols=rig.pulse((row, col), 0).cols,
            recipe=rig.scope.form,
            configuration=configuration,
            **rig.chip.identity(),
        )
        if rig.chip.configuration.limits.forming:
            rig.charge([operation])
        expect_refusal(rig, evidence, "form under forming = no", operation)


def _lowered(rig: Rig, **limits: float) -> Configuration:
    configuration = rig.chip.configuration
    tightened = configuration.limits.tightened(Limits.model_validate(limits))
    return Configuration(shapes=configuration.shapes, limits=tightened)


def _stronger(shape: PulseShape, volts: float) -> PulseShape:
    up = shape.up.model_copy(update={"amplitude_volts": 1.5 * volts})
    return shape.model_copy(update={"up": up})


def _refuses(rig: Rig, evidence: Evidence, what: str, asked: Configuration) -> None:
    """Expect that the array does not take a configuration."""
    operation = Configure(content_json=asked.canonical(), **rig.chip.identity())
    try:
        rig.straight(operation)
    except CrossbarError as error:
        seen = f"{type(error).__name__}: {error.message.splitlines()[0]}"
        evidence.expect(True, what, seen, "refused")
        return
    evidence.expect(False, what, "installed", "refused")
    rig.straight(Configure(content_json=rig.chip.configuration.canonical()))


def _still_in_force(rig: Rig, evidence: Evidence) -> None:
    """Expect that a refused configuration leaves the one before in force."""
    cell = working(rig)
    try:
        fired = str(sum(rig.one(rig.pulse(cell, count)).fired for count in (1, -1)))
    except CrossbarError as error:
        fired = error.message
    evidence.expect(fired == "2", "two pulses under the configuration before", fired, "2 fired")


CHECKS = (
    Check(
        "limits_of_pulses",
        "the array itself refuses more pulses than its limits allow, by every kind of operation",
        pulse_counts,
        needs=("pulse",),
    ),
    Check(
        "limits_of_shapes",
        "the array itself refuses limits that its pulse shapes exceed, and keeps those before",
        pulse_shapes,
        needs=("pulse",),
    ),
    Check(
        "limits_of_its_own",
        "the array refuses limits looser than its own",
        looser,
        needs=("pulse",),
    ),
    Check(
        "limits_read_back",
        "the array holds the limits that were installed",
        read_back,
    ),
    Check(
        "limits_of_forming",
        "the array refuses to form cells where its limits forbid it",
        forming,
        needs=("form",),
    ),
)
