"""Compare the controllers with aihwkit on a least-squares task.

A 10 x 20 tile learns `y = W* x` from 20,000 noisy samples, one update each, through perfect reads;
the error is `||W - W*|| / sqrt(200)`, averaged over the last quarter of the run. Devices have soft
bounds, 200 states and a reference plane whose offset has the standard deviation 0, 0.3 or 0.6, on
all tiles or on the fast one alone.

    python benchmarks/toy.py --reference converge_perfect.json --seeds 10

prints a table and exits with 1 if a mean differs from the reference's by more than 3.5 standard
errors of the difference and more than 10 %.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwloop import device_file
from hwloop.controllers import Algorithm, AnalogSGD, ChoppedTTv2
from hwloop.crossbar import Chip, connect
from hwloop.operations import Direction
from hwloop.procedures import managed_vmm
from hwloop.weights import WeightMap

ROWS, COLS = 10, 20
STEPS = 20_000
CHECKPOINTS = 40
LABEL_NOISE = 0.2
WEIGHT_RANGE = 0.3
ONE = WeightMap(1.0)

# aihwkit's settings: converge_perfect.json, "settings".
ALGORITHMS: dict[str, tuple[Algorithm, float]] = {
    "sgd": (AnalogSGD(l_max=31), 0.01),
    "c-ttv2": (
        ChoppedTTv2(n_s=1, l_max=5, eta0=0.5, gamma0=1000, rho=0.1, normalisation="aihwkit"),
        0.3,
    ),
}
CELLS = [
    ("sgd", 0.0, "all"),
    ("sgd", 0.3, "all"),
    ("sgd", 0.6, "all"),
    ("c-ttv2", 0.0, "all"),
    ("c-ttv2", 0.3, "all"),
    ("c-ttv2", 0.3, "fast"),
    ("c-ttv2", 0.6, "all"),
    ("c-ttv2", 0.6, "fast"),
]


def device(offset: float) -> device_file.DeviceFile:
    """Return the device of the reference runs, as a change of a shipped one."""
    content = device_file.load("soft-bounds-40").content()
    content["model"] |= {
        "step": 0.01,
        "step_spread": 0.3,
        "step_distribution": "normal",
        "up_down_spread": 0.01,
        "bound_max_spread": 0.1,
        "bound_min_spread": 0.1,
        "cycle_noise": 0.3,
        "reference": {"mean": 0.0, "std": offset, "subtract_symmetry_point": False},
    }
    return device_file.DeviceFile.model_validate(content)


def open_chip(offset: float, tiles: int, seed: int) -> Chip:
    """Open simulated tiles with perfect periphery."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "toy.yaml"
        device_file.save(device(offset), path)
        return connect(f"sim:{path},shape={tiles}x{ROWS}x{COLS},periphery=ideal,seed={seed}")


def clear(chip: Chip, offsets: list[bool]) -> None:
    """Set all weights to 0, and the offset of tiles that should have none."""
    states = chip.snapshot()
    for state, offset in zip(states, offsets, strict=True):
        if not offset:
            state[2] = 0
            state[0] = state[1] = state[2]
    chip.restore(states)


def held(chip: Chip) -> np.ndarray[Any, Any]:
    """Return the weights as they are, past the converters."""
    planes = chip.snapshot()[0].view(np.float32)
    return planes[1] - planes[2]


def run(name: str, offset: float, where: str, seed: int, steps: int = STEPS) -> list[float]:
    """Train once; return the error at each checkpoint."""
    algorithm, rate = ALGORITHMS[name]
    rng = np.random.default_rng(1000 + seed)
    target = rng.uniform(-WEIGHT_RANGE, WEIGHT_RANGE, (ROWS, COLS)).astype(np.float32)
    errors = []
    with open_chip(offset, algorithm.tiles_per_layer, seed + 1) as chip:
        tiles = [chip[i] for i in range(algorithm.tiles_per_layer)]
        clear(chip, [where == "all" or i > 0 for i in range(len(tiles))])
        controller = algorithm.controller(tiles, ONE, 0.01, seed=seed, layer=0)
        for step in range(steps):
            x = rng.uniform(-1, 1, (1, COLS)).astype(np.float32)
            y = managed_vmm(chip, tiles[0], ONE, Direction.FORWARD, x)
            noise = LABEL_NOISE * rng.standard_normal((1, ROWS))
            d = (x @ target.T + noise - y).astype(np.float32)
            operations = controller.plan(x, d, rate)
            results = chip.submit(operations).results() if operations else []
            pulses = controller.digest(results)
            if pulses:
                chip.submit(pulses)
            if (step + 1) % (steps // CHECKPOINTS) == 0:
                errors.append(float(np.sqrt(np.mean((held(chip) - target) ** 2))))
    return errors


@dataclass(frozen=True)
class Verdict:
    """Comparison of one cell of the table."""

    name: str
    mean: float
    std: float
    reference_mean: float
    reference_std: float
    reference_seeds: int
    seeds: int

    @property
    def allowed(self) -> float:
        """Largest difference of the means that passes."""
        error = math.hypot(
            self.std / math.sqrt(self.seeds), self.reference_std / math.sqrt(self.reference_seeds)
        )
        return max(3.5 * error, 0.1 * self.reference_mean)

    @property
    def passed(self) -> bool:
        """Whether the means agree."""
        return abs(self.mean - self.reference_mean) <= self.allowed

    def __str__(self) -> str:
        return (
            f"{self.name:28} {self.mean:.4f} +- {self.std:.4f}   aihwkit {self.reference_mean:.4f} "
            f"+- {self.reference_std:.4f}   difference {self.mean - self.reference_mean:+.4f} of "
            f"{self.allowed:.4f} allowed  {'ok' if self.passed else 'FAILED'}"
        )


def compare(reference: dict[str, Any], cell: tuple[str, float, str], seeds: int) -> Verdict:
    """Run one cell of the table for some seeds."""
    key = f"{cell[0]}|offset={cell[1]}|{cell[2]}"
    entry = reference[key]
    last = CHECKPOINTS // 4
    means = [float(np.mean(run(*cell, seed)[-last:])) for seed in range(seeds)]
    return Verdict(
        key,
        float(np.mean(means)),
        float(np.std(means, ddof=1)) if seeds > 1 else math.nan,
        entry["mean"],
        entry["std"],
        len(entry["all"]),
        seeds,
    )


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True, help="converge_perfect.json")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default="", help="run cells whose name contains this")
    options = parser.parse_args()
    reference = json.loads(options.reference.read_text())["summary"]
    failed = 0
    for cell in CELLS:
        if options.only not in f"{cell[0]}|offset={cell[1]}|{cell[2]}":
            continue
        begin = time.perf_counter()
        verdict = compare(reference, cell, options.seeds)
        seconds = (time.perf_counter() - begin) / options.seeds
        print(verdict, f"{seconds:.1f} s per run", flush=True)
        failed += not verdict.passed
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
