"""Speed of the wire: round trips, throughput, a slow line, and training, beside what is bare.

    python benchmarks/wire.py --json wire.json

`links`: a native chip, the real firmware, over each kind of link. In turn with it a bare echo over
the same kind (`wire_raw.py`) carries as many frames, of the same mean lengths and as many in
flight, and the simulator does the same operations without any link. `line`: updates over a line of
a baud rate, as a share of what their codes alone would take. `training`: whole steps of training
against the simulator. Figures are the least of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from wire_chips import (
    ARRAY,
    DEVICE,
    LINKS,
    SIZE,
    Operations,
    bare,
    chip_over,
    cpu_seconds,
)
from wire_raw import BITS_PER_BYTE, Raw
from wire_training import training

from hwloop.backend import open_backend
from hwloop_wire import WireBackend

LEAST_OF_LINE = 0.85
MOST_OF_SIMULATOR = 2.0

WINDOW_FRAMES, WINDOW_BYTES = 64, 1 << 18
"""What the firmware lets a host send ahead."""

Call = Callable[[], object]


class Timed:
    """Least wall and CPU seconds of calls that do the same."""

    def __init__(self) -> None:
        self.wall = self.cpu = float("inf")

    def run(self, call: Call) -> Any:
        """Time a call and return what it returns."""
        cpu, wall = cpu_seconds(), time.perf_counter()
        result = call()
        self.wall = min(self.wall, time.perf_counter() - wall)
        self.cpu = min(self.cpu, cpu_seconds() - cpu)
        return result


@dataclass(frozen=True)
class Work:
    """What is timed.

    Attributes:
        name: for people.
        count, unit: how many things one call does, and of what.
        prepare: makes the call.
    """

    name: str
    count: int
    unit: str
    prepare: Callable[[Operations], Call]


def pulses_in_turn(make: Operations) -> Call:
    """Return 200 single pulses, each waited for."""
    return partial(make.run, *(make.pulses(1) for _ in range(200)))


STATUS = Work("STATUS", 200, "round trip", lambda make: partial(make.ask_status, 200))
WORK = (
    STATUS,
    Work("pulse", 200, "round trip", pulses_in_turn),
    Work("pulses", 2000, "pulse", lambda make: partial(make.run, make.pulses(2000))),
    Work("updates", 512, "update", lambda make: partial(make.run, make.updates(8, 64))),
    Work("reads of 64 vectors", 16, "read", lambda make: partial(make.run, make.reads(16, 64))),
)


@dataclass(frozen=True)
class Traffic:
    """Frames that went to the chip, and their mean length and that of the answers, in bytes."""

    frames: int
    request: int
    answer: int

    def over(self, raw: Raw, work: Work) -> Call:
        """Return the same traffic over a bare link."""
        window = min(WINDOW_FRAMES, max(1, WINDOW_BYTES // self.request))
        if work.unit == "round trip":
            window = 1
        return partial(raw.exchange, self.frames, self.request, self.answer, window)


def totals(chip: WireBackend) -> tuple[int, int, int]:
    """Return frames and bytes sent, and bytes received."""
    counters = chip.counters
    return counters.frames_sent, counters.bytes_sent, counters.bytes_received


def watched(chip: WireBackend, timed: Timed, call: Call) -> Traffic:
    """Time a call and return what went over the link."""
    before = totals(chip)
    timed.run(call)
    frames, sent, received = (b - a for a, b in zip(before, totals(chip), strict=True))
    return Traffic(frames, sent // frames, received // frames)


def links(kinds: list[str], rounds: int) -> list[dict[str, Any]]:
    """Time all work over kinds of links, print a line for each, and return the figures."""
    simulator = open_backend(f"sim:{DEVICE},{ARRAY},threads=1")
    simulated = Operations(simulator)
    rows = []
    for kind in kinds:
        with chip_over(kind) as chip, bare(kind) as address:
            raw, make = Raw(kind, address), Operations(chip)
            for work in WORK:
                ours, echo, alone = Timed(), Timed(), Timed()
                for _ in range(rounds):
                    traffic = watched(chip, ours, work.prepare(make))
                    echo.run(traffic.over(raw, work))
                    if work is not STATUS:
                        alone.run(work.prepare(simulated))
                rows.append(show_link(kind, work, traffic, ours, echo, alone))
            raw.close()
    simulator.close()
    return rows


def show_link(
    kind: str, work: Work, traffic: Traffic, ours: Timed, echo: Timed, alone: Timed
) -> dict[str, Any]:
    """Print a line and return what is in it, in microseconds."""
    each = {
        "hwloop": ours.wall,
        "hwloop_cpu": ours.cpu,
        "bare": echo.wall,
        "bare_cpu": echo.cpu,
        "simulator": alone.wall if work is not STATUS else 0.0,
    }
    each = {name: 1e6 * seconds / work.count for name, seconds in each.items()}
    print(
        f"{kind:7}{work.name:20}{each['hwloop']:8.1f} us per {work.unit:11}"
        f"CPU {each['hwloop_cpu']:8.1f}   bare {each['bare']:8.1f}"
        f"   simulator {each['simulator']:8.1f}   {1e6 / each['hwloop']:8.0f} per second"
        f"   frames: {traffic.frames} of {traffic.request} and {traffic.answer} bytes",
        flush=True,
    )
    return {"link": kind, "work": work.name, "unit": work.unit, **each, **asdict(traffic)}


@dataclass(frozen=True)
class Case:
    """Updates over a slow line.

    Attributes:
        name: for people.
        operations, samples: how many operations, and updates of each.
        coincidences: expected per cell and update.
        least: share of the line that codes have to take, 0 if that is not asked.
    """

    name: str
    operations: int
    samples: int
    coincidences: float
    least: float = LEAST_OF_LINE


CASES = (
    Case("64 updates an operation", 8, 64, 0.1),
    Case("1 update an operation", 512, 1, 0.1),
    Case("64, and work for the chip", 8, 64, 2.0, least=0.0),
)


def line(baud: int, rounds: int) -> list[dict[str, Any]]:
    """Time updates over a slow line, print a line for each case, and return the figures."""
    with bare("pty") as end, bare("line", end, str(baud)) as address:
        raw, timed = Raw("pty", address), Timed()
        for _ in range(rounds):
            timed.run(partial(raw.exchange, 64, 4096, 64, 4))
        raw.close()
    share = 64 * 4096 * BITS_PER_BYTE / baud / timed.wall
    print(f"{baud} baud: bare requests take {100 * share:.1f} % of the line", flush=True)
    rows: list[dict[str, Any]] = [{"case": "bare", "share": share, "least": 0.0}]
    for case in CASES:
        with chip_over("line", baud) as chip:
            make, timed = Operations(chip), Timed()
            for _ in range(rounds):
                batch = make.updates(case.operations, case.samples, case.coincidences)
                before, resent = totals(chip), chip.counters.frames_resent
                fired = timed.run(partial(make.run, batch))
                sent = totals(chip)[1] - before[1]
                resent = chip.counters.frames_resent - resent
        rows.append(show_line(case, baud, timed, sent, resent, fired))
    return rows


def show_line(
    case: Case, baud: int, timed: Timed, sent: int, resent: int, fired: int
) -> dict[str, Any]:
    """Print a line and return what is in it."""
    updates = case.operations * case.samples
    row = {
        "case": case.name,
        "updates_per_second": updates / timed.wall,
        "share": 2 * SIZE * updates * BITS_PER_BYTE / baud / timed.wall,
        "least": case.least,
        "bytes_per_update": sent / updates,
        "cpu_seconds_per_update": timed.cpu / updates,
        "frames_resent": resent,
        "coincidences": fired / updates / SIZE**2,
    }
    print(
        f"{case.name:26} {row['updates_per_second']:5.1f} per second: codes take "
        f"{100 * row['share']:.1f} % of the line; {row['bytes_per_update']:.0f} bytes each, "
        f"{resent} frames repeated, {row['coincidences']:.2f} coincidences per cell, "
        f"CPU {1e3 * row['cpu_seconds_per_update']:.1f} ms",
        flush=True,
    )
    return row


def verdicts(figures: dict[str, Any]) -> bool:
    """Print what has to hold, and return whether it does."""
    checks = [
        (f"{row['case']}: codes take {row['share']:.3f} of the line, at least", row["share"])
        for row in figures.get("line", [])
        if row["least"]
    ]
    good = True
    for what, share in checks:
        good &= share >= LEAST_OF_LINE
        print(f"{'ok  ' if share >= LEAST_OF_LINE else 'FAIL'} {what} {LEAST_OF_LINE}")
    for row in figures.get("training", []):
        for kind in ("wall", "cpu"):
            times = row[kind]["times"]
            good &= times <= MOST_OF_SIMULATOR
            word = "ok  " if times <= MOST_OF_SIMULATOR else "FAIL"
            print(f"{word} {row['job']}, {kind}: {times:.2f} times, at most {MOST_OF_SIMULATOR}")
    return good


def main() -> int:
    """Time what is asked for, print tables and verdicts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", choices=["links", "line", "training"], help="parts to run"
    )
    parser.add_argument("--links", nargs="+", choices=LINKS, default=list(LINKS))
    parser.add_argument("--baud", type=int, default=921600)
    parser.add_argument("--batches", type=int, default=200, help="of each training job")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    parts = given.only or ["links", "line", "training"]
    figures: dict[str, Any] = {"load": os.getloadavg()}
    if "links" in parts:
        figures["links"] = links(given.links, given.rounds)
    if "line" in parts:
        figures["line"] = line(given.baud, min(given.rounds, 3))
    if "training" in parts:
        figures["training"] = training(given.batches, given.rounds)
    figures["load_after"] = os.getloadavg()
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    return 0 if verdicts(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
