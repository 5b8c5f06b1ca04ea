"""Pulse response of the simulated array against that of aihwkit, case by case.

    python benchmarks/pulse_response.py --reference pulse_reference.json

Every case starts at difference 0, gets up pulses, then down pulses. At each listed pulse number the
mean and the standard deviation of the visible difference (state as a read sees it, less the
reference) over the cells are compared. A case passes if at every pulse number

- the means differ by at most max(1 % of the nominal range, 4 standard errors), and
- the standard deviations by at most max(5 %, 4 standard errors, 0.2 % of the nominal range).

The standard error of a difference joins both sides. That of a standard deviation uses the fourth
moment, since states near a bound are far from Gaussian: `se(s) = s / 2 * sqrt((kurtosis - 1) / n)`,
with the kurtosis of the simulated cells for both sides, because the reference holds no fourth
moments. aihwkit draws its noise out of a table of 32768 Gaussians, whose own mean is off by about
0.0055: means may differ by that times the cycle-to-cycle noise, whatever the number of cells.

Exit code 1 if a case fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.device_file import DeviceFile, from_aihwkit, load
from hwloop_sim.periphery import Periphery
from hwloop_sim.population import draw
from hwloop_sim.tile import Tile

PRESETS = {
    "ReRamESPresetDevice": "reram-es",
    "ReRamSBPresetDevice": "reram-sb",
    "CapacitorPresetDevice": "capacitor",
    "EcRamPresetDevice": "ecram",
    "EcRamMOPresetDevice": "ecram-mo",
    "ReRamArrayOMPresetDevice": "reram-om",
    "ReRamArrayHfO2PresetDevice": "reram-hfo2",
    "IdealizedPresetDevice": "idealized",
    "GokmenVlasovPresetDevice": "gokmen-vlasov",
}
NOT_EXPRESSIBLE = {
    "PCMPresetDevice": "its noise depends on the state (dw_min_std_add, dw_min_std_slope)",
}
ERRORS = 4.0


@dataclass(frozen=True)
class Comparison:
    """Mean or standard deviation at one pulse number; `ratio` is the difference over the
    tolerance."""

    quantity: str
    pulse: int
    ours: float
    reference: float
    tolerance: float

    @property
    def ratio(self) -> float:
        return abs(self.ours - self.reference) / self.tolerance


def device_of(case: str, parameters: dict[str, Any] | str) -> DeviceFile:
    """Return the device of a case, whose name is `kind:Class:changed parameters`."""
    kind, name = case.split(":")[:2]
    if kind == "preset":
        return load(PRESETS[name])
    assert isinstance(parameters, dict)
    if name == "SoftBoundsPmaxDevice":
        # aihwkit derives soft bounds from the number of pulses between two states.
        low, high = parameters["range_min"], parameters["range_max"]
        alpha = parameters["alpha"]
        reach = (high - low) / (1 - np.exp(-parameters["p_max"] * alpha))
        spreads = ("dw_min_dtod", "dw_min_std", "up_down_dtod", "w_max_dtod", "w_min_dtod")
        return from_aihwkit(
            "SoftBoundsDevice",
            dict.fromkeys(spreads, 0.0)
            | {
                "w_min": low,
                "w_max": low + reach,
                "dw_min": reach * alpha,
                "up_down": 1 + 2 * low / reach,
            },
        )
    return from_aihwkit(name, parameters)


def responses(
    device: DeviceFile, listed: list[int], pulses_up: int, *, cells: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Yield the visible differences of all cells at the listed pulse numbers."""
    cols = 100
    population = draw(device, -(-cells // cols), cols, seed=seed)
    tile = Tile(population, Periphery(), index=0, seed=seed)
    ones = np.ones((tile.rows, tile.cols), np.int16)
    given = 0
    for pulse in listed:
        while given < pulse:
            up = given < pulses_up
            count = min(pulse, pulses_up) - given if up else pulse - given
            tile.pulse(None, None, ones * (count if up else -count), ordinal=given + 1)
            given += count
        _, visible, reference, _ = tile.snapshot().view(np.float32)
        yield visible.astype(np.float64).ravel() - reference.ravel()


def compare(
    case: dict[str, Any], device: DeviceFile, *, pulses_up: int, others: int, cells: int, seed: int
) -> list[Comparison]:
    """Compare mean and standard deviation at every pulse number.

    Args:
        case: `pulse`, `mean` and `std` of the reference.
        device: the device that stands for it.
        pulses_up: number of up pulses before the down pulses.
        others: number of cells behind the reference.
        cells: number of cells to simulate.
        seed: of the simulation.
    """
    found = []
    extent = device.model.bound_max - device.model.bound_min
    runs = responses(device, case["pulse"], pulses_up, cells=cells, seed=seed)
    listed = zip(case["pulse"], case["mean"], case["std"], runs, strict=True)
    for pulse, mean, std, values in listed:
        our_mean, our_std = float(values.mean()), float(values.std())
        error = float(np.hypot(our_std / np.sqrt(values.size), std / np.sqrt(others)))
        error_of_std = error / 2 * np.sqrt(max(kurtosis(values) - 1, 0.0))
        found += [
            Comparison("mean", pulse, our_mean, mean, max(0.01 * extent, ERRORS * error)),
            Comparison(
                "std", pulse, our_std, std, max(0.05 * std, ERRORS * error_of_std, 0.002 * extent)
            ),
        ]
    return found


def kurtosis(values: NDArray[np.float64]) -> float:
    """Return the fourth standardised moment; 3 for a Gaussian, and for values without spread."""
    deviations = values - values.mean()
    variance = float(np.mean(deviations**2))
    if variance < 1e-18:
        return 3.0
    return float(np.mean(deviations**4)) / variance**2


def main() -> int:
    """Print the table and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reference", type=Path, required=True, help="aihwkit's results, JSON")
    parser.add_argument("--cells", type=int, default=20_000, help="cells per case (20000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulation (1)")
    parser.add_argument("--only", default="", help="only cases whose name holds this text")
    arguments = parser.parse_args()
    reference = json.loads(arguments.reference.read_text(encoding="utf-8"))
    others = reference["rows"] * reference["cols"]

    print("difference / tolerance, worst pulse number: ours against the reference")
    counts = {"ok": 0, "FAIL": 0, "not expressible": 0}
    for name, case in reference["cases"].items():
        if arguments.only not in name:
            continue
        label = name.replace("Device", "").replace("mult_noise=", "mult=")
        reason = NOT_EXPRESSIBLE.get(name.split(":")[1].split()[0])
        if reason:
            counts["not expressible"] += 1
            print(f"  --   {label}\n         not expressible: {reason}")
            continue
        found = compare(
            case,
            device_of(name, case["params"]),
            pulses_up=reference["n_up"],
            others=others,
            cells=arguments.cells,
            seed=arguments.seed,
        )
        verdict = "ok" if all(c.ratio <= 1 for c in found) else "FAIL"
        counts[verdict] += 1
        print(f"{verdict:>4}   {label}")
        for quantity in ("mean", "std"):
            worst = max((c for c in found if c.quantity == quantity), key=lambda c: c.ratio)
            print(
                f"         {quantity:4} {worst.ratio:5.2f}  at {worst.pulse:4}:  "
                f"{worst.ours:8.4f} {worst.reference:8.4f}  +- {worst.tolerance:.4f}"
            )
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["FAIL"] or not counts["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
