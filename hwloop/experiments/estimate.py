"""What a run would cost, from its first batches on a virtual copy of the array."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import torch

from hwloop.backend import open_backend
from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError
from hwloop.experiments.address import complete_url, is_replay, is_simulator
from hwloop.experiments.config import TrainConfig
from hwloop.experiments.loop import train_batch
from hwloop.experiments.networks import accuracy, vectors_per_sample
from hwloop.experiments.placements import placements, pulses_per_vector
from hwloop.experiments.rig import LIMITS_FROM, Bench, Rig, one_torch_thread, prepare
from hwloop.experiments.stand_ins import Described
from hwloop.experiments.transfer import MOST_PULSES
from hwloop.nn import shape_option
from hwloop.tape.counting import CountingTape

TRIAL_BATCHES = 20


def estimate(config: TrainConfig) -> dict[str, Any]:
    """Return what a run would do and cost; the array itself is not touched.

    `most_pulses_per_cell` is a bound, whatever the data, and `may_pass` names the limits that are
    below it; all that follows `estimated_from` is an estimate from the first batches on a virtual
    copy, since a run depends on what it reads.

    Raises:
        CrossbarError: the run would be refused before its first batch.
    """
    bench = prepare(config)
    described = bench.backend.describe()
    schedule = config.schedule
    epochs = -(-bench.batches // bench.epoch_batches)
    samples = min(bench.batches * schedule.batch, schedule.epochs * len(bench.data.x_train))
    vectors = samples * vectors_per_sample(bench.net, bench.data.inputs)
    most = vectors * pulses_per_vector(placements(bench.net, config), config)
    if config.transfer is not None and config.transfer.programming == "write-verify":
        most += MOST_PULSES
    costs: dict[str, Any] = {
        "backend": bench.url,
        "array": described.name,
        "tiles": shape_option([(tile.rows, tile.cols) for tile in described.tiles]),
        "batches": bench.batches,
        "samples": samples,
        "tested_samples": epochs * len(bench.data.x_test),
        "most_pulses_per_cell": most,
        **_limits(bench, most),
    }
    if is_replay(bench.url):
        bench.backend.close()
        return {**costs, "estimated_from": "nothing: a replay moves no array"}
    bench = _virtual(bench)
    tape = CountingTape()
    rig = Rig(bench, tape=tape, rehearsal=True)
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
        "wall_seconds": round(seconds * more + test_seconds * epochs, 3),
        "tape_bytes": round(written + size * more + test_size * epochs),
    }
    return costs


def _limits(bench: Bench, most_pulses_per_cell: int) -> dict[str, Any]:
    """Return the limits in force, and those that the largest dose would pass."""
    described, where = bench.backend.describe(), bench.config.backend
    known = is_simulator(bench.url) or is_replay(bench.url)
    chip = Chip(
        Described(described),
        device=None if known else where.device,
        station=where.station,
        limits=where.limits,
        limits_from=LIMITS_FROM,
        arm=described.chip_id,
        lowerings=where.lowerings,
    )
    limits, guard = chip.configuration.limits, chip.guard
    named = [
        guard.in_force.named(name).removeprefix("the limit ") for name in guard.in_force.origins
    ]
    given = {"dose_per_cell": 0, "life_dose_per_cell": 0}
    if guard.life is not None and guard.life.counts.cells is not None:
        given["life_dose_per_cell"] = max(int(cells.max()) for cells in guard.life.counts.cells)
    passed = [
        name
        for name, before in given.items()
        if (most := getattr(limits, name)) is not None and before + most_pulses_per_cell > most
    ]
    return {"limits": "; ".join(named) or "none", "may_pass": ", ".join(passed) or "none"}


def _virtual(bench: Bench) -> Bench:
    """Return a bench with a virtual copy of its array, and let the array itself go.

    A simulated array is its own copy: it begins anew each time that it is opened. All others may
    keep what was done to them.
    """
    described = bench.backend.describe()
    if is_simulator(bench.url):
        return bench
    bench.backend.close()
    device = bench.config.backend.device or ",".join(
        [described.device or "", *(f"{k}={v}" for k, v in described.device_overrides.items())]
    )
    if not device:
        raise ConfigurationError(
            f"{described.name} names no device file, so it has no virtual copy",
            remedy="name one with --device",
        )
    shape = shape_option([(tile.rows, tile.cols) for tile in described.tiles])
    url = complete_url("sim:", device=device, shape=shape, seed=bench.config.seed)
    return dataclasses.replace(bench, url=url, backend=open_backend(url))
