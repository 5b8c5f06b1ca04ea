"""What a measuring run would do and cost, without touching the array."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hwloop.backend import open_backend, split_url
from hwloop.capabilities import Capabilities
from hwloop.characterization.plans import Measuring, Progress, rehearse
from hwloop.crossbar import Chip
from hwloop.experiments.address import complete_url, is_simulator
from hwloop.experiments.measure import LIMITS_FROM, plans_on, url_of
from hwloop.experiments.measure_config import MeasureConfig
from hwloop.experiments.stand_ins import Described
from hwloop.tape.counting import CountingTape


def measure_cost(
    config: MeasureConfig, watch: Callable[[Progress], None] | None = None
) -> dict[str, Any]:
    """Return the dose of plans and what they cost; the array itself is asked what it is, no more.

    Dose and operations are exact for plans that do not depend on what they read, for others the
    most that is possible. What follows `copy` is from the same run on a virtual copy of the array,
    and exact where the array is a simulated one.

    Raises:
        CrossbarError: the plans do not work out on this array, as they would not in the run.
    """
    url = url_of(config)
    backend = open_backend(url)
    described = backend.describe()
    backend.close()
    device = None if is_simulator(config.backend) else config.device
    arm = described.chip_id
    still = Chip(
        Described(described),
        device=device,
        station=config.station,
        limits=config.limits,
        limits_from=LIMITS_FROM,
        arm=arm,
        lowerings=config.lowerings,
    )
    work = plans_on(config, still)
    guard = copy.deepcopy(still.guard)
    plans: list[dict[str, Any]] = []
    for plan, _ in work.plans:
        rehearsal = rehearse(still, plan, work.cells, guard)
        plans.append(
            {
                "plan": plan.kind,
                "exact": rehearsal.exact,
                "steps": rehearsal.steps,
                "operations": rehearsal.operations,
                "rows": rehearsal.rows,
                "pulses": rehearsal.pulses,
                "most_pulses_per_cell": rehearsal.most_pulses_per_cell,
                "pulse_seconds": rehearsal.pulse_seconds,
            }
        )
    costs: dict[str, Any] = {
        "backend": url,
        "array": described.name,
        "tile": config.tile,
        "cells": len(work.cells),
        "exact": all(plan["exact"] for plan in plans),
        "operations": sum(plan["operations"] for plan in plans),
        "pulses": sum(plan["pulses"] for plan in plans),
        "most_pulses_per_cell": sum(plan["most_pulses_per_cell"] for plan in plans),
    }
    copied = _copy_url(config, described)
    if copied is None:
        costs["copy"] = f"none: {described.name} names no device file; name one with --device"
        return {**costs, "plans": plans}
    tape = CountingTape()
    with Chip(
        open_backend(copied),
        device=device,
        tape=tape,
        lowerings=config.lowerings,
        rehearsal=True,
    ) as virtual:
        work = plans_on(config, virtual)
        for (plan, _), costed in zip(work.plans, plans, strict=True):
            measuring = Measuring(virtual, plan, work.cells)
            measuring.run(watch)
            costed["copy_pulses"] = measuring.pulses
            costed["copy_chip_seconds"] = measuring.seconds
        costs |= {
            "copy": copied,
            "copy_operations": virtual.totals.operations,
            "copy_pulses": virtual.totals.pulses,
            "copy_chip_seconds": virtual.chip_seconds,
            "copy_tape_bytes": tape.size,
        }
    return {**costs, "plans": plans}


def _copy_url(config: MeasureConfig, described: Capabilities) -> str | None:
    """Return the URL of a virtual copy of an array, or None where its cells are not known."""
    if is_simulator(config.backend):
        return url_of(config)
    device = config.device or described.device
    if device is None:
        return None
    options = {} if config.device else described.device_overrides
    changed = ",".join([device, *(f"{key}={value}" for key, value in options.items())])
    shape = "+".join(f"{tile.rows}x{tile.cols}" for tile in described.tiles)
    seed = split_url(config.backend)[2].get("seed", "1")
    return complete_url("sim:", device=changed, shape=shape, seed=int(seed))
