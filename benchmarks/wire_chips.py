"""Emulated chips over each kind of link, their operations and CPU time, for `wire.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hwloop.backend import CrossbarBackend, open_backend
from hwloop.operations import GAIN_ONE, Configure, Direction, Operation, OuterUpdate, Pulse, Vmm
from hwloop_wire import WireBackend, emulator, firmware_build

SIZE = 512
DEVICE = "reram-om"
SLOTS = 31
OPTIONS = {"shape": f"{SIZE}x{SIZE}", "seed": "1"}
ARRAY = ",".join(f"{name}={value}" for name, value in OPTIONS.items())
LINKS = ("socket", "pty", "tcp", "zmq")
_RAW = str(Path(__file__).with_name("wire_raw.py"))


@contextmanager
def started(*command: str | Path) -> Iterator[str]:
    """Run a program; gives the first line that it prints, and ends it."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([*command], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def bare(*arguments: str) -> Any:
    """Run one of the other ends in `wire_raw.py`; gives its address."""
    return started(sys.executable, _RAW, *arguments)


@contextmanager
def chip_over(link: str, baud: int = 0) -> Iterator[WireBackend]:
    """Open a native chip over a kind of link, of `LINKS` or `line`, a terminal of a baud rate."""
    with tempfile.TemporaryDirectory() as folder, _url(link, Path(folder), baud) as url:
        backend = open_backend(url)
        assert isinstance(backend, WireBackend)
        try:
            yield backend
        finally:
            backend.close()


@contextmanager
def _url(link: str, folder: Path, baud: int) -> Iterator[str]:
    cells = folder / "cells"
    array = f"emulator:native,device={DEVICE},{ARRAY}"
    if link in ("socket", "pty"):
        yield f"{array},link={link}"
    elif link == "tcp":
        emulator.write_cells(cells, DEVICE, OPTIONS, target="native")
        program = firmware_build.native_chip()
        with started(program, "--arena", cells, "--tcp", "0", "--with-parent") as line:
            yield f"serial:tcp://127.0.0.1:{json.loads(line)['tcp']}"
    elif link == "zmq":
        serve = [sys.executable, "-m", "hwloop.cli", "chip", "serve", "--backend", array]
        # Without a journal one consuming operation is in flight at a time.
        where = ["--on", "zmq:tcp://127.0.0.1:*", "--journal", folder / "journal"]
        with started(*serve, *where) as line:
            yield f"zmq:{json.loads(line)['address']}"
    else:
        chip = emulator.start("native", DEVICE, OPTIONS, cells=cells, link="pty")
        try:
            with bare("line", chip.terminal(), str(baud)) as terminal:
                yield f"serial:{terminal},baud={baud}"
        finally:
            chip.close()


class Operations:
    """Makes operations for an array, each with an id and noise ordinal of its own."""

    def __init__(self, backend: CrossbarBackend) -> None:
        self._backend = backend
        self._configuration = backend.describe().configuration
        self._next = 1
        self._dice = np.random.default_rng(1)
        self.run([Configure(content_json=self._configuration.canonical())])

    def run(self, *submissions: list[Operation]) -> int:
        """Execute submissions one after the other; return the pulses that they gave."""
        fired = 0
        for operations in submissions:
            results = self._backend.wait(self._backend.submit(operations))
            fired += sum(result.fired for result in results)
        return fired

    def ask_status(self, count: int) -> None:
        """Ask the chip for its state, again and again."""
        assert isinstance(self._backend, WireBackend)
        for _ in range(count):
            self._backend.status()

    def pulses(self, count: int) -> list[Operation]:
        """Return single pulses on single cells."""
        one = np.ones((1, 1), np.int16)
        cells = self._dice.integers(SIZE, size=(count, 2))
        return [
            Pulse(rows=cell[:1], cols=cell[1:], counts=one, **self._consuming()) for cell in cells
        ]

    def updates(self, count: int, samples: int, coincidences: float = 0.1) -> list[Operation]:
        """Return operations of some rank-1 updates each.

        Args:
            count: operations.
            samples: updates of each.
            coincidences: expected per cell and update; codes are drawn evenly, and gains fit them.
        """
        gain = round(GAIN_ONE * min(1.0, 2 * np.sqrt(coincidences / SLOTS)))
        gains, lengths = np.full(samples, gain, np.int32), np.full(samples, SLOTS, np.int32)
        return [
            OuterUpdate(
                x_codes=self._dice.integers(-127, 128, (samples, SIZE), np.int32),
                d_codes=self._dice.integers(-127, 128, (samples, SIZE), np.int32),
                train_lengths=lengths,
                x_gains=gains,
                d_gains=gains,
                **self._consuming(),
            )
            for _ in range(count)
        ]

    def reads(self, count: int, samples: int) -> list[Operation]:
        """Return forward reads of some vectors each."""
        codes = self._dice.integers(-63, 64, (samples, SIZE), np.int32)
        return [Vmm(direction=Direction.FORWARD, codes=codes, **self._head()) for _ in range(count)]

    def _head(self) -> dict[str, int]:
        self._next += 1
        return {"id": self._next, "ordinal": self._next, "tile": 0}

    def _consuming(self) -> dict[str, Any]:
        shape = next(iter(self._configuration.shapes))
        return {**self._head(), "shape": shape, "configuration": self._configuration.hash()}


def cpu_seconds() -> float:
    """Return the CPU time of this process and of the processes that it has running."""
    return time.process_time() + sum(map(_busy_seconds, _descendants(os.getpid())))


def _descendants(process: int) -> Iterator[int]:
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, tasks.read_text().split()):
            yield child
            yield from _descendants(child)


def _busy_seconds(process: int) -> float:
    nanoseconds = 0
    for task in Path(f"/proc/{process}/task").glob("*/schedstat"):
        nanoseconds += int(task.read_text().split()[0])
    return nanoseconds / 1e9
