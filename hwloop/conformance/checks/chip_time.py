"""Chip time: pulses take at least their width, waits what was asked for, and more takes longer."""

from __future__ import annotations

from hwloop.conformance.check import Check
from hwloop.conformance.checks.moving import working
from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import Rig
from hwloop.operations import Wait

PULSES = 3
WAITED_SECONDS = 1e-5


def run(rig: Rig, evidence: Evidence) -> None:
    """Compare ticks of pulses with their width, and waits with what was asked for."""
    tick = rig.capabilities.tick_seconds
    if "pulse" in rig.capabilities.operations:
        _pulses(rig, evidence, tick)
    if "wait" in rig.capabilities.operations:
        ticks = max(1, round(WAITED_SECONDS / tick))
        taken = rig.one(Wait(ticks=ticks, **rig.chip.identity())).ticks
        evidence.expect(
            taken >= ticks, f"wait of {ticks} ticks", f"{taken} ticks", f"{ticks} or more"
        )


def _pulses(rig: Rig, evidence: Evidence, tick: float) -> None:
    shape = rig.chip.configuration.shapes[rig.chip.default_shape]
    cell = working(rig)
    most = min(PULSES, rig.chip.configuration.limits.pulses_per_operation or PULSES)
    for side, sign in ((shape.up, 1), (shape.down, -1)):
        one = rig.one(rig.pulse(cell, sign))
        many = rig.one(rig.pulse(cell, sign * most))
        width = side.width_seconds / tick
        for count, result in ((1, one), (most, many)):
            least = 0.999 * count * width - 1
            evidence.expect(
                result.ticks >= max(least, 1),
                f"{sign * count:+d} pulses of {side.width_seconds:g} s",
                f"{result.ticks} ticks",
                f"{max(least, 1):.0f} ticks of {tick:g} s or more",
            )
        evidence.expect(
            many.ticks >= one.ticks,
            f"{most} pulses against one",
            f"{many.ticks} and {one.ticks} ticks",
            "no less",
        )


CHECKS = (
    Check(
        "chip_time",
        "pulses take at least their width on the chip's clock, waits what was asked for",
        run,
    ),
)
