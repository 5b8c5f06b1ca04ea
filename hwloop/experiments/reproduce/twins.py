"""Paired trainings: the same network on the hidden chip and on a chip made of its fit."""

from __future__ import annotations

import functools
import math
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwloop import device_file
from hwloop.experiments.config import load_config
from hwloop.experiments.reproduce.base import Check, Request
from hwloop.experiments.reproduce.hidden import hidden_device
from hwloop.experiments.reproduce.stored import Parts
from hwloop.experiments.train import train_run

HIDDEN = 32
EPOCHS, QUICK_EPOCHS = 5, 1
ALGORITHM = "c-ttv2"
OTHER_CELLS = 1000
"""Added to the seed of the twin's array, so that its cells are other draws than the chip's."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One seed of a network, trained on both arrays.

    Attributes:
        seed: of the network, of the order of the data, and of the hidden device.
        chip, twin: test accuracies.
    """

    seed: int
    chip: float
    twin: float


@dataclass
class Pairs:
    """Accuracies of all pairs."""

    pairs: list[Pair] = field(default_factory=list)

    @property
    def difference(self) -> float:
        """Mean accuracy of the chips less that of the twins."""
        return statistics.mean(p.chip for p in self.pairs) - statistics.mean(
            p.twin for p in self.pairs
        )

    @property
    def error(self) -> float:
        """Standard error of the difference."""
        if len(self.pairs) < 2:
            return math.inf
        differences = [p.chip - p.twin for p in self.pairs]
        return statistics.stdev(differences) / math.sqrt(len(differences))

    def check(self, points: float, *, full: bool) -> Check:
        """Return the difference against its target."""
        chip = statistics.mean(p.chip for p in self.pairs)
        twin = statistics.mean(p.twin for p in self.pairs)
        return Check(
            f"mean test accuracy of {len(self.pairs)} paired trainings, chip against twin",
            f"less than {100 * points:g} points apart",
            f"{chip:.1%} against {twin:.1%}, {100 * self.difference:+.2f} points "
            f"(standard error {100 * self.error:.2f})",
            abs(self.difference) < points if full else None,
            ""
            if full
            else f"{QUICK_EPOCHS} epochs and {len(self.pairs)} pairs are too few to tell",
        )

    def content(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "pairs": [{"seed": p.seed, "chip": p.chip, "twin": p.twin} for p in self.pairs],
            "difference": self.difference,
        }


def train_pairs(request: Request, seeds: Sequence[int], parts: Parts) -> Pairs:
    """Train on the hidden chip and on the fitted twin of each seed.

    The fits are those in the request's folder, `fitted-SEED.yaml`.
    """
    found = Pairs()
    epochs = EPOCHS if request.full else QUICK_EPOCHS
    for number, seed in enumerate(seeds, 1):
        device_file.save(hidden_device(seed), request.folder / f"hidden-{seed}.yaml")
        accuracies = []
        for name, array_seed in (("hidden", seed), ("fitted", seed + OTHER_CELLS)):
            request.tell(f"training {number} of {len(seeds)} on the {name} device, seed {seed}")
            one = functools.partial(
                train,
                request.folder / f"run-{name}-{seed}",
                request.folder / f"{name}-{seed}.yaml",
                seed,
                array_seed,
                epochs,
            )
            accuracies.append(parts.get(f"training-{epochs}-{seed}-{name}", one))
        found.pairs.append(Pair(seed, *accuracies))
    return found


def train(folder: Path, device: Path, seed: int, array_seed: int, epochs: int) -> float:
    """Train a small network on handwritten digits, on an emulated chip; return the test accuracy.

    The reference planes of both arrays hold the symmetry points, as after zero-shifting.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was interrupted
    shape = f"2x{HIDDEN}x784+2x10x{HIDDEN}"
    config = load_config(
        flags={
            "seed": seed,
            "data.source": "mnist",
            "network.hidden": [HIDDEN],
            "algorithm.name": ALGORITHM,
            "schedule.epochs": epochs,
            "report.html": False,
            "backend.url": f"emulator:native,device={device},shape={shape},seed={array_seed},"
            "subtract_symmetry_point=true,population=drawn",
        }
    )
    run = train_run(config, out=folder)
    return float(run.summary["test_accuracy"])
