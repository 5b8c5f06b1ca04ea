"""A chip with hidden parameters is measured, fitted and emulated; the fit has to find them.

The chip is the native firmware over its pseudo-terminal, so that the way from pulses to numbers is
that of a bench. Each seed has other hidden parameters (`hidden.PRIOR`) and other cells. Coverage is
that of the 95 % intervals, over all seeds and all parameters that the fit calls identified.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwloop import device_file
from hwloop.characterization import measure
from hwloop.characterization.fits import Fit, fit
from hwloop.crossbar import Chip, connect
from hwloop.device_file import Conductance, DeviceFile
from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request
from hwloop.experiments.reproduce.hidden import PRIOR, hidden_device
from hwloop.experiments.reproduce.stored import Parts

SEEDS = range(101, 151)
"""Of the full form. The fits were developed on the seeds 1 to 50."""
QUICK_SEEDS = range(1, 4)
SHAPE = (12, 12)
PULSES, REPEATS, AVERAGE, NOISE_READS = 150, 2, 64, 64
COVERAGE = (0.90, 0.99)
HALF_WIDTH = 0.15
POINTS = 0.02
PAIRS, QUICK_PAIRS = 5, 2

FIELDS = (
    *("step", "step_spread", "up_down", "up_down_spread"),
    *("bound_max", "bound_max_spread", "bound_min", "bound_min_spread"),
    *("cycle_noise", "write_noise"),
)
"""Fields of the hidden models."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the fit says of one hidden parameter.

    Attributes:
        seed: the chip.
        name: the parameter.
        truth: its value.
        value, low, high: what the fit gives.
        identified: whether the fit stands by it.
        why: why not.
    """

    seed: int
    name: str
    truth: float
    value: float | None
    low: float | None
    high: float | None
    identified: bool
    why: str

    @property
    def covered(self) -> bool:
        """Whether the interval holds the truth."""
        return (
            self.low is not None and self.high is not None and self.low <= self.truth <= self.high
        )

    @property
    def half_width(self) -> float:
        """Half of the interval, relative to the value."""
        if self.low is None or self.high is None or not self.value:
            return math.inf
        return (self.high - self.low) / 2 / abs(self.value)


def characterize(chip: Chip) -> Fit:
    """Measure the pulse responses and the read noise of a chip's first tile, and fit them."""
    tile = chip[0]
    noise = measure(tile, "read_noise", reads=NOISE_READS, average=AVERAGE)
    response = measure(tile, "pulse_response", pulses=PULSES, repeats=REPEATS, average=AVERAGE)
    return fit(response, model="soft_bounds", conductance=chip_units(chip), read_noise=noise)


def chip_units(chip: Chip) -> Conductance:
    """Return the device units that a chip states."""
    tile = chip[0].capabilities
    return Conductance(
        middle_siemens=tile.middle_siemens,
        half_range_siemens=tile.cell_siemens,
        read_volts=tile.dac.full_scale,
        normalised=False,
    )


def hidden_chip(path: Path, seed: int) -> Chip:
    """Return the emulated chip of a device file."""
    shape = f"{SHAPE[0]}x{SHAPE[1]}"
    return connect(f"emulator:native,device={path},shape={shape},seed={seed}")


def one_seed(seed: int, folder: Path) -> tuple[DeviceFile, Fit, list[Found]]:
    """Hide a device, characterize its chip, and compare."""
    truth = hidden_device(seed)
    path = folder / f"hidden-{seed}.yaml"
    device_file.save(truth, path)
    with hidden_chip(path, seed) as chip:
        fitted = characterize(chip)
    return truth, fitted, [_found(seed, name, truth, fitted) for name in FIELDS]


def _found(seed: int, name: str, truth: DeviceFile, fitted: Fit) -> Found:
    estimate = fitted.parameters[f"model.{name}"]
    return Found(
        seed,
        name,
        float(getattr(truth.model, name)),
        estimate.value,
        estimate.low,
        estimate.high,
        estimate.identified,
        estimate.why,
    )


def run(request: Request) -> Outcome:
    """Run the quick or the full form."""
    began = time.monotonic()
    seeds = SEEDS if request.full else QUICK_SEEDS
    parts = Parts(request.folder)
    found: list[Found] = []
    for number, seed in enumerate(seeds, 1):

        def compare(seed: int = seed) -> list[dict[str, Any]]:
            _, fitted, rows = one_seed(seed, request.folder)
            fitted.save(request.folder / f"fitted-{seed}.yaml")
            return [asdict(row) for row in rows]

        rows = [Found(**row) for row in parts.get(f"seed-{seed}", compare)]
        found += rows
        identified = [row for row in rows if row.identified]
        request.tell(
            f"seed {seed}, {number} of {len(seeds)}: {sum(row.covered for row in identified)} of "
            f"{len(identified)} intervals hold the truth, {time.monotonic() - began:.0f} s"
        )
    from hwloop.experiments.reproduce.twins import train_pairs

    pairs = train_pairs(request, seeds[: PAIRS if request.full else QUICK_PAIRS], parts)
    checks, content = judge(found, full=request.full)
    checks.append(pairs.check(POINTS, full=request.full))
    content["training"] = pairs.content()
    content["prior"] = PRIOR
    content["seconds"] = time.monotonic() - began
    from hwloop.experiments.reproduce.round_trip_plots import pictures

    return Outcome(tuple(checks), content, pictures(found), _notes(found))


def judge(found: Iterable[Found], *, full: bool) -> tuple[list[Check], dict[str, Any]]:
    """Return coverage and half-widths against their targets."""
    rows = list(found)
    identified = [row for row in rows if row.identified]
    coverage = sum(row.covered for row in identified) / max(len(identified), 1)
    widths = [row.half_width for row in identified]
    median = statistics.median(widths) if widths else math.inf
    low, high = COVERAGE
    checks = [
        Check(
            "coverage of the 95 % intervals",
            f"{low:.0%} to {high:.0%} of {len(identified)} identified parameters",
            f"{coverage:.1%}",
            low <= coverage <= high if full else None,
            "" if full else "the quick form has too few seeds to tell",
        ),
        Check(
            "median half-width of the intervals",
            f"at most {HALF_WIDTH:.0%} of the value",
            f"{median:.1%}",
            median <= HALF_WIDTH,
        ),
    ]
    per_parameter = {}
    for name in FIELDS:
        mine = [row for row in identified if row.name == name]
        all_mine = [row for row in rows if row.name == name]
        per_parameter[name] = {
            "identified": len(mine),
            "of": len(all_mine),
            "covered": sum(row.covered for row in mine),
            "median_half_width": statistics.median([r.half_width for r in mine]) if mine else None,
        }
    return checks, {
        "coverage": coverage,
        "median_half_width": median,
        "parameters": per_parameter,
        "found": [asdict(row) for row in rows],
    }


def _notes(found: list[Found]) -> tuple[str, ...]:
    lost = [row for row in found if not row.identified]
    return tuple(f"seed {row.seed}: {row.name} not identified: {row.why}" for row in lost)


REPRODUCTION = Reproduction(
    name="round-trip",
    what="a chip with hidden parameters is measured, fitted and emulated",
    quick="about 1 minute",
    full="about 12 minutes",
    run=run,
)
