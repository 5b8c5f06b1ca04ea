"""Training on the native firmware against the simulator, for `wire.py`.

Two jobs: the network, data and algorithm of `hwloop train` as shipped, but without the float
network at its side; and one layer of 512 x 512 cells on noise. Simulator and firmware compute in
one thread, and everything, the chip's process included, is kept on one core, so that nothing of one
is hidden behind the other. Both take the same batches in turn, and have to leave the same tape.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from wire_chips import cpu_seconds

from hwloop.backend import open_backend
from hwloop.controllers import ChoppedTTv2
from hwloop.crossbar import Chip
from hwloop.experiments.config import load_config
from hwloop.experiments.loop import train_batch
from hwloop.experiments.rig import Rig, prepare
from hwloop.nn import AnalogOptimizer, convert, shape_option, tile_shapes

BATCH = 10
ARRAYS = {"simulator": "sim:reram-om,threads=1", "firmware": "emulator:native,device=reram-om"}
SHAPE_OF_DEFAULT = "2x256x784+2x128x256+2x10x128"


class Job(NamedTuple):
    """Training on one array; `train` takes the number of a batch."""

    train: Callable[[int], object]
    chip: Chip


def default_job(url: str) -> Job:
    """Return the run that `hwloop train` makes by itself."""
    url = f"{url},seed=1,shape={SHAPE_OF_DEFAULT}"
    config = load_config(None, ["schedule.float_lr=null"], {"backend.url": url})
    rig = Rig(prepare(config))
    rig.convert()
    order = torch.from_numpy(np.random.default_rng(1).permutation(len(rig.x_train)))
    batches = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
    return Job(lambda n: train_batch(rig, batches[n % len(batches)]), rig.chip)


def layer_job(url: str) -> Job:
    """Return the training of one layer of 512 x 512."""
    torch.manual_seed(1)
    net, algorithm = nn.Sequential(nn.Linear(512, 512)), ChoppedTTv2(n_s=10, lines_per_transfer=10)
    shape = shape_option(tile_shapes(net, algorithm))
    chip = Chip(open_backend(f"{url},seed=1,shape={shape}"))
    model = convert(net, chip, algorithm)
    optimizer = AnalogOptimizer(model, lr=0.1)
    dice = np.random.default_rng(1)
    x = dice.random((100, BATCH, 512)) * (dice.random((100, BATCH, 512)) < 0.2)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(dice.integers(0, 512, (100, BATCH)))

    def train(n: int) -> None:
        F.cross_entropy(model(x[n % len(x)]), y[n % len(y)]).backward()
        optimizer.step()

    return Job(train, chip)


JOBS = {"784-256-128-10, as shipped": default_job, "512-512": layer_job}


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep this thread, and threads and processes that it starts, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.sched_setaffinity(0, cores)


def training(batches: int, rounds: int) -> list[dict[str, Any]]:
    """Time all jobs, print a line for each, and return the figures.

    Args:
        batches: of each job and array, all rounds together.
        rounds: into which they are divided.
    """
    rows = []
    for name, make in JOBS.items():
        with on_one_core():
            jobs = {array: make(url) for array, url in ARRAYS.items()}
            times = measure(jobs, batches // rounds, rounds)
            tapes = {job.chip.tape.digest() for job in jobs.values()}
            for job in jobs.values():
                job.chip.close()
        if len(tapes) > 1:
            raise RuntimeError(f"{name}: the firmware left another tape than the simulator")
        rows.append(show(name, times))
    return rows


def measure(jobs: dict[str, Job], batches: int, rounds: int) -> dict[str, np.ndarray]:
    """Return wall and CPU seconds per batch, by array; shape (rounds, 2)."""
    times = {array: np.empty((rounds, 2)) for array in jobs}
    for n in range(rounds):
        for array, job in jobs.items():
            job.chip.flush()
            cpu, wall = cpu_seconds(), time.perf_counter()
            for batch in range(n * batches, (n + 1) * batches):
                job.train(batch)
            job.chip.flush()
            spent = time.perf_counter() - wall, cpu_seconds() - cpu
            times[array][n] = np.array(spent) / batches
    return times


def show(name: str, times: dict[str, np.ndarray]) -> dict[str, Any]:
    """Print a line and return what is in it."""
    row: dict[str, Any] = {"job": name}
    text = f"{name:28}"
    for column, kind in enumerate(("wall", "cpu")):
        least = {array: float(t[:, column].min()) for array, t in times.items()}
        ratios = times["firmware"][:, column] / times["simulator"][:, column]
        row[kind] = {**least, "times": least["firmware"] / least["simulator"]}
        row[kind]["times_median_of_rounds"] = float(np.median(ratios))
        text += (
            f" {kind} {1e3 * least['simulator']:6.2f} and {1e3 * least['firmware']:6.2f} ms, "
            f"{row[kind]['times']:.2f} times (rounds {row[kind]['times_median_of_rounds']:.2f});"
        )
    print(text.rstrip(";"), flush=True)
    return row
