"""Steps of controllers on the ideal array, and signals that need no rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from ideal_backend import IdealBackend, ideal_chip

from hwloop.controllers import Algorithm
from hwloop.crossbar import Chip
from hwloop.weights import WeightMap

DELTA = 0.01
ROWS, COLS = 4, 6
SEED, LAYER = 7, 2
WEIGHTS = WeightMap(0.5)
D_PEAK = 0.02


def signals(samples: int, seed: int = 0) -> tuple[Any, Any]:
    """Signals of full or no strength, whose codes need no rounding."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, (samples, COLS)).astype(np.float32)
    d = D_PEAK * rng.integers(-1, 2, (samples, ROWS)).astype(np.float32)
    return x, d


def make(
    algorithm: Algorithm, shape: tuple[int, int] = (ROWS, COLS), delta: float = DELTA
) -> tuple[Chip, IdealBackend, Any]:
    """Return an ideal array and the controller of its only layer."""
    chip, backend = ideal_chip([shape] * algorithm.tiles_per_layer, delta=delta)
    tiles = [chip[i] for i in range(algorithm.tiles_per_layer)]
    controller = algorithm.controller(tiles, WEIGHTS, delta, seed=SEED, layer=LAYER)
    return chip, backend, controller


def train(
    chip: Chip, controller: Any, x: Any, d: Any, rate: float, batches: list[int]
) -> list[tuple[Any, Any]]:
    """Run steps; return the operations of each."""
    steps, start = [], 0
    for samples in batches:
        part = slice(start, start + samples)
        planned = controller.plan(x[part], d[part], rate, 1 / samples)
        results = chip.submit(planned).results() if planned else []
        pulses = controller.digest(results)
        if pulses:
            chip.submit(pulses)
        steps.append((planned, pulses))
        start += samples
    chip.flush()
    return steps


def fast_array(x: Any, d: Any, n_s: int, pulses_per_sample: int) -> tuple[Any, list[Any]]:
    """Tiki-Taka's A line by line, and what is read of its columns, one after every n_s vectors."""
    x, d = x.astype(float), d.astype(float)
    A, reads = np.zeros((d.shape[1], x.shape[1])), []
    for t in range(len(x)):
        A += DELTA * pulses_per_sample * np.outer(np.sign(d[t]), np.sign(x[t]))
        if (t + 1) % n_s == 0:
            k = len(reads) % x.shape[1]
            reads.append((k, A[:, k].copy()))
    return A, reads
