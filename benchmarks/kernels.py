"""Time of the core's kernels, against aihwkit where it can be had.

    python benchmarks/kernels.py --peer /path/to/python/with/aihwkit --json kernels.json

Updates are compared at equal coincidences, 31 slots and equal probabilities on all lines: `dense`
7.75 pulses per cell and sample, `typical` 0.53, `sparse` 0.02. Reads have 7-bit codes, 9-bit
results and output noise on both sides. Both programs run in turn, round by round, in one thread
each, since a shared machine drifts; the figures are CPU time, the least of the rounds. aihwkit
takes the samples of a batch one by one, so its batches are timed at one sample and multiplied.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hwloop_sim
from hwloop.device_file import load
from hwloop.operations import GAIN_ONE, Configure, Direction, Operation, Plane, ReadCells, Vmm
from hwloop_sim.periphery import Periphery
from hwloop_sim.population import draw
from hwloop_sim.tile import Tile

SLOTS = 31
PROBABILITIES = {"dense": 0.5, "typical": 0.131, "sparse": 0.0254}
SECONDS = 0.01  # least time of one measurement


@dataclass
class Case:
    """A call to time; `unit` says what `units` of it one call does."""

    kind: str
    name: str
    size: int
    samples: int
    call: Callable[[], object]
    unit: str
    units: float
    peer: dict[str, object] | None = None
    seconds: float = float("inf")
    peer_seconds: float = float("inf")


class Peer:
    """aihwkit in a process of its own."""

    def __init__(self, python: str) -> None:
        script = Path(__file__).with_name("aihwkit_kernels.py")
        self._process = subprocess.Popen(
            [python, "-W", "ignore", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, request: dict[str, object]) -> float:
        assert self._process.stdin and self._process.stdout
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def updates(tile: Tile, size: int, batches: list[int]) -> Iterator[Case]:
    rng = np.random.default_rng(1)
    most = (1 << (tile.periphery.update_bits - 1)) - 1
    for regime, probability in PROBABILITIES.items():
        for samples in batches:
            signs = [rng.choice([-most, most], (samples, size)).astype(np.int32) for _ in range(2)]
            lengths = np.full(samples, SLOTS, np.int32)
            gains = np.full(samples, round(probability * GAIN_ONE), np.int32)

            def call(s=signs, n=lengths, g=gains) -> int:  # type: ignore[no-untyped-def]
                return tile.outer_update(*s, n, g, g, ordinal=1)

            yield Case(
                "update",
                regime,
                size,
                samples,
                call,
                "pulse",
                call(),
                {"what": "update", "probability": probability},
            )


def reads(tile: Tile, size: int, batches: list[int]) -> Iterator[Case]:
    rng = np.random.default_rng(2)
    for direction in Direction:
        for samples in batches:
            codes = rng.integers(-63, 64, (samples, size)).astype(np.int32)

            def call(c=codes, d=direction) -> object:  # type: ignore[no-untyped-def]
                return tile.vmm(d, Plane.DIFFERENCE, c, ordinal=1)

            name = direction.name.lower()
            macs = samples * size * size
            yield Case("read", name, size, samples, call, "product", macs, {"what": name})
    codes = rng.integers(-63, 64, (32, size)).astype(np.int32)

    def after_update() -> object:
        tile._versions += np.uint32(1)
        tile._current.clear()
        return tile.vmm(Direction.FORWARD, Plane.DIFFERENCE, codes, ordinal=1)

    yield Case("read", "after update", size, 32, after_update, "product", 32 * size * size)
    yield Case(
        "read",
        "cells",
        size,
        1,
        lambda: tile.read_cells(Plane.DIFFERENCE, None, None, average=1, ordinal=1),
        "cell",
        size * size,
    )


def calls(device: str) -> Iterator[Case]:
    """Whole operations on a small tile: what Python adds."""
    size = 64
    backend = hwloop_sim.open_backend(device, {"shape": f"{size}x{size}"})
    configuration = backend.describe().configuration
    backend.wait(backend.submit([Configure(content_json=configuration.canonical())]))
    codes = np.full((1, size), 30, np.int32)
    operations: dict[str, Operation] = {
        "vmm": Vmm(tile=0, direction=Direction.FORWARD, codes=codes),
        "read cells": ReadCells(tile=0, rows=np.array([3])),
    }
    for name, operation in operations.items():

        def call(operations=(operation,)) -> object:  # type: ignore[no-untyped-def]
            return backend.wait(backend.submit(operations))

        yield Case("operation", name, size, 1, call, "call", 1)


def seconds_per_call(call: Callable[[], object]) -> float:
    repeats = 1
    while True:
        begin = time.process_time()
        for _ in range(repeats):
            call()
        spent = time.process_time() - begin
        if spent >= SECONDS:
            return spent / repeats
        repeats *= 2


def measure(cases: list[Case], peer: Peer | None, rounds: int) -> None:
    for _ in range(rounds):
        for case in cases:
            case.seconds = min(case.seconds, seconds_per_call(case.call))
            if peer and case.peer:
                request = {**case.peer, "size": case.size, "samples": 1, "seconds": SECONDS}
                case.peer_seconds = min(case.peer_seconds, case.samples * peer.seconds(request))


def show(case: Case) -> dict[str, object]:
    ratio = case.peer_seconds / case.seconds if case.peer_seconds < float("inf") else None
    per_unit = case.seconds / case.units * 1e9
    line = (
        f"{case.kind:10} {case.name:13} {case.size:5} b{case.samples:<4}"
        f"{case.seconds * 1e6:12.1f} us {per_unit:9.3f} ns/{case.unit:8}"
    )
    if ratio:
        line += f"aihwkit {case.peer_seconds * 1e6:10.1f} us, {ratio:5.1f} times"
    print(line, flush=True)
    return {
        "kind": case.kind,
        "name": case.name,
        "size": case.size,
        "samples": case.samples,
        "seconds": case.seconds,
        "unit": case.unit,
        "units": case.units,
        "peer_seconds": case.peer_seconds if ratio else None,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 256], help="of reads")
    parser.add_argument("--device", default="soft-bounds-40", help="device file of the cells")
    parser.add_argument("--form", default="fast", choices=["fast", "portable", "plain"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", help="a Python that has aihwkit")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    peer = Peer(given.peer) if given.peer else None
    rows: list[dict[str, object]] = []
    device = load(given.device)
    print(f"{given.device}, {given.form}, {platform.processor() or platform.machine()}", flush=True)
    for size in given.sizes:
        tile = Tile(draw(device, size, size, seed=1), Periphery(), index=0, seed=1, form=given.form)
        cases = [*updates(tile, size, [1, 32]), *reads(tile, size, given.batches)]
        measure(cases, peer, given.rounds)
        rows += [show(case) for case in cases]
    cases = list(calls(given.device))
    measure(cases, None, given.rounds)
    rows += [show(case) for case in cases]
    if peer:
        peer.close()
    if given.json:
        given.json.write_text(json.dumps({"device": given.device, "figures": rows}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
