"""Accuracy of the main job: analog SGD and c-TTv2 on 5,000 MNIST digits, against float and aihwkit.

Every row is `hwloop train` with the settings printed, over fixed seeds; accuracies are measured
through noisy reads and are means of the last three epochs and of the seeds. The figures of aihwkit
are its best of the same split, network, periphery and epochs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from hwloop.experiments.config import load_config
from hwloop.experiments.data import load_data
from hwloop.experiments.networks import accuracy, perceptron
from hwloop.experiments.train import LAST_EPOCHS, train_run
from hwloop.random import host_generator

FLOAT_RATES = (0.05, 0.1, 0.2, 0.4)
SGD_RATES = (0.01, 0.03, 0.05)
AT_MOST_BELOW_PEER = 1.5


@dataclass(frozen=True)
class Row:
    """A device, an algorithm, its settings, and aihwkit's accuracy in percent."""

    device: str
    algorithm: str
    settings: dict[str, Any]
    peer: float | None = None


MAIN = (
    Row("reram-om", "c-ttv2", {}, 92.57),
    *(Row("reram-om", "sgd", {"lr": rate}, 82.67) for rate in SGD_RATES),
    Row("soft-bounds-40", "c-ttv2", {"lr": 0.2}, 94.55),
    Row("soft-bounds-40,reference_std=0.1", "c-ttv2", {"lr": 0.2}, 94.59),
)
PEER = (
    Row("soft-bounds-40", "sgd", {"lr": 0.03, "weight_gain": 5.0}, 87.43),
    Row("soft-bounds-40,reference_std=0.1", "sgd", {"lr": 0.03, "weight_gain": 5.0}, 88.85),
    Row("soft-bounds-40,reference_std=0.5", "sgd", {"lr": 0.03, "weight_gain": 5.0}, 89.93),
    Row("soft-bounds-40,reference_std=0.5", "c-ttv2", {"rho": 0.3}, 90.57),
    Row("reram-hfo2", "c-ttv2", {"lr": 0.02, "weight_gain": 4.0}, 87.00),
    Row("reram-hfo2", "sgd", {"lr": 0.002}, 53.93),
    Row("reram-sb", "c-ttv2", {"lr": 0.05, "weight_gain": 8.0, "gamma0": 20.0}, 43.50),
    Row("reram-sb", "sgd", {"lr": 0.02, "weight_gain": 5.0}, 85.87),
    Row("ecram", "sgd", {"lr": 0.1, "weight_gain": 16.0}, 93.53),
    Row("idealized", "c-ttv2", {"gamma0": 30.0, "pulses_per_transfer": 31}, 88.40),
    Row("idealized", "sgd", {"lr": 0.1, "weight_gain": 16.0}, 93.60),
)


def train(job: tuple[Row, int, int]) -> dict[str, Any]:
    """Run `hwloop train` once, in a folder that is thrown away."""
    row, seed, epochs = job
    flags: dict[str, Any] = {
        "backend.url": f"sim:{row.device}",
        "algorithm.name": row.algorithm,
        "schedule.epochs": epochs,
        "report.html": False,
        "seed": seed,
        **{f"algorithm.{key}": value for key, value in row.settings.items()},
    }
    with tempfile.TemporaryDirectory() as folder:
        return train_run(load_config(flags=flags), out=Path(folder) / "run").summary


def train_float(job: tuple[float, int, int]) -> float:
    """Train the float network alone: same weights, order and schedule as beside an analog one."""
    rate, seed, epochs = job
    torch.set_num_threads(1)
    config = load_config(flags={"schedule.epochs": epochs, "seed": seed})
    data, batch = load_data("mnist"), config.schedule.batch
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    x_test, y_test = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
    net = perceptron(data.inputs, len(data.classes), config.network, seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    accuracies = []
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = rate * config.schedule.factor(epoch)
        order = host_generator(seed, "order of samples", epoch).permutation(len(x))
        for start in range(0, len(x), batch):
            chosen = torch.from_numpy(order[start : start + batch])
            optimizer.zero_grad()
            F.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
        accuracies.append(accuracy(net, x_test, y_test))
    return 100 * float(np.mean(accuracies[-LAST_EPOCHS:]))


def main() -> int:
    """Run the rows, print the table and the verdicts; exit 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--peer", action="store_true", help="also the other rows of aihwkit")
    parser.add_argument("--only", default="", help="rows whose device, algorithm holds this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    rows = [
        r
        for r in MAIN + (PEER if options.peer else ())
        if options.only in f"{r.device} {r.algorithm}"
    ]
    started, results = time.perf_counter(), []
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=4) as pool:
        floats = {
            rate: pool.map(train_float, [(rate, seed, options.epochs) for seed in seeds])
            for rate in FLOAT_RATES
        }
        for rate, values in floats.items():
            print(f"{'float':34} {'sgd':7} lr={rate:<30} {describe(values)}", flush=True)
        for row in rows:
            runs = pool.map(train, [(row, seed, options.epochs) for seed in seeds])
            values = [100 * run["test_accuracy"] for run in runs]
            settings = " ".join(f"{k}={v:g}" for k, v in row.settings.items()) or "as shipped"
            peer = (
                ""
                if row.peer is None
                else f"  aihwkit {row.peer:.2f} ({np.mean(values) - row.peer:+.2f})"
            )
            seconds = np.mean([run["wall_seconds"] for run in runs])
            print(
                f"{row.device:34} {row.algorithm:7} {settings:33} {describe(values)}{peer}"
                f"  {seconds:.0f} s",
                flush=True,
            )
            results.append({**asdict(row), "values": values, "seconds": seconds})
    if options.json:
        options.json.write_text(json.dumps({"float": floats, "rows": results}, indent=1))
    print(f"{time.perf_counter() - started:.0f} s")
    return verdicts(floats, results)


def describe(values: list[float]) -> str:
    """Return mean, standard deviation and number of runs, in percent."""
    spread = np.std(values, ddof=1) if len(values) > 1 else float("nan")
    return f"{np.mean(values):6.2f} +- {spread:4.2f} ({len(values)})"


def verdicts(floats: dict[float, list[float]], results: list[dict[str, Any]]) -> int:
    """Print what has to hold and whether it does."""
    best_float = max(float(np.mean(v)) for v in floats.values())
    best: dict[tuple[str, str], float] = {}
    peers: dict[tuple[str, str], float] = {}
    for result in results:
        key = result["device"], result["algorithm"]
        best[key] = max(best.get(key, 0.0), float(np.mean(result["values"])))
        if result["peer"] is not None:
            peers[key] = result["peer"]
    checks = [("float reaches 94.0", best_float, 94.0)]
    om = best.get(("reram-om", "c-ttv2"))
    if om is not None:
        checks.append(("c-TTv2 on reram-om reaches 91.5", om, 91.5))
        if ("reram-om", "sgd") in best:
            gap = om - best["reram-om", "sgd"]
            checks.append(("SGD at its best rate is 5 points below c-TTv2", gap, 5.0))
    for (device, algorithm), value in best.items():
        if (
            device in ("soft-bounds-40", "soft-bounds-40,reference_std=0.1")
            and algorithm == "c-ttv2"
        ):
            checks.append((f"c-TTv2 on {device} within 1 point of float", value, best_float - 1))
        if (device, algorithm) in peers:
            floor = peers[device, algorithm] - AT_MOST_BELOW_PEER
            checks.append((f"{algorithm} on {device}: at most 1.5 below aihwkit", value, floor))
    for what, value, floor in checks:
        print(f"{'ok  ' if value >= floor else 'FAIL'} {what}: {value:.2f}, at least {floor:.2f}")
    return int(any(value < floor for _, value, floor in checks))


if __name__ == "__main__":
    sys.exit(main())
