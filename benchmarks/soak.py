"""Soak: training over the wire for hours; does anything grow?

    python benchmarks/soak.py --minutes 120 --out soak

Trains on an emulated chip behind faults of the link, round after round in one process, with a tape
on disk. Samples the memory and the open file handles of the driver and of the chip's process; the
means of memory before and after have to agree within 5 %: before is the minute behind the first
one, after is the last one. Leaves `soak.json` and `soak.png`; exit code 1 if something grows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch

from hwloop.backend import open_backend
from hwloop.experiments.config import load_config
from hwloop.experiments.loop import train_batch
from hwloop.experiments.rig import Rig, one_torch_thread, prepare
from hwloop.tape import FileTape

GROWTH = 0.05
SECONDS_BETWEEN_SAMPLES = 2.0
URL = "emulator:native,shape={shape},faults={rate},timeout=30"


def memory(pid: int) -> float:
    """Return the resident memory of a process, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def handles(pid: int) -> int:
    """Return the open file handles of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


class Sampler:
    """Samples two processes from a thread of its own."""

    def __init__(self, chip: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self.batches = 0
        self._pids = {"driver": os.getpid(), "chip": chip}
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_SAMPLES):
            row: dict[str, Any] = {"seconds": time.monotonic() - self._began}
            for name, pid in self._pids.items():
                row[f"{name} MB"], row[f"{name} handles"] = memory(pid), handles(pid)
            self.rows.append(row | {"batches": self.batches})

    def close(self) -> None:
        """Sample no more."""
        self._over.set()
        self._thread.join()


def main() -> int:
    """Train, and look at what grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=1e-5, help="faults per byte of the link")
    parser.add_argument("--out", type=Path, default=Path("soak"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    shape = "32x64+32x64+10x32+10x32"
    config = load_config(
        flags={
            "data.source": "digits",
            "network.hidden": [32],
            "schedule.batch": 50,
            "schedule.float_lr": None,
            "backend.url": URL.format(shape=shape, rate=options.rate),
        }
    )
    with tempfile.TemporaryDirectory() as folder, one_torch_thread():
        rows, batches = soak(config, 60 * options.minutes, Path(folder))
    verdict = judge(rows)
    found = {"minutes": options.minutes, "batches": batches, **verdict, "samples": rows}
    (options.out / "soak.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(rows, options.out / "soak.png")
    for name, value in verdict.items():
        print(f"{name}: {value}")
    print(f"{batches} batches; picture in {options.out / 'soak.png'}")
    return 0 if verdict["nothing grows"] else 1


def soak(config: Any, seconds: float, folder: Path) -> tuple[list[dict[str, Any]], int]:
    """Train for some time; return the samples and the number of batches."""
    bench = prepare(config)
    tape = FileTape(folder / "tape", {})
    rig = Rig(bench, tape=tape)
    until = time.monotonic() + seconds
    with rig.chip:
        rig.convert()
        process = bench.backend.chip.process.pid  # type: ignore[attr-defined]
        sampler = Sampler(process)
        samples = len(rig.x_train)
        generator = torch.Generator().manual_seed(1)
        try:
            while time.monotonic() < until:
                order = torch.randperm(samples, generator=generator)
                for start in range(0, samples, config.schedule.batch):
                    train_batch(rig, order[start : start + config.schedule.batch])
                    sampler.batches += 1
                    if time.monotonic() >= until:
                        break
                # Arrays are opened and closed in a long-lived program as well.
                open_backend("emulator:native,shape=4x4").close()
        finally:
            sampler.close()
        rig.chip.flush()
    return sampler.rows, sampler.batches


def judge(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what has grown since the first minute."""
    end = rows[-1]["seconds"]
    first = min(60.0, end / 4)
    before = [row for row in rows if first <= row["seconds"] < first + min(60.0, end / 4)]
    after = [row for row in rows if row["seconds"] >= end - min(60.0, end / 4)]
    found: dict[str, Any] = {}
    grows = False
    for name in ("driver", "chip"):
        old, new = (sum(row[f"{name} MB"] for row in part) / len(part) for part in (before, after))
        growth = new / old - 1
        # The least, for now and then the small array beside is open as well.
        had = min(row[f"{name} handles"] for row in before)
        has = min(row[f"{name} handles"] for row in after)
        grows |= growth >= GROWTH or has > had
        found[f"{name} memory"] = f"{old:.1f} MB, then {new:.1f} MB ({100 * growth:+.2f} %)"
        found[f"{name} handles"] = f"{had}, then {has}"
    return {**found, "nothing grows": not grows}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw memory and handles over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    minutes = [row["seconds"] / 60 for row in rows]
    figure, axes = pyplot.subplots(2, 1, sharex=True, figsize=(7, 5), layout="constrained")
    for name, colour in (("driver", "#0b6e99"), ("chip", "#b3541e")):
        axes[0].plot(minutes, [row[f"{name} MB"] for row in rows], color=colour, label=name)
        axes[1].step(minutes, [row[f"{name} handles"] for row in rows], color=colour, label=name)
    axes[0].axvline(min(1.0, minutes[-1] / 4), color="0.7", linestyle=":")
    axes[0].set(ylabel="resident memory, MB", ylim=(0, None))
    axes[1].set(ylabel="open file handles", xlabel="minutes", ylim=(0, None))
    axes[0].legend(frameon=False, loc="center right")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
