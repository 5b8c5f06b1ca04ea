"""Every pulse exactly once over links that lose, change, double, delay and reorder."""

from __future__ import annotations

import functools
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from hwloop.crossbar import Chip, Submission
from hwloop.operations import Operation, Plane
from hwloop.testing import FaultSpec
from tests.wire.bench_chip import COLS, ROWS, counts
from tests.wire.chips import Start, connect

PULSES = 5000


@functools.cache
def order() -> np.ndarray:
    """Return the cells that get a pulse, in order."""
    cells = np.resize(np.arange(ROWS * COLS), PULSES)
    return np.random.default_rng(7).permutation(cells)


def run(chip: Chip, size: int) -> str:
    """Give `PULSES` pulses, `size` to a submission, reads among them; return the tape's hash."""
    tile = chip[0]
    one = np.ones((1, 1), np.int16)
    under_way: deque[Submission] = deque()
    for n, begin in enumerate(range(0, PULSES, size)):
        places = [divmod(int(cell), COLS) for cell in order()[begin : begin + size]]
        operations: list[Operation] = [
            tile.new_pulse(np.array([row]), np.array([col]), one) for row, col in places
        ]
        if n % 20 == 0:
            operations.append(tile.new_read_cells(np.array([n % ROWS]), plane=Plane.MAIN))
        under_way.append(chip.submit(operations))
        while len(under_way) > 40:
            under_way.popleft().results()
    chip.flush()
    return chip.tape.digest()


CLEAN: dict[int, str] = {}


@pytest.mark.parametrize(
    ("kind", "faults", "single"),
    [
        ("pty", FaultSpec(), False),
        ("pty", FaultSpec(), True),
        ("pty", FaultSpec.total(1e-4), False),
        ("pty", FaultSpec.total(1e-3), True),
        ("pty", FaultSpec.total(1e-2), True),
        ("tcp", FaultSpec.total(1e-4), False),
        ("zmq", FaultSpec(), False),
        ("zmq", FaultSpec(drop=0.05, duplicate=0.05), False),
        ("zmq", FaultSpec(drop=0.02, flip=0.02, duplicate=0.02, delay=0.1), False),
    ],
    ids=[
        "pty-clean-batched",
        "pty-clean-single",
        "pty-1e-4-batched",
        "pty-1e-3-single",
        "pty-1e-2-single",
        "tcp-1e-4-batched",
        "zmq-clean",
        "zmq-drop-duplicate",
        "zmq-reorder",
    ],
)
def test_every_pulse_exactly_once(
    kind: str,
    faults: FaultSpec,
    single: bool,
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if single:
        monkeypatch.setattr("hwloop_wire.session.SHARED_BYTES", 0)
    size = 1 if single else 100
    # HELLO's answer is long, and at the worst rate few of them get through.
    backend = connect(kind, start(kind).address, faults=faults, seed=3, timeout=30.0, deadman=30.0)
    with Chip(backend) as chip:
        digest = run(chip, size)
        pulses = backend.status().pulses
    assert pulses == PULSES
    expected = np.bincount(order(), minlength=ROWS * COLS).reshape(ROWS, COLS)
    assert np.array_equal(counts(tmp_path), expected)
    assert CLEAN.setdefault(size, digest) == digest
    counters = backend.counters
    if faults != FaultSpec():
        assert counters.frames_resent > 0
    assert 1 < counters.most_in_flight <= 16
