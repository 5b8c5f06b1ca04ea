"""What a run would cost, from its first batches on a virtual copy of the array."""

from __future__ import annotations

import time
from typing import Any

import torch

from hwloop.backend import open_backend
from hwloop.errors import ConfigurationError
from hwloop.experiments.address import complete_url, is_replay
from hwloop.experiments.config import TrainConfig
from hwloop.experiments.loop import train_batch
from hwloop.experiments.networks import accuracy
from hwloop.experiments.rig import Bench, Rig, one_torch_thread, prepare
from hwloop.nn import shape_option
from hwloop.tape.counting import CountingTape

TRIAL_BATCHES = 20


def estimate(config: TrainConfig) -> dict[str, Any]:
    """Return what a run would do and cost; the array itself is not touched.

    `most_pulses_per_cell` is a bound, whatever the data; all that follows `estimated_from` is an
    estimate from the first batches on a virtual copy, since a run depends on what it reads.
    """
    bench = prepare(config)
    described = bench.backend.describe()
    schedule = config.schedule
    epochs = -(-bench.batches // bench.epoch_batches)
    samples = min(bench.batches * schedule.batch, schedule.epochs * len(bench.data.x_train))
    costs: dict[str, Any] = {
        "backend": bench.url,
        "array": described.name,
        "tiles": shape_option([(tile.rows, tile.cols) for tile in described.tiles]),
        "batches": bench.batches,
        "samples": samples,
        "tested_samples": epochs * len(bench.data.x_test),
        "most_pulses_per_cell": samples * config.algorithm.options().pulses_per_vector,
    }
    if is_replay(bench.url):
        bench.backend.close()
        return {**costs, "estimated_from": "nothing: a replay moves no array"}
    bench = _virtual(bench)
    tape = CountingTape()
    rig = Rig(bench, tape=tape)
    with rig.chip as chip, one_torch_thread():
        rig.convert()
        written = tape.size
        begun = time.perf_counter()
        trial = min(TRIAL_BATCHES, bench.batches)
        for i in range(trial):
            first = i * schedule.batch % len(rig.x_train)
            train_batch(rig, torch.arange(first, min(first + schedule.batch, len(rig.x_train))))
        chip.flush()
        seconds = time.perf_counter() - begun
        pulses, chip_seconds, size = chip.totals.pulses, chip.chip_seconds, tape.size - written
        accuracy(rig.networks.analog, rig.x_test, rig.y_test)
        chip.flush()
        test_seconds = time.perf_counter() - begun - seconds
        test_chip_seconds, test_size = chip.chip_seconds - chip_seconds, tape.size - written - size
    more = bench.batches / trial
    costs |= {
        "estimated_from": f"the first {trial} batches on {rig.chip.capabilities.name}",
        "pulses": round(pulses * more),
        "chip_seconds": chip_seconds * more + test_chip_seconds * epochs,
        "wall_seconds": round(seconds * more + test_seconds * epochs, 1),
        "tape_bytes": round(written + size * more + test_size * epochs),
    }
    return costs


def _virtual(bench: Bench) -> Bench:
    """Return a bench with a virtual copy of its array, and let the array itself go."""
    described = bench.backend.describe()
    if described.kind == "virtual":
        return bench
    bench.backend.close()
    device = bench.config.backend.device or described.device
    if device is None:
        raise ConfigurationError(
            f"{described.name} names no device file, so it has no virtual copy",
            remedy="name one with --device",
        )
    shape = shape_option([(tile.rows, tile.cols) for tile in described.tiles])
    url = complete_url("sim:", device=device, shape=shape, seed=bench.config.seed)
    return Bench(bench.config, bench.data, bench.net, url, open_backend(url), bench.fingerprint)
